//! Shortest paths with petgraph.

use std::cell::Cell;

use hexmem_ports::{Direction, Edge, EdgeId, Error, Name, Result};
use petgraph::algo::astar;
use petgraph::stable_graph::{EdgeIndex, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef, IntoEdges, Reversed, UndirectedAdaptor, Visitable};

use super::Mirror;
use super::query::{Follow, ways};
use super::slots::EdgeSlot;
use crate::{Cost, Path, PathQuery};

impl Mirror {
    /// The cheapest path, `None` when there is none or an end does not exist. Among parallel edges the cheapest,
    /// then the smallest id.
    pub fn path(&self, query: &PathQuery) -> Result<Option<Path>> {
        let at = self.instant("graph.path", query.as_of)?;
        let ends = (self.nodes.get(query.from.as_str()), self.nodes.get(query.to.as_str()));
        let (Some(from), Some(to)) = ends else { return Ok(None) };
        let rule = self.follow_rule(at, &query.relations, query.min_weight);
        let allows = |slot: &EdgeSlot| rule.allows(slot) && query.cost.of(slot.weight).is_some();
        let open = EdgeFiltered::from_fn(&self.graph, |edge| allows(edge.weight()));
        let search = Search { from: *from, to: *to, cost: query.cost, negative: Cell::new(None) };
        let found = match query.direction {
            Direction::Out => search.run(&open),
            Direction::In => search.run(Reversed(&open)),
            Direction::Both => search.run(UndirectedAdaptor(&open)),
        };
        if let Some(edge) = search.negative.get() {
            return Err(Error::invalid(
                "graph.path",
                "an edge has a negative weight, which is no distance; count hops, or set a floor for weights",
            )
            .with("edge", edge));
        }
        let Some((cost, steps)) = found else { return Ok(None) };
        let edges: Vec<Edge> = steps
            .windows(2)
            .filter_map(|pair| self.cheapest(pair[0], pair[1], query, &rule))
            .filter_map(|index| self.edge_at(index))
            .collect();
        let nodes: Vec<Name> =
            steps.iter().filter_map(|index| Name::new(self.id_of(*index)).ok()).collect();
        Ok(Some(Path { nodes, edges, cost }))
    }

    /// The cheapest allowed edge from `here` to `there` in the query's direction.
    fn cheapest(
        &self,
        here: NodeIndex,
        there: NodeIndex,
        query: &PathQuery,
        rule: &Follow,
    ) -> Option<EdgeIndex> {
        let mut best: Option<(f64, EdgeId, EdgeIndex)> = None;
        for way in ways(query.direction) {
            for edge in self.graph.edges_directed(here, *way) {
                let other = if edge.source() == here { edge.target() } else { edge.source() };
                let Some(cost) = query.cost.of(edge.weight().weight) else { continue };
                if other != there || !rule.allows(edge.weight()) {
                    continue;
                }
                let id = edge.weight().id;
                if best.is_none_or(|(held, held_id, _)| {
                    cost.total_cmp(&held).then(id.cmp(&held_id)).is_lt()
                }) {
                    best = Some((cost, id, edge.id()));
                }
            }
        }
        best.map(|(_, _, index)| index)
    }
}

struct Search {
    from: NodeIndex,
    to: NodeIndex,
    cost: Cost,
    /// An edge that cannot be a distance, met on the way.
    negative: Cell<Option<EdgeId>>,
}

impl Search {
    fn run<G>(&self, graph: G) -> Option<(f64, Vec<NodeIndex>)>
    where
        G: IntoEdges<NodeId = NodeIndex, EdgeWeight = EdgeSlot> + Visitable<NodeId = NodeIndex>,
    {
        let step = |slot: &EdgeSlot| {
            let cost = self.cost.of(slot.weight).unwrap_or(0.0);
            if cost < 0.0 {
                self.negative.set(Some(slot.id));
                return 0.0;
            }
            cost
        };
        // Without an estimate this is Dijkstra's algorithm, stopped at the goal.
        astar(graph, self.from, |index| index == self.to, |edge| step(edge.weight()), |_| 0.0)
    }
}
