//! Cheapest paths, and the cheapest several.
//!
//! petgraph's `astar` finds a cheapest path, but which of several depends on the order in which edges were put;
//! its `k_shortest_path` gives costs without paths. Here equal costs are told apart by the fewest edges, then by
//! the ids on the way, so that a store and a loaded graph give the same path.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use hexmem_ports::{EdgeId, Error, Result};

use super::cost::Cost;
use super::projection::{Projection, Step};

/// A graph that a search walks, as its question sees it.
pub(crate) trait Walk {
    /// The edges that lead on from a node.
    fn ahead(&self, node: u32, hops: &mut Vec<Hop>);
    /// The edges that lead to a node.
    fn behind(&self, node: u32, hops: &mut Vec<Hop>);
    /// A node's id.
    fn id(&self, node: u32) -> &str;
}

/// An edge seen from one of its ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop {
    pub(crate) other: u32,
    pub(crate) weight: f64,
    pub(crate) edge: EdgeId,
}

impl Walk for Projection {
    fn ahead(&self, node: u32, hops: &mut Vec<Hop>) {
        hops.extend(self.forward().at(node).iter().map(|step| self.hop(step)));
    }

    fn behind(&self, node: u32, hops: &mut Vec<Hop>) {
        hops.extend(self.backward().at(node).iter().map(|step| self.hop(step)));
    }

    fn id(&self, node: u32) -> &str {
        self.ids()[node as usize].as_str()
    }
}

impl Projection {
    fn hop(&self, step: &Step) -> Hop {
        let link = &self.links()[step.edge as usize];
        Hop { other: step.to, weight: link.weight, edge: link.id }
    }
}

/// A path by numbers: `nodes` has one more than `edges`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Way {
    pub(crate) nodes: Vec<u32>,
    pub(crate) edges: Vec<EdgeId>,
    /// What each edge costs.
    costs: Vec<f64>,
}

impl Way {
    /// The sum of the steps' costs, from the first to the last.
    pub(crate) fn cost(&self) -> f64 {
        self.costs.iter().sum()
    }
}

/// The way from one node to another by one rule.
pub(crate) struct Search<'a, W> {
    pub(crate) walk: &'a W,
    pub(crate) cost: Cost,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// What a way may not use.
#[derive(Default)]
struct Barred {
    nodes: HashSet<u32>,
    /// As the node after the first.
    next: HashSet<u32>,
}

/// How far it is to the goal: cost, then edges.
#[derive(Debug, Clone, Copy)]
struct Far {
    cost: f64,
    hops: u32,
}

impl PartialEq for Far {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Far {}

impl PartialOrd for Far {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Far {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cost.total_cmp(&other.cost).then(self.hops.cmp(&other.hops))
    }
}

impl<W: Walk> Search<'_, W> {
    /// The cheapest way.
    pub(crate) fn one(&self) -> Result<Option<Way>> {
        self.run(self.from, &Barred::default())
    }

    /// The `count` cheapest ways that visit no node twice, cheapest first (Yen 1971, with Lawler's shortcut).
    /// Two ways differ in their nodes; between two nodes the cheapest edge speaks.
    pub(crate) fn several(&self, count: usize) -> Result<Vec<Way>> {
        let mut found: Vec<(Way, usize)> = Vec::new();
        let mut waiting: BTreeSet<Candidate> = BTreeSet::new();
        let mut known: HashSet<Vec<u32>> = HashSet::new();
        if let Some(first) = self.one()? {
            known.insert(first.nodes.clone());
            found.push((first, 0));
        }
        while let Some((last, branched)) = found.last().filter(|_| found.len() < count) {
            for at in *branched..last.edges.len() {
                let stem = &last.nodes[..=at];
                let mut barred = Barred::default();
                barred.nodes.extend(&last.nodes[..at]);
                let same = found.iter().filter(|(way, _)| way.nodes.starts_with(stem));
                barred.next.extend(same.filter_map(|(way, _)| way.nodes.get(at + 1)));
                let Some(tail) = self.run(last.nodes[at], &barred)? else { continue };
                let way = Way {
                    nodes: last.nodes[..at].iter().chain(&tail.nodes).copied().collect(),
                    edges: last.edges[..at].iter().chain(&tail.edges).copied().collect(),
                    costs: last.costs[..at].iter().chain(&tail.costs).copied().collect(),
                };
                if known.insert(way.nodes.clone()) {
                    waiting.insert(self.candidate(way, at));
                }
            }
            let Some(next) = waiting.pop_first() else { break };
            found.push((next.way, next.branched));
        }
        Ok(found.into_iter().map(|(way, _)| way).collect())
    }

    fn candidate(&self, way: Way, branched: usize) -> Candidate {
        let ids = way.nodes.iter().map(|node| self.walk.id(*node).to_owned()).collect();
        let hops = u32::try_from(way.edges.len()).unwrap_or(u32::MAX);
        Candidate { far: Far { cost: way.cost(), hops }, ids, way, branched }
    }

    /// Dijkstra from the goal back to `from`, then ahead along what is nearest.
    fn run(&self, from: u32, barred: &Barred) -> Result<Option<Way>> {
        let far = self.distances(from, barred)?;
        let Some(mut here_far) = far.get(&from).copied() else { return Ok(None) };
        let mut way = Way { nodes: vec![from], edges: Vec::new(), costs: Vec::new() };
        let (mut here, mut hops) = (from, Vec::new());
        while here != self.to {
            hops.clear();
            self.walk.ahead(here, &mut hops);
            let mut best: Option<(&str, f64, Hop, Far)> = None;
            for hop in &hops {
                if here == from && barred.next.contains(&hop.other) {
                    continue;
                }
                let Some(rest) = far.get(&hop.other) else { continue };
                let step = self.cost.of_edge(hop.weight, hop.edge)?;
                if rest.after(step) != here_far {
                    continue;
                }
                let id = self.walk.id(hop.other);
                let first = best.is_none_or(|(held_id, held, held_hop, _)| {
                    let steps = step.total_cmp(&held).then(hop.edge.cmp(&held_hop.edge));
                    id.cmp(held_id).then(steps).is_lt()
                });
                if first {
                    best = Some((id, step, *hop, *rest));
                }
            }
            // There is one: the distance came over it.
            let Some((_, step, hop, rest)) = best else { return Ok(None) };
            way.nodes.push(hop.other);
            way.edges.push(hop.edge);
            way.costs.push(step);
            (here, here_far) = (hop.other, rest);
        }
        Ok(Some(way))
    }

    /// How far it is to the goal, for `from` and all that is nearer.
    fn distances(&self, from: u32, barred: &Barred) -> Result<HashMap<u32, Far>> {
        let goal = Far { cost: 0.0, hops: 0 };
        let mut far = HashMap::from([(self.to, goal)]);
        let mut open = BinaryHeap::from([Reverse((goal, self.to))]);
        let mut hops = Vec::new();
        while let Some(Reverse((here_far, here))) = open.pop() {
            // What is as near as `from` is still looked at, so that it does not depend on the order.
            if far.get(&from).is_some_and(|found| here_far > *found) {
                break;
            }
            if here == from || far.get(&here).is_some_and(|held| *held < here_far) {
                continue;
            }
            hops.clear();
            self.walk.behind(here, &mut hops);
            for hop in &hops {
                let kept_off = hop.other == from && barred.next.contains(&here);
                if kept_off || barred.nodes.contains(&hop.other) {
                    continue;
                }
                let reached = here_far.after(self.cost.of_edge(hop.weight, hop.edge)?);
                if !reached.cost.is_finite() {
                    return Err(Error::invalid(
                        "graph.path",
                        "costs add up to more than a number holds; set a floor for weights",
                    )
                    .with("edge", hop.edge));
                }
                if far.get(&hop.other).is_none_or(|held| reached < *held) {
                    far.insert(hop.other, reached);
                    open.push(Reverse((reached, hop.other)));
                }
            }
        }
        Ok(far)
    }
}

impl Far {
    /// One step further off.
    fn after(self, step: f64) -> Self {
        Self { cost: step + self.cost, hops: self.hops + 1 }
    }
}

/// A way that waits for its turn, in order of cost, edges and ids.
struct Candidate {
    far: Far,
    ids: Vec<String>,
    way: Way,
    branched: usize,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.far.cmp(&other.far).then_with(|| self.ids.cmp(&other.ids))
    }
}
