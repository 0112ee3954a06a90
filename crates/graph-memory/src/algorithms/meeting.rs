//! The shortest way by hops, searched from both ends, level by level.

use std::collections::HashMap;
use std::hash::Hash;

use hexmem_ports::EdgeId;

/// From which end a level is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// From the start, along edges.
    Start,
    /// From the goal, against them.
    Goal,
}

/// A search that grows the smaller of two balls until they meet. Who drives it says which edges there are; it
/// visits far less than one ball around the start would hold.
///
/// Of all ways of the fewest edges it finds the one whose nodes come first in order, node by node from the
/// start, and between two nodes the edge of the smallest id: the answer depends on the graph alone.
pub(crate) struct Meeting<K> {
    start: Ball<K>,
    goal: Ball<K>,
    met: Option<K>,
}

struct Ball<K> {
    reached: HashMap<K, Reached<K>>,
    /// The last level: from the start in order of the ways to its nodes.
    frontier: Vec<K>,
    /// The level that is being searched, by node: what the best way to it is ordered by.
    found: HashMap<K, Reached<K>>,
}

struct Reached<K> {
    /// The place of its way among those to its level.
    rank: usize,
    by: Option<(K, EdgeId)>,
}

impl<K: Clone + Ord + Hash> Ball<K> {
    fn around(centre: K) -> Self {
        let reached = HashMap::from([(centre.clone(), Reached { rank: 0, by: None })]);
        Self { reached, frontier: vec![centre], found: HashMap::new() }
    }
}

impl<K: Clone + Ord + Hash> Meeting<K> {
    pub(crate) fn new(start: K, goal: K) -> Self {
        let met = (start == goal).then(|| start.clone());
        Self { start: Ball::around(start), goal: Ball::around(goal), met }
    }

    /// The level to search next: a side and its nodes. `None` when the balls met or one cannot grow.
    pub(crate) fn level(&self) -> Option<(Side, Vec<K>)> {
        let (start, goal) = (&self.start.frontier, &self.goal.frontier);
        if self.met.is_some() || start.is_empty() || goal.is_empty() {
            return None;
        }
        Some(if start.len() <= goal.len() {
            (Side::Start, start.clone())
        } else {
            (Side::Goal, goal.clone())
        })
    }

    /// Whether `node` is new to a side.
    pub(crate) fn is_new(&self, side: Side, node: &K) -> bool {
        !self.ball(side).reached.contains_key(node)
    }

    /// An edge of the level that leads from `here`, one of its nodes, to `there`.
    pub(crate) fn offer(&mut self, side: Side, here: &K, edge: EdgeId, there: K) {
        let ball = match side {
            Side::Start => &mut self.start,
            Side::Goal => &mut self.goal,
        };
        if ball.reached.contains_key(&there) {
            return;
        }
        let Some(rank) = ball.reached.get(here).map(|at| at.rank) else { return };
        let better = |held: &Reached<K>| {
            let Some((held_here, held_edge)) = &held.by else { return false };
            match side {
                // Ways are ordered from the start on: by the way so far ...
                Side::Start => (rank, edge) < (held.rank, *held_edge),
                // ... and towards the goal by the next node.
                Side::Goal => (here, edge) < (held_here, *held_edge),
            }
        };
        if ball.found.get(&there).is_none_or(better) {
            ball.found.insert(there, Reached { rank, by: Some((here.clone(), edge)) });
        }
    }

    /// The nodes that the level found so far.
    pub(crate) fn found(&self, side: Side) -> Vec<K> {
        self.ball(side).found.keys().cloned().collect()
    }

    /// Leaves out nodes that the level found.
    pub(crate) fn retain(&mut self, side: Side, keep: impl Fn(&K) -> bool) {
        let ball = match side {
            Side::Start => &mut self.start,
            Side::Goal => &mut self.goal,
        };
        ball.found.retain(|node, _| keep(node));
    }

    /// The level is searched.
    pub(crate) fn close(&mut self, side: Side) {
        let (ball, other) = match side {
            Side::Start => (&mut self.start, &self.goal),
            Side::Goal => (&mut self.goal, &self.start),
        };
        let mut level: Vec<(K, Reached<K>)> = std::mem::take(&mut ball.found).into_iter().collect();
        level.sort_unstable_by(|(a, a_by), (b, b_by)| a_by.rank.cmp(&b_by.rank).then(a.cmp(b)));
        ball.frontier.clear();
        for (rank, (node, reached)) in level.into_iter().enumerate() {
            ball.frontier.push(node.clone());
            ball.reached.insert(node, Reached { rank, ..reached });
        }
        // All of them lie on the other side's last level, or the balls would have met before.
        let met = |node: &&K| other.reached.contains_key(*node);
        let both: Vec<K> = ball.frontier.iter().filter(met).cloned().collect();
        let start = &self.start.reached;
        self.met = both.into_iter().min_by_key(|node| start.get(node).map(|at| at.rank));
    }

    /// How many nodes were reached.
    pub(crate) fn reached(&self) -> usize {
        self.start.reached.len() + self.goal.reached.len()
    }

    /// The way, once the balls met: its nodes, and the edge between each and the next.
    pub(crate) fn way(&self) -> Option<(Vec<K>, Vec<EdgeId>)> {
        let met = self.met.clone()?;
        let (mut nodes, mut edges) = (vec![met.clone()], Vec::new());
        let mut here = &met;
        while let Some((before, edge)) = self.start.reached.get(here)?.by.as_ref() {
            nodes.push(before.clone());
            edges.push(*edge);
            here = before;
        }
        nodes.reverse();
        edges.reverse();
        here = &met;
        while let Some((next, edge)) = self.goal.reached.get(here)?.by.as_ref() {
            nodes.push(next.clone());
            edges.push(*edge);
            here = next;
        }
        Some((nodes, edges))
    }

    fn ball(&self, side: Side) -> &Ball<K> {
        match side {
            Side::Start => &self.start,
            Side::Goal => &self.goal,
        }
    }
}
