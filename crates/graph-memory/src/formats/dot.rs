//! DOT, written: Graphviz draws it.
//!
//! Every text is a quoted string in which `"` and `\` are escaped, so that no text is read as markup, a port or a
//! keyword; Graphviz keeps the `\\` of a doubled backslash in ids. Attributes of nodes and edges stand in `data` as
//! JSON text, for tools that look.

use std::fmt::Write as _;

use hexmem_ports::{Digest, Edge, Node, Result};
use serde_json::Value;

use super::export::{Out, Sheet};

/// The longest label, in characters; the tooltip has it whole.
const LABEL: usize = 48;

/// Fills for types: light enough for black text, told apart by most eyes (after Okabe and Ito).
const FILLS: [&str; 8] =
    ["#cfe8f7", "#fde0b2", "#c9eedd", "#f8d3e6", "#fff4b0", "#d3dcf7", "#f6cdbb", "#e2e2e2"];

/// Writes the form.
#[derive(Debug)]
pub(super) struct Dot {
    name: String,
}

impl Dot {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

impl Sheet for Dot {
    fn head(&mut self, out: &mut Out<'_>) -> Result<()> {
        out.put(&format!(
            "digraph {} {{\n\
             graph [overlap=false, splines=true];\n\
             node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11, color=\"#555555\"];\n\
             edge [fontname=\"Helvetica\", fontsize=9, color=\"#777777\"];\n",
            id(&self.name)
        ))
    }

    fn node(&mut self, out: &mut Out<'_>, node: Node) -> Result<()> {
        let mut line = id(node.id.as_str());
        let fill = Digest::of(node.kind.as_str().as_bytes()).0[0];
        let fill = FILLS[usize::from(fill) % FILLS.len()];
        let _ = write!(
            line,
            " [label={}, tooltip={}, fillcolor=\"{fill}\", type={}, created_at={}",
            label(&short(node.id.as_str())),
            label(&format!("{}\n{}", node.id, node.kind)),
            id(node.kind.as_str()),
            id(&node.created_at.to_string()),
        );
        data(&mut line, &node.data, out);
        line.push_str("];\n");
        out.put(&line)
    }

    fn edge(&mut self, out: &mut Out<'_>, edge: Edge) -> Result<()> {
        let mut line = format!("{} -> {}", id(edge.src.as_str()), id(edge.dst.as_str()));
        let mut tooltip = edge.relation.to_string();
        for (word, at) in [("from", edge.valid_from), ("until", edge.valid_until)] {
            if let Some(at) = at {
                let _ = write!(tooltip, "\n{word} {at}");
            }
        }
        let _ = write!(
            line,
            " [id=\"{}\", label={}, tooltip={}, type={}, strength=\"{}\", created_at={}",
            edge.id,
            label(&short(edge.relation.as_str())),
            label(&tooltip),
            id(edge.relation.as_str()),
            edge.weight,
            id(&edge.created_at.to_string()),
        );
        for (name, at) in [("valid_from", edge.valid_from), ("valid_until", edge.valid_until)] {
            if let Some(at) = at {
                let _ = write!(line, ", {name}={}", id(&at.to_string()));
            }
        }
        if let Some(source) = &edge.source {
            let _ = write!(line, ", source={}", id(source.as_str()));
        }
        if edge.valid_until.is_some() {
            line.push_str(", style=\"dashed\"");
        }
        data(&mut line, &edge.data, out);
        line.push_str("];\n");
        out.put(&line)
    }

    fn foot(&mut self, out: &mut Out<'_>) -> Result<()> {
        out.put("}\n")
    }
}

fn data(line: &mut String, data: &Value, out: &mut Out<'_>) {
    let count = data.as_object().map_or(0, serde_json::Map::len);
    if count > 0 {
        out.lose("attributes (written as JSON text)", count);
        let _ = write!(line, ", data={}", id(&data.to_string()));
    }
}

/// A text as an id or the value of an attribute. Different texts give different ones.
fn id(text: &str) -> String {
    quoted(text, false)
}

/// A text to be shown, where Graphviz knows escapes and the entities of HTML.
fn label(text: &str) -> String {
    quoted(text, true)
}

fn quoted(text: &str, entities: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '&' if entities => quoted.push_str("&amp;"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{{{:x}}}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn short(text: &str) -> String {
    if text.chars().count() <= LABEL {
        return text.to_owned();
    }
    text.chars().take(LABEL - 1).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_ends_where_it_should_and_tells_texts_apart() {
        assert_eq!(id(r#"a"b\"#), r#""a\"b\\""#);
        assert_eq!(id("a\nb"), r#""a\nb""#);
        assert_eq!(id(r"a\nb"), r#""a\\nb""#);
        assert_eq!(id("\u{1}"), r#""\u{1}""#);
        assert_eq!(label("<b>&lt;"), "\"<b>&amp;lt;\"");
        assert_eq!(id("node"), "\"node\"");
        assert_eq!(short(&"é".repeat(49)).chars().count(), 48);
    }
}
