//! The change log and the head.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use hexmem_ports::{
    AsOf, Compact, EdgeFilter, Element, ElementRef, ErrorKind, GraphBatch, GraphChange, GraphId,
    LoggedChange, NodeFilter, Revision,
};

use super::fixture::*;
use crate::{Rig, name};

/// One change drawn at random among few elements.
fn drawn(draw: &mut Draw) -> GraphChange {
    let id = |draw: &mut Draw| format!("n{}", draw.below(6));
    let seed = draw.below(8) + 1;
    let n = u128::from(seed);
    match draw.below(10) {
        0..4 => put_n(&id(draw), draw.below(3)),
        4..7 => {
            // The ends of an edge belong to its id.
            let ends = Draw(seed).below(6);
            link(n, &format!("n{ends}"), "r", &format!("n{}", (ends + 1) % 6))
        }
        7 => remove(&id(draw)),
        8 => unlink(n),
        _ if draw.one_in(2) => GraphChange::PurgeNode(name(id(draw))),
        _ => GraphChange::PurgeEdge(edge_id(n)),
    }
}

/// Follows the log from `after` to its end, by pages of `rows`.
async fn follow(
    store: &Graphs,
    g: &GraphId,
    mut after: Revision,
    rows: u32,
) -> (Vec<LoggedChange>, Revision) {
    let mut all = Vec::new();
    loop {
        let log = store.changes(g, after, limit(rows)).await.unwrap();
        assert!(log.upto <= log.head && log.upto >= after);
        assert!(log.changes.iter().all(|c| after < c.revision && c.revision <= log.upto));
        if log.upto == after {
            assert_eq!((log.upto, log.changes.len()), (log.head, 0), "a log that does not go on");
            return (all, after);
        }
        after = log.upto;
        all.extend(log.changes);
    }
}

/// `GRAPH-LOG-1`
pub async fn graph_log_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let mut draw = Draw(7);
    let mut revisions = Vec::new();
    for _ in 0..120 {
        let changes = (0..=draw.below(4)).map(|_| drawn(&mut draw)).collect();
        let Ok(applied) = rig.store.apply(&g, GraphBatch::new(changes)).await else { continue };
        if revisions.last() != Some(&applied.revision) && applied.revision > Revision(0) {
            revisions.push(applied.revision);
        }
        if draw.one_in(3) {
            rig.clock.advance(1).await;
        }
    }
    assert!(revisions.len() > 30, "the draws make changes");
    for rows in [1, 7, 1_000] {
        let (log, upto) = follow(&rig.other, &g, Revision(0), rows).await;
        let mut seen: Vec<_> = log.iter().map(|change| change.revision).collect();
        assert!(seen.is_sorted(), "in the order of revisions");
        seen.dedup();
        assert_eq!(seen, revisions, "each batch once");
        assert_eq!(Some(&upto), revisions.last());
        let mut replayed: BTreeMap<ElementRef, Element> = BTreeMap::new();
        for change in log {
            match change.state {
                Some(state) => replayed.insert(change.element, state),
                None => replayed.remove(&change.element),
            };
        }
        let nodes = all_nodes(&rig.store, &g, &NodeFilter::default(), AsOf::ALL, 100).await;
        let edges = all_edges(&rig.store, &g, &EdgeFilter::default(), AsOf::ALL, 100).await;
        let current: BTreeMap<_, _> = nodes
            .into_iter()
            .map(|node| (ElementRef::Node(node.id.clone()), Element::Node(node)))
            .chain(edges.into_iter().map(|e| (ElementRef::Edge(e.id), Element::Edge(e))))
            .collect();
        assert_eq!(replayed, current, "the log replays to the current graph");
    }
}

/// `GRAPH-LOG-2`
pub async fn graph_log_2(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, g, done) = (Arc::clone(&rig.other), g.clone(), Arc::clone(&done));
        async move {
            let (mut after, mut seen) = (Revision(0), Vec::new());
            loop {
                let last = done.load(Ordering::Acquire);
                let log = store.changes(&g, after, limit(3)).await.unwrap();
                if last && log.upto == after && log.head == after {
                    return seen;
                }
                for change in &log.changes {
                    assert!(change.revision > after, "an earlier revision came later");
                }
                after = log.upto;
                seen.extend(
                    log.changes.into_iter().map(|change| (change.revision, change.element)),
                );
                tokio::task::yield_now().await;
            }
        }
    });
    let writers = (0..6).map(|writer| {
        let store = Arc::clone(if writer % 2 == 0 { &rig.store } else { &rig.other });
        let g = g.clone();
        tokio::spawn(async move {
            for n in 0..15 {
                let id = |part| put(&format!("w{writer}-{n}-{part}"));
                apply(&store, &g, vec![id(0), id(1)]).await;
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|written| written.unwrap());
    done.store(true, Ordering::Release);
    let mut seen = reader.await.unwrap();
    assert!(seen.is_sorted_by_key(|(revision, _)| *revision));
    assert_eq!(seen.len(), 180, "nothing is missed, nothing comes twice");
    seen.sort_by(|a, b| a.1.cmp(&b.1));
    seen.dedup_by(|a, b| a.1 == b.1);
    assert_eq!(seen.len(), 180);
}

/// `GRAPH-LOG-3`
pub async fn graph_log_3(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let log = rig.store.changes(&g, Revision(0), limit(10)).await.unwrap();
    assert_eq!((log.changes.len(), log.upto, log.head), (0, Revision(0), Revision(0)));
    for n in 0..5 {
        apply(&rig.store, &g, vec![put_n("a", n)]).await;
    }
    let head = rig.store.head(&g).await.unwrap().unwrap();
    assert_eq!(head.log_start, Revision(0));
    let log = rig.other.changes(&g, head.revision, limit(10)).await.unwrap();
    assert_eq!((log.changes.len(), log.upto, log.head), (0, head.revision, head.revision));
    let beyond = Revision(head.revision.0 + 1);
    let error = rig.other.changes(&g, beyond, limit(10)).await.expect_err("beyond the head");
    assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    let old = Compact { log_upto: Some(Revision(3)), history_before: None };
    rig.store.compact(&g, old).await.unwrap();
    assert_eq!(rig.other.head(&g).await.unwrap().unwrap().log_start, Revision(3));
    for behind in 0..3 {
        let error = rig.other.changes(&g, Revision(behind), limit(10)).await.expect_err("behind");
        assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    }
    let log = rig.other.changes(&g, Revision(3), limit(10)).await.unwrap();
    let revisions: Vec<_> = log.changes.iter().map(|change| change.revision.0).collect();
    assert_eq!(revisions, [4, 5]);
    rig.store.delete(&g, vec![]).await.unwrap();
    let error = rig.other.changes(&g, head.revision, limit(10)).await.expect_err("deleted");
    assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    let log = rig.store.changes(&g, Revision(0), limit(10)).await.unwrap();
    assert_eq!((log.changes.len(), log.upto, log.head), (0, Revision(0), Revision(0)));
}

/// `GRAPH-HEAD-1`
pub async fn graph_head_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    assert_eq!(rig.store.head(&g).await.unwrap(), None);
    assert_eq!(node(&rig.store, &g, "a").await, None);
    assert_eq!(rig.store.stats(&g, AsOf::ALL).await.unwrap().nodes, 0);
    rig.store.compact(&g, Compact::default()).await.unwrap();
    assert_eq!(rig.other.head(&g).await.unwrap(), None, "reading makes no graph");
    let first = apply(&rig.store, &g, vec![put_n("a", 1)]).await;
    rig.clock.advance(1).await;
    let second = apply(&rig.other, &g, vec![put_n("a", 2), put("b")]).await;
    apply(&rig.other, &g, vec![remove("never")]).await;
    assert_eq!((first.revision, second.revision), (Revision(1), Revision(2)));
    let head = rig.store.head(&g).await.unwrap().unwrap();
    assert_eq!((head.revision, head.log_start), (Revision(2), Revision(0)));
    assert_eq!((head.created_at, head.updated_at), (first.recorded_at, second.recorded_at));
}
