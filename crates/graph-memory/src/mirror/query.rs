//! Neighbourhoods in memory: the same answers as the port's.

use std::collections::HashMap;

use hexmem_ports::{Direction, Edge, Error, Name, NeighbourQuery, Neighbourhood, Reached, Result};
use petgraph::Direction as Way;
use petgraph::stable_graph::NodeIndex;
use petgraph::visit::{EdgeRef, VisitMap, Visitable};

use super::Mirror;
use super::slots::EdgeSlot;

/// The most hops of one query.
const HOPS_LIMIT: u32 = 32;

/// Which edges a search follows, with names as numbers.
pub(super) struct Follow {
    at: Option<i64>,
    /// `None`: any. A name that no edge has is in no list.
    relations: Option<Vec<u32>>,
    min_weight: Option<f64>,
}

impl Follow {
    pub(super) fn allows(&self, slot: &EdgeSlot) -> bool {
        slot.holds(self.at)
            && self.min_weight.is_none_or(|floor| slot.weight >= floor)
            && self.relations.as_ref().is_none_or(|list| list.contains(&slot.relation))
    }
}

/// petgraph's directions for ours.
pub(super) fn ways(direction: Direction) -> &'static [Way] {
    match direction {
        Direction::Out => &[Way::Outgoing],
        Direction::In => &[Way::Incoming],
        Direction::Both => &[Way::Outgoing, Way::Incoming],
    }
}

impl Mirror {
    pub(super) fn follow_rule(
        &self,
        at: Option<i64>,
        relations: &[Name],
        min_weight: Option<f64>,
    ) -> Follow {
        let numbers = relations.iter().filter_map(|name| self.relations.known(name.as_str()));
        let relations = (!relations.is_empty()).then(|| numbers.collect());
        Follow { at, relations, min_weight }
    }

    /// What lies around some nodes: breadth first, linear in what it visits.
    pub fn neighbours(&self, query: &NeighbourQuery) -> Result<Neighbourhood> {
        if query.hops > HOPS_LIMIT {
            return Err(Error::invalid(
                "graph.neighbourhood",
                format!("{} hops are more than {HOPS_LIMIT}; ask for fewer", query.hops),
            ));
        }
        let at = self.instant("graph.neighbourhood", query.as_of)?;
        let rule = self.follow_rule(at, &query.relations, query.min_weight);
        let kinds: Vec<u32> =
            query.kinds.iter().filter_map(|kind| self.kinds.known(kind.as_str())).collect();
        let enters = |index: NodeIndex| {
            query.kinds.is_empty()
                || self.graph.node_weight(index).is_some_and(|slot| kinds.contains(&slot.kind))
        };

        let mut seen = self.graph.visit_map();
        let mut level: Vec<NodeIndex> = query
            .seeds
            .iter()
            .filter_map(|id| self.nodes.get(id.as_str()).copied())
            .filter(|index| seen.visit(*index))
            .collect();
        let limit = query.limit.as_usize();
        let mut reached: Vec<(NodeIndex, u32)> = Vec::new();
        let mut truncated = false;
        for distance in 0..=query.hops {
            level.sort_unstable_by(|a, b| self.id_of(*a).cmp(self.id_of(*b)));
            let room = limit - reached.len();
            truncated = level.len() > room;
            reached.extend(level.iter().take(room).map(|index| (*index, distance)));
            if truncated || level.is_empty() || distance == query.hops {
                break;
            }
            let mut next = Vec::new();
            for index in level {
                for way in ways(query.direction) {
                    for edge in self.graph.edges_directed(index, *way) {
                        let there =
                            if *way == Way::Outgoing { edge.target() } else { edge.source() };
                        if rule.allows(edge.weight()) && enters(there) && seen.visit(there) {
                            next.push(there);
                        }
                    }
                }
            }
            level = next;
        }

        let inside: HashMap<NodeIndex, ()> = reached.iter().map(|(i, _)| (*i, ())).collect();
        let mut edges: Vec<Edge> = Vec::new();
        for (index, _) in &reached {
            for edge in self.graph.edges_directed(*index, Way::Outgoing) {
                if inside.contains_key(&edge.target()) && rule.allows(edge.weight()) {
                    edges.extend(self.edge_at(edge.id()));
                }
            }
        }
        edges.sort_unstable_by_key(|edge| edge.id);
        let nodes = reached.into_iter().filter_map(|(index, distance)| {
            let node = self.graph.node_weight(index)?.node(&self.kinds)?;
            Some(Reached { node, distance })
        });
        Ok(Neighbourhood { nodes: nodes.collect(), edges, truncated })
    }

    pub(super) fn id_of(&self, index: NodeIndex) -> &str {
        self.graph.node_weight(index).map_or("", |slot| &slot.id)
    }
}
