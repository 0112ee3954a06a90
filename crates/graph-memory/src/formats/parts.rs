//! The rules that every form shares: from the parts of an element to a draft.

use hexmem_ports::{EdgeDraft, EdgeId, Expect, Name, NodeDraft, Timestamp, check_json};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::json::{identity, kind_of, text_name};
use crate::Vocabulary;

/// The type of a node that has none.
const DEFAULT_KIND: &str = "node";

/// The relation of an edge that has none.
const DEFAULT_RELATION: &str = "related_to";

/// What Kagura's files put on an edge that was invalidated, whatever the instant.
pub(super) const WITHDRAWN: &str = "invalidated";

/// Where the instant is kept when it lies before the fact began: such a fact has an empty span.
pub(super) const WITHDRAWN_AT: &str = "invalidated_at";

/// How elements of one file are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
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

/// A node of a file; `names` are the words that the form has for `id` and type.
pub(super) struct NodeParts {
    pub(super) names: [&'static str; 2],
    pub(super) id: Option<Value>,
    pub(super) kind: Option<Value>,
    pub(super) created_at: Option<Value>,
    pub(super) data: Map<String, Value>,
}

/// An edge of a file; `names` are the words that the form has for the ends, the relation and the provenance.
pub(super) struct EdgeParts {
    pub(super) names: [&'static str; 4],
    pub(super) src: Option<Value>,
    pub(super) dst: Option<Value>,
    pub(super) relation: Option<Value>,
    pub(super) weight: Option<Value>,
    pub(super) created_at: Option<Value>,
    pub(super) valid_from: Option<Value>,
    pub(super) valid_until: Option<Value>,
    pub(super) source: Option<Value>,
    /// The edge's own id, where the form has one.
    pub(super) id: Option<Uuid>,
    /// What tells parallel edges apart in the file, as text.
    pub(super) key: Option<String>,
    pub(super) data: Map<String, Value>,
}

/// An edge before it has its id.
#[derive(Debug)]
pub(super) struct RawEdge {
    pub(super) draft: EdgeDraft,
    pub(super) key: Option<String>,
    /// Whether `draft.id` is the file's.
    pub(super) has_id: bool,
}

impl Rules<'_> {
    pub(super) fn node(&self, parts: NodeParts, tally: &mut Tally) -> Result<NodeDraft, String> {
        let [id_name, kind_name] = parts.names;
        let id = identity(id_name, parts.id.ok_or_else(|| format!("it has no `{id_name}`"))?)?;
        let kind = text_name(kind_name, parts.kind)?.map_or_else(|| Name::new(DEFAULT_KIND), Ok);
        let kind = kind.map_err(|error| error.message().to_owned())?;
        self.vocabulary.check_kind(&kind).map_err(|error| error.message().to_owned())?;
        let created_at = self.time("created_at", parts.created_at, tally)?;
        let data = checked(parts.data)?;
        Ok(NodeDraft { id, kind, data, created_at, expect: Expect::Any })
    }

    pub(super) fn edge(&self, parts: EdgeParts, tally: &mut Tally) -> Result<RawEdge, String> {
        let [src_name, dst_name, relation_name, source_name] = parts.names;
        let end = |key: &str, value: Option<Value>| {
            identity(key, value.ok_or_else(|| format!("it has no `{key}`"))?)
        };
        let (src, dst) = (end(src_name, parts.src)?, end(dst_name, parts.dst)?);
        let relation = text_name(relation_name, parts.relation)?
            .map_or_else(|| Name::new(DEFAULT_RELATION), Ok);
        let relation = relation.map_err(|error| error.message().to_owned())?;
        self.vocabulary.check_relation(&relation).map_err(|error| error.message().to_owned())?;
        let weight = match parts.weight {
            None | Some(Value::Null) => 1.0,
            Some(Value::Number(number)) => number
                .as_f64()
                .filter(|weight| weight.is_finite())
                .ok_or("`weight` is not a finite number")?,
            Some(other) => return Err(format!("`weight` is {}, not a number", kind_of(&other))),
        };
        let created_at = self.time("created_at", parts.created_at, tally)?;
        let valid_from = self.time("valid_from", parts.valid_from, tally)?;
        let mut valid_until = self.time("valid_until", parts.valid_until, tally)?;
        let source = text_name(source_name, parts.source)?;
        let mut data = parts.data;
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && until <= from
        {
            let withdrawn = data.get(WITHDRAWN) == Some(&Value::Bool(true));
            if !withdrawn && until < from {
                return Err(format!("`valid_until` ({until}) lies before `valid_from` ({from})"));
            }
            // Invalidated before it began: it never held. The empty span says so, the instant is kept.
            if until < from {
                data.insert(WITHDRAWN_AT.to_owned(), Value::from(until.to_string()));
            }
            valid_until = Some(from);
            tally.withdrawn += 1;
        }
        let draft = EdgeDraft {
            id: EdgeId(parts.id.unwrap_or(Uuid::nil())),
            src,
            relation,
            dst,
            weight,
            valid_from,
            valid_until,
            source,
            data: checked(data)?,
            created_at,
            expect: Expect::Any,
        };
        Ok(RawEdge { draft, key: parts.key, has_id: parts.id.is_some() })
    }

    fn time(
        &self,
        key: &str,
        value: Option<Value>,
        tally: &mut Tally,
    ) -> Result<Option<Timestamp>, String> {
        let text = match value {
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
}

/// Attributes within the limits of every store.
fn checked(data: Map<String, Value>) -> Result<Value, String> {
    let data = Value::Object(data);
    check_json("graph.import", &data).map_err(|error| {
        let at = error.context().iter().find(|(name, _)| *name == "path");
        let path = at.map_or("", |(_, path)| path.as_str());
        format!("{} (at {path})", error.message())
    })?;
    Ok(data)
}

/// Whether a text that was read as a time names its offset.
fn is_zoned(text: &str) -> bool {
    text.get(10..).is_some_and(|rest| rest.contains(['Z', 'z', '+', '-']))
}
