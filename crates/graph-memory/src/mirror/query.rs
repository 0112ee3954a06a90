//! Neighbourhoods in memory: the same answers as the port's.

use std::collections::HashMap;

use hexmem_ports::rules::graph::NearPage;
use hexmem_ports::{
    Direction, Edge, EdgeId, Filter, Name, NeighbourQuery, Neighbourhood, Reached, Result, Via,
};
use petgraph::Direction as Way;
use petgraph::stable_graph::NodeIndex;
use petgraph::visit::{EdgeRef, VisitMap, Visitable};

use super::Mirror;
use super::slots::{EdgeSlot, NodeSlot};

/// Which edges a search follows, with names as numbers.
pub(super) struct Follow {
    at: Option<i64>,
    /// `None`: any. A name that no edge has is in no list.
    relations: Option<Vec<u32>>,
    min_weight: Option<f64>,
    sources: Vec<Name>,
    data: Option<Filter>,
}

impl Follow {
    pub(super) fn allows(&self, slot: &EdgeSlot) -> bool {
        slot.holds(self.at)
            && self.min_weight.is_none_or(|floor| slot.weight >= floor)
            && self.relations.as_ref().is_none_or(|list| list.contains(&slot.relation))
            && (self.sources.is_empty()
                || slot
                    .source()
                    .is_some_and(|by| self.sources.iter().any(|name| name.as_str() == by)))
            && self.data.as_ref().is_none_or(|filter| slot.passes(filter))
    }
}

/// Which nodes a search enters, with names as numbers.
pub(super) struct Enter {
    /// `None`: of any type.
    kinds: Option<Vec<u32>>,
    data: Option<Filter>,
}

impl Enter {
    /// Whether it admits every node.
    pub(super) fn is_open(&self) -> bool {
        self.kinds.is_none() && self.data.is_none()
    }

    pub(super) fn admits(&self, slot: &NodeSlot) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&slot.kind))
            && self.data.as_ref().is_none_or(|filter| slot.passes(filter))
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
        sources: &[Name],
        data: Option<&Filter>,
    ) -> Follow {
        let numbers = relations.iter().filter_map(|name| self.relations.known(name.as_str()));
        let relations = (!relations.is_empty()).then(|| numbers.collect());
        Follow { at, relations, min_weight, sources: sources.to_vec(), data: data.cloned() }
    }

    pub(super) fn enter_rule(&self, kinds: &[Name], data: Option<&Filter>) -> Enter {
        let numbers = kinds.iter().filter_map(|kind| self.kinds.known(kind.as_str()));
        Enter { kinds: (!kinds.is_empty()).then(|| numbers.collect()), data: data.cloned() }
    }

    /// What lies around some nodes: breadth first, linear in what it visits.
    pub fn neighbours(&self, query: &NeighbourQuery) -> Result<Neighbourhood> {
        let mut page = NearPage::new(query)?;
        let rule = self.edge_rule(query)?;
        let reached = self.visit(query, &rule, &mut page);
        let (edges, steps) = self.edges_among(&reached, query.direction, &rule);
        let on_page = reached.into_iter().filter(|(_, _, here)| *here);
        let nodes = on_page.filter_map(|(index, distance, _)| {
            let node = self.graph.node_weight(index)?.node(&self.kinds)?;
            let via = steps.get(&index).and_then(|(edge, from)| {
                Some(Via { from: Name::new(self.id_of(*from)).ok()?, edge: *edge })
            });
            Some(Reached { node, distance, via })
        });
        Ok(Neighbourhood { nodes: nodes.collect(), edges, next: page.next() })
    }

    /// The ids of the nodes that [`neighbours`](Self::neighbours) gives, and their distances, in its order. Copies
    /// neither nodes nor edges, which is most of the work there.
    pub fn reach(&self, query: &NeighbourQuery) -> Result<Vec<(&str, u32)>> {
        let reached = self.visit(query, &self.edge_rule(query)?, &mut NearPage::new(query)?);
        let on_page = reached.into_iter().filter(|(_, _, here)| *here);
        Ok(on_page.map(|(index, distance, _)| (self.id_of(index), distance)).collect())
    }

    fn edge_rule(&self, query: &NeighbourQuery) -> Result<Follow> {
        let at = self.instant("graph.neighbourhood", query.as_of)?;
        let (sources, data) = (&query.sources, query.edge_data.as_ref());
        Ok(self.follow_rule(at, &query.relations, query.min_weight, sources, data))
    }

    /// The nodes up to the end of the page, each with its distance and whether it is on the page.
    fn visit(
        &self,
        query: &NeighbourQuery,
        rule: &Follow,
        page: &mut NearPage,
    ) -> Vec<(NodeIndex, u32, bool)> {
        let enter = self.enter_rule(&query.kinds, query.node_data.as_ref());
        let enters = |index: NodeIndex| {
            enter.is_open() || self.graph.node_weight(index).is_some_and(|slot| enter.admits(slot))
        };
        // Ids beside the numbers: sorting by them would else look each up many times.
        let named = |index: NodeIndex| (self.id_of(index), index);
        let mut seen = self.graph.visit_map();
        let mut level: Vec<(&str, NodeIndex)> = query
            .seeds
            .iter()
            .filter_map(|id| self.nodes.get(id.as_str()).copied())
            .filter(|index| seen.visit(*index))
            .map(named)
            .collect();
        let mut reached = Vec::new();
        for distance in 0..=query.hops {
            level.sort_unstable_by_key(|(id, _)| *id);
            let here = page.take(distance, level.iter().map(|(id, _)| *id));
            let ranked = level.iter().enumerate().take(here.end);
            reached
                .extend(ranked.map(|(rank, (_, index))| (*index, distance, here.contains(&rank))));
            if page.is_full() || level.is_empty() || distance == query.hops {
                break;
            }
            let mut next = Vec::new();
            for (_, index) in level {
                for way in ways(query.direction) {
                    for edge in self.graph.edges_directed(index, *way) {
                        let there =
                            if *way == Way::Outgoing { edge.target() } else { edge.source() };
                        if rule.allows(edge.weight()) && enters(there) && seen.visit(there) {
                            next.push(named(there));
                        }
                    }
                }
            }
            level = next;
        }
        reached
    }

    /// The edges of a page in order of id, and for each node the edge of the smallest id that leads to it from a
    /// node one nearer.
    fn edges_among(
        &self,
        reached: &[(NodeIndex, u32, bool)],
        direction: Direction,
        rule: &Follow,
    ) -> (Vec<Edge>, HashMap<NodeIndex, (EdgeId, NodeIndex)>) {
        let places: HashMap<NodeIndex, (u32, bool)> =
            reached.iter().map(|(index, distance, here)| (*index, (*distance, *here))).collect();
        let mut edges: Vec<Edge> = Vec::new();
        let mut steps: HashMap<NodeIndex, (EdgeId, NodeIndex)> = HashMap::new();
        let mut lead = |from: NodeIndex, to: NodeIndex, id: EdgeId| {
            let step = steps.entry(to).or_insert((id, from));
            if id < step.0 {
                *step = (id, from);
            }
        };
        for (index, near, here) in reached {
            for edge in self.graph.edges_directed(*index, Way::Outgoing) {
                let there = edge.target();
                let Some((far, on_page)) = places.get(&there) else { continue };
                if !(*here || *on_page) || !rule.allows(edge.weight()) {
                    continue;
                }
                if direction != Direction::In && near + 1 == *far {
                    lead(*index, there, edge.weight().id);
                }
                if direction != Direction::Out && far + 1 == *near {
                    lead(there, *index, edge.weight().id);
                }
                edges.extend(self.edge_at(edge.id()));
            }
        }
        edges.sort_unstable_by_key(|edge| edge.id);
        (edges, steps)
    }

    pub(super) fn id_of(&self, index: NodeIndex) -> &str {
        self.graph.node_weight(index).map_or("", |slot| &slot.id)
    }
}
