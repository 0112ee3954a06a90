//! Neighbourhoods in memory: the same answers as the port's.

use hexmem_ports::rules::graph::NearPage;
use hexmem_ports::{Direction, Edge, EdgeId, NeighbourQuery, Neighbourhood, Reached, Result, Via};
use petgraph::Direction as Way;
use petgraph::stable_graph::{EdgeIndex, NodeIndex};
use petgraph::visit::{EdgeRef, NodeIndexable};

use super::Mirror;
use super::order::UNRANKED;
use super::query::{Follow, ways};
use super::scratch::{Layer, Scratch};

/// A node up to the end of the page.
struct Near {
    distance: u32,
    here: bool,
    /// The edge of the smallest id that leads to it from a node one nearer.
    step: Option<(EdgeId, NodeIndex)>,
}

impl Mirror {
    /// What lies around some nodes: breadth first, linear in what it visits.
    pub fn neighbours(&self, query: &NeighbourQuery) -> Result<Neighbourhood> {
        let mut page = NearPage::new(query)?;
        let rule = self.edge_rule(query)?;
        self.scratch.with(self.graph.node_bound(), |scratch| {
            self.visit(query, &rule, &mut page, scratch);
            scratch.number();
            let last = scratch.layers.last().map_or(0, |layer| layer.here.end);
            let mut near = Vec::with_capacity(last);
            for (distance, layer) in (0..).zip(&scratch.layers) {
                let rows = layer.nodes.start..layer.here.end;
                near.extend(rows.map(|place| {
                    let here = layer.here.contains(&place);
                    Near { distance, here, step: None }
                }));
            }
            let edges = self.edges_among(scratch, &mut near, query.direction, &rule);
            let mut nodes = Vec::with_capacity(near.len());
            let on_page = scratch.found.iter().zip(&near).filter(|(_, near)| near.here);
            nodes.extend(on_page.filter_map(|(ranked, near)| {
                let node = self.graph.node_weight(ranked.node())?.node(&self.kinds)?;
                let via = near.step.and_then(|(edge, from)| {
                    Some(Via { from: self.graph.node_weight(from)?.id.clone(), edge })
                });
                Some(Reached { node, distance: near.distance, via })
            }));
            Ok(Neighbourhood { nodes, edges, next: page.next() })
        })
    }

    /// The ids of the nodes that [`neighbours`](Self::neighbours) gives, and their distances, in its order. Copies
    /// neither nodes nor edges, which is most of the work there.
    pub fn reach(&self, query: &NeighbourQuery) -> Result<Vec<(&str, u32)>> {
        let mut page = NearPage::new(query)?;
        let rule = self.edge_rule(query)?;
        self.scratch.with(self.graph.node_bound(), |scratch| {
            self.visit(query, &rule, &mut page, scratch);
            let count = scratch.layers.iter().map(|layer| layer.here.len()).sum();
            let mut reached = Vec::with_capacity(count);
            for (distance, layer) in (0..).zip(&scratch.layers) {
                let on_page = scratch.found.get(layer.here.clone()).unwrap_or_default();
                reached.extend(on_page.iter().map(|near| (self.id_of(near.node()), distance)));
            }
            Ok(reached)
        })
    }

    fn edge_rule(&self, query: &NeighbourQuery) -> Result<Follow> {
        let at = self.instant("graph.neighbourhood", query.as_of)?;
        let (sources, data) = (&query.sources, query.edge_data.as_ref());
        Ok(self.follow_rule(at, &query.relations, query.min_weight, sources, data))
    }

    /// Finds the nodes up to the end of the page, layer by layer.
    fn visit(
        &self,
        query: &NeighbourQuery,
        rule: &Follow,
        page: &mut NearPage,
        scratch: &mut Scratch,
    ) {
        let enter = self.enter_rule(&query.kinds, query.node_data.as_ref());
        let mut unranked = false;
        for seed in query.seeds.iter().filter_map(|id| self.nodes.get(id.as_str())) {
            if let Some(slot) = self.graph.node_weight(*seed).filter(|_| !scratch.met(*seed)) {
                unranked |= slot.rank == UNRANKED;
                scratch.meet(slot.rank, *seed);
            }
        }
        let mut start = 0;
        for distance in 0..=query.hops {
            let end = scratch.found.len();
            let Some(layer) = scratch.found.get_mut(start..end) else { break };
            self.sort(layer, std::mem::take(&mut unranked));
            let here = page.take(distance, layer.iter().map(|near| self.id_of(near.node())));
            let here = start + here.start..start + here.end;
            scratch.layers.push(Layer { nodes: start..end, here });
            if page.is_full() || start == end || distance == query.hops {
                break;
            }
            for place in start..end {
                let Some(index) = scratch.found.get(place).map(|near| near.node()) else { break };
                for way in ways(query.direction) {
                    for edge in self.graph.edges_directed(index, *way) {
                        let there =
                            if *way == Way::Outgoing { edge.target() } else { edge.source() };
                        if scratch.met(there) || !rule.allows(edge.weight()) {
                            continue;
                        }
                        let Some(slot) = self.graph.node_weight(there) else { continue };
                        if enter.is_open() || enter.admits(slot) {
                            unranked |= slot.rank == UNRANKED;
                            scratch.meet(slot.rank, there);
                        }
                    }
                }
            }
            start = end;
        }
    }

    /// The edges of a page in order of id. Notes by which edge each node was reached.
    fn edges_among(
        &self,
        scratch: &Scratch,
        near: &mut [Near],
        direction: Direction,
        rule: &Follow,
    ) -> Vec<Edge> {
        let mut among: Vec<(EdgeId, EdgeIndex)> = Vec::with_capacity(near.len());
        for (from, ranked) in scratch.found.iter().enumerate().take(near.len()) {
            let index = ranked.node();
            for edge in self.graph.edges_directed(index, Way::Outgoing) {
                // Nodes after the end of the page have a place, but are not near.
                let Some(to) = scratch.place(edge.target()) else { continue };
                let (Some(src), Some(dst)) = (near.get(from), near.get(to)) else { continue };
                if !(src.here || dst.here) || !rule.allows(edge.weight()) {
                    continue;
                }
                let (ahead, back) =
                    (src.distance + 1 == dst.distance, dst.distance + 1 == src.distance);
                let id = edge.weight().id;
                among.push((id, edge.id()));
                if direction != Direction::In && ahead {
                    near[to].lead(id, index);
                }
                if direction != Direction::Out && back {
                    near[from].lead(id, edge.target());
                }
            }
        }
        among.sort_unstable();
        let mut edges = Vec::with_capacity(among.len());
        edges.extend(among.into_iter().filter_map(|(_, index)| self.edge_at(index)));
        edges
    }
}

impl Near {
    fn lead(&mut self, edge: EdgeId, from: NodeIndex) {
        if self.step.is_none_or(|(held, _)| edge < held) {
            self.step = Some((edge, from));
        }
    }
}
