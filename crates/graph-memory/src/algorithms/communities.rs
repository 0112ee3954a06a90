//! Communities: groups with more edges inside than chance would give.
//!
//! The Leiden algorithm (Traag, Waltman, van Eck 2019): nodes move to the community that gains most modularity,
//! communities are refined into connected parts, parts become nodes, and so on until nothing moves. Where the
//! paper picks parts at random, the best one is taken here, so that the answer depends on graph and seed alone.

use std::collections::{HashMap, VecDeque};

use hexmem_ports::{Error, Result};
use petgraph::unionfind::UnionFind;

use super::components::Groups;
use super::projection::Projection;

/// The least gain of modularity (times the weight of all edges) that is worth a move: above what rounding makes.
const GAIN: f64 = 1e-12;

/// The algorithm goes over its own answer at most so often ...
const PASSES: u32 = 10;

/// ... as long as a pass gains this much modularity.
const WORTH: f64 = 1e-4;

/// How communities are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommunityOptions {
    /// More gives smaller communities, less larger ones; more than 0. Default 1: plain modularity.
    pub resolution: f64,
    /// In which order nodes are looked at; another seed may find another, as good answer.
    pub seed: u64,
}

impl Default for CommunityOptions {
    fn default() -> Self {
        Self { resolution: 1.0, seed: 0 }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Communities {
    /// Each is connected; a node without edges is one of its own.
    pub groups: Groups,
    /// How much more weight lies inside than chance would put there, as a part of all: below 1; 0 without edges.
    pub modularity: f64,
}

impl Projection {
    /// Communities by modularity, over edges in either direction, whatever the projection's.
    ///
    /// `Invalid` for a negative edge weight or a resolution that is not above 0.
    pub fn communities(&self, options: &CommunityOptions) -> Result<Communities> {
        if !(options.resolution.is_finite() && options.resolution > 0.0) {
            return Err(Error::invalid(
                "graph.communities",
                "the resolution is more than 0, usually 1",
            ));
        }
        self.check_weights("graph.communities")?;
        let base = Level::of(self);
        let mut best: Option<(Vec<u32>, f64)> = None;
        for pass in 0..PASSES {
            let start =
                best.as_ref().map_or_else(|| self.places().collect(), |held| held.0.clone());
            let seed = options.seed.wrapping_add(u64::from(pass) << 32);
            let labels = self.connected(&leiden(&base, options.resolution, seed, start));
            let modularity = base.modularity(&labels, options.resolution);
            let gain = best.as_ref().map_or(f64::INFINITY, |held| modularity - held.1);
            if gain > 0.0 {
                best = Some((labels, modularity));
            }
            if gain < WORTH {
                break;
            }
        }
        let (labels, modularity) = best.unwrap_or_default();
        Ok(Communities { groups: Groups::labelled(&labels), modularity })
    }
}

impl Projection {
    /// Labels under which only what hangs together stays together. Refinement sees to it already but where
    /// rounding decides; taking apart what no edge joins never costs modularity.
    fn connected(&self, labels: &[u32]) -> Vec<u32> {
        let mut sets = UnionFind::<u32>::new(labels.len());
        for link in self.links().iter().filter(|link| link.weight > 0.0) {
            if labels[link.src as usize] == labels[link.dst as usize] {
                sets.union(link.src, link.dst);
            }
        }
        sets.into_labeling()
    }
}

/// A weighted graph whose edges have no direction, all weights together 1 or none.
struct Level {
    /// For each node its neighbours and the weight between, by neighbour, itself aside.
    near: Vec<Vec<(u32, f64)>>,
    /// The weight of loops.
    inside: Vec<f64>,
    /// The weight at each node: loops count twice.
    degree: Vec<f64>,
}

impl Level {
    fn of(graph: &Projection) -> Self {
        // Relative to the greatest, then to the sum, so that sums stay finite.
        let links = || graph.links().iter().filter(|link| link.weight > 0.0);
        let most = links().map(|link| link.weight).fold(0.0, f64::max);
        let sum: f64 = links().map(|link| link.weight / most).sum();
        let mut level = Self::empty(graph.node_count());
        for link in links() {
            level.add(link.src, link.dst, link.weight / most / sum);
        }
        level.merged()
    }

    fn empty(nodes: usize) -> Self {
        Self { near: vec![Vec::new(); nodes], inside: vec![0.0; nodes], degree: vec![0.0; nodes] }
    }

    fn add(&mut self, a: u32, b: u32, weight: f64) {
        if a == b {
            self.inside[a as usize] += weight;
        } else {
            self.near[a as usize].push((b, weight));
            self.near[b as usize].push((a, weight));
        }
    }

    /// With one entry a neighbour, and the degrees.
    fn merged(mut self) -> Self {
        for (node, near) in self.near.iter_mut().enumerate() {
            near.sort_by_key(|(other, _)| *other); // stable: sums do not depend on chance
            near.dedup_by(|next, held| {
                let same = next.0 == held.0;
                if same {
                    held.1 += next.1;
                }
                same
            });
            let out: f64 = near.iter().map(|(_, weight)| weight).sum();
            self.degree[node] = out + 2.0 * self.inside[node];
        }
        self
    }

    fn nodes(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.near.len()).unwrap_or(u32::MAX)
    }

    /// The graph of parts: each becomes a node. Labels are 0, 1, ...
    fn folded(&self, labels: &[u32], parts: usize) -> Self {
        let mut level = Self::empty(parts);
        for node in self.nodes() {
            let here = labels[node as usize];
            level.inside[here as usize] += self.inside[node as usize];
            for (other, weight) in &self.near[node as usize] {
                if *other > node {
                    level.add(here, labels[*other as usize], *weight);
                }
            }
        }
        level.merged()
    }

    fn modularity(&self, labels: &[u32], resolution: f64) -> f64 {
        let mut inside = vec![0.0; labels.len()];
        let mut degree = vec![0.0; labels.len()];
        for node in self.nodes() {
            let here = labels[node as usize];
            inside[here as usize] += self.inside[node as usize];
            degree[here as usize] += self.degree[node as usize];
            for (other, weight) in &self.near[node as usize] {
                if labels[*other as usize] == here {
                    inside[here as usize] += weight / 2.0;
                }
            }
        }
        let parts = inside.iter().zip(&degree);
        parts.map(|(inside, degree)| inside - resolution * (degree / 2.0).powi(2)).sum()
    }
}

/// The community of each node, beginning with those of `start`.
fn leiden(base: &Level, resolution: f64, seed: u64, start: Vec<u32>) -> Vec<u32> {
    // The node of the current level that holds each node, and the community of each of those.
    let mut holder: Vec<u32> = base.nodes().collect();
    let mut of = start;
    let mut folded: Option<Level> = None;
    for round in 0_u64.. {
        let level = folded.as_ref().unwrap_or(base);
        move_nodes(level, &mut of, resolution, seed.wrapping_add(round));
        let mut parts = refine(level, &of, resolution);
        let count = renumber(&mut parts);
        if count == level.near.len() {
            break; // nothing can be put together any more
        }
        let mut part_of = vec![0; count];
        for (part, community) in parts.iter().zip(&of) {
            part_of[*part as usize] = *community;
        }
        renumber(&mut part_of);
        let next = level.folded(&parts, count);
        holder.iter_mut().for_each(|held| *held = parts[*held as usize]);
        (of, folded) = (part_of, Some(next));
    }
    holder.into_iter().map(|held| of[held as usize]).collect()
}

/// Labels as 0, 1, ... in the order they come; gives how many.
fn renumber(labels: &mut [u32]) -> usize {
    let mut numbers: HashMap<u32, u32> = HashMap::new();
    for label in labels {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *label = *numbers.entry(*label).or_insert(next);
    }
    numbers.len()
}

/// The weight between a node and each community near it, kept from node to node.
struct Near {
    weight: Vec<f64>,
    touched: Vec<u32>,
}

impl Near {
    fn of(nodes: usize) -> Self {
        Self { weight: vec![-1.0; nodes], touched: Vec::new() }
    }

    fn gather(&mut self, near: impl Iterator<Item = (u32, f64)>) {
        for label in self.touched.drain(..) {
            self.weight[label as usize] = -1.0;
        }
        for (label, weight) in near {
            let held = &mut self.weight[label as usize];
            if *held < 0.0 {
                *held = 0.0;
                self.touched.push(label);
            }
            *held += weight;
        }
    }

    fn to(&self, label: u32) -> f64 {
        self.weight[label as usize].max(0.0)
    }
}

/// Moves nodes to where they gain most, until none gains; who loses a neighbour is looked at again.
fn move_nodes(level: &Level, of: &mut [u32], resolution: f64, seed: u64) {
    let nodes = level.near.len();
    let mut degree = vec![0.0; nodes];
    let mut size = vec![0_u32; nodes];
    for (label, at) in of.iter().zip(&level.degree) {
        degree[*label as usize] += at;
        size[*label as usize] += 1;
    }
    let mut empty: Vec<u32> = level.nodes().filter(|label| size[*label as usize] == 0).collect();
    let mut order: Vec<u32> = level.nodes().collect();
    shuffle(&mut order, seed);
    let mut queue: VecDeque<u32> = order.into();
    let mut queued = vec![true; nodes];
    let mut near = Near::of(nodes);
    while let Some(node) = queue.pop_front() {
        let at = node as usize;
        queued[at] = false;
        near.gather(level.near[at].iter().map(|(other, weight)| (of[*other as usize], *weight)));
        let here = of[at];
        degree[here as usize] -= level.degree[at];
        size[here as usize] -= 1;
        let gain = |label: u32, degree: &[f64]| {
            near.to(label) - resolution * level.degree[at] * degree[label as usize] / 2.0
        };
        // Of equal gains the place where it is, then the smallest label.
        let mut best = (here, gain(here, &degree));
        for label in &near.touched {
            let gains = gain(*label, &degree);
            let ahead = gains - best.1;
            if ahead > GAIN || (ahead.abs() <= GAIN && best.0 != here && *label < best.0) {
                best = (*label, gains);
            }
        }
        if best.1 < -GAIN
            && let Some(alone) = empty.pop()
        {
            best = (alone, 0.0);
        }
        degree[best.0 as usize] += level.degree[at];
        size[best.0 as usize] += 1;
        if best.0 == here {
            continue;
        }
        if size[here as usize] == 0 {
            empty.push(here);
        }
        of[at] = best.0;
        for (other, _) in &level.near[at] {
            if of[*other as usize] != best.0 && !queued[*other as usize] {
                queued[*other as usize] = true;
                queue.push_back(*other);
            }
        }
    }
}

/// Parts of each community that hang together: nodes that are alone join the part they gain most from.
fn refine(level: &Level, of: &[u32], resolution: f64) -> Vec<u32> {
    let nodes = level.near.len();
    let mut whole = vec![0.0; nodes];
    for (label, at) in of.iter().zip(&level.degree) {
        whole[*label as usize] += at;
    }
    let mut part: Vec<u32> = level.nodes().collect();
    let mut degree = level.degree.clone();
    let mut size = vec![1_u32; nodes];
    // The weight from each part to the rest of its community.
    let mut tied: Vec<f64> = level
        .nodes()
        .map(|node| {
            let near = level.near[node as usize].iter();
            let inside = near.filter(|(other, _)| of[*other as usize] == of[node as usize]);
            inside.map(|(_, weight)| weight).sum()
        })
        .collect();
    let mut near = Near::of(nodes);
    for node in level.nodes() {
        let at = node as usize;
        let community = whole[of[at] as usize];
        // "Well connected" in the paper: enough weight to the rest of the community.
        let bound = |degree: f64, tied: f64| {
            tied + GAIN >= resolution * degree * (community - degree) / 2.0
        };
        if size[part[at] as usize] != 1 || !bound(level.degree[at], tied[at]) {
            continue;
        }
        let inside = level.near[at].iter().filter(|(other, _)| of[*other as usize] == of[at]);
        near.gather(inside.map(|(other, weight)| (part[*other as usize], *weight)));
        let mut best: Option<(u32, f64)> = None;
        for label in &near.touched {
            let l = *label as usize;
            let gains = near.to(*label) - resolution * level.degree[at] * degree[l] / 2.0;
            let first = best.is_none_or(|(held, most)| {
                gains - most > GAIN || ((gains - most).abs() <= GAIN && *label < held)
            });
            if gains > GAIN && first && bound(degree[l], tied[l]) {
                best = Some((*label, gains));
            }
        }
        let Some((join, _)) = best else { continue };
        let j = join as usize;
        tied[j] = tied[j] + tied[at] - 2.0 * near.to(join);
        degree[j] += level.degree[at];
        size[j] += 1;
        size[part[at] as usize] = 0;
        part[at] = join;
    }
    part
}

/// Fisher and Yates with splitmix64.
pub(crate) fn shuffle(list: &mut [u32], seed: u64) {
    let mut state = seed;
    for upto in (1..list.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let random = u128::from(z ^ (z >> 31));
        // The upper half of the product lies below `upto + 1`.
        let pick = (random * (upto as u128 + 1)) >> 64;
        list.swap(upto, usize::try_from(pick).unwrap_or(upto));
    }
}
