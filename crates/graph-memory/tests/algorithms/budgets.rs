//! What a budget leaves is a beginning.

use hexmem_graph_memory::{Budget, CutBy};
use hexmem_ports::{NeighbourQuery, Neighbourhood};
use proptest::prelude::*;

use crate::draw::{Drawn, drawn, run};
use crate::support::World;

fn bytes(found: &Neighbourhood) -> u64 {
    let nodes = found.nodes.iter().map(|reached| serde_json::to_string(reached).unwrap().len());
    let edges = found.edges.iter().map(|edge| serde_json::to_string(edge).unwrap().len());
    u64::try_from(nodes.chain(edges).sum::<usize>()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_neighbourhood_is_cut_to_its_nearest_nodes_and_their_edges(
        drawn in drawn(),
        seed in 0..9_usize,
        most in 0..4_000_u64,
        nodes in proptest::option::of(0..10_u64),
    ) {
        run(async {
            let world = World::new();
            let memory = drawn.put(&world).await;
            let query =
                NeighbourQuery::new(vec![Drawn::id(seed)], 4, hexmem_ports::Limit::default());
            let whole = memory.neighbours(&query).await.unwrap();
            let budget = Budget { nodes, ..Budget::default().bytes(most) };
            let (kept, account) = budget.neighbourhood(whole.clone()).unwrap();
            assert_eq!(kept.nodes, whole.nodes[..kept.nodes.len()]);
            let inside = |id: &hexmem_ports::Name| kept.nodes.iter().any(|reached| reached.node.id == *id);
            let among = whole.edges.iter().filter(|edge| inside(&edge.src) && inside(&edge.dst));
            assert_eq!(kept.edges, among.cloned().collect::<Vec<_>>());
            assert_eq!(account.spent.bytes, bytes(&kept));
            assert!(account.spent.bytes <= most && account.spent.nodes <= nodes.unwrap_or(99));
            let left = whole.nodes.len() - kept.nodes.len();
            assert_eq!(account.cut.map_or(0, |cut| cut.left_out), u64::try_from(left).unwrap());
            match account.cut.map(|cut| cut.by) {
                None => assert_eq!(kept, whole),
                Some(CutBy::Nodes) => assert_eq!(Some(account.spent.nodes), nodes),
                // The next node would have been too much.
                Some(_) => {
                    let next = Budget::default().nodes(account.spent.nodes + 1);
                    assert!(bytes(&next.neighbourhood(whole).unwrap().0) > most);
                }
            }
        });
    }
}
