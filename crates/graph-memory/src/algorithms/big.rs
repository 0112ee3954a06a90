//! Every algorithm on a graph of 100,000 nodes: it ends, does not overflow a stack, and gives numbers.

use hexmem_ports::{Direction, EdgeId, Name};
use uuid::Uuid;

use super::{
    CentralityOptions, CommunityOptions, Cost, Link, Projection, RankOptions, Search, Seed,
};

const NODES: u32 = 100_000;

/// A chain through all nodes, and two edges of each node to pseudo-random earlier ones, the lower the likelier.
fn graph(nodes: u32, direction: Direction) -> Projection {
    let ids = (0..nodes).map(|place| Name::new(format!("node {place:06}")).unwrap()).collect();
    let mut links = Vec::new();
    let mut state = 7_u64;
    let mut link = |src: u32, dst: u32| {
        let id = EdgeId(Uuid::from_u128(links.len() as u128));
        links.push(Link { id, weight: f64::from(1 + src % 5), src, dst });
    };
    for place in 1..nodes {
        link(place - 1, place);
        for _ in 0..2 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let below = u32::try_from(state >> 33).unwrap() % place;
            link(place, below.min(u32::try_from(state >> 40).unwrap() % place));
        }
    }
    Projection::new(ids, links, direction).unwrap()
}

fn all_numbers(scores: &[f64]) -> bool {
    scores.iter().all(|score| score.is_finite() && *score >= 0.0)
}

#[test]
fn a_hundred_thousand_nodes_directed() {
    let graph = graph(NODES, Direction::Out);
    assert_eq!((graph.components().len(), graph.strong_components().len()), (1, 1));
    let options = RankOptions { tolerance: 1e-4, ..RankOptions::default() };
    let ranking = graph.rank(&options, &[]).unwrap();
    assert!(ranking.converged && all_numbers(&ranking.scores));
    assert!((ranking.scores.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    let seed = Seed::new(graph.ids()[77].clone());
    assert!(all_numbers(&graph.rank(&options, &[seed]).unwrap().scores));
    let search = Search { walk: &graph, cost: Cost::Strength, from: 5, to: NODES - 1 };
    assert_eq!(search.one().unwrap().unwrap().nodes.len(), 99_995, "only the chain leads up");
    let few = CentralityOptions { pivots: Some(2), seed: 0 };
    assert!(all_numbers(&graph.centrality(&few).unwrap().betweenness));
}

#[test]
fn a_hundred_thousand_nodes_either_way() {
    // A fifth: several passes without optimisation take long.
    let found =
        graph(NODES / 5, Direction::Both).communities(&CommunityOptions::default()).unwrap();
    assert!(found.groups.len() > 1 && found.modularity > 0.1, "{}", found.modularity);
    let graph = graph(NODES, Direction::Both);
    let search = Search { walk: &graph, cost: Cost::Weight, from: 5, to: NODES - 1 };
    let way = search.one().unwrap().unwrap();
    assert!(way.nodes.len() > 2 && way.cost() > 0.0);
}
