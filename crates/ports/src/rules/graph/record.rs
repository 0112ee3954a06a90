//! The record forms of graphs, and how they are scanned and restored.
//!
//! Three kinds of address: `[tenant, graph]`, `[tenant, graph, "node", id]`, `[tenant, graph, "edge", id]`. The record
//! of an element holds all its versions, oldest first. Log and revisions belong to a store and are not moved: after
//! a restore its log starts anew and every reader gets `Gap`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::GraphState;
use super::slots::{NodeVersion, index};
use crate::{
    Cursor, Edge, ElementRef, Error, GraphId, Limit, Name, Node, Page, Record, RecordKind,
    Restored, Result, Revision, Tenant, Timestamp, check_json,
};

/// The form of the records written here.
pub const GRAPH_RECORD_FORM: u16 = 1;

const RESTORE: &str = "records.restore";

/// A record of a graph store, read.
#[derive(Debug, Clone, PartialEq)]
pub enum GraphRecord {
    /// The graph itself.
    Graph {
        /// Counts creations and deletions.
        version: u64,
        /// When it was created.
        created_at: Timestamp,
        /// When it was deleted.
        deleted_at: Option<Timestamp>,
    },
    /// A node's versions, oldest first; never empty.
    Node(Vec<Node>),
    /// An edge's versions, oldest first; never empty.
    Edge(Vec<Edge>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphBody {
    created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Versions<T> {
    versions: Vec<T>,
}

/// What nodes and edges have in common here.
trait Version: Clone + Serialize + DeserializeOwned {
    fn version(&self) -> u64;
    fn span(&self) -> (Timestamp, Option<Timestamp>);
    fn data(&self) -> &Value;
}

impl Version for Node {
    fn version(&self) -> u64 {
        self.version
    }
    fn span(&self) -> (Timestamp, Option<Timestamp>) {
        (self.recorded_at, self.superseded_at)
    }
    fn data(&self) -> &Value {
        &self.data
    }
}

impl Version for Edge {
    fn version(&self) -> u64 {
        self.version
    }
    fn span(&self) -> (Timestamp, Option<Timestamp>) {
        (self.recorded_at, self.superseded_at)
    }
    fn data(&self) -> &Value {
        &self.data
    }
}

/// The version and time by which two records of an element are compared: those of its last version, whose end is a
/// change too.
fn newness<T: Version>(last: &T) -> (u64, Timestamp) {
    let (from, until) = last.span();
    (last.version(), until.unwrap_or(from))
}

impl GraphRecord {
    /// The record of this entity of `graph`.
    pub fn encode(&self, graph: &GraphId) -> Result<Record> {
        let mut address = vec![graph.tenant.to_string(), graph.name.to_string()];
        let (version, modified_at, deleted_at, body) = match self {
            Self::Graph { version, created_at, deleted_at } => (
                *version,
                deleted_at.unwrap_or(*created_at),
                *deleted_at,
                json!({ "created_at": created_at }),
            ),
            Self::Node(versions) => {
                let last = last_of(versions)?;
                address.extend(["node".to_owned(), last.id.to_string()]);
                (last.version, newness(last).1, last.superseded_at, body_of(versions)?)
            }
            Self::Edge(versions) => {
                let last = last_of(versions)?;
                address.extend(["edge".to_owned(), last.id.to_string()]);
                (last.version, newness(last).1, last.superseded_at, body_of(versions)?)
            }
        };
        Ok(Record {
            kind: RecordKind::Graph,
            form: GRAPH_RECORD_FORM,
            address,
            version,
            modified_at,
            expires_at: None,
            deleted_at,
            body,
        })
    }

    /// Reads a record; `Invalid`, naming the address, for what no store wrote.
    pub fn decode(record: &Record) -> Result<(GraphId, Self)> {
        let refuse = |what: String| {
            Error::invalid(RESTORE, what).with("address", record.address.join(" / "))
        };
        if record.kind != RecordKind::Graph {
            return Err(refuse(format!("a record of kind {:?} in a store of graphs", record.kind)));
        }
        if record.form != GRAPH_RECORD_FORM {
            return Err(refuse(format!(
                "a record of form {}; this program reads form {GRAPH_RECORD_FORM}",
                record.form
            )));
        }
        let name = |text: &String| Name::new(text.as_str()).map_err(|e| refuse(e.to_string()));
        let [tenant, graph, rest @ ..] = record.address.as_slice() else {
            return Err(refuse("the address is not one of a graph".into()));
        };
        let graph = GraphId::new(Tenant(name(tenant)?), name(graph)?);
        let read = match rest {
            [] => {
                let body: GraphBody = parse(&record.body).map_err(refuse)?;
                let modified = record.deleted_at.unwrap_or(body.created_at);
                if record.modified_at != modified {
                    return Err(refuse("modified_at is not the time of the last change".into()));
                }
                Self::Graph {
                    version: record.version,
                    created_at: body.created_at,
                    deleted_at: record.deleted_at,
                }
            }
            [kind, id] if kind == "node" => {
                let versions: Vec<Node> = versions(record).map_err(refuse)?;
                if versions.iter().any(|node| node.id.as_str() != id) {
                    return Err(refuse("a version has another id than the address".into()));
                }
                Self::Node(versions)
            }
            [kind, id] if kind == "edge" => {
                let mut versions: Vec<Edge> = versions(record).map_err(refuse)?;
                versions.iter_mut().for_each(|edge| edge.weight += 0.0);
                let first = versions.first();
                let same = |edge: &Edge| {
                    edge.id.to_string() == *id
                        && edge.weight.is_finite()
                        && first.is_some_and(|first| {
                            (&first.src, &first.relation, &first.dst)
                                == (&edge.src, &edge.relation, &edge.dst)
                        })
                };
                if !versions.iter().all(same) {
                    return Err(refuse("a version has another id, other ends or no weight".into()));
                }
                Self::Edge(versions)
            }
            _ => return Err(refuse("the address is not one of a graph".into())),
        };
        Ok((graph, read))
    }
}

fn last_of<T>(versions: &[T]) -> Result<&T> {
    let none =
        || Error::new(crate::ErrorKind::Internal, "records.scan", "an element without versions");
    versions.last().ok_or_else(none)
}

fn body_of<T: Serialize>(versions: &[T]) -> Result<Value> {
    serde_json::to_value(Versions { versions: versions.iter().collect() }).map_err(|e| {
        Error::new(crate::ErrorKind::Internal, "records.scan", "a version has no JSON form")
            .caused_by(e)
    })
}

fn parse<T: DeserializeOwned>(body: &Value) -> std::result::Result<T, String> {
    T::deserialize(body).map_err(|error| format!("the body does not parse: {error}"))
}

fn versions<T: Version>(record: &Record) -> std::result::Result<Vec<T>, String> {
    let Versions { versions } = parse::<Versions<T>>(&record.body)?;
    let Some(last) = versions.last() else { return Err("the body has no versions".into()) };
    if newness(last) != (record.version, record.modified_at) || last.span().1 != record.deleted_at {
        return Err("version or times are not those of the last version".into());
    }
    for version in &versions {
        let (from, until) = version.span();
        if !version.data().is_object() || until.is_some_and(|until| until < from) {
            return Err("a version has data that is no object or ends before it begins".into());
        }
        check_json(RESTORE, version.data()).map_err(|error| error.to_string())?;
    }
    let in_order = versions.windows(2).all(|pair| {
        let end = pair[0].span().1;
        pair[0].version() < pair[1].version() && end.is_some_and(|end| end <= pair[1].span().0)
    });
    if in_order { Ok(versions) } else { Err("the versions are not in order".into()) }
}

/// Where a scan goes on: after this entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCursor {
    /// The graph of the last record.
    pub graph: GraphId,
    /// The last element of it; `None`: the record of the graph itself was the last.
    pub element: Option<ElementRef>,
}

impl RecordCursor {
    /// As an opaque cursor.
    pub fn encode(&self) -> Result<Cursor> {
        serde_json::to_string(self).map(Cursor).map_err(|e| {
            Error::new(crate::ErrorKind::Internal, "records.scan", "no cursor").caused_by(e)
        })
    }

    /// Reads what [`RecordCursor::encode`] gave.
    pub fn decode(cursor: &Cursor) -> Result<Self> {
        serde_json::from_str(&cursor.0).map_err(|_| cursor.refused("records.scan"))
    }
}

/// A page of the records of several graphs, given in order from the one of the cursor on.
pub fn scan_records<'a>(
    graphs: impl IntoIterator<Item = (&'a GraphId, &'a GraphState)>,
    cursor: Option<&RecordCursor>,
    limit: Limit,
) -> Result<Page<Record>> {
    let mut page = Page::default();
    let mut last = None;
    for (id, state) in graphs {
        let after = cursor.filter(|cursor| cursor.graph == *id);
        for (position, record) in state.records(after) {
            if page.items.len() == limit.as_usize() {
                page.next = last.as_ref().map(RecordCursor::encode).transpose()?;
                return Ok(page);
            }
            page.items.push(record.encode(id)?);
            last = Some(RecordCursor { graph: id.clone(), element: position });
        }
    }
    Ok(page)
}

impl GraphState {
    /// The records after a position: the graph's own, its nodes, its edges.
    fn records(
        &self,
        after: Option<&RecordCursor>,
    ) -> impl Iterator<Item = (Option<ElementRef>, GraphRecord)> + '_ {
        let after = after.map(|cursor| cursor.element.clone());
        let graph = self.life.created_at.filter(|_| after.is_none()).map(|created_at| {
            let (version, deleted_at) = (self.life.version, self.life.deleted_at);
            (None, GraphRecord::Graph { version, created_at, deleted_at })
        });
        let elements = &self.elements;
        let (node_after, edge_after) = match after.flatten() {
            None => (Some(None), None),
            Some(ElementRef::Node(last)) => (Some(Some(last)), None),
            Some(ElementRef::Edge(last)) => (None, Some(last)),
        };
        let nodes = node_after
            .into_iter()
            .flat_map(|after| elements.nodes_after(after.as_ref().map(Name::as_str)))
            .map(|place| {
                let versions = elements.node_versions(place).map(|kept| elements.node(place, kept));
                GraphRecord::Node(versions.collect())
            })
            .filter_map(|record| match &record {
                GraphRecord::Node(versions) => {
                    Some((Some(ElementRef::Node(versions.first()?.id.clone())), record))
                }
                _ => None,
            });
        let edges = elements.edges_after(edge_after).map(|place| {
            let versions = elements.edge_versions(place).map(|kept| elements.edge(place, kept));
            let id = elements.edges[index(place)].id;
            (Some(ElementRef::Edge(id)), GraphRecord::Edge(versions.collect()))
        });
        graph.into_iter().chain(nodes).chain(edges)
    }

    /// Restores records of this graph, in order; answers for each.
    pub fn restore(&mut self, records: impl IntoIterator<Item = GraphRecord>) -> Vec<Restored> {
        let mut latest = None;
        let answers = records
            .into_iter()
            .map(|record| match self.restore_one(record) {
                None => Restored::Kept,
                Some(at) => {
                    latest = latest.max(Some(at));
                    Restored::Written
                }
            })
            .collect();
        if let Some(at) = latest {
            self.restored(at);
        }
        answers
    }

    /// The instant of the change, or `None` when what is there stays.
    fn restore_one(&mut self, record: GraphRecord) -> Option<Timestamp> {
        match record {
            GraphRecord::Graph { version, created_at, deleted_at } => {
                let modified = deleted_at.unwrap_or(created_at);
                if !self.life.takes_record(version, modified) {
                    return None;
                }
                if deleted_at.is_some() {
                    self.elements = super::elements::Elements::default();
                }
                self.life.version = version;
                self.life.created_at = Some(created_at);
                self.life.deleted_at = deleted_at;
                Some(modified)
            }
            GraphRecord::Node(versions) => {
                let (first, last) = (versions.first()?, versions.last()?);
                let newer = self.node_versions(&last.id).next_back().as_ref().map(newness)
                    < Some(newness(last));
                let modified = self.life.admit_element(newer, first.created_at, newness(last).1)?;
                let texts = &mut self.elements.texts;
                let kept = versions
                    .iter()
                    .map(|node| NodeVersion::of(node, texts.number(node.kind.as_str()), UNLOGGED));
                let kept = kept.collect();
                self.elements.set_node(last.id.as_str(), kept, self.life.revision);
                Some(modified)
            }
            GraphRecord::Edge(versions) => {
                let (first, last) = (versions.first()?, versions.last()?);
                let newer = self.edge_versions(last.id).next_back().as_ref().map(newness)
                    < Some(newness(last));
                let modified = self.life.admit_element(newer, first.created_at, newness(last).1)?;
                self.elements.set_edge(&versions, UNLOGGED, self.life.revision);
                Some(modified)
            }
        }
    }
}

impl super::GraphLife {
    /// Whether the record of a graph with this version and time replaces this life.
    pub fn takes_record(&self, version: u64, modified_at: Timestamp) -> bool {
        let here = self.deleted_at.or(self.created_at).map(|at| (self.version, at));
        here < Some((version, modified_at))
    }

    /// Whether an element that is newer than what is there may be written: not under a tombstone that is newer. A
    /// graph that does not exist is made for it.
    pub fn admit_element(
        &mut self,
        newer: bool,
        created_at: Timestamp,
        modified_at: Timestamp,
    ) -> Option<Timestamp> {
        if !newer || self.deleted_at.is_some_and(|deleted| modified_at <= deleted) {
            return None;
        }
        if !self.exists() {
            self.created_at = Some(created_at);
            self.deleted_at = None;
        }
        Some(modified_at)
    }
}

/// Restored versions belong to no revision of this store's log.
const UNLOGGED: Revision = Revision(0);
