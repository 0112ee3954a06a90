//! PageRank, also from given nodes.
//!
//! petgraph 0.8 has `page_rank` too; each of its rounds looks at every pair of nodes (its documentation says
//! O(|V|^2 |E|)), knows no weights, no seeds and no tolerance. This one is a power iteration over the edges:
//! O(|V| + |E|) a round.

use hexmem_ports::{Error, Name, Result};

use super::projection::Projection;

/// How a walk goes on, and when counting stops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankOptions {
    /// The chance to follow an edge rather than to start anew: at least 0, less than 1. Default 0.85, as in
    /// Brin and Page 1998.
    pub damping: f64,
    /// Stop when the scores (they sum to 1) changed by less than this in all. Default 1e-8.
    pub tolerance: f64,
    /// Stop after this many rounds at the latest: 1 to 10,000. Default 200, in which a damping of 0.85 gets
    /// below the default tolerance.
    pub max_iterations: u32,
}

impl Default for RankOptions {
    fn default() -> Self {
        Self { damping: 0.85, tolerance: 1e-8, max_iterations: 200 }
    }
}

impl RankOptions {
    fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::invalid("graph.rank", what));
        if !(0.0..1.0).contains(&self.damping) {
            return wrong("damping is at least 0 and less than 1, usually 0.85");
        }
        if !(self.tolerance.is_finite() && self.tolerance > 0.0) {
            return wrong("the tolerance is more than 0, usually 0.00000001");
        }
        if !(1..=10_000).contains(&self.max_iterations) {
            return wrong("rounds are 1 to 10000");
        }
        Ok(())
    }
}

/// A node to start from.
#[derive(Debug, Clone, PartialEq)]
pub struct Seed {
    /// Which; one that is not there is left out.
    pub id: Name,
    /// How much it counts beside the other seeds: finite, not negative.
    pub weight: f64,
}

impl Seed {
    /// A seed of weight 1.
    pub fn new(id: Name) -> Self {
        Self { id, weight: 1.0 }
    }
}

/// What ranking found.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// A score for each place of the projection. They sum to 1; all are 0 where no seed is there.
    pub scores: Vec<f64>,
    /// Rounds it took.
    pub iterations: u32,
    /// By how much the last round changed the scores in all.
    pub change: f64,
    /// Whether that was below the tolerance.
    pub converged: bool,
}

impl Projection {
    /// PageRank: where a walk is found that follows an edge with the chance `damping`, the heavier the
    /// likelier, and starts anew otherwise or where no edge leads on: anywhere without seeds, else at a seed in
    /// proportion to its weight (personalised PageRank: what is near and well connected to the seeds).
    ///
    /// `Invalid` for a negative edge weight and for options beyond their bounds.
    pub fn rank(&self, options: &RankOptions, seeds: &[Seed]) -> Result<Ranking> {
        options.check()?;
        self.check_weights("graph.rank")?;
        let Some(restart) = self.restart(seeds)? else {
            let scores = vec![0.0; self.node_count()];
            return Ok(Ranking { scores, iterations: 0, change: 0.0, converged: true });
        };
        let flow = Flow::of(self);
        let mut scores = restart.clone();
        let mut next = vec![0.0; scores.len()];
        let (mut change, mut iterations) = (f64::INFINITY, 0);
        while iterations < options.max_iterations && change >= options.tolerance {
            flow.round(self, &scores, &restart, options.damping, &mut next);
            change = scores.iter().zip(&next).map(|(old, new)| (old - new).abs()).sum();
            std::mem::swap(&mut scores, &mut next);
            iterations += 1;
        }
        Ok(Ranking { scores, iterations, change, converged: change < options.tolerance })
    }

    /// Where the walk starts anew: chances that sum to 1. `None` when there is nowhere.
    fn restart(&self, seeds: &[Seed]) -> Result<Option<Vec<f64>>> {
        let nodes = self.node_count();
        if seeds.is_empty() {
            let even = 1.0 / nodes as f64;
            return Ok((nodes > 0).then(|| vec![even; nodes]));
        }
        for seed in seeds {
            if !(seed.weight.is_finite() && seed.weight >= 0.0) {
                return Err(Error::invalid(
                    "graph.rank",
                    "a seed's weight is finite and not negative",
                )
                .with("seed", &seed.id)
                .with("weight", seed.weight));
            }
        }
        // Scaled by the greatest, so that the sum is finite.
        let most = seeds.iter().map(|seed| seed.weight).fold(0.0, f64::max);
        if most <= 0.0 {
            return Err(Error::invalid(
                "graph.rank",
                "all seeds weigh 0; give one of them a weight",
            ));
        }
        let mut restart = vec![0.0; nodes];
        for seed in seeds {
            if let Some(place) = self.place(&seed.id) {
                restart[place] += seed.weight / most;
            }
        }
        let sum: f64 = restart.iter().sum();
        if sum <= 0.0 {
            return Ok(None);
        }
        restart.iter_mut().for_each(|chance| *chance /= sum);
        Ok(Some(restart))
    }

    /// Over which edge a place got most of its score, and from which place. `None` where none leads to it
    /// with a score.
    pub(crate) fn strongest(
        &self,
        flow: &Flow,
        ranking: &Ranking,
        place: u32,
    ) -> Option<(u32, u32)> {
        let steps = self.backward().at(place).iter().zip(flow.into(self, place));
        let mut best: Option<(f64, u32, u32)> = None;
        for (step, share) in steps.filter(|(step, _)| step.to != place) {
            let brought = ranking.scores[step.to as usize] * share;
            if brought > best.map_or(0.0, |(most, ..)| most) {
                best = Some((brought, step.to, step.edge));
            }
        }
        best.map(|(_, from, edge)| (from, edge))
    }
}

/// Which share of its end's score each edge carries on.
pub(crate) struct Flow {
    /// In the order of the projection's backward steps.
    shares: Vec<f64>,
    /// Places from which no edge with a weight leads on.
    stuck: Vec<u32>,
}

impl Flow {
    pub(crate) fn of(graph: &Projection) -> Self {
        let mut stuck = Vec::new();
        // Weights are taken relative to the greatest at their place: sums stay finite, shares exact.
        let outs: Vec<(f64, f64)> = graph
            .places()
            .map(|place| {
                let weights = || {
                    graph.forward().at(place).iter().map(|s| graph.links()[s.edge as usize].weight)
                };
                let most = weights().fold(0.0, f64::max);
                if most <= 0.0 {
                    stuck.push(place);
                    return (1.0, 1.0);
                }
                (most, weights().map(|weight| weight / most).sum())
            })
            .collect();
        let share = |step: &super::projection::Step| {
            let (most, sum) = outs[step.to as usize];
            graph.links()[step.edge as usize].weight / most / sum
        };
        Self { shares: graph.backward().steps().iter().map(share).collect(), stuck }
    }

    /// The shares of the steps that lead to `place`.
    fn into<'a>(&'a self, graph: &Projection, place: u32) -> &'a [f64] {
        &self.shares[graph.backward().range(place as usize)]
    }

    fn round(
        &self,
        graph: &Projection,
        scores: &[f64],
        restart: &[f64],
        damping: f64,
        next: &mut [f64],
    ) {
        let lost: f64 = self.stuck.iter().map(|place| scores[*place as usize]).sum();
        // What neither a start anew nor a dead end takes goes along the edges; all of it sums to 1.
        let anew = 1.0 - damping + damping * lost;
        for ((place, next), chance) in graph.places().zip(next).zip(restart) {
            let steps = graph.backward().at(place).iter().zip(self.into(graph, place));
            let brought: f64 = steps.map(|(step, share)| scores[step.to as usize] * share).sum();
            *next = damping * brought + anew * chance;
        }
    }
}
