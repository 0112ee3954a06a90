//! Paths in a loaded graph.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use hexmem_ports::{Direction, Edge, EdgeId, Error, Limit, Name, Result};
use petgraph::Direction as Along;
use petgraph::stable_graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::Mirror;
use super::query::{Enter, Follow, ways};
use crate::algorithms::{Hop, Meeting, Search, Side, Walk};
use crate::{Cost, Path, PathQuery};

impl Mirror {
    /// The cheapest path, `None` when there is none or an end does not exist. Of equally cheap ones that of the
    /// fewest edges, then that whose ids come first. Hops are searched from both ends.
    pub fn path(&self, query: &PathQuery) -> Result<Option<Path>> {
        let Some(walk) = Filtered::of(self, query)? else { return Ok(None) };
        let path = if query.cost == Cost::Hops {
            walk.meet().map(|(nodes, edges)| (nodes, edges, None))
        } else {
            let way = walk.search(query.cost).one()?;
            way.map(|way| (way.nodes.clone(), way.edges.clone(), Some(way.cost())))
        };
        path.map(|(nodes, edges, cost)| self.shown(&nodes, &edges, cost)).transpose()
    }

    /// The cheapest paths that visit no node twice, cheapest first, at most `count`. Two of them differ in their
    /// nodes; between two nodes the cheapest edge speaks.
    pub fn paths(&self, query: &PathQuery, count: Limit) -> Result<Vec<Path>> {
        let Some(walk) = Filtered::of(self, query)? else { return Ok(Vec::new()) };
        let ways = walk.search(query.cost).several(count.as_usize())?;
        ways.iter().map(|way| self.shown(&way.nodes, &way.edges, Some(way.cost()))).collect()
    }

    fn shown(&self, nodes: &[u32], edges: &[EdgeId], cost: Option<f64>) -> Result<Path> {
        let slots = nodes.iter().filter_map(|node| self.graph.node_weight(index(*node)));
        let nodes = slots.map(|slot| slot.id.clone()).collect();
        let edges: Option<Vec<Edge>> = edges.iter().map(|id| self.edge(*id)).collect();
        let edges =
            edges.ok_or_else(|| Error::corrupt("graph.path", "an edge on the way is not there"))?;
        let cost = cost.unwrap_or(edges.len() as f64);
        Ok(Path { nodes, edges, cost })
    }
}

fn index(node: u32) -> NodeIndex {
    NodeIndex::from(node)
}

/// The loaded graph as a question for paths sees it.
struct Filtered<'a> {
    mirror: &'a Mirror,
    rule: Follow,
    enter: Enter,
    direction: Direction,
    from: u32,
    to: u32,
}

impl<'a> Filtered<'a> {
    /// `None` when an end does not exist.
    fn of(mirror: &'a Mirror, query: &PathQuery) -> Result<Option<Self>> {
        let at = mirror.instant("graph.path", query.as_of)?;
        let number = |id: &Name| {
            let index = mirror.nodes.get(id.as_str())?.index();
            u32::try_from(index).ok()
        };
        let (Some(from), Some(to)) = (number(&query.from), number(&query.to)) else {
            return Ok(None);
        };
        let (sources, data) = (&query.sources, query.edge_data.as_ref());
        let rule = mirror.follow_rule(at, &query.relations, query.min_weight, sources, data);
        let enter = mirror.enter_rule(&query.kinds, query.node_data.as_ref());
        Ok(Some(Self { mirror, rule, enter, direction: query.direction, from, to }))
    }

    fn search(&self, cost: Cost) -> Search<'_, Self> {
        Search { walk: self, cost, from: self.from, to: self.to }
    }

    /// The path of the fewest edges.
    fn meet(&self) -> Option<(Vec<u32>, Vec<EdgeId>)> {
        let place = |node: u32| Place { id: self.id(node), node };
        let mut meeting = Meeting::new(place(self.from), place(self.to));
        let mut hops = Vec::new();
        while let Some((side, level)) = meeting.level() {
            for here in level {
                hops.clear();
                match side {
                    Side::Start => self.ahead(here.node, &mut hops),
                    Side::Goal => self.behind(here.node, &mut hops),
                }
                for hop in &hops {
                    meeting.offer(side, &here, hop.edge, place(hop.other));
                }
            }
            meeting.close(side);
        }
        let (nodes, edges) = meeting.way()?;
        Some((nodes.into_iter().map(|place| place.node).collect(), edges))
    }

    fn enters(&self, node: u32) -> bool {
        let slot = || self.mirror.graph.node_weight(index(node));
        self.enter.is_open()
            || node == self.from
            || node == self.to
            || slot().is_some_and(|slot| self.enter.admits(slot))
    }

    fn hops(&self, node: u32, along: &[Along], hops: &mut Vec<Hop>) {
        for way in along {
            for edge in self.mirror.graph.edges_directed(index(node), *way) {
                let other = if *way == Along::Outgoing { edge.target() } else { edge.source() };
                let (Ok(other), slot) = (u32::try_from(other.index()), edge.weight()) else {
                    continue;
                };
                if self.rule.allows(slot) && self.enters(other) {
                    hops.push(Hop { other, weight: slot.weight, edge: slot.id });
                }
            }
        }
    }
}

impl Walk for Filtered<'_> {
    fn ahead(&self, node: u32, hops: &mut Vec<Hop>) {
        self.hops(node, ways(self.direction), hops);
    }

    fn behind(&self, node: u32, hops: &mut Vec<Hop>) {
        let back = match self.direction {
            Direction::Out => Direction::In,
            Direction::In => Direction::Out,
            Direction::Both => Direction::Both,
        };
        self.hops(node, ways(back), hops);
    }

    fn id(&self, node: u32) -> &str {
        self.mirror.id_of(index(node))
    }
}

/// A node by number, in order of ids.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    id: &'a str,
    node: u32,
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Eq for Place<'_> {}

impl Hash for Place<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.node.hash(state);
    }
}

impl PartialOrd for Place<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(other.id)
    }
}
