//! Centrality and communities.

use hexmem_graph_memory::{
    CentralityOptions, CommunityOptions, Projection, ProjectionQuery, Weights,
};
use hexmem_ports::{Direction, ErrorKind};
use proptest::prelude::*;

use crate::draw::{Drawn, assert_close, direction, drawn, given, run};
use crate::groups::named;
use crate::support::World;

async fn project(drawn: &Drawn, direction: Direction, weights: Weights) -> Projection {
    let memory = drawn.put(&World::new()).await;
    let query = ProjectionQuery { direction, weights, ..ProjectionQuery::default() };
    memory.project(&query).await.unwrap()
}

/// The number of shortest paths between each two nodes.
fn path_counts(drawn: &Drawn, direction: Direction, far: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut joined = vec![vec![false; drawn.nodes]; drawn.nodes];
    for (from, to, _) in drawn.steps(direction) {
        joined[from][to] = from != to;
    }
    let mut counts = vec![vec![0.0; drawn.nodes]; drawn.nodes];
    for from in 0..drawn.nodes {
        counts[from][from] = 1.0;
        let mut order: Vec<usize> =
            (0..drawn.nodes).filter(|to| far[from][*to].is_finite()).collect();
        order.sort_by(|a, b| far[from][*a].total_cmp(&far[from][*b]));
        for to in order {
            for by in 0..drawn.nodes {
                if joined[by][to] && far[from][by] + 1.0 == far[from][to] {
                    counts[from][to] += counts[from][by];
                }
            }
        }
    }
    counts
}

/// Modularity by its formula: over all pairs, the weight between less what chance would put there.
fn modularity(drawn: &Drawn, of: &[u32], resolution: f64) -> f64 {
    let mut between = vec![vec![0.0; drawn.nodes]; drawn.nodes];
    for &(a, b, weight) in &drawn.edges {
        between[a][b] += weight;
        between[b][a] += weight;
    }
    let degree: Vec<f64> = between.iter().map(|row| row.iter().sum()).collect();
    let twice: f64 = degree.iter().sum();
    let mut sum = 0.0;
    for a in 0..drawn.nodes {
        for b in 0..drawn.nodes {
            if of[a] == of[b] && twice > 0.0 {
                sum += between[a][b] - resolution * degree[a] * degree[b] / twice;
            }
        }
    }
    if twice > 0.0 { sum / twice } else { 0.0 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn centrality_is_that_of_all_shortest_paths(drawn in drawn(), direction in direction()) {
        run(async {
            let graph = project(&drawn, direction, Weights::Edge).await;
            let found = graph.centrality(&CentralityOptions::default()).unwrap();
            let far = drawn.hops(direction);
            let counts = path_counts(&drawn, direction, &far);
            let others = drawn.nodes as f64 - 1.0;
            for at in 0..drawn.nodes {
                let met: Vec<f64> = (0..drawn.nodes)
                    .filter(|from| *from != at)
                    .map(|from| far[from][at])
                    .filter(|hops| hops.is_finite())
                    .collect();
                let (number, sum) = (met.len() as f64, met.iter().sum::<f64>());
                let closeness = if sum > 0.0 { number / sum * number / others } else { 0.0 };
                let harmonic: f64 = met.iter().map(|hops| hops.recip()).sum();
                let mut over = 0.0;
                for from in (0..drawn.nodes).filter(|from| *from != at) {
                    for to in (0..drawn.nodes).filter(|to| *to != at && *to != from) {
                        if far[from][at] + far[at][to] == far[from][to] && far[from][to].is_finite() {
                            over += counts[from][at] * counts[at][to] / counts[from][to];
                        }
                    }
                }
                let pairs = others * (others - 1.0);
                let over = if drawn.nodes > 2 { over / pairs } else { 0.0 };
                assert_close(
                    &[found.closeness[at], found.harmonic[at], found.betweenness[at]],
                    &[closeness, harmonic, over],
                    1e-9,
                );
                let ends = drawn.edges.iter().flat_map(|(src, dst, _)| [*src, *dst]);
                assert_eq!(found.degree[at], ends.filter(|end| *end == at).count() as f64);
            }
        });
    }

    #[test]
    fn communities_hang_together_and_their_modularity_is_the_formulas(
        drawn in drawn(),
        seed in any::<u64>(),
        resolution in 0.2..3.0_f64,
    ) {
        run(async {
            let graph = project(&drawn, Direction::Out, Weights::Edge).await;
            let options = CommunityOptions { resolution, seed };
            let found = graph.communities(&options).unwrap();
            assert_eq!(graph.communities(&options).unwrap(), found);
            let of = found.groups.of();
            assert!((found.modularity - modularity(&drawn, of, resolution)).abs() < 1e-9);
            let alone: Vec<u32> = graph.ids().iter().zip(0..).map(|(_, place)| place).collect();
            assert!(found.modularity >= modularity(&drawn, &alone, resolution) - 1e-9);
            // Edges of weight 0 join nothing.
            let inside = drawn.edges.iter().filter(|(a, b, w)| of[*a] == of[*b] && *w > 0.0);
            let inside = Drawn { nodes: drawn.nodes, edges: inside.copied().collect() };
            let far = inside.hops(Direction::Both);
            for a in 0..drawn.nodes {
                for b in 0..drawn.nodes {
                    assert!(of[a] != of[b] || far[a][b].is_finite(), "{a} and {b}");
                }
            }
        });
    }
}

/// NetworkX 3.6.1 over `DiGraph` and `Graph`: `betweenness_centrality`, `closeness_centrality`,
/// `harmonic_centrality`.
#[test]
fn centrality_is_that_of_networkx() {
    run(async {
        for (direction, betweenness, closeness, harmonic) in [
            (
                Direction::Out,
                [0.095238095238, 0.071428571429, 0.095238095238, 0.0, 0.0, 0.0, 0.0, 0.0],
                [
                    0.257142857143,
                    0.214285714286,
                    0.428571428571,
                    0.0,
                    0.228571428571,
                    0.142857142857,
                    0.142857142857,
                    0.0,
                ],
                [2.0, 1.833333333333, 3.0, 0.0, 2.083333333333, 1.0, 1.0, 0.0],
            ),
            (
                Direction::Both,
                [0.0, 0.142857142857, 0.142857142857, 0.0, 0.0, 0.0, 0.0, 0.0],
                [
                    0.380952380952,
                    0.457142857143,
                    0.457142857143,
                    0.285714285714,
                    0.285714285714,
                    0.142857142857,
                    0.142857142857,
                    0.0,
                ],
                [3.0, 3.5, 3.5, 2.333333333333, 2.333333333333, 1.0, 1.0, 0.0],
            ),
        ] {
            let graph = project(&given(), direction, Weights::Edge).await;
            let found = graph.centrality(&CentralityOptions::default()).unwrap();
            assert_close(&found.betweenness, &betweenness, 1e-11);
            assert_close(&found.closeness, &closeness, 1e-11);
            assert_close(&found.harmonic, &harmonic, 1e-11);
            assert_eq!(found.pivots, 8);
        }
    });
}

/// Zachary's karate club (1977) with its weights, as NetworkX 3.6.1 has it.
fn karate() -> Drawn {
    let edges = include_str!("karate.txt").lines().map(|line| {
        let numbers: Vec<usize> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        (numbers[0], numbers[1], numbers[2] as f64)
    });
    Drawn { nodes: 34, edges: edges.collect() }
}

/// The best of 200 runs of NetworkX 3.6.1's `louvain_communities`, by its `modularity`.
#[test]
fn communities_of_the_karate_club_are_the_known_best() {
    run(async {
        for (weights, networkx) in
            [(Weights::Even, 0.41978961209730437), (Weights::Edge, 0.44490358126721763)]
        {
            let graph = project(&karate(), Direction::Both, weights).await;
            let options = |seed| CommunityOptions { seed, ..CommunityOptions::default() };
            let runs: Vec<_> =
                (0..10).map(|seed| graph.communities(&options(seed)).unwrap()).collect();
            for found in &runs {
                assert!(found.modularity > networkx - 0.02, "{}", found.modularity);
            }
            let best = runs.iter().max_by(|a, b| a.modularity.total_cmp(&b.modularity)).unwrap();
            assert!((best.modularity - networkx).abs() < 1e-12, "{}", best.modularity);
            let sizes: Vec<usize> = named(&best.groups, &graph).iter().map(Vec::len).collect();
            assert_eq!(sizes, [12, 11, 6, 5]);
        }
        let graph = project(&karate(), Direction::Both, Weights::Even).await;
        let found = graph.centrality(&CentralityOptions::default()).unwrap();
        let ids: Vec<&str> =
            graph.ordered(&found.betweenness)[..3].iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["n00", "n33", "n32"]);
        assert_close(&found.betweenness[..1], &[0.437635281385], 1e-11);
        assert_close(&found.closeness[..1], &[0.568965517241], 1e-11);
        // Estimates from half of the nodes stay near, and each pivot counts once.
        let half = CentralityOptions { pivots: Some(17), seed: 1 };
        let half = graph.centrality(&half).unwrap();
        assert_eq!(half.pivots, 17);
        assert!((half.closeness[0] - found.closeness[0]).abs() < 0.1);
        let all = CentralityOptions { pivots: Some(1_000), seed: 9 };
        assert_eq!(graph.centrality(&all).unwrap(), found);
    });
}

#[test]
fn bad_options_are_named_and_ladders_of_diamonds_give_numbers() {
    run(async {
        // 1,200 diamonds in a row: 2^1200 shortest paths.
        let mut edges = Vec::new();
        for rung in 0..1_200 {
            let at = rung * 3;
            edges.extend([
                (at, at + 1, 1.0),
                (at, at + 2, 1.0),
                (at + 1, at + 3, 1.0),
                (at + 2, at + 3, 1.0),
            ]);
        }
        let ladder = Drawn { nodes: 3_601, edges };
        let graph = project(&ladder, Direction::Out, Weights::Even).await;
        let few = CentralityOptions { pivots: Some(3), seed: 0 };
        let found = graph.centrality(&few).unwrap();
        assert!(found.betweenness.iter().all(|value| (0.0..=1.0).contains(value)));
        let none = CentralityOptions { pivots: Some(0), seed: 0 };
        assert_eq!(graph.centrality(&none).unwrap_err().kind(), ErrorKind::Invalid);
        for resolution in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let options = CommunityOptions { resolution, seed: 0 };
            assert_eq!(graph.communities(&options).unwrap_err().kind(), ErrorKind::Invalid);
        }
    });
}
