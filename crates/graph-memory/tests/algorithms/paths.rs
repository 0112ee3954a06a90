//! Shortest paths, one and several.

use hexmem_graph_memory::{Cost, Path, PathQuery};
use hexmem_ports::{Direction, ErrorKind, GraphBatch, Limit, Name};
use proptest::prelude::*;

use crate::draw::{Drawn, direction, drawn, edge, node, run};
use crate::support::{World, name};

/// A path to compare by: cost, number of edges, ids.
type Key = (f64, usize, Vec<String>);

/// Every path without repetition, cheapest first, then by the number of edges, then by ids.
fn all_paths(drawn: &Drawn, direction: Direction, from: usize, to: usize, cost: Cost) -> Vec<Key> {
    let mut steps = vec![vec![None::<f64>; drawn.nodes]; drawn.nodes];
    for (src, dst, weight) in drawn.steps(direction) {
        let step = cost.of(weight).unwrap();
        let cell = &mut steps[src][dst];
        *cell = Some(cell.map_or(step, |held| held.min(step)));
    }
    let mut found = Vec::new();
    let mut open = vec![(vec![from], 0.0)];
    while let Some((way, sum)) = open.pop() {
        let here = way[way.len() - 1];
        if here == to {
            let ids = way.iter().map(|place| Drawn::id(*place).to_string()).collect();
            found.push((sum, way.len() - 1, ids));
            continue;
        }
        for (there, step) in steps[here].iter().enumerate() {
            if let Some(step) = step.filter(|_| !way.contains(&there)) {
                let mut longer = way.clone();
                longer.push(there);
                open.push((longer, sum + step));
            }
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| (a.1, &a.2).cmp(&(b.1, &b.2))));
    found
}

fn key(path: &Path) -> Key {
    (path.cost, path.edges.len(), path.nodes.iter().map(Name::to_string).collect())
}

fn assert_joined(path: &Path, direction: Direction) {
    assert_eq!(path.nodes.len(), path.edges.len() + 1);
    for (pair, edge) in path.nodes.windows(2).zip(&path.edges) {
        let out = edge.src == pair[0] && edge.dst == pair[1];
        let back = edge.dst == pair[0] && edge.src == pair[1];
        assert!(match direction {
            Direction::Out => out,
            Direction::In => back,
            Direction::Both => out || back,
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn paths_are_the_cheapest_of_all(
        mut drawn in drawn(),
        direction in direction(),
        ends in (0..9_usize, 0..9_usize),
        count in 1..6_u32,
        whole in any::<bool>(),
    ) {
        // Whole weights make ties, and sums that do not depend on their order.
        if whole {
            drawn.edges.iter_mut().for_each(|(_, _, weight)| *weight = weight.round());
        }
        run(async {
            let world = World::new();
            let memory = drawn.put(&world).await;
            let mirror = memory.load().await.unwrap();
            for cost in [Cost::Hops, Cost::Weight] {
                let query = PathQuery {
                    direction,
                    cost,
                    ..PathQuery::new(Drawn::id(ends.0), Drawn::id(ends.1))
                };
                let there = ends.0 < drawn.nodes && ends.1 < drawn.nodes;
                let wanted = if there {
                    all_paths(&drawn, direction, ends.0, ends.1, cost)
                } else {
                    Vec::new()
                };
                let best = memory.path(&query).await.unwrap();
                assert_eq!(mirror.path(&query).unwrap(), best);
                let limit = Limit::new(count).unwrap();
                let several = memory.paths(&query, limit).await.unwrap();
                assert_eq!(mirror.paths(&query, limit).unwrap(), several);
                assert_eq!(several.first(), best.as_ref());
                several.iter().for_each(|path| assert_joined(path, direction));
                let found: Vec<Key> = several.iter().map(key).collect();
                let count = wanted.len().min(limit.as_usize());
                assert_eq!(found.len(), count);
                if whole || cost == Cost::Hops {
                    assert_eq!(found, wanted[..count]);
                }
                for (found, wanted) in found.iter().zip(&wanted) {
                    assert!((found.0 - wanted.0).abs() < 1e-9);
                }
            }
        });
    }
}

/// Distances between four nodes, and one that is far off by weight but near by hops.
async fn diamond(world: &World) -> hexmem_graph_memory::GraphMemory {
    let memory = world.graph("g");
    let mut changes: Vec<_> = ["a", "b", "c", "d"].map(|id| node(name(id), "k")).to_vec();
    changes.push(node(name("x"), "other"));
    for (number, (src, dst, weight)) in [
        ("a", "b", 0.5),
        ("b", "d", 0.5),
        ("a", "c", 0.9),
        ("c", "d", 0.8),
        ("a", "x", 1.0),
        ("x", "d", 1.0),
    ]
    .into_iter()
    .enumerate()
    {
        changes.push(edge(number, name(src), name(dst), weight));
    }
    memory.apply(GraphBatch::new(changes)).await.unwrap();
    memory
}

#[test]
fn costs_read_weights_as_they_say_and_types_keep_off() {
    run(async {
        let world = World::new();
        let memory = diamond(&world).await;
        let mirror = memory.load().await.unwrap();
        for (cost, kinds, by, sum) in [
            (Cost::Hops, vec![], "b", 2.0),
            (Cost::Weight, vec![], "b", 1.0),
            (Cost::Strength, vec![], "x", 2.0),
            (Cost::Unlikeness, vec![], "x", 0.0),
            (Cost::Unlikelihood, vec![], "x", 0.0),
            (Cost::Strength, vec!["k"], "c", 0.9_f64.recip() + 0.8_f64.recip()),
            (Cost::Unlikelihood, vec!["k"], "c", -(0.9_f64 * 0.8).ln()),
            (Cost::Hops, vec!["other"], "x", 2.0),
        ] {
            let query = PathQuery {
                cost,
                kinds: kinds.into_iter().map(name).collect(),
                ..PathQuery::new(name("a"), name("d"))
            };
            let path = memory.path(&query).await.unwrap().unwrap();
            assert_eq!(path.nodes, [name("a"), name(by), name("d")], "{query:?}");
            assert!((path.cost - sum).abs() < 1e-12);
            assert_eq!(mirror.path(&query).unwrap(), Some(path));
        }
        let three = Limit::new(9).unwrap();
        let query = PathQuery { cost: Cost::Unlikelihood, ..PathQuery::new(name("a"), name("d")) };
        let paths = memory.paths(&query, three).await.unwrap();
        let chances: Vec<f64> = paths.iter().map(|path| (-path.cost).exp()).collect();
        assert!((chances[1] - 0.72).abs() < 1e-12 && (chances[2] - 0.25).abs() < 1e-12);
        let here = PathQuery::new(name("a"), name("a"));
        assert_eq!(memory.path(&here).await.unwrap().unwrap().edges, []);
        assert_eq!(memory.paths(&here, three).await.unwrap().len(), 1);
        assert_eq!(mirror.paths(&PathQuery::new(name("a"), name("z")), three).unwrap(), []);
    });
}

#[test]
fn a_weight_without_a_cost_is_named_and_a_floor_keeps_it_out() {
    run(async {
        for (weight, cost) in [
            (-1.0, Cost::Weight),
            (0.0, Cost::Strength),
            (-1.0, Cost::Strength),
            (1.5, Cost::Unlikeness),
            (0.0, Cost::Unlikelihood),
            (f64::MAX, Cost::Weight),
        ] {
            let world = World::new();
            let memory = diamond(&world).await;
            let mut changes = vec![edge(90, name("a"), name("d"), weight)];
            if weight == f64::MAX {
                // The sum of two is beyond every number.
                changes = vec![node(name("e"), "k"), node(name("f"), "k")];
                changes.push(edge(90, name("d"), name("e"), weight));
                changes.push(edge(91, name("e"), name("f"), weight));
            }
            memory.apply(GraphBatch::new(changes)).await.unwrap();
            let to = if weight == f64::MAX { "f" } else { "d" };
            let query = PathQuery { cost, ..PathQuery::new(name("a"), name(to)) };
            let error = memory.path(&query).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(format!("{error:?}").contains("edge"), "{error:?}");
            let mirror = memory.load().await.unwrap();
            assert_eq!(mirror.path(&query).unwrap_err().kind(), ErrorKind::Invalid);
            if weight <= 0.0 {
                let floor = PathQuery { min_weight: Some(0.1), ..query };
                assert!(memory.path(&floor).await.unwrap().is_some());
            }
        }
    });
}

#[test]
fn the_past_has_its_own_paths() {
    run(async {
        let world = World::new();
        let memory = diamond(&world).await;
        let then = world.now();
        world.pass(60);
        let gone = hexmem_ports::GraphChange::RemoveNode {
            id: name("x"),
            expect: hexmem_ports::Expect::Any,
        };
        memory.apply(GraphBatch::new(vec![gone])).await.unwrap();
        let as_of = hexmem_ports::AsOf { known: Some(then), ..hexmem_ports::AsOf::default() };
        let query = PathQuery { cost: Cost::Strength, ..PathQuery::new(name("a"), name("d")) };
        let past = PathQuery { as_of, ..query.clone() };
        assert_eq!(memory.path(&past).await.unwrap().unwrap().nodes[1], name("x"));
        assert_eq!(memory.path(&query).await.unwrap().unwrap().nodes[1], name("c"));
    });
}
