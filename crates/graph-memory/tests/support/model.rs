//! The plainest model of a temporal graph: lists of versions, and questions answered by looking at all of them.

use std::collections::BTreeMap;

use hexmem_ports::{
    AsOf, Direction, Edge, EdgeDraft, EdgeFilter, EdgeId, GraphChange, GraphStats, Name,
    NeighbourQuery, Node, NodeDraft, NodeFilter, Timestamp, ValidAt,
};

/// Every version ever, each with when it was known.
#[derive(Debug, Default)]
pub(crate) struct Model {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

fn known(recorded: Timestamp, superseded: Option<Timestamp>, as_of: AsOf) -> bool {
    match as_of.known {
        None => superseded.is_none(),
        Some(at) => recorded <= at && superseded.is_none_or(|end| at < end),
    }
}

impl Model {
    /// Takes a change that the store took at `now`.
    pub(crate) fn take(&mut self, change: &GraphChange, now: Timestamp) {
        match change {
            GraphChange::PutNode(draft) => self.put_node(draft, now),
            GraphChange::PutEdge(draft) => self.put_edge(draft, now),
            GraphChange::RemoveEdge { id, .. } => self.end_edges(now, |edge| edge.id == *id),
            GraphChange::RemoveNode { id, .. } => {
                self.end_edges(now, |edge| edge.src == *id || edge.dst == *id);
                let current = self.nodes.iter_mut().filter(|n| n.superseded_at.is_none());
                current.filter(|n| n.id == *id).for_each(|n| n.superseded_at = Some(now));
            }
            GraphChange::PurgeEdge(id) => self.edges.retain(|edge| edge.id != *id),
            GraphChange::PurgeNode(id) => {
                self.edges.retain(|edge| edge.src != *id && edge.dst != *id);
                self.nodes.retain(|node| node.id != *id);
            }
            GraphChange::PurgeOrphan(id) => {
                if !self.edges.iter().any(|edge| edge.src == *id || edge.dst == *id) {
                    self.nodes.retain(|node| node.id != *id);
                }
            }
        }
    }

    fn end_edges(&mut self, now: Timestamp, which: impl Fn(&Edge) -> bool) {
        let current = self.edges.iter_mut().filter(|edge| edge.superseded_at.is_none());
        current.filter(|edge| which(edge)).for_each(|edge| edge.superseded_at = Some(now));
    }

    fn put_node(&mut self, draft: &NodeDraft, now: Timestamp) {
        let last = self.nodes.iter_mut().rfind(|node| node.id == draft.id);
        let mut node = Node {
            id: draft.id.clone(),
            kind: draft.kind.clone(),
            data: draft.data.clone(),
            created_at: now,
            recorded_at: now,
            superseded_at: None,
            version: 1,
        };
        if let Some(last) = last {
            let same = last.kind == node.kind && last.data == node.data;
            if last.superseded_at.is_none() && same {
                return;
            }
            last.superseded_at.get_or_insert(now);
            node.created_at = last.created_at;
            node.version = last.version + 1;
        }
        self.nodes.push(node);
    }

    fn put_edge(&mut self, draft: &EdgeDraft, now: Timestamp) {
        let last = self.edges.iter_mut().rfind(|edge| edge.id == draft.id);
        let mut edge = Edge {
            id: draft.id,
            src: draft.src.clone(),
            relation: draft.relation.clone(),
            dst: draft.dst.clone(),
            weight: draft.weight,
            valid_from: draft.valid_from,
            valid_until: draft.valid_until,
            source: draft.source.clone(),
            data: draft.data.clone(),
            created_at: now,
            recorded_at: now,
            superseded_at: None,
            version: 1,
        };
        if let Some(last) = last {
            let says = |e: &Edge| {
                let span = (e.valid_from, e.valid_until);
                (e.weight.to_bits(), span, e.source.clone(), e.data.clone())
            };
            if last.superseded_at.is_none() && says(last) == says(&edge) {
                return;
            }
            last.superseded_at.get_or_insert(now);
            edge.created_at = last.created_at;
            edge.version = last.version + 1;
        }
        self.edges.push(edge);
    }

    /// Whether a node is there now.
    pub(crate) fn has(&self, id: &Name) -> bool {
        self.nodes.iter().any(|node| node.id == *id && node.superseded_at.is_none())
    }

    /// Every version of the edges that pass, by id and version.
    pub(crate) fn versions(&self, pass: impl Fn(&Edge) -> bool) -> Vec<Edge> {
        let mut found: Vec<Edge> = self.edges.iter().filter(|edge| pass(edge)).cloned().collect();
        found.sort_by_key(|edge| (edge.id, edge.version));
        found
    }

    /// The nodes seen, by id.
    pub(crate) fn nodes(&self, as_of: AsOf, pass: impl Fn(&Node) -> bool) -> Vec<Node> {
        let seen = self.nodes.iter().filter(|n| known(n.recorded_at, n.superseded_at, as_of));
        let mut found: Vec<Node> = seen.filter(|node| pass(node)).cloned().collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    /// The edges seen by a reader at `now`, by id.
    pub(crate) fn edges(
        &self,
        as_of: AsOf,
        now: Timestamp,
        pass: impl Fn(&Edge) -> bool,
    ) -> Vec<Edge> {
        let at = match as_of.valid {
            ValidAt::Any => None,
            ValidAt::Now => Some(now),
            ValidAt::At(at) => Some(at),
        };
        let holds = |edge: &&Edge| {
            at.is_none_or(|at| {
                edge.valid_from.is_none_or(|from| from <= at)
                    && edge.valid_until.is_none_or(|until| at < until)
            })
        };
        let seen = self.edges.iter().filter(|e| known(e.recorded_at, e.superseded_at, as_of));
        let mut found: Vec<Edge> = seen.filter(holds).filter(|edge| pass(edge)).cloned().collect();
        found.sort_by_key(|edge| edge.id);
        found
    }

    pub(crate) fn stats(&self, as_of: AsOf, now: Timestamp) -> GraphStats {
        let mut stats = GraphStats::default();
        for node in self.nodes(as_of, |_| true) {
            stats.nodes += 1;
            *stats.node_types.entry(node.kind.to_string()).or_default() += 1;
        }
        for edge in self.edges(as_of, now, |_| true) {
            stats.edges += 1;
            *stats.edge_types.entry(edge.relation.to_string()).or_default() += 1;
        }
        stats
    }

    /// Distances from the seeds, by rounds over all edges until nothing changes; nearest first, then by id.
    pub(crate) fn reached(&self, query: &NeighbourQuery, now: Timestamp) -> Vec<(Name, u32)> {
        let nodes = self.nodes(query.as_of, |_| true);
        let nodes: BTreeMap<&Name, &Node> = nodes.iter().map(|node| (&node.id, node)).collect();
        let edges = self.edges(query.as_of, now, |edge| {
            edge_passes(edge, &query.relations, query.min_weight, &query.sources)
                && query.edge_data.as_ref().is_none_or(|filter| filter.matches(&edge.data))
        });
        let mut distance: BTreeMap<Name, u32> = BTreeMap::new();
        for seed in query.seeds.iter().filter(|seed| nodes.contains_key(seed)) {
            distance.insert(seed.clone(), 0);
        }
        loop {
            let mut changed = false;
            for edge in &edges {
                for (from, to, way) in
                    [(&edge.src, &edge.dst, Direction::Out), (&edge.dst, &edge.src, Direction::In)]
                {
                    let follows = query.direction == Direction::Both || query.direction == way;
                    let Some(near) = distance.get(from).copied() else { continue };
                    let enters = nodes.get(to).is_some_and(|node| {
                        (query.kinds.is_empty() || query.kinds.contains(&node.kind))
                            && query.node_data.as_ref().is_none_or(|f| f.matches(&node.data))
                    });
                    if follows
                        && enters
                        && near < query.hops
                        && distance.get(to).is_none_or(|d| *d > near + 1)
                    {
                        distance.insert(to.clone(), near + 1);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let mut found: Vec<(Name, u32)> = distance.into_iter().collect();
        found.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        found
    }
}

fn edge_passes(edge: &Edge, relations: &[Name], floor: Option<f64>, sources: &[Name]) -> bool {
    (relations.is_empty() || relations.contains(&edge.relation))
        && floor.is_none_or(|floor| edge.weight >= floor)
        && (sources.is_empty() || edge.source.as_ref().is_some_and(|s| sources.contains(s)))
}

/// Whether an edge passes a filter, ends included.
pub(crate) fn matches_edge(filter: &EdgeFilter, edge: &Edge) -> bool {
    let ends = filter.at.as_ref().is_none_or(|(nodes, way)| {
        (*way != Direction::In && nodes.contains(&edge.src))
            || (*way != Direction::Out && nodes.contains(&edge.dst))
    });
    ends && edge_passes(edge, &filter.relations, filter.min_weight, &filter.sources)
        && filter.data.as_ref().is_none_or(|data| data.matches(&edge.data))
}

/// Whether a node passes a filter.
pub(crate) fn matches_node(filter: &NodeFilter, node: &Node) -> bool {
    (filter.kinds.is_empty() || filter.kinds.contains(&node.kind))
        && node.id.as_str().starts_with(filter.prefix.as_str())
        && filter.data.as_ref().is_none_or(|data| data.matches(&node.data))
}

/// The number of an edge.
pub(crate) fn edge_id(n: u8) -> EdgeId {
    EdgeId(uuid::Uuid::from_u128(u128::from(n)))
}
