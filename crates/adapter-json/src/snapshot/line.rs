//! One node or edge of the file.

use std::borrow::Cow;
use std::io::{self, Write as _};

use hexmem_ports::rules::graph::{EdgeText, NodeText};
use hexmem_ports::{EdgeId, Revision, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Text that stays in the buffer that it was read from, where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Debug, Deserialize)]
pub(super) struct NodeLine<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    data: Value,
    created_at: Timestamp,
    recorded_at: Timestamp,
    #[serde(default)]
    superseded_at: Option<Timestamp>,
    version: u64,
    revision: Revision,
}

#[derive(Debug, Deserialize)]
pub(super) struct EdgeLine<'a> {
    #[serde(borrow)]
    source: Text<'a>,
    #[serde(borrow)]
    target: Text<'a>,
    key: EdgeId,
    #[serde(rename = "type", borrow)]
    relation: Text<'a>,
    weight: f64,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    #[serde(borrow)]
    evidence: Option<Text<'a>>,
    data: Value,
    created_at: Timestamp,
    recorded_at: Timestamp,
    #[serde(default)]
    superseded_at: Option<Timestamp>,
    version: u64,
    revision: Revision,
}

impl NodeLine<'_> {
    pub(super) fn text(&self) -> NodeText<'_, &Value> {
        NodeText {
            id: &self.id.0,
            kind: &self.kind.0,
            data: &self.data,
            created_at: self.created_at,
            recorded_at: self.recorded_at,
            superseded_at: self.superseded_at,
            version: self.version,
            revision: self.revision,
        }
    }
}

impl EdgeLine<'_> {
    pub(super) fn text(&self) -> EdgeText<'_, &Value> {
        EdgeText {
            id: self.key,
            src: &self.source.0,
            relation: &self.relation.0,
            dst: &self.target.0,
            weight: self.weight,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            source: self.evidence.as_ref().map(|text| &*text.0),
            data: &self.data,
            created_at: self.created_at,
            recorded_at: self.recorded_at,
            superseded_at: self.superseded_at,
            version: self.version,
            revision: self.revision,
        }
    }
}

/// Any value of the file.
pub(super) fn json(out: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    Ok(serde_json::to_writer(out, value)?)
}

/// What [`NodeLine`] reads.
pub(super) fn write_node(out: &mut Vec<u8>, node: &NodeText<'_>) -> io::Result<()> {
    out.extend_from_slice(b"{\"id\":");
    json(out, &node.id)?;
    out.extend_from_slice(b",\"type\":");
    json(out, &node.kind)?;
    write!(out, ",\"data\":{}", node.data)?;
    times(out, node.created_at, node.recorded_at, node.superseded_at)?;
    write!(out, ",\"version\":{},\"revision\":{}}}", node.version, node.revision.0)
}

/// What [`EdgeLine`] reads.
pub(super) fn write_edge(out: &mut Vec<u8>, edge: &EdgeText<'_>) -> io::Result<()> {
    out.extend_from_slice(b"{\"source\":");
    json(out, &edge.src)?;
    out.extend_from_slice(b",\"target\":");
    json(out, &edge.dst)?;
    write!(out, ",\"key\":\"{}\",\"type\":", edge.id)?;
    json(out, &edge.relation)?;
    out.extend_from_slice(b",\"weight\":");
    json(out, &edge.weight)?;
    out.extend_from_slice(b",\"valid_from\":");
    json(out, &edge.valid_from)?;
    out.extend_from_slice(b",\"valid_until\":");
    json(out, &edge.valid_until)?;
    out.extend_from_slice(b",\"evidence\":");
    json(out, &edge.source)?;
    write!(out, ",\"data\":{}", edge.data)?;
    times(out, edge.created_at, edge.recorded_at, edge.superseded_at)?;
    write!(out, ",\"version\":{},\"revision\":{}}}", edge.version, edge.revision.0)
}

fn times(
    out: &mut Vec<u8>,
    created_at: Timestamp,
    recorded_at: Timestamp,
    superseded_at: Option<Timestamp>,
) -> io::Result<()> {
    write!(out, ",\"created_at\":\"{created_at}\",\"recorded_at\":\"{recorded_at}\"")?;
    match superseded_at {
        Some(end) => write!(out, ",\"superseded_at\":\"{end}\""),
        None => Ok(()),
    }
}
