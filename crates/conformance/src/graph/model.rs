//! Random calls that two stores must answer alike.
//!
//! The rules that decide are shared; what is not is how a store finds and keeps its rows. Both clocks stand still and are
//! moved together, so that times are the same too.

use hexmem_ports::{
    AsOf, Compact, Direction, EdgeDraft, EdgeFilter, EdgeId, ElementRef, Error, Expect, Filter,
    GraphBatch, GraphChange, GraphId, GraphStore, Name, NeighbourQuery, NodeDraft, NodeFilter,
    OpId, Prefix, Revision, Tenant, Timestamp, ValidAt,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::{Draw, limit};
use crate::name;

/// An answer, as far as the two stores must agree on it.
fn told<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => format!("{:?} {}", error.kind(), error.message()),
    }
}

/// What the calls are drawn from.
struct Calls {
    draw: Draw,
    graph: GraphId,
    /// Instants that were, for questions about the past.
    times: Vec<Timestamp>,
}

impl Calls {
    fn id(&mut self) -> Name {
        let ids = ["a", "a/b", "aé", "b", "b:1", "\u{10ffff}", "z%", "漢"];
        name(*self.draw.one_of(&ids))
    }

    fn edge(&mut self) -> EdgeId {
        // The nil id is an id.
        EdgeId(Uuid::from_u128(self.draw.below(14).into()))
    }

    fn time(&mut self) -> Timestamp {
        *self.draw.one_of(&self.times)
    }

    fn maybe_time(&mut self) -> Option<Timestamp> {
        self.draw.one_in(3).then(|| self.time())
    }

    fn data(&mut self) -> Value {
        let values = [
            json!({}),
            json!({ "n": 1 }),
            json!({ "n": 1.0, "tags": ["x", "y"] }),
            json!({ "n": [1, "1", true, null], "m": { "n": 2 } }),
            json!({ "n": 9_007_199_254_740_993_i64 }),
            json!({ "n": 9_007_199_254_740_992.0, "m": null }),
            json!({ "n": 1e300, "m": { "n": "ä\"\\ \u{1f600}" } }),
        ];
        self.draw.one_of(&values).clone()
    }

    fn filter(&mut self) -> Option<Filter> {
        let filters = [
            json!({ "field": "n", "eq": 1 }),
            json!({ "field": "n", "in": [9_007_199_254_740_993_i64, "1", true] }),
            json!({ "field": "m.n", "exists": true }),
            json!({ "field": "m", "exists": false }),
            json!({ "field": "n", "gt": 0.5, "lte": 9_007_199_254_740_992_i64 }),
            json!({ "not": { "field": "tags", "eq": "y" } }),
            json!({ "or": [{ "field": "m.n", "eq": 2 }, { "and": [{ "field": "n", "gte": 1e300 }] }] }),
        ];
        let drawn = Filter::parse(self.draw.one_of(&filters)).unwrap();
        self.draw.one_in(3).then_some(drawn)
    }

    fn expect(&mut self) -> Expect {
        match self.draw.below(8) {
            0 => Expect::Absent,
            1 => Expect::Version(1 + self.draw.below(3)),
            _ => Expect::Any,
        }
    }

    fn change(&mut self) -> GraphChange {
        let kinds = ["k0", "k1", "k2"];
        let id = self.id();
        match self.draw.below(20) {
            0..8 => GraphChange::PutNode(NodeDraft {
                id,
                kind: name(*self.draw.one_of(&kinds)),
                data: self.data(),
                created_at: self.maybe_time(),
                expect: self.expect(),
            }),
            8..15 => {
                let edge = self.edge();
                // The ends and the relation of an edge belong to its id, mostly.
                let known = !self.draw.one_in(12);
                let mut own = Draw(edge.0.as_u128().try_into().unwrap());
                let ids = ["a", "a/b", "aé", "b", "b:1", "\u{10ffff}"];
                let (src, dst) = (name(*own.one_of(&ids)), name(*own.one_of(&ids)));
                let (from, until) = match (self.maybe_time(), self.maybe_time()) {
                    (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
                    span => span,
                };
                GraphChange::PutEdge(EdgeDraft {
                    id: edge,
                    src: if known { src } else { id },
                    relation: name(format!("r{}", own.below(3))),
                    dst,
                    weight: [-1.5, -0.0, 0.0, 1.0, 1e-300]
                        [usize::try_from(self.draw.below(5)).unwrap()],
                    valid_from: from,
                    valid_until: until,
                    source: self.draw.one_in(2).then(|| name(format!("s{}", self.draw.below(3)))),
                    data: self.data(),
                    created_at: self.maybe_time(),
                    expect: self.expect(),
                })
            }
            15 => GraphChange::RemoveNode { id, expect: self.expect() },
            16 => GraphChange::RemoveEdge { id: self.edge(), expect: self.expect() },
            17 if self.draw.one_in(3) => GraphChange::PurgeNode(id),
            18 if self.draw.one_in(2) => GraphChange::PurgeEdge(self.edge()),
            _ => GraphChange::PurgeOrphan(id),
        }
    }

    fn as_of(&mut self) -> AsOf {
        let valid = match self.draw.below(3) {
            0 => ValidAt::Now,
            1 => ValidAt::Any,
            _ => ValidAt::At(self.time()),
        };
        AsOf { valid, known: self.maybe_time() }
    }

    fn some(&mut self, of: &str) -> Vec<Name> {
        match self.draw.below(3) {
            0 => vec![name(format!("{of}0")), name(format!("{of}2")), name(format!("{of}0"))],
            1 => vec![name(format!("{of}1"))],
            _ => vec![],
        }
    }

    fn ids(&mut self) -> Vec<Name> {
        (0..self.draw.below(4)).map(|_| self.id()).collect()
    }

    fn direction(&mut self) -> Direction {
        *self.draw.one_of(&[Direction::Out, Direction::In, Direction::Both])
    }

    fn edge_filter(&mut self) -> EdgeFilter {
        EdgeFilter {
            at: self.draw.one_in(2).then(|| (self.ids(), self.direction())),
            relations: self.some("r"),
            min_weight: self.draw.one_in(3).then_some(0.0),
            sources: self.some("s"),
            data: self.filter(),
        }
    }

    /// One call of each store, and their answers.
    async fn both(&mut self, one: &dyn GraphStore, other: &dyn GraphStore) -> (String, String) {
        let g = self.graph.clone();
        macro_rules! both {
            ($store:ident => $call:expr) => {{
                let first = {
                    let $store = one;
                    told($call)
                };
                let second = {
                    let $store = other;
                    told($call)
                };
                (first, second)
            }};
        }
        let rows = limit(1 + u32::try_from(self.draw.below(5)).unwrap());
        match self.draw.below(24) {
            0..12 => {
                let changes = (0..=self.draw.below(5)).map(|_| self.change()).collect();
                // A few ids, so that some batches are repeats.
                let id = OpId(Uuid::from_u128(self.draw.below(400).into()));
                let batch = GraphBatch { id, changes, effects: vec![] };
                both!(store => store.apply(&g, batch.clone()).await)
            }
            12 => {
                let (ids, as_of) = (self.ids(), self.as_of());
                both!(store => store.nodes(&g, &ids, as_of).await)
            }
            13 => {
                let ids: Vec<_> = (0..4).map(|_| self.edge()).collect();
                let as_of = self.as_of();
                both!(store => store.edges(&g, &ids, as_of).await)
            }
            14 => {
                let kinds = self.some("k");
                let prefix = ["", "a", "é", "\u{10ffff}"];
                let prefix = Prefix::new(*self.draw.one_of(&prefix)).unwrap();
                let asked = NodeFilter { kinds, prefix, data: self.filter() };
                let as_of = self.as_of();
                both!(store => pages(async |cursor| store.find_nodes(&g, &asked, as_of, cursor, rows).await).await)
            }
            15 | 16 => {
                let (asked, as_of) = (self.edge_filter(), self.as_of());
                both!(store => pages(async |cursor| store.find_edges(&g, &asked, as_of, cursor, rows).await).await)
            }
            17 => {
                let asked = self.edge_filter();
                both!(store => pages(async |cursor| store.find_versions(&g, &asked, cursor, rows).await).await)
            }
            18 | 19 => {
                let asked = NeighbourQuery {
                    seeds: self.ids(),
                    hops: u32::try_from(self.draw.below(4)).unwrap(),
                    direction: self.direction(),
                    relations: self.some("r"),
                    min_weight: self.draw.one_in(3).then_some(0.0),
                    sources: if self.draw.one_in(3) { self.some("s") } else { vec![] },
                    edge_data: self.filter(),
                    kinds: if self.draw.one_in(3) { self.some("k") } else { vec![] },
                    node_data: self.filter(),
                    as_of: self.as_of(),
                    limit: rows,
                    cursor: None,
                };
                both!(store => {
                    let (mut all, mut asked) = (Vec::new(), asked.clone());
                    loop {
                        match store.neighbourhood(&g, &asked).await {
                            Err(error) => break Err(error),
                            Ok(found) => {
                                asked.cursor.clone_from(&found.next);
                                all.push(found);
                            }
                        }
                        if asked.cursor.is_none() {
                            break Ok(all);
                        }
                    }
                })
            }
            20 => {
                let of = match self.draw.below(2) {
                    0 => ElementRef::Node(self.id()),
                    _ => ElementRef::Edge(self.edge()),
                };
                both!(store => pages(async |cursor| store.history(&g, &of, cursor, rows).await).await)
            }
            21 => {
                let as_of = self.as_of();
                both!(store => store.stats(&g, as_of).await)
            }
            22 => {
                let after = match one.head(&g).await.unwrap() {
                    Some(head) => Revision(head.revision.0.saturating_sub(self.draw.below(6))),
                    None => Revision(self.draw.below(2)),
                };
                both!(store => {
                    let head = store.head(&g).await.unwrap();
                    store.changes(&g, after, rows).await.map(|log| (head, log))
                })
            }
            _ if self.draw.one_in(6) => both!(store => store.delete(&g, vec![]).await),
            _ => {
                let head = one.head(&g).await.unwrap().map_or(0, |head| head.revision.0);
                let compact = Compact {
                    log_upto: self.draw.one_in(2).then(|| Revision(head.saturating_sub(9))),
                    history_before: self.maybe_time(),
                };
                both!(store => store.compact(&g, compact).await)
            }
        }
    }
}

/// All pages of a call.
async fn pages<T>(
    mut call: impl AsyncFnMut(Option<hexmem_ports::Cursor>) -> Result<hexmem_ports::Page<T>, Error>,
) -> Result<Vec<T>, Error> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = call(cursor).await?;
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

/// Makes `count` random calls of two stores that are empty and whose clocks stand still at the instant that `tick`
/// gives, which moves both by a second.
pub async fn agree(
    one: &dyn GraphStore,
    other: &dyn GraphStore,
    seed: u64,
    count: u32,
    tick: impl AsyncFn() -> Timestamp,
) {
    let graph = GraphId::new(Tenant(name("model")), name("g"));
    let mut calls = Calls { draw: Draw(seed), graph, times: vec![tick().await] };
    for n in 0..count {
        let (first, second) = calls.both(one, other).await;
        assert_eq!(first, second, "call {n} of seed {seed}");
        if calls.draw.one_in(4) {
            let now = tick().await;
            calls.times.push(now);
        }
    }
}
