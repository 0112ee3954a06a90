//! HTML to Markdown-like text.
//!
//! Not a browser: tags are taken away, scripts and styles with their content, entities decoded,
//! white space joined. Headings become `#` lines and `pre` becomes fenced code, so that the
//! Markdown chunker knows them. Any input gives some text.

/// The readable part of a page.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) text: String,
}

pub(super) fn extract(source: &str) -> Page {
    let mut writer = Writer::default();
    let mut rest = source;
    while let Some(open) = rest.find('<') {
        let (text, from) = rest.split_at(open);
        writer.text(text);
        rest = match markup(from) {
            Some(Markup::Comment(after)) => after,
            Some(Markup::Tag { name, closing, after }) => {
                if !closing && matches!(name.as_str(), "script" | "style" | "template" | "svg") {
                    behind_end(after, &name)
                } else {
                    writer.tag(&name, closing);
                    after
                }
            }
            None => {
                writer.text("<");
                from.get(1..).unwrap_or_default()
            }
        };
    }
    writer.text(rest);
    writer.finish()
}

enum Markup<'a> {
    /// A comment, a doctype, a processing instruction.
    Comment(&'a str),
    Tag {
        name: String,
        closing: bool,
        after: &'a str,
    },
}

/// What begins at the `<` that `from` begins with; `None` when it is only a character.
fn markup(from: &str) -> Option<Markup<'_>> {
    if let Some(comment) = from.strip_prefix("<!--") {
        return Some(Markup::Comment(comment.split_once("-->").map_or("", |(_, after)| after)));
    }
    let inner = from.get(1..)?;
    if inner.starts_with(['!', '?']) {
        return Some(Markup::Comment(inner.split_once('>').map_or("", |(_, after)| after)));
    }
    let (closing, named) = inner.strip_prefix('/').map_or((false, inner), |named| (true, named));
    if !named.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let length =
        named.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(named.len());
    let (name, attributes) = named.split_at(length);
    let mut rest = attributes;
    loop {
        let at = rest.find(['>', '<', '"', '\''])?;
        let (mark, after) = rest.split_at_checked(at)?.1.split_at_checked(1)?;
        rest = match mark {
            ">" => return Some(Markup::Tag { name: name.to_ascii_lowercase(), closing, after }),
            "<" => return None,
            // A quote that is never closed is a character like any other.
            quote => after.split_once(quote).map_or(after, |(_, behind)| behind),
        };
    }
}

/// The source behind `</name ...>`; nothing when the element is never closed.
fn behind_end<'a>(source: &'a str, name: &str) -> &'a str {
    let mut rest = source;
    while let Some((_, candidate)) = rest.split_once("</") {
        let is_it = candidate.get(..name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name));
        if is_it {
            return candidate.split_once('>').map_or("", |(_, after)| after);
        }
        rest = candidate;
    }
    ""
}

#[derive(Default)]
struct Writer {
    title: String,
    text: String,
    in_title: bool,
    in_pre: bool,
    /// White space that is written only when a word follows.
    space: bool,
}

impl Writer {
    fn text(&mut self, raw: &str) {
        let decoded = decode_entities(raw);
        if self.in_title {
            self.title.push_str(&decoded);
        } else if self.in_pre {
            self.text.push_str(&decoded);
        } else {
            for c in decoded.chars() {
                if c.is_whitespace() {
                    self.space = true;
                    continue;
                }
                if std::mem::take(&mut self.space) && !self.text.ends_with(['\n', ' ']) {
                    self.text.push(' ');
                }
                self.text.push(c);
            }
        }
    }

    fn tag(&mut self, name: &str, closing: bool) {
        match name {
            "title" => self.in_title = !closing && self.title.is_empty(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.lines(2);
                if !closing {
                    let level = name.bytes().last().map_or(1, |digit| usize::from(digit - b'0'));
                    self.text.push_str(&"#".repeat(level));
                    self.text.push(' ');
                }
            }
            "pre" if closing == self.in_pre => {
                self.lines(if closing { 1 } else { 2 });
                self.text.push_str("```\n");
                self.in_pre = !closing;
            }
            "br" | "tr" | "dt" | "dd" | "option" => self.lines(1),
            "li" if !closing => {
                self.lines(1);
                self.text.push_str("- ");
            }
            "td" | "th" => self.space = true,
            "p" | "div" | "ul" | "ol" | "dl" | "table" | "section" | "article" | "header"
            | "footer" | "main" | "nav" | "aside" | "blockquote" | "figure" | "figcaption"
            | "form" | "fieldset" | "hr" | "body" | "head" | "html" | "details" | "summary"
            | "select" | "address" => self.lines(2),
            _ => {}
        }
    }

    /// Ends the line, with `count` line ends in all.
    fn lines(&mut self, count: usize) {
        if self.in_pre {
            if !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            return;
        }
        self.space = false;
        let there = self.text.len() - self.text.trim_end_matches('\n').len();
        if !self.text.is_empty() {
            self.text.push_str(&"\n".repeat(count.saturating_sub(there)));
        }
    }

    fn finish(mut self) -> Page {
        if self.in_pre {
            self.lines(1);
            self.text.push_str("```\n");
        }
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        Page { title, text: self.text.trim().to_owned() }
    }
}

/// Decodes numeric references and the names that are common; others stay as they are.
fn decode_entities(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, from)) = rest.split_once('&') {
        text.push_str(before);
        let name = from.bytes().take(12).position(|byte| byte == b';');
        let name = name.and_then(|end| from.get(..end));
        match name.and_then(|name| Some((name, entity(name)?))) {
            Some((name, c)) => {
                text.push(c);
                rest = from.get(name.len() + 1..).unwrap_or_default();
            }
            None => {
                text.push('&');
                rest = from;
            }
        }
    }
    text.push_str(rest);
    text
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return Some(char::from_u32(code).filter(|&c| c != '\0').unwrap_or('\u{fffd}'));
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "laquo" => '«',
        "raquo" => '»',
        "middot" => '·',
        "bull" => '•',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "euro" => '€',
        "deg" => '°',
        "times" => '×',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        "ntilde" => 'ñ',
        _ => return None,
    })
}
