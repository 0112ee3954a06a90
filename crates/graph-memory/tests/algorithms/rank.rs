//! PageRank and recall.

use hexmem_graph_memory::{
    Budget, ProjectionQuery, RankOptions, RecallQuery, Seed, SeedsShown, Weights,
};
use hexmem_ports::{Direction, ErrorKind, Limit};
use proptest::prelude::*;

use crate::draw::{Drawn, assert_close, direction, drawn, edge, given, node, run};
use crate::support::{World, name};

const EXACT: RankOptions = RankOptions { damping: 0.85, tolerance: 1e-14, max_iterations: 10_000 };

fn part(direction: Direction) -> ProjectionQuery {
    ProjectionQuery { direction, ..ProjectionQuery::default() }
}

/// The stationary chances by dense matrix: straight from the definition.
fn dense(drawn: &Drawn, direction: Direction, damping: f64, restart: &[f64]) -> Vec<f64> {
    let nodes = drawn.nodes;
    let mut out = vec![vec![0.0; nodes]; nodes];
    for (from, to, weight) in drawn.steps(direction) {
        out[from][to] += weight;
    }
    for row in &mut out {
        let sum: f64 = row.iter().sum();
        for (to, cell) in row.iter_mut().enumerate() {
            *cell = if sum > 0.0 { *cell / sum } else { restart[to] };
        }
    }
    let mut scores = restart.to_vec();
    for _ in 0..600 {
        scores = (0..nodes)
            .map(|to| {
                let brought: f64 = (0..nodes).map(|from| scores[from] * out[from][to]).sum();
                damping * brought + (1.0 - damping) * restart[to]
            })
            .collect();
    }
    scores
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn ranks_are_those_of_the_dense_matrix_and_the_same_loaded_or_not(
        drawn in drawn(),
        direction in direction(),
        damping in 0.0..0.95_f64,
        seeds in proptest::collection::vec((0..12_usize, 0.1..3.0_f64), 0..3),
    ) {
        run(async {
            let world = World::new();
            let memory = drawn.put(&world).await;
            let graph = memory.project(&part(direction)).await.unwrap();
            let starts: Vec<Seed> = seeds
                .iter()
                .map(|(place, weight)| Seed { id: Drawn::id(*place), weight: *weight })
                .collect();
            let options = RankOptions { damping, ..EXACT };
            let found = graph.rank(&options, &starts).unwrap();
            let mut restart = vec![0.0; drawn.nodes];
            for (place, weight) in &seeds {
                if let Some(chance) = restart.get_mut(*place) {
                    *chance += weight;
                }
            }
            if seeds.is_empty() {
                restart.fill(1.0);
            }
            let sum: f64 = restart.iter().sum();
            if sum > 0.0 {
                restart.iter_mut().for_each(|chance| *chance /= sum);
                let wanted = dense(&drawn, direction, damping, &restart);
                assert_close(&found.scores, &wanted, 1e-9);
                assert!((found.scores.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            } else {
                assert!(found.scores.iter().all(|score| *score == 0.0));
            }
            assert!(found.converged);
            let mirror = memory.load().await.unwrap();
            let loaded = mirror.project(&part(direction)).unwrap();
            assert_eq!(loaded.ids(), graph.ids());
            // To the last bit.
            assert_eq!(loaded.rank(&options, &starts).unwrap(), found);
            let budget = Budget::default().nodes(3);
            let kept = memory.scored(&graph, &found.scores, part(direction).as_of, &budget).await;
            assert_eq!(mirror.scored(&loaded, &found.scores, &budget).unwrap(), kept.unwrap());
        });
    }

    #[test]
    fn recall_of_a_whole_component_is_personalised_rank_over_it(
        drawn in drawn(),
        seed in 0..10_usize,
    ) {
        run(async {
            let world = World::new();
            let memory = drawn.put(&world).await;
            let query = RecallQuery { hops: 32, options: EXACT, ..RecallQuery::new(vec![Seed::new(Drawn::id(seed))]) };
            let recall = memory.recall(&query).await.unwrap();
            assert_eq!(memory.load().await.unwrap().recall(&query).unwrap(), recall);
            let graph = memory.project(&ProjectionQuery::default()).await.unwrap();
            let scores = graph.rank(&EXACT, &query.seeds).unwrap().scores;
            for found in &recall.nodes {
                let place = graph.place(&found.node.id).unwrap();
                assert!((scores[place] - found.score).abs() < 1e-9);
                if let Some(via) = &found.via {
                    assert!(via.src == found.node.id || via.dst == found.node.id);
                }
                assert!(found.distance == 0 || found.via.is_some() || found.score == 0.0);
            }
            assert!(recall.nodes.is_sorted_by(|a, b| (b.score, &a.node.id) < (a.score, &b.node.id)));
        });
    }
}

/// NetworkX 3.6.1: `nx.pagerank(G, alpha, tol=1e-14, max_iter=10000, ...)` over `MultiDiGraph` and `MultiGraph`.
#[test]
fn ranks_are_those_of_networkx() {
    run(async {
        let world = World::new();
        let memory = given().put(&world).await;
        let out = memory.project(&part(Direction::Out)).await.unwrap();
        let both = memory.project(&part(Direction::Both)).await.unwrap();
        let even = ProjectionQuery { weights: Weights::Even, ..part(Direction::Out) };
        let even = memory.project(&even).await.unwrap();
        let seeds =
            [Seed { id: Drawn::id(0), weight: 1.0 }, Seed { id: Drawn::id(3), weight: 3.0 }];
        let scores = |graph: &hexmem_graph_memory::Projection, damping, seeds: &[Seed]| {
            graph.rank(&RankOptions { damping, ..EXACT }, seeds).unwrap().scores
        };
        let all = [
            (
                scores(&out, 0.85, &[]),
                [
                    0.103808127817,
                    0.075724799382,
                    0.362841568177,
                    0.02670429458,
                    0.048159654404,
                    0.17802863053,
                    0.17802863053,
                    0.02670429458,
                ],
            ),
            (
                scores(&out, 0.85, &seeds),
                [
                    0.169871098255,
                    0.080216907509,
                    0.600194691523,
                    0.126989178919,
                    0.022728123794,
                    0.0,
                    0.0,
                    0.0,
                ],
            ),
            (
                scores(&even, 0.5, &[]),
                [
                    0.126948775056,
                    0.115812917595,
                    0.213808463252,
                    0.073496659243,
                    0.102449888641,
                    0.146993318486,
                    0.146993318486,
                    0.073496659243,
                ],
            ),
            (
                scores(&both, 0.85, &[]),
                [
                    0.205428517041,
                    0.141373877769,
                    0.270625675966,
                    0.051649930922,
                    0.030222697602,
                    0.13986013986,
                    0.13986013986,
                    0.020979020979,
                ],
            ),
            (
                scores(&both, 0.85, &[Seed::new(Drawn::id(1))]),
                [
                    0.310843410061,
                    0.305588198994,
                    0.326575710258,
                    0.037011913829,
                    0.019980766857,
                    0.0,
                    0.0,
                    0.0,
                ],
            ),
        ];
        for (found, networkx) in all {
            assert_close(&found, &networkx, 1e-11);
        }
    });
}

#[test]
fn bad_questions_are_named_and_extreme_weights_give_numbers() {
    run(async {
        let world = World::new();
        let ends = |weights: [f64; 3]| Drawn {
            nodes: 3,
            edges: vec![(0, 1, weights[0]), (0, 2, weights[1]), (1, 2, weights[2])],
        };
        let extreme = ends([f64::MAX, f64::MAX, 5e-324]).put(&world).await;
        let graph = extreme.project(&part(Direction::Out)).await.unwrap();
        let found = graph.rank(&EXACT, &[]).unwrap();
        assert!(found.converged && found.scores.iter().all(|score| score.is_finite()));
        assert!((found.scores.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let starts: Vec<Seed> =
            (0..2).map(|place| Seed { id: Drawn::id(place), weight: f64::MAX }).collect();
        assert!(graph.rank(&EXACT, &starts).unwrap().scores.iter().all(|score| score.is_finite()));

        for options in [
            RankOptions { damping: 1.0, ..EXACT },
            RankOptions { damping: -0.1, ..EXACT },
            RankOptions { damping: f64::NAN, ..EXACT },
            RankOptions { tolerance: 0.0, ..EXACT },
            RankOptions { tolerance: f64::INFINITY, ..EXACT },
            RankOptions { max_iterations: 0, ..EXACT },
        ] {
            assert_eq!(graph.rank(&options, &[]).unwrap_err().kind(), ErrorKind::Invalid);
        }
        for weight in [-1.0, f64::NAN, f64::INFINITY, 0.0] {
            let seed = Seed { id: Drawn::id(0), weight };
            assert_eq!(graph.rank(&EXACT, &[seed]).unwrap_err().kind(), ErrorKind::Invalid);
        }
        let world = World::new();
        let negative = ends([1.0, -0.5, 1.0]).put(&world).await;
        let graph = negative.project(&part(Direction::Out)).await.unwrap();
        let error = graph.rank(&EXACT, &[]).unwrap_err();
        assert!(error.to_string().contains("negative") && error.kind() == ErrorKind::Invalid);
        let floor = ProjectionQuery { min_weight: Some(0.0), ..part(Direction::Out) };
        assert_eq!(negative.project(&floor).await.unwrap().edge_count(), 2);
        let few = RankOptions { max_iterations: 1, ..EXACT };
        let even = ProjectionQuery { weights: Weights::Even, ..part(Direction::Out) };
        let even = negative.project(&even).await.unwrap();
        assert!(!even.rank(&few, &[]).unwrap().converged);
    });
}

#[test]
fn recall_says_by_what_and_stays_within_reach_and_budget() {
    run(async {
        let world = World::new();
        let memory = world.graph("g");
        let ids = ["ada", "engine", "lace", "london"];
        let mut changes: Vec<_> = ids.iter().map(|id| node(name(id), "k")).collect();
        changes.push(edge(1, name("ada"), name("engine"), 3.0));
        changes.push(edge(2, name("ada"), name("london"), 1.0));
        changes.push(edge(3, name("engine"), name("lace"), 1.0));
        memory.apply(hexmem_ports::GraphBatch::new(changes)).await.unwrap();
        let query = RecallQuery::new(vec![Seed::new(name("ada")), Seed::new(name("nobody"))]);
        let recall = memory.recall(&query).await.unwrap();
        let order: Vec<&str> = recall.nodes.iter().map(|found| found.node.id.as_str()).collect();
        assert_eq!(order, ["ada", "engine", "london", "lace"]);
        assert_eq!(recall.nodes[3].via.as_ref().unwrap().src, name("engine"));
        assert_eq!(recall.nodes[3].distance, 2);

        let others = RecallQuery {
            seeds_shown: SeedsShown::LeftOut,
            budget: Budget::default().nodes(2),
            ..query.clone()
        };
        let others = memory.recall(&others).await.unwrap();
        assert_eq!(others.nodes, recall.nodes[1..3]);
        assert_eq!((others.ranked, others.account.cut.unwrap().left_out), (4, 1));

        let near = RecallQuery { reach: Limit::new(2).unwrap(), ..query.clone() };
        let near = memory.recall(&near).await.unwrap();
        assert!(near.truncated && near.ranked == 2);
        let nobody = RecallQuery::new(vec![Seed::new(name("nobody"))]);
        assert_eq!(memory.recall(&nobody).await.unwrap().nodes, []);
        assert_eq!(memory.recall(&RecallQuery::new(Vec::new())).await.unwrap().ranked, 0);
    });
}
