//! The purge of orphans.

use hexmem_ports::{AsOf, ErrorKind, GraphBatch, GraphChange};

use super::fixture::*;
use crate::{Rig, name};

/// `GRAPH-APPLY-11`
pub async fn graph_apply_11(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let orphan = |id: &str| GraphChange::PurgeOrphan(name(id));
    let purge = |n| GraphChange::PurgeEdge(edge_id(n));
    let there = async |id: &str| node(&rig.other, &g, id).await.is_some();
    let made = ["a", "b", "c", "d", "alone", "ended"].map(put);
    let edges = [link(1, "a", "r", "b"), link(2, "b", "r", "c"), link(3, "d", "r", "d")];
    apply(&rig.store, &g, made.into_iter().chain(edges).collect()).await;
    apply(&rig.store, &g, vec![remove("ended"), unlink(2)]).await;

    let head = rig.store.head(&g).await.unwrap();
    let all = ["a", "b", "c", "d", "nowhere"].map(orphan).into();
    apply(&rig.store, &g, all).await;
    assert_eq!(rig.other.head(&g).await.unwrap(), head, "all have edges, ended ones counted");
    apply(&rig.store, &g, ["alone", "ended", "alone"].map(orphan).into()).await;
    assert!(!there("alone").await);
    assert_eq!(history(&rig.other, &g, &node_ref("ended")).await, [], "no trace");

    // A purge counts from its place in the batch on; so does a put.
    apply(&rig.store, &g, vec![orphan("a"), purge(1), orphan("b")]).await;
    assert!(there("a").await && there("b").await);
    apply(&rig.store, &g, vec![purge(2), orphan("b"), orphan("c"), orphan("a")]).await;
    assert!(!there("a").await && !there("b").await && !there("c").await);
    let again = vec![purge(3), link(3, "d", "r", "d"), orphan("d"), purge(3)];
    apply(&rig.store, &g, again).await;
    assert!(there("d").await, "an edge put again counts");
    let via_node =
        vec![put("e"), link(4, "e", "r", "d"), GraphChange::PurgeNode(name("e")), orphan("d")];
    apply(&rig.store, &g, via_node).await;
    assert!(!there("d").await, "the edges of a purged node are gone");

    for round in 0..20u128 {
        let end = format!("x{round}");
        apply(&rig.store, &g, vec![put("hub"), put(&end)]).await;
        let new = GraphBatch::new(vec![link(100 + round, "hub", "r", &end)]);
        let gone = GraphBatch::new(vec![orphan(&end)]);
        let (put, _) = tokio::join!(rig.store.apply(&g, new), rig.other.apply(&g, gone));
        let edge = edge(&rig.store, &g, 100 + round, AsOf::ALL).await;
        match put {
            Ok(_) => assert!(edge.is_some() && there(&end).await, "the edge stays with its ends"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                assert!(edge.is_none() && !there(&end).await);
            }
        }
    }
}
