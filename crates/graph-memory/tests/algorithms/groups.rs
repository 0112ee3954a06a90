//! Components.

use hexmem_graph_memory::{Groups, Projection, ProjectionQuery};
use hexmem_ports::Direction;
use proptest::prelude::*;

use crate::draw::{Drawn, drawn, given, run};
use crate::support::World;

pub(crate) fn named(groups: &Groups, graph: &Projection) -> Vec<Vec<String>> {
    groups.members(graph).map(|group| group.map(ToString::to_string).collect()).collect()
}

/// Nodes that reach each other, by Floyd and Warshall.
fn together(drawn: &Drawn, direction: Direction) -> Vec<Vec<String>> {
    let far = drawn.hops(direction);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (place, row) in far.iter().enumerate() {
        let mutual = |other: usize| row[other].is_finite() && far[other][place].is_finite();
        match groups.iter_mut().find(|group| mutual(group[0])) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
    let id = |place: &usize| Drawn::id(*place).to_string();
    groups.iter().map(|group| group.iter().map(id).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn components_are_nodes_that_reach_each_other(drawn in drawn()) {
        run(async {
            let world = World::new();
            let memory = drawn.put(&world).await;
            let out = ProjectionQuery { direction: Direction::Out, ..ProjectionQuery::default() };
            let out = memory.project(&out).await.unwrap();
            let both = memory.load().await.unwrap().project(&ProjectionQuery::default()).unwrap();
            let weak = together(&drawn, Direction::Both);
            assert_eq!(named(&out.components(), &out), weak);
            assert_eq!(named(&both.components(), &both), weak);
            assert_eq!(named(&both.strong_components(), &both), weak);
            let strong = out.strong_components();
            assert_eq!(named(&strong, &out), together(&drawn, Direction::Out));
            for (group, members) in strong.members(&out).enumerate() {
                for id in members {
                    assert_eq!(strong.of()[out.place(id).unwrap()] as usize, group);
                }
            }
        });
    }
}

/// NetworkX 3.6.1: `weakly_connected_components`, `strongly_connected_components`.
#[test]
fn components_are_those_of_networkx() {
    run(async {
        let world = World::new();
        let memory = given().put(&world).await;
        let out = ProjectionQuery { direction: Direction::Out, ..ProjectionQuery::default() };
        let graph = memory.project(&out).await.unwrap();
        let sizes = |groups: Groups| -> Vec<usize> {
            groups.members(&graph).map(|members| members.len()).collect()
        };
        assert_eq!(sizes(graph.components()), [5, 2, 1]);
        assert_eq!(sizes(graph.strong_components()), [3, 2, 1, 1, 1]);
    });
}
