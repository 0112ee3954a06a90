//! Looking up what is to be forgotten.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use hexmem_ports::{
    AsOf, Direction, Edge, EdgeDraft, EdgeFilter, EdgeId, Element, ElementRef, Expect, Limit, Name,
    Result,
};

use super::super::GraphMemory;
use super::super::interactions::{LEARNED_FROM, user_nodes};
use super::{BATCH, Forget};
use crate::fact::redraft;

/// Edges to be purged, and what is known of the nodes at them.
#[derive(Default)]
pub(super) struct Doom {
    /// With the draft that replaces an edge that another source states now.
    pub(super) edges: BTreeMap<EdgeId, (Edge, Option<EdgeDraft>)>,
    /// Edges by which the rest is found; purged after all others.
    pub(super) links: BTreeMap<EdgeId, (Edge, Option<EdgeDraft>)>,
    /// Nodes that go whatever is at them, with their links.
    pub(super) owned: BTreeSet<Name>,
    /// Nodes that are learned from others too.
    pub(super) others: BTreeSet<Name>,
}

impl Doom {
    pub(super) fn len(&self) -> usize {
        self.edges.len() + self.links.len()
    }
}

impl GraphMemory {
    /// Edges to be purged, about `most` of them; none when everything is forgotten.
    pub(super) async fn doom(&self, what: &Forget, most: usize) -> Result<Doom> {
        let mut doom = Doom::default();
        match what {
            Forget::Source(source) => {
                self.doom_sources(std::slice::from_ref(source), most, &mut doom).await?;
            }
            Forget::User(user) => self.doom_user(user, most, &mut doom).await?,
        }
        Ok(doom)
    }

    /// The edges of which a version comes from one of these sources.
    async fn doom_sources(&self, sources: &[Name], most: usize, doom: &mut Doom) -> Result<()> {
        let filter = EdgeFilter { sources: sources.to_vec(), ..EdgeFilter::default() };
        let mut found: Vec<Edge> = Vec::new();
        self.each_version(&filter, |edge| {
            // Versions of one edge come one after the other.
            if found.last().is_none_or(|last| last.id != edge.id) {
                found.push(edge);
            }
            found.len() < most
        })
        .await?;
        for part in found.chunks(BATCH) {
            let ids: Vec<EdgeId> = part.iter().map(|edge| edge.id).collect();
            let now = self.store.edges(&self.graph, &ids, AsOf::ALL).await?;
            for (edge, current) in part.iter().zip(now) {
                let other =
                    |edge: &&Edge| edge.source.as_ref().is_none_or(|s| !sources.contains(s));
                let again = current.as_ref().filter(other).map(|edge| EdgeDraft {
                    created_at: Some(edge.created_at),
                    expect: Expect::Any,
                    ..redraft(edge)
                });
                let edge = current.unwrap_or_else(|| edge.clone());
                doom.edges.entry(edge.id).or_insert((edge, again));
            }
        }
        Ok(())
    }

    async fn doom_user(&self, user: &Name, most: usize, doom: &mut Doom) -> Result<()> {
        let nodes = self.known_user_nodes(user).await?;
        if nodes.is_empty() {
            return Ok(());
        }
        let mut links = BTreeMap::new();
        let filter =
            EdgeFilter { at: Some((nodes.clone(), Direction::Both)), ..EdgeFilter::default() };
        self.each_version(&filter, |edge| {
            links.insert(edge.id, edge);
            links.len() < most
        })
        .await?;
        let mut owned = BTreeSet::new();
        for edge in links.values() {
            let learned = edge.relation.as_str() == LEARNED_FROM && nodes.contains(&edge.dst);
            if learned && !nodes.contains(&edge.src) {
                owned.insert(edge.src.clone());
            }
        }
        for id in owned {
            // What was looked up is purged first; the links of the others wait for the next round.
            if doom.len() >= most {
                links.retain(|_, edge| edge.src != id);
            } else if self.learned_from_others(&id, &nodes).await? {
                doom.others.insert(id);
            } else {
                let filter = EdgeFilter {
                    at: Some((vec![id.clone()], Direction::Both)),
                    ..EdgeFilter::default()
                };
                self.each_version(&filter, |edge| {
                    doom.edges.insert(edge.id, (edge, None));
                    true
                })
                .await?;
                self.doom_sources(std::slice::from_ref(&id), usize::MAX, doom).await?;
                doom.owned.insert(id);
            }
        }
        self.doom_sources(&nodes, most, doom).await?;
        let mut current = BTreeMap::new();
        let ids: Vec<EdgeId> = links.keys().chain(doom.edges.keys()).copied().collect();
        for part in ids.chunks(BATCH) {
            for edge in self.store.edges(&self.graph, part, AsOf::ALL).await?.into_iter().flatten()
            {
                current.insert(edge.id, edge);
            }
        }
        for (id, edge) in links {
            doom.edges.remove(&id);
            let edge = current.get(&id).cloned().unwrap_or(edge);
            doom.links.insert(id, (edge, None));
        }
        for (id, (edge, _)) in &mut doom.edges {
            if let Some(now) = current.remove(id) {
                *edge = now;
            }
        }
        Ok(())
    }

    /// Whether a node was ever learned from a node that is none of these.
    async fn learned_from_others(&self, id: &Name, users: &[Name]) -> Result<bool> {
        let filter = EdgeFilter {
            at: Some((vec![id.clone()], Direction::Out)),
            relations: vec![Name::new(LEARNED_FROM)?],
            ..EdgeFilter::default()
        };
        let mut others = false;
        self.each_version(&filter, |edge| {
            others |= !users.contains(&edge.dst);
            !others
        })
        .await?;
        Ok(others)
    }

    /// Whether an edge ever at a node is not among those that are gone.
    pub(super) async fn edge_left(&self, id: &Name, gone: &HashSet<EdgeId>) -> Result<bool> {
        let filter =
            EdgeFilter { at: Some((vec![id.clone()], Direction::Both)), ..EdgeFilter::default() };
        let mut left = false;
        self.each_version(&filter, |edge| {
            left |= !gone.contains(&edge.id);
            !left
        })
        .await?;
        Ok(left)
    }

    /// The nodes of a user that are or were there.
    pub(super) async fn known_user_nodes(&self, user: &Name) -> Result<Vec<Name>> {
        let mut known = Vec::new();
        for id in user_nodes(user)? {
            let element = ElementRef::Node(id.clone());
            let page = self.store.history(&self.graph, &element, None, Limit::new(1)?).await?;
            if let Some(Element::Node(node)) = page.items.first()
                && node.kind.as_str() == "user"
            {
                known.push(id);
            }
        }
        Ok(known)
    }
}
