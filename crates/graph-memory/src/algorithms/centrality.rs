//! Centrality: how much a node stands in the middle of things.

use hexmem_ports::{Error, Result};

use super::communities::shuffle;
use super::projection::Projection;

/// Up to this many nodes every node is a pivot, by default.
pub const EXACT_UPTO: usize = 5_000;

/// The pivots of a larger graph, by default.
pub const PIVOTS: usize = 256;

/// From how many nodes distances are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CentralityOptions {
    /// The number of pivots, at least 1; beyond the number of nodes: all, which is exact. `None`: all up to
    /// [`EXACT_UPTO`] nodes, [`PIVOTS`] beyond.
    pub pivots: Option<usize>,
    /// Which pivots.
    pub seed: u64,
}

/// Measures for each place of a projection. Distances are hops in the projection's direction; parallel edges
/// are one step and loops none.
#[derive(Debug, Clone, PartialEq)]
pub struct Centrality {
    /// Edge ends at the node: a loop has two there.
    pub degree: Vec<f64>,
    /// Weight of those.
    pub strength: Vec<f64>,
    /// The part of the shortest paths between two other nodes that lead over this one, 0 to 1 (Brandes 2001).
    pub betweenness: Vec<f64>,
    /// How near the others are that reach this node: 1 / mean distance, times their part of all others
    /// (Wasserman and Faust 1994).
    pub closeness: Vec<f64>,
    /// The sum over the others of 1 / distance to this node.
    pub harmonic: Vec<f64>,
    /// How many nodes the last three were measured from; with fewer than all they are estimates (Brandes and
    /// Pich 2007).
    pub pivots: usize,
}

impl Projection {
    /// Degree, betweenness, closeness and harmonic centrality. With all nodes as pivots it takes
    /// O(|V| |E|), with p of them O(p |E|).
    pub fn centrality(&self, options: &CentralityOptions) -> Result<Centrality> {
        let nodes = self.node_count();
        let pivots = options.pivots.unwrap_or(if nodes <= EXACT_UPTO { nodes } else { PIVOTS });
        if options.pivots == Some(0) {
            return Err(Error::invalid("graph.centrality", "there is at least one pivot"));
        }
        let mut order: Vec<u32> = self.places().collect();
        if pivots < nodes {
            shuffle(&mut order, options.seed);
            order.truncate(pivots);
            order.sort_unstable();
        }
        let mut walk = Walked::of(nodes);
        let mut found = Centrality {
            degree: vec![0.0; nodes],
            strength: vec![0.0; nodes],
            betweenness: vec![0.0; nodes],
            closeness: vec![0.0; nodes],
            harmonic: vec![0.0; nodes],
            pivots: order.len(),
        };
        for link in self.links() {
            for end in [link.src, link.dst] {
                found.degree[end as usize] += 1.0;
                found.strength[end as usize] += link.weight;
            }
        }
        let (mut far, mut met) = (vec![0_u64; nodes], vec![0_u32; nodes]);
        for pivot in &order {
            walk.from(self, *pivot);
            for place in walk.order.iter().skip(1) {
                let at = *place as usize;
                let hops = walk.hops[at];
                far[at] += u64::from(hops);
                met[at] += 1;
                found.harmonic[at] += f64::from(hops).recip();
            }
            walk.depend(self, &mut found.betweenness);
        }
        let is_pivot = |place: usize| {
            u32::try_from(place).is_ok_and(|place| order.binary_search(&place).is_ok())
        };
        let others = nodes.saturating_sub(1) as f64;
        let pairs = others * (others - 1.0);
        for at in 0..nodes {
            // Pivots other than the node itself; exact: all others.
            let asked = order.len().saturating_sub(usize::from(is_pivot(at))) as f64;
            if asked > 0.0 {
                let met = f64::from(met[at]);
                let near = if met > 0.0 { met / far[at] as f64 } else { 0.0 };
                found.closeness[at] = near * met / asked;
                found.harmonic[at] *= others / asked;
            }
            let scale = nodes as f64 / order.len() as f64;
            found.betweenness[at] =
                if nodes > 2 { (found.betweenness[at] * scale / pairs).min(1.0) } else { 0.0 };
        }
        Ok(found)
    }
}

/// A breadth-first search from one node, its arrays used again and again.
struct Walked {
    /// `u32::MAX`: not reached.
    hops: Vec<u32>,
    /// Shortest paths to the node, relative; a number, as there may be more than 2^64.
    paths: Vec<f64>,
    depends: Vec<f64>,
    /// Places by distance.
    order: Vec<u32>,
}

impl Walked {
    fn of(nodes: usize) -> Self {
        Self {
            hops: vec![u32::MAX; nodes],
            paths: vec![0.0; nodes],
            depends: vec![0.0; nodes],
            order: Vec::new(),
        }
    }

    fn from(&mut self, graph: &Projection, start: u32) {
        for place in self.order.drain(..) {
            let at = place as usize;
            (self.hops[at], self.paths[at], self.depends[at]) = (u32::MAX, 0.0, 0.0);
        }
        (self.hops[start as usize], self.paths[start as usize]) = (0, 1.0);
        self.order.push(start);
        let (mut next, mut level) = (0, 0);
        while let Some(here) = self.order.get(next).copied() {
            next += 1;
            let hops = self.hops[here as usize];
            if hops > level {
                // The first of its level: all of the level are known, and their paths counted.
                level = hops;
                self.tame(next - 1);
            }
            let paths = self.paths[here as usize];
            for there in graph.forward().neighbours(here) {
                let at = there as usize;
                if self.hops[at] == u32::MAX {
                    self.hops[at] = hops + 1;
                    self.order.push(there);
                }
                if self.hops[at] == hops + 1 {
                    self.paths[at] += paths;
                }
            }
        }
    }

    /// Numbers of paths can grow beyond every number: a level's are scaled down together, which changes no
    /// ratio within it.
    fn tame(&mut self, first: usize) {
        const MANY: f64 = 1e200;
        let most = self.order[first..].iter().map(|p| self.paths[*p as usize]).fold(0.0, f64::max);
        if most > MANY {
            for place in &self.order[first..] {
                self.paths[*place as usize] /= most;
            }
        }
    }

    /// Adds what the shortest paths from the start lead over (Brandes' accumulation).
    fn depend(&mut self, graph: &Projection, betweenness: &mut [f64]) {
        let Self { hops, paths, depends, order } = self;
        for here in order.iter().skip(1).rev() {
            let at = *here as usize;
            let above = || {
                let near = graph.backward().neighbours(*here);
                near.filter(|before| hops[*before as usize].wrapping_add(1) == hops[at])
            };
            let ways: f64 = above().map(|before| paths[before as usize]).sum();
            let share = (1.0 + depends[at]) / ways;
            for before in above() {
                depends[before as usize] += paths[before as usize] * share;
            }
            betweenness[at] += depends[at];
        }
    }
}
