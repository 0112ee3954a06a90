//! From an element's text to a draft.

use std::fmt;

use hexmem_ports::{EdgeDraft, EdgeId, Expect, Name, NodeDraft, Timestamp, check_json};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::scan::{Header, Place};
use super::{EDGE_KEYS, ESCAPE, FORM, MARK, NODE_KEYS, WITHDRAWN, WITHDRAWN_AT};
use crate::Vocabulary;

/// The type of a node that has none.
const DEFAULT_KIND: &str = "node";

/// The relation of an edge that has none.
const DEFAULT_RELATION: &str = "related_to";

/// Why one element was not taken, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `nodes`, `links` or `edges`.
    pub list: &'static str,
    /// The element's index in its list, from 0.
    pub index: u64,
    /// The line it begins on, from 1.
    pub line: u64,
    /// The byte it begins at, from 0.
    pub byte: u64,
    /// What is wrong.
    pub what: String,
}

impl Problem {
    pub(super) fn at(place: Place, what: impl Into<String>) -> Self {
        Self {
            list: place.list.key(),
            index: place.index,
            line: place.line,
            byte: place.byte,
            what: what.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}[{}]: {}", self.line, self.list, self.index, self.what)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Problem", 5)?;
        fields.serialize_field("list", self.list)?;
        fields.serialize_field("index", &self.index)?;
        fields.serialize_field("line", &self.line)?;
        fields.serialize_field("byte", &self.byte)?;
        fields.serialize_field("what", &self.what)?;
        fields.end()
    }
}

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// NetworkX, Kagura, anybody.
    Foreign,
    /// Our export: attributes lie flat, reserved names are escaped.
    Export,
    /// A store's own file: attributes lie under `data`, beside the store's bookkeeping.
    Store,
}

/// A store's bookkeeping of an element: the importing store keeps its own.
const BOOKKEEPING: [&str; 4] = ["recorded_at", "superseded_at", "version", "revision"];

/// How elements of one file are read.
#[derive(Debug, Clone)]
pub(super) struct Reading<'a> {
    pub(super) writer: Writer,
    pub(super) vocabulary: &'a Vocabulary,
    /// Minutes east of UTC of times without an offset.
    pub(super) naive_offset: i32,
}

/// What was met on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) naive: u64,
    pub(super) zoned: u64,
    /// Facts withdrawn at or before their start.
    pub(super) withdrawn: u64,
}

/// An edge before it has its id.
#[derive(Debug)]
pub(super) struct RawEdge {
    pub(super) draft: EdgeDraft,
    /// The text of `key`, where it has one.
    pub(super) key: Option<String>,
    /// Whether `draft.id` is the file's.
    pub(super) has_id: bool,
}

/// Who wrote a file, as its header says. A newer form than this program writes is an error.
pub(super) fn writer_of(header: &Header) -> Result<Writer, String> {
    let Some(mark) = header.graph.get(MARK) else { return Ok(Writer::Foreign) };
    match mark.get("form").and_then(Value::as_i64) {
        Some(FORM) if mark.get("entry").is_some() => Ok(Writer::Store),
        Some(FORM) => Ok(Writer::Export),
        Some(form) => Err(format!(
            "the file is of form {form} and this program reads form {FORM}; use a newer hexmem"
        )),
        None => Err("the file's `graph.hexmem` does not say its form".to_owned()),
    }
}

/// The fields of an element's object.
pub(super) fn fields(text: Option<&[u8]>) -> Result<Map<String, Value>, String> {
    let text = text.ok_or("it has more than 64 MiB of text")?;
    match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(fields)) => match big_integer(text) {
            Some(digits) => {
                Err(format!("the integer {digits} lies beyond 64 signed bits; write it as text"))
            }
            None => Ok(fields),
        },
        Ok(other) => Err(format!("it is {}, not an object", kind_of(&other))),
        Err(error) => Err(match bare_word(text) {
            Some((key, word)) => format!(
                "`{key}` is {word}, which JSON does not have; write a number, or leave it out"
            ),
            None => {
                // The parser counts lines from the element's start: they would be taken for the file's.
                let text = error.to_string();
                let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
                format!("it is no JSON: {what}")
            }
        }),
    }
}

impl Reading<'_> {
    pub(super) fn node(
        &self,
        mut fields: Map<String, Value>,
        tally: &mut Tally,
    ) -> Result<NodeDraft, String> {
        let id = fields.shift_remove("id").ok_or("it has no `id`")?;
        let id = identity("id", id)?;
        let kind = text_name(&mut fields, "type")?.map_or_else(|| Name::new(DEFAULT_KIND), Ok);
        let kind = kind.map_err(|error| error.message().to_owned())?;
        self.vocabulary.check_kind(&kind).map_err(|error| error.message().to_owned())?;
        let created_at = self.time(&mut fields, "created_at", tally)?;
        let data = self.data(fields, &NODE_KEYS)?;
        Ok(NodeDraft { id, kind, data, created_at, expect: Expect::Any })
    }

    pub(super) fn edge(
        &self,
        mut fields: Map<String, Value>,
        tally: &mut Tally,
    ) -> Result<RawEdge, String> {
        let mut end = |key: &str| {
            let value = fields.shift_remove(key).ok_or_else(|| format!("it has no `{key}`"))?;
            identity(key, value)
        };
        let (src, dst) = (end("source")?, end("target")?);
        let relation =
            text_name(&mut fields, "type")?.map_or_else(|| Name::new(DEFAULT_RELATION), Ok);
        let relation = relation.map_err(|error| error.message().to_owned())?;
        self.vocabulary.check_relation(&relation).map_err(|error| error.message().to_owned())?;
        let weight = match fields.shift_remove("weight") {
            None | Some(Value::Null) => 1.0,
            Some(Value::Number(number)) => number
                .as_f64()
                .filter(|weight| weight.is_finite())
                .ok_or("`weight` is not a finite number")?,
            Some(other) => return Err(format!("`weight` is {}, not a number", kind_of(&other))),
        };
        let created_at = self.time(&mut fields, "created_at", tally)?;
        let valid_from = self.time(&mut fields, "valid_from", tally)?;
        let mut valid_until = self.time(&mut fields, "valid_until", tally)?;
        // A list or an object of evidence is data: provenance is one name.
        let source = match fields.get("evidence") {
            Some(Value::String(_) | Value::Null) => text_name(&mut fields, "evidence")?,
            _ => None,
        };
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && until <= from
        {
            let withdrawn = fields.get(WITHDRAWN) == Some(&Value::Bool(true));
            if !withdrawn && until < from {
                return Err(format!("`valid_until` ({until}) lies before `valid_from` ({from})"));
            }
            // Invalidated before it began: it never held. The empty span says so, the instant is kept.
            if until < from {
                fields.insert(WITHDRAWN_AT.to_owned(), Value::from(until.to_string()));
            }
            valid_until = Some(from);
            tally.withdrawn += 1;
        }
        let key = fields.shift_remove("key");
        let id = key.as_ref().and_then(Value::as_str).filter(|_| self.writer != Writer::Foreign);
        let id = id.and_then(|text| Uuid::parse_str(text).ok()).map(EdgeId);
        if let (None, Some(Value::String(text))) = (id, &key) {
            // Integers count parallel edges and mean nothing else; a text may be somebody's name for the edge.
            fields.insert("key".to_owned(), Value::from(text.as_str()));
        }
        let data = self.data(fields, &EDGE_KEYS)?;
        let has_id = id.is_some();
        let draft = EdgeDraft {
            id: id.unwrap_or(EdgeId(Uuid::nil())),
            src,
            relation,
            dst,
            weight,
            valid_from,
            valid_until,
            source,
            data,
            created_at,
            expect: Expect::Any,
        };
        Ok(RawEdge {
            draft,
            key: key.filter(|key| !key.is_null()).map(|key| key.to_string()),
            has_id,
        })
    }

    fn time(
        &self,
        fields: &mut Map<String, Value>,
        key: &str,
        tally: &mut Tally,
    ) -> Result<Option<Timestamp>, String> {
        let text = match fields.shift_remove(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => return Err(format!("`{key}` is {}, not a time", kind_of(&other))),
        };
        let read = Timestamp::parse(&text).map_err(|_| {
            let shown: String = text.chars().take(40).collect();
            format!("`{key}` is `{}`; write a time like 2026-11-21T10:00:00Z", shown.escape_debug())
        })?;
        if is_zoned(&text) {
            tally.zoned += 1;
            return Ok(Some(read));
        }
        tally.naive += 1;
        let shifted = read.as_micros() - i64::from(self.naive_offset) * 60_000_000;
        let shifted = Timestamp::from_micros(shifted)
            .ok_or_else(|| format!("`{key}` lies outside the years 0 to 9999"))?;
        Ok(Some(shifted))
    }

    /// What is left is data; in our exports the escape is taken off.
    fn data(&self, mut fields: Map<String, Value>, reserved: &[&str]) -> Result<Value, String> {
        if self.writer == Writer::Store {
            for key in BOOKKEEPING {
                fields.shift_remove(key);
            }
            if let Some(Value::Object(data)) = fields.shift_remove("data") {
                fields.extend(data);
            }
        }
        let unescape = |key: String| match key.strip_prefix(ESCAPE) {
            Some(rest)
                if self.writer == Writer::Export
                    && (reserved.contains(&rest) || rest.starts_with(ESCAPE)) =>
            {
                rest.to_owned()
            }
            _ => key,
        };
        let data = Value::Object(fields.into_iter().map(|(k, v)| (unescape(k), v)).collect());
        check_json("graph.import", &data).map_err(|error| {
            let at = error.context().iter().find(|(name, _)| *name == "path");
            let path = at.map_or("", |(_, path)| path.as_str());
            format!("{} (at {path})", error.message())
        })?;
        Ok(data)
    }
}

/// A node's id: a text, or an integer's digits.
fn identity(key: &str, value: Value) -> Result<Name, String> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) if number.is_i64() => number.to_string(),
        other => return Err(format!("`{key}` is {}, not a text", kind_of(&other))),
    };
    Name::new(text).map_err(|error| format!("`{key}`: {}", error.message()))
}

fn text_name(fields: &mut Map<String, Value>, key: &str) -> Result<Option<Name>, String> {
    match fields.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            Name::new(text).map(Some).map_err(|error| format!("`{key}`: {}", error.message()))
        }
        Some(other) => Err(format!("`{key}` is {}, not a text", kind_of(&other))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Whether a text that was read as a time names its offset.
fn is_zoned(text: &str) -> bool {
    text.get(10..).is_some_and(|rest| rest.contains(['Z', 'z', '+', '-']))
}

/// The parts of a JSON text outside strings, each with the string before it.
fn outside_strings(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0;
    let mut before: &[u8] = b"";
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let plain = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
        let key = before;
        let start = (at + plain + 1).min(text.len());
        let mut end = start;
        while let Some(byte) = text.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let end = end.min(text.len());
        before = &text[start..end];
        at = end + 1;
        Some((key, &rest[..plain]))
    })
}

/// The first `NaN` or `Infinity` outside strings, as Python writes them, with the key before it.
fn bare_word(text: &[u8]) -> Option<(String, &'static str)> {
    outside_strings(text).find_map(|(key, part)| {
        let has = |word: &str| part.windows(word.len()).any(|window| window == word.as_bytes());
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| has(word))?;
        Some((String::from_utf8_lossy(key).into_owned(), word))
    })
}

/// The first integer outside strings that 64 signed bits do not hold (a parser would make it a fraction).
fn big_integer(text: &[u8]) -> Option<String> {
    outside_strings(text).find_map(|(_, part)| {
        part.split(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .filter(|number| {
                number.len() > 18 && number.iter().all(|b| b.is_ascii_digit() || *b == b'-')
            })
            .filter_map(|number| std::str::from_utf8(number).ok())
            .find(|number| number.parse::<i64>().is_err())
            .map(String::from)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_edge(text: &str) -> Result<RawEdge, String> {
        let vocabulary = Vocabulary::open();
        let reading = Reading { writer: Writer::Foreign, vocabulary: &vocabulary, naive_offset: 0 };
        reading.edge(fields(Some(text.as_bytes()))?, &mut Tally::default())
    }

    #[test]
    fn bare_words_and_big_integers_are_found_outside_strings_only() {
        let text = br#"{"a": "NaN", "weight": NaN}"#;
        assert_eq!(bare_word(text), Some(("weight".into(), "NaN")));
        assert_eq!(bare_word(br#"{"a\"NaN": "Infinity"}"#), None);
        assert_eq!(bare_word(br#"{"x": [-Infinity]}"#), Some(("x".into(), "-Infinity")));
        assert_eq!(
            big_integer(br#"{"n": 9223372036854775807, "s": "99999999999999999999"}"#),
            None
        );
        assert_eq!(big_integer(br#"{"n": 9223372036854775808}"#).unwrap(), "9223372036854775808");
        assert_eq!(big_integer(br#"{"n": 99999999999999999999.5e3}"#), None);
    }

    #[test]
    fn what_is_wrong_with_an_edge_is_said() {
        for (text, says) in [
            (r#"{"source":"a"}"#, "no `target`"),
            (r#"{"source":"a","target":["b"]}"#, "`target` is a list"),
            (r#"{"source":"a","target":"b","weight":"1"}"#, "`weight` is a text"),
            (r#"{"source":"a","target":"b","weight":NaN}"#, "`weight` is NaN"),
            (r#"{"source":"a","target":"b","weight":1e999}"#, "no JSON"),
            (r#"{"source":"a","target":"b","valid_from":"soon"}"#, "`valid_from` is `soon`"),
            (r#"{"source":"a","target":"b","valid_from":5}"#, "`valid_from` is a number"),
            (
                r#"{"source":"a","target":"b","valid_from":"2026-02-01","valid_until":"2026-01-01"}"#,
                "lies before `valid_from`",
            ),
            (r#"{"source":"a","target":"b","note":"\u0000"}"#, "NUL"),
            (r#"{"source":"","target":"b"}"#, "empty"),
            (r#"{"source":"a","target":"b","type":7}"#, "`type` is a number"),
            (r#"{"source":"a","target":"b","n":18446744073709551615}"#, "64 signed bits"),
            (r#"[1]"#, "it is a list"),
            (r#"{"source":}"#, "no JSON"),
        ] {
            let error = read_edge(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn attributes_become_fields_and_the_rest_is_data() {
        let edge = read_edge(
            r#"{"note":"x","type":"made","weight":2,"created_at":"2026-01-01T09:00:00.5","valid_from":"2026-01-02T00:00:00+09:00",
               "valid_until":null,"evidence":"https://example.invalid/1","source":"a","confidence":0.5,"target":7}"#,
        )
        .unwrap();
        let draft = edge.draft;
        assert_eq!((draft.src.as_str(), draft.dst.as_str()), ("a", "7"));
        assert_eq!((draft.relation.as_str(), draft.weight), ("made", 2.0));
        assert_eq!(draft.created_at.unwrap().to_string(), "2026-01-01T09:00:00.500000Z");
        assert_eq!(draft.valid_from.unwrap().to_string(), "2026-01-01T15:00:00.000000Z");
        assert_eq!(draft.source.unwrap().as_str(), "https://example.invalid/1");
        assert_eq!(draft.data, json!({"note": "x", "confidence": 0.5}));
        assert!(!edge.has_id);
    }

    #[test]
    fn an_invalidation_before_the_start_says_that_the_fact_never_held() {
        let edge = read_edge(
            r#"{"source":"a","target":"b","valid_from":"2026-02-01","valid_until":"2026-01-01","invalidated":true}"#,
        )
        .unwrap();
        assert_eq!(edge.draft.valid_from, edge.draft.valid_until);
        assert_eq!(edge.draft.data["invalidated_at"], "2026-01-01T00:00:00.000000Z");
    }
}
