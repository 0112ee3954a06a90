//! What an import has met so far: 16 bytes a node, 32 an edge.

use std::collections::{HashMap, HashSet};

use hexmem_ports::{EdgeDraft, EdgeId, Name, NodeDraft};

use super::parts::RawEdge;
use super::problem::shown;
use crate::identity::{fact_id, fingerprint};

/// The nodes met so far, in the file and where edges led to them in the graph.
#[derive(Default)]
pub(super) struct Nodes {
    seen: HashSet<u128>,
    /// Those of the graph that the file does not have.
    elsewhere: HashSet<u128>,
    pub(super) count: u64,
}

impl Nodes {
    pub(super) fn enter(&mut self, draft: NodeDraft) -> Result<NodeDraft, String> {
        if !self.seen.insert(fingerprint(&[draft.id.as_str().as_bytes()])) {
            return Err(format!(
                "the id `{}` stands on an earlier node already",
                shown(draft.id.as_str())
            ));
        }
        self.count += 1;
        Ok(draft)
    }

    /// The nodes of the graph that the file does not have, as another reading of it found them.
    pub(super) fn beside(found: Self) -> Self {
        Self { elsewhere: found.elsewhere, ..Self::default() }
    }

    /// Takes a node that the graph has.
    pub(super) fn found(&mut self, id: &Name) {
        self.elsewhere.insert(fingerprint(&[id.as_str().as_bytes()]));
    }

    pub(super) fn has(&self, id: &Name) -> bool {
        let id = fingerprint(&[id.as_str().as_bytes()]);
        self.seen.contains(&id) || self.elsewhere.contains(&id)
    }
}

/// What may stand in a file once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Once {
    /// A relation between two nodes.
    Relation,
    /// A relation between two nodes, whichever of them is written first.
    UndirectedRelation,
    /// A key between two nodes; without a key anything.
    Key,
    /// A key between two nodes, whichever of them is written first.
    UndirectedKey,
    /// A relation between two nodes from one source and one instant on.
    Span,
}

/// The edges met so far.
pub(super) struct Edges {
    /// The words that the form has for the ends.
    ends: [&'static str; 2],
    once: Once,
    seen: HashSet<u128>,
    /// How many parallel edges state one fact, for facts that more than one states.
    episodes: HashMap<u128, u32>,
    pub(super) count: u64,
}

impl Edges {
    pub(super) fn new(ends: [&'static str; 2], once: Once) -> Self {
        Self { ends, once, seen: HashSet::new(), episodes: HashMap::new(), count: 0 }
    }

    /// Checks an edge against what was met before, and gives it its id: the file's own, or the one that the
    /// fact has, so that importing again and asserting the fact later meet the same edge.
    pub(super) fn enter(&mut self, edge: RawEdge, nodes: &Nodes) -> Result<EdgeDraft, String> {
        let mut draft = edge.draft;
        for (key, end) in self.ends.into_iter().zip([&draft.src, &draft.dst]) {
            if !nodes.has(end) {
                let end = shown(end.as_str());
                return Err(format!(
                    "`{key}` is `{end}`, and neither the file nor the graph has a node of that id"
                ));
            }
        }
        let once = if edge.has_id {
            Some(fingerprint(&[b"id", draft.id.0.as_bytes()]))
        } else {
            self.once(&draft, edge.key.as_deref())
        };
        if once.is_some_and(|once| !self.seen.insert(once)) {
            return Err(format!(
                "an earlier edge says the same (`{}` {} `{}`)",
                shown(draft.src.as_str()),
                shown(draft.relation.as_str()),
                shown(draft.dst.as_str())
            ));
        }
        if !edge.has_id {
            draft.id = self.free_id(&draft);
        }
        self.count += 1;
        Ok(draft)
    }

    fn once(&self, draft: &EdgeDraft, key: Option<&str>) -> Option<u128> {
        let (mut a, mut b) = (draft.src.as_str().as_bytes(), draft.dst.as_str().as_bytes());
        if matches!(self.once, Once::UndirectedRelation | Once::UndirectedKey) && b < a {
            (a, b) = (b, a);
        }
        let relation = draft.relation.as_str().as_bytes();
        match self.once {
            Once::Key | Once::UndirectedKey => {
                key.map(|key| fingerprint(&[b"key", a, b, key.as_bytes()]))
            }
            Once::Relation | Once::UndirectedRelation => {
                Some(fingerprint(&[b"pair", a, relation, b]))
            }
            Once::Span => {
                let source = draft.source.as_ref().map_or("", |source| source.as_str());
                let from = draft.valid_from.map(|from| from.as_micros().to_be_bytes());
                let from = from.as_ref().map_or(&[][..], |from| from);
                Some(fingerprint(&[b"span", a, relation, b, source.as_bytes(), from]))
            }
        }
    }

    /// The id of the first episode of the fact that no edge of the file has.
    fn free_id(&mut self, draft: &EdgeDraft) -> EdgeId {
        let id = |episode| {
            fact_id(&draft.src, &draft.relation, &draft.dst, draft.source.as_ref(), episode)
        };
        if matches!(self.once, Once::Relation | Once::UndirectedRelation) {
            return id(0);
        }
        if self.seen.insert(fingerprint(&[b"id", id(0).0.as_bytes()])) {
            return id(0);
        }
        let next = self.episodes.entry(id(0).0.as_u128()).or_insert(1);
        loop {
            let id = id(*next);
            *next = next.saturating_add(1);
            if self.seen.insert(fingerprint(&[b"id", id.0.as_bytes()])) || *next == u32::MAX {
                return id;
            }
        }
    }
}
