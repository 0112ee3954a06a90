//! GraphML, written: yEd, Gephi, `NetworkX` and others read it.
//!
//! Ids and names of attributes are NMTOKENs by its schema: other characters are written as `_xHHHH_` (as in SQL/XML, ISO
//! 9075-14), and a node's `label` is its id as it is. An attribute gets the type that all its values have; lists
//! and objects are JSON text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hexmem_ports::{Edge, Node, Result, Timestamp};
use serde_json::Value;

use super::export::{Out, Part, Sheet};

/// So many attributes of nodes, and of edges, get a column of their own; what others there are goes into one more.
const COLUMNS: usize = 1_000;

/// Attributes beyond the columns, as one JSON object.
const REST: &str = "data";

/// Our own columns: part, name, type. An attribute called so is written as `data.NAME`.
const OWN: [(Part, &str, Kind); 10] = [
    (Part::Node, "label", Kind::Text),
    (Part::Node, "type", Kind::Text),
    (Part::Node, "created_at", Kind::Text),
    (Part::Edge, "label", Kind::Text),
    (Part::Edge, "type", Kind::Text),
    (Part::Edge, "weight", Kind::Double),
    (Part::Edge, "created_at", Kind::Text),
    (Part::Edge, "valid_from", Kind::Text),
    (Part::Edge, "valid_until", Kind::Text),
    (Part::Edge, "evidence", Kind::Text),
];

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Long,
    Double,
    /// Also what lists, objects and values of several types become.
    Text,
}

impl Kind {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Bool(_) => Some(Self::Boolean),
            Value::Number(number) if number.is_i64() => Some(Self::Long),
            Value::Number(_) => Some(Self::Double),
            _ => Some(Self::Text),
        }
    }

    /// The type that holds both.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Long | Self::Double, Self::Long | Self::Double) => Self::Double,
            _ => Self::Text,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Long => "long",
            Self::Double => "double",
            Self::Text => "string",
        }
    }
}

/// Writes the form.
#[derive(Debug, Default)]
pub(super) struct GraphMl {
    columns: BTreeMap<(Part, String), Kind>,
    /// Ids of keys in the file, by part and name.
    keys: BTreeMap<(Part, String), (String, Kind)>,
    rest: [bool; 2],
}

impl Sheet for GraphMl {
    fn surveys(&self) -> bool {
        true
    }

    fn survey(&mut self, data: &Value, of: Part) {
        for (key, value) in data.as_object().into_iter().flatten() {
            let Some(kind) = Kind::of(value) else { continue };
            if let Some(column) = self.columns.get_mut(&(of, key.clone())) {
                *column = column.with(kind);
            } else if self.columns.iter().filter(|((part, _), _)| *part == of).count() < COLUMNS {
                self.columns.insert((of, key.clone()), kind);
            } else {
                self.rest[usize::from(of == Part::Edge)] = true;
            }
        }
    }

    fn head(&mut self, out: &mut Out<'_>) -> Result<()> {
        out.put(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:schemaLocation=\"http://graphml.graphdrawing.org/xmlns \
             http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd\">\n",
        )?;
        let own = OWN.map(|(part, name, kind)| (part, name.to_owned(), name.to_owned(), kind));
        let columns = std::mem::take(&mut self.columns).into_iter().map(|((part, name), kind)| {
            let shown = if is_own(part, &name) { format!("data.{name}") } else { name.clone() };
            // No attribute is called by our own columns' place in the map.
            (part, format!("\0{name}"), shown, kind)
        });
        let rest = [(Part::Node, self.rest[0]), (Part::Edge, self.rest[1])];
        let rest = rest.into_iter().filter(|(_, any)| *any);
        let rest = rest.map(|(part, _)| (part, REST.to_owned(), REST.to_owned(), Kind::Text));
        for (part, place, name, kind) in own.into_iter().chain(columns).chain(rest) {
            let (of, initial) = match part {
                Part::Node => ("node", 'n'),
                Part::Edge => ("edge", 'e'),
            };
            let id = format!("{initial}{}", self.keys.len());
            let (kind_name, token_name) = (kind.name(), token(&name));
            let mut line = format!(
                "<key id=\"{id}\" for=\"{of}\" attr.name=\"{token_name}\" attr.type=\"{kind_name}\""
            );
            if token_name == name {
                line.push_str("/>\n");
            } else {
                let _ = writeln!(line, "><desc>{}</desc></key>", escaped(&name, out));
            }
            out.put(&line)?;
            self.keys.insert((part, place), (id, kind));
        }
        out.put("<graph edgedefault=\"directed\">\n")
    }

    fn node(&mut self, out: &mut Out<'_>, node: Node) -> Result<()> {
        let mut line = format!("<node id=\"{}\">", token(node.id.as_str()));
        self.own(&mut line, out, Part::Node, "label", Some(node.id.as_str()));
        self.own(&mut line, out, Part::Node, "type", Some(node.kind.as_str()));
        let created_at = node.created_at.to_string();
        self.own(&mut line, out, Part::Node, "created_at", Some(&created_at));
        self.attributes(&mut line, out, Part::Node, &node.data);
        line.push_str("</node>\n");
        out.put(&line)
    }

    fn edge(&mut self, out: &mut Out<'_>, edge: Edge) -> Result<()> {
        let mut line = format!(
            "<edge id=\"{}\" source=\"{}\" target=\"{}\">",
            edge.id,
            token(edge.src.as_str()),
            token(edge.dst.as_str())
        );
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let fields = [
            ("label", Some(edge.relation.to_string())),
            ("type", Some(edge.relation.to_string())),
            ("weight", Some(edge.weight.to_string())),
            ("created_at", text(Some(edge.created_at))),
            ("valid_from", text(edge.valid_from)),
            ("valid_until", text(edge.valid_until)),
            ("evidence", edge.source.map(String::from)),
        ];
        for (name, value) in fields {
            self.own(&mut line, out, Part::Edge, name, value.as_deref());
        }
        self.attributes(&mut line, out, Part::Edge, &edge.data);
        line.push_str("</edge>\n");
        out.put(&line)
    }

    fn foot(&mut self, out: &mut Out<'_>) -> Result<()> {
        out.put("</graph>\n</graphml>\n")
    }
}

impl GraphMl {
    fn own(
        &self,
        line: &mut String,
        out: &mut Out<'_>,
        part: Part,
        name: &str,
        value: Option<&str>,
    ) {
        if let (Some(value), Some((key, _))) = (value, self.keys.get(&(part, name.to_owned()))) {
            let _ = write!(line, "<data key=\"{key}\">{}</data>", escaped(value, out));
        }
    }

    fn attributes(&self, line: &mut String, out: &mut Out<'_>, part: Part, data: &Value) {
        let mut rest = serde_json::Map::new();
        for (name, value) in data.as_object().into_iter().flatten() {
            let column = self.keys.get(&(part, format!("\0{name}")));
            let text = match (value, column) {
                (Value::Null, _) => {
                    out.lose("attributes that are null", 1);
                    continue;
                }
                (_, None) => {
                    rest.insert(name.clone(), value.clone());
                    continue;
                }
                (Value::String(text), _) => text.clone(),
                (Value::Array(_) | Value::Object(_), _) => {
                    out.lose("attributes that are lists or objects (written as JSON text)", 1);
                    value.to_string()
                }
                (_, Some((_, Kind::Text))) => {
                    out.lose("attributes whose values have several types (written as text)", 1);
                    value.to_string()
                }
                _ => value.to_string(),
            };
            if let Some((key, _)) = column {
                let _ = write!(line, "<data key=\"{key}\">{}</data>", escaped(&text, out));
            }
        }
        if rest.is_empty() {
            return;
        }
        out.lose("attributes beyond a thousand names (written as JSON text)", rest.len());
        self.own(line, out, part, REST, Some(&Value::Object(rest).to_string()));
    }
}

fn is_own(part: Part, name: &str) -> bool {
    name == REST || OWN.iter().any(|(of, own, _)| *of == part && *own == name)
}

/// A text as an NMTOKEN of XML; different texts give different ones.
fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if !is_token(c) || (c == '_' && rest.peek() == Some(&'x')) {
            let _ = write!(token, "_x{:04X}_", u32::from(c));
        } else {
            token.push(c);
        }
    }
    // No text has NUL.
    if token.is_empty() { "_x0000_".to_owned() } else { token }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '.' | '-' | '_' | ':')
        || (c.is_alphanumeric()
            && matches!(c, '\u{c0}'..='\u{2ff}' | '\u{370}'..='\u{1fff}' | '\u{3001}'..='\u{d7ff}')
            && !matches!(c, '\u{d7}' | '\u{f7}' | '\u{37e}'))
}

/// A text as XML holds it. What it cannot hold becomes U+FFFD, and is counted.
fn escaped(text: &str, out: &mut Out<'_>) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\r' => escaped.push_str("&#13;"),
            '\n' | '\t' => escaped.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.lose("characters that XML does not have", 1);
                escaped.push('\u{fffd}');
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_where_texts_do() {
        let texts =
            ["a b", "a_x0020_b", "a_b", "", "\u{1}", "日本", "a/b", "_x", "\u{1f600}", "a\tb"];
        let tokens: std::collections::BTreeSet<_> = texts.iter().map(|text| token(text)).collect();
        assert_eq!(tokens.len(), texts.len());
        assert!(tokens.iter().all(|token| token.chars().all(is_token)), "{tokens:?}");
        assert_eq!(token("a b"), "a_x0020_b");
        assert_eq!(token("a_x0020_b"), "a_x005F_x0020_b");
        assert_eq!(token("日本"), "日本");
    }

    #[test]
    fn a_column_has_the_type_of_all_its_values() {
        let kind = |values: &[Value]| values.iter().filter_map(Kind::of).reduce(Kind::with);
        assert_eq!(kind(&[1.into(), 0.5.into(), Value::Null]), Some(Kind::Double));
        assert_eq!(kind(&[1.into(), 2.into()]), Some(Kind::Long));
        assert_eq!(kind(&[true.into(), 2.into()]), Some(Kind::Text));
        assert_eq!(kind(&[Value::Null]), None);
    }
}
