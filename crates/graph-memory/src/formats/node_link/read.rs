//! From an element of node-link JSON to its parts.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::scan::Header;
use super::{EDGE_KEYS, ESCAPE, FORM, MARK, NODE_KEYS};
use crate::formats::parts::{EdgeParts, NodeParts};

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Writer {
    /// NetworkX, Kagura, anybody.
    Foreign,
    /// Our export: attributes lie flat, reserved names are escaped.
    Export,
    /// A store's own file: attributes lie under `data`, beside the store's bookkeeping.
    Store,
}

/// A store's bookkeeping of an element: the importing store keeps its own.
const BOOKKEEPING: [&str; 4] = ["recorded_at", "superseded_at", "version", "revision"];

impl Writer {
    /// Who wrote a file, as its header says. A newer form than this program writes is an error.
    pub(in crate::formats) fn of(header: &Header) -> Result<Self, String> {
        let Some(mark) = header.graph.get(MARK) else { return Ok(Self::Foreign) };
        match mark.get("form").and_then(Value::as_i64) {
            Some(FORM) if mark.get("entry").is_some() => Ok(Self::Store),
            Some(FORM) => Ok(Self::Export),
            Some(form) => Err(format!(
                "the file is of form {form} and this program reads form {FORM}; use a newer hexmem"
            )),
            None => Err("the file's `graph.hexmem` does not say its form".to_owned()),
        }
    }

    pub(in crate::formats) fn node(self, mut fields: Map<String, Value>) -> NodeParts {
        NodeParts {
            names: ["id", "type"],
            id: fields.shift_remove("id"),
            kind: fields.shift_remove("type"),
            created_at: fields.shift_remove("created_at"),
            data: self.data(fields, &NODE_KEYS),
        }
    }

    pub(in crate::formats) fn edge(self, mut fields: Map<String, Value>) -> EdgeParts {
        // A list or an object of evidence is data: provenance is one name.
        let source = match fields.get("evidence") {
            Some(Value::Array(_) | Value::Object(_)) => None,
            _ => fields.shift_remove("evidence"),
        };
        let key = fields.shift_remove("key").filter(|key| !key.is_null());
        let text = key.as_ref().and_then(Value::as_str);
        let id = text.filter(|_| self != Self::Foreign).and_then(|text| Uuid::parse_str(text).ok());
        if let (None, Some(text)) = (id, text) {
            // Integers count parallel edges and mean nothing else; a text may be somebody's name for the edge.
            fields.insert("key".to_owned(), Value::from(text));
        }
        EdgeParts {
            names: ["source", "target", "type", "evidence"],
            src: fields.shift_remove("source"),
            dst: fields.shift_remove("target"),
            relation: fields.shift_remove("type"),
            weight: fields.shift_remove("weight"),
            created_at: fields.shift_remove("created_at"),
            valid_from: fields.shift_remove("valid_from"),
            valid_until: fields.shift_remove("valid_until"),
            source,
            id,
            key: key.map(|key| key.to_string()),
            data: self.data(fields, &EDGE_KEYS),
        }
    }

    /// What is left is data; in our exports the escape is taken off.
    fn data(self, mut fields: Map<String, Value>, reserved: &[&str]) -> Map<String, Value> {
        if self == Self::Store {
            for key in BOOKKEEPING {
                fields.shift_remove(key);
            }
            if let Some(Value::Object(data)) = fields.shift_remove("data") {
                fields.extend(data);
            }
        }
        let unescape = |key: String| match key.strip_prefix(ESCAPE) {
            Some(rest)
                if self == Self::Export
                    && (reserved.contains(&rest) || rest.starts_with(ESCAPE)) =>
            {
                rest.to_owned()
            }
            _ => key,
        };
        fields.into_iter().map(|(key, value)| (unescape(key), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Vocabulary;
    use crate::formats::json::fields;
    use crate::formats::parts::{RawEdge, Rules, Tally};

    fn read_edge(text: &str) -> Result<RawEdge, String> {
        let vocabulary = Vocabulary::open();
        let rules = Rules { vocabulary: &vocabulary, naive_offset: 0 };
        let fields = fields(Some(text.as_bytes())).map_err(|fault| fault.what)?;
        rules.edge(Writer::Foreign.edge(fields), &mut Tally::default())
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
