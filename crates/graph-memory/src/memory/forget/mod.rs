//! Forgetting: what a source said, or what belongs to a user, goes without a trace; what others share stays.
//!
//! Work goes in rounds of bounded batches. Each batch is a whole: an edge goes together with the nodes that hang on
//! it alone, and an edge that leads to what is still to be forgotten goes last. So a run that was killed leaves a
//! graph without loose ends, and the next one goes on where it stopped.

mod doom;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use hexmem_ports::{
    AsOf, Cursor, Edge, EdgeFilter, EdgeId, ErrorKind, Expect, FieldPath, Filter, GraphBatch,
    GraphChange, Limit, Name, NodeFilter, Page, Result,
};
use serde::Serialize;
use serde_json::Value;

use doom::Doom;

use super::interactions::user_nodes;
use super::{GraphMemory, Race};
use crate::identity::fingerprint;

/// Edges of one batch.
const BATCH: usize = 500;

/// About how many edges one round looks up before it purges them.
const ROUND: usize = 5_000;

/// The most nodes that a report names in one list; its counts go on.
pub const NAMED_LIMIT: usize = 1_000;

/// The attribute of a node that names where it comes from.
const SOURCE: &str = "source";

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forget {
    /// Every fact from this source, in all its versions, and every node that such facts alone are at. A node whose
    /// attribute `source` is this text goes too, unless other facts are at it.
    Source(Name),
    /// The nodes of this user (see [`user_nodes`](crate::user_nodes)), every fact at them, everything learned from
    /// this user alone (interactions, memories), what names one of these as its source, and every node that nothing
    /// else is at.
    User(Name),
}

/// What becomes of nodes that nothing is at any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orphans {
    /// They go.
    #[default]
    Purge,
    /// They stay.
    Keep,
}

/// Why a node stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Nothing is at it any more, and such nodes were to stay.
    Asked,
    /// Other facts are at it.
    OtherFacts,
    /// Its attribute `source` names another source.
    OtherSource,
    /// It was learned from other users too.
    OtherUsers,
}

/// What was forgotten, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Forgotten {
    /// Edges that went, with all their versions.
    pub edges: u64,
    /// Edges that stay as another source states them now, without the versions before.
    pub rewritten: u64,
    /// Nodes that went, with all their versions.
    pub nodes: u64,
    /// Nodes that stay although forgotten facts were at them.
    pub shared: u64,
    /// The ids of nodes that went, at most [`NAMED_LIMIT`].
    pub purged: Vec<Name>,
    /// The nodes that stay, and why; at most [`NAMED_LIMIT`].
    pub kept: BTreeMap<Name, Kept>,
}

/// Counts over batches: a node may stay in one and go in a later one.
#[derive(Default)]
struct Tally {
    report: Forgotten,
    shared: HashSet<u128>,
}

impl Tally {
    fn goes(&mut self, id: &Name) {
        self.report.nodes += 1;
        if self.report.purged.len() < NAMED_LIMIT {
            self.report.purged.push(id.clone());
        }
        self.shared.remove(&fingerprint(&[id.as_str().as_bytes()]));
        self.report.kept.remove(id);
    }

    fn stays(&mut self, id: &Name, why: Kept) {
        self.shared.insert(fingerprint(&[id.as_str().as_bytes()]));
        if self.report.kept.len() < NAMED_LIMIT {
            let held = self.report.kept.entry(id.clone()).or_insert(why);
            *held = why.max(*held);
        }
    }

    fn report(mut self) -> Forgotten {
        self.report.purged.sort_unstable();
        self.report.shared = u64::try_from(self.shared.len()).unwrap_or(u64::MAX);
        self.report
    }
}

impl GraphMemory {
    /// Forgets, for good: nothing of it is in any read, history or log afterwards. Done again, it does what is left
    /// to do, also after a crash in between. Facts that others state meanwhile stay with the nodes they are at;
    /// what is stated of the forgotten itself meanwhile is forgotten too, or found by the next run.
    pub async fn forget(&self, what: &Forget, orphans: Orphans) -> Result<Forgotten> {
        let mut tally = Tally::default();
        let mut race = Race::new("graph.forget");
        loop {
            let doom = self.doom(what, ROUND).await?;
            if doom.len() == 0 {
                break;
            }
            match self.carry_out(&doom, what, orphans, &mut tally).await {
                Err(error) if error.kind() == ErrorKind::Conflict => race.lost(&self.graph)?,
                done => done?,
            }
        }
        match what {
            Forget::User(user) => {
                for node in self.known_user_nodes(user).await? {
                    let there = self.node(&node, AsOf::NOW).await?.is_some();
                    self.apply(GraphBatch::new(vec![GraphChange::PurgeNode(node.clone())])).await?;
                    if there {
                        tally.goes(&node);
                    }
                }
            }
            Forget::Source(source) if orphans == Orphans::Purge => {
                let mut cursor = None;
                loop {
                    let page = self.nodes_of(source, cursor).await?;
                    if page.items.is_empty() {
                        break;
                    }
                    let purges = page.items.iter().cloned().map(GraphChange::PurgeOrphan).collect();
                    self.apply(GraphBatch::new(purges)).await?;
                    self.settle(&page.items, &BTreeMap::new(), &mut tally).await?;
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
            Forget::Source(_) => {}
        }
        Ok(tally.report())
    }

    /// What [`forget`](Self::forget) would do now. Holds the ids of what would go in memory.
    pub async fn forget_preview(&self, what: &Forget, orphans: Orphans) -> Result<Forgotten> {
        let doom = self.doom(what, usize::MAX).await?;
        let mut tally = Tally::default();
        let all = || doom.edges.values().chain(doom.links.values());
        let gone: HashSet<EdgeId> =
            all().filter(|(_, again)| again.is_none()).map(|(edge, _)| edge.id).collect();
        tally.report.edges = u64::try_from(gone.len()).unwrap_or(u64::MAX);
        tally.report.rewritten = u64::try_from(doom.len() - gone.len()).unwrap_or(u64::MAX);
        let mut ends: BTreeSet<Name> =
            all().flat_map(|(edge, _)| [edge.src.clone(), edge.dst.clone()]).collect();
        let mut users = Vec::new();
        match what {
            Forget::User(user) => users = self.known_user_nodes(user).await?,
            Forget::Source(source) if orphans == Orphans::Purge => {
                let mut cursor = None;
                loop {
                    let page = self.nodes_of(source, cursor).await?;
                    ends.extend(page.items);
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
            Forget::Source(_) => {}
        }
        ends.extend(users.iter().cloned());
        let ends: Vec<Name> = ends.into_iter().collect();
        for part in ends.chunks(BATCH) {
            let reasons = self.reasons(part, what, orphans, &doom).await?;
            for (id, node) in part.iter().zip(self.nodes(part, AsOf::NOW).await?) {
                if node.is_none() {
                    continue;
                }
                let why = match reasons.get(id) {
                    _ if users.contains(id) || doom.owned.contains(id) => None,
                    Some(why) => Some(*why),
                    None if !self.edge_left(id, &gone).await? => None,
                    None => Some(Kept::OtherFacts),
                };
                match why {
                    None => tally.goes(id),
                    Some(why) => tally.stays(id, why),
                }
            }
        }
        Ok(tally.report())
    }

    async fn carry_out(
        &self,
        doom: &Doom,
        what: &Forget,
        orphans: Orphans,
        tally: &mut Tally,
    ) -> Result<()> {
        let edges: Vec<_> = doom.edges.values().collect();
        let links: Vec<_> = doom.links.values().collect();
        for (part, last) in edges
            .chunks(BATCH)
            .map(|part| (part, false))
            .chain(links.chunks(BATCH).map(|part| (part, true)))
        {
            let ends: BTreeSet<Name> =
                part.iter().flat_map(|(edge, _)| [edge.src.clone(), edge.dst.clone()]).collect();
            let ends: Vec<Name> = ends.into_iter().collect();
            let reasons = self.reasons(&ends, what, orphans, doom).await?;
            let there = self.nodes(&ends, AsOf::NOW).await?;
            let mut changes = Vec::new();
            for (edge, again) in part {
                // As it was looked up: what others made of it in between is looked at anew.
                let expect = match edge.superseded_at {
                    None => Expect::Version(edge.version),
                    Some(_) => Expect::Absent,
                };
                changes.push(GraphChange::RemoveEdge { id: edge.id, expect });
                changes.push(GraphChange::PurgeEdge(edge.id));
                changes.extend(again.clone().map(GraphChange::PutEdge));
            }
            for id in &ends {
                if last && doom.owned.contains(id) {
                    changes.push(GraphChange::PurgeNode(id.clone()));
                } else if !reasons.contains_key(id) {
                    changes.push(GraphChange::PurgeOrphan(id.clone()));
                }
            }
            self.apply(GraphBatch::new(changes)).await?;
            let again = part.iter().filter(|(_, again)| again.is_some()).count();
            tally.report.rewritten += u64::try_from(again).unwrap_or(0);
            tally.report.edges += u64::try_from(part.len() - again).unwrap_or(0);
            let ends: Vec<Name> =
                ends.into_iter().zip(there).filter_map(|(id, node)| node.map(|_| id)).collect();
            self.settle(&ends, &reasons, tally).await?;
        }
        Ok(())
    }

    /// Counts which of these nodes, which were there before a batch, went with it.
    async fn settle(
        &self,
        nodes: &[Name],
        reasons: &BTreeMap<Name, Kept>,
        tally: &mut Tally,
    ) -> Result<()> {
        for (id, node) in nodes.iter().zip(self.nodes(nodes, AsOf::NOW).await?) {
            match node {
                None => tally.goes(id),
                Some(_) => {
                    tally.stays(id, reasons.get(id).copied().unwrap_or(Kept::OtherFacts));
                }
            }
        }
        Ok(())
    }

    /// Why some of these nodes stay even when nothing is at them.
    async fn reasons(
        &self,
        ids: &[Name],
        what: &Forget,
        orphans: Orphans,
        doom: &Doom,
    ) -> Result<BTreeMap<Name, Kept>> {
        let mut reasons = BTreeMap::new();
        let users = match what {
            Forget::User(user) => user_nodes(user)?.to_vec(),
            Forget::Source(_) => Vec::new(),
        };
        for (id, node) in ids.iter().zip(self.nodes(ids, AsOf::NOW).await?) {
            let by = node.as_ref().and_then(|node| node.data.get(SOURCE)).and_then(Value::as_str);
            let forgotten = |by: &str| match what {
                Forget::Source(source) => by == source.as_str(),
                Forget::User(_) => users.iter().chain(&doom.owned).any(|id| id.as_str() == by),
            };
            let why = match by {
                _ if doom.owned.contains(id) || users.contains(id) => None,
                _ if doom.others.contains(id) => Some(Kept::OtherUsers),
                Some(by) if !forgotten(by) => Some(Kept::OtherSource),
                _ => (orphans == Orphans::Keep).then_some(Kept::Asked),
            };
            reasons.extend(why.map(|why| (id.clone(), why)));
        }
        Ok(reasons)
    }

    /// The nodes whose attribute names this source.
    async fn nodes_of(&self, source: &Name, cursor: Option<Cursor>) -> Result<Page<Name>> {
        let named = Filter::Eq(FieldPath::new(SOURCE)?, Value::from(source.as_str()));
        let filter = NodeFilter { data: Some(named), ..NodeFilter::default() };
        let limit = Limit::new(500)?;
        let page = self.store.find_nodes(&self.graph, &filter, AsOf::NOW, cursor, limit).await?;
        Ok(page.map(|node| node.id))
    }

    /// Every version that matches, until `take` has enough.
    pub(super) async fn each_version(
        &self,
        filter: &EdgeFilter,
        mut take: impl FnMut(Edge) -> bool + Send,
    ) -> Result<()> {
        let limit = Limit::new(1_000)?;
        let mut cursor = None;
        loop {
            let page = self.store.find_versions(&self.graph, filter, cursor, limit).await?;
            for edge in page.items {
                if !take(edge) {
                    return Ok(());
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}
