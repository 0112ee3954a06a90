//! Whole graphs: list, delete, compact.

use hexmem_ports::{
    AsOf, Compact, EdgeFilter, ErrorKind, GraphId, GraphStats, NodeFilter, Prefix, Revision,
    Tenant, ValidAt,
};

use super::fixture::*;
use crate::{Rig, awkward_names, other_tenant};

async fn listed(store: &Graphs, tenant: &Tenant, prefix: &str, rows: u32) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    let prefix = Prefix::new(prefix).unwrap();
    loop {
        let page = store.list(tenant, &prefix, cursor, limit(rows)).await.unwrap();
        assert!(page.items.len() <= rows as usize, "the limit holds");
        all.extend(page.items.into_iter().map(String::from));
        assert!(all.len() < 10_000, "the pages do not end");
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// `GRAPH-LIST-1`
pub async fn graph_list_1(rig: Rig<Graphs>) {
    let elsewhere = other_tenant();
    let mut names = awkward_names();
    for graph_name in &names {
        for tenant in [&rig.tenant, &elsewhere] {
            let g = GraphId::new(tenant.clone(), graph_name.clone());
            apply(&rig.store, &g, vec![put("a")]).await;
        }
    }
    apply(&rig.store, &graph(&rig, "idle"), vec![remove("a")]).await;
    apply(&rig.store, &graph(&rig, "gone"), vec![put("a")]).await;
    rig.store.delete(&graph(&rig, "gone"), vec![]).await.unwrap();
    apply(&rig.store, &GraphId::new(elsewhere, crate::name("theirs")), vec![put("a")]).await;
    names.sort();
    let expected: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    for rows in [1, 7, 1_000] {
        let mut found = listed(&rig.other, &rig.tenant, "", rows).await;
        found.sort();
        assert_eq!(found, expected);
    }
    for prefix in ["a", "%", "*", "\u{10ffff}", "e", "xx", "none"] {
        let mut found = listed(&rig.other, &rig.tenant, prefix, 2).await;
        found.sort();
        let matching = expected.iter().filter(|name| name.starts_with(prefix));
        assert_eq!(found, matching.cloned().collect::<Vec<_>>(), "prefix {prefix}");
    }
    assert_eq!(listed(&rig.store, &other_tenant(), "", 10).await, [] as [String; 0]);
}

/// `GRAPH-DELETE-1`
pub async fn graph_delete_1(rig: Rig<Graphs>) {
    let (g, other) = (graph(&rig, "g"), graph(&rig, "g2"));
    assert!(!rig.store.delete(&g, vec![]).await.unwrap());
    for graph in [&g, &other] {
        apply(&rig.store, graph, vec![put("a"), link(1, "a", "r", "a")]).await;
        apply(&rig.store, graph, vec![put_n("a", 2)]).await;
    }
    let old = rig.store.head(&g).await.unwrap().unwrap();
    let then = rig.clock.now().await;
    rig.clock.advance(1).await;
    assert!(rig.other.delete(&g, vec![]).await.unwrap());
    assert!(!rig.store.delete(&g, vec![]).await.unwrap(), "it is gone");
    assert_eq!(rig.store.head(&g).await.unwrap(), None);
    let of_old = NodeFilter { prefix: Prefix::new("a").unwrap(), ..NodeFilter::default() };
    let nothing = async || {
        for as_of in [AsOf::ALL, AsOf { valid: ValidAt::Any, known: Some(then) }] {
            assert_eq!(rig.store.nodes(&g, &names(&["a"]), as_of).await.unwrap(), [None]);
            assert_eq!(edge(&rig.store, &g, 1, as_of).await, None);
            assert_eq!(all_nodes(&rig.store, &g, &of_old, as_of, 10).await, []);
            assert_eq!(all_edges(&rig.store, &g, &EdgeFilter::default(), as_of, 10).await, []);
        }
        assert_eq!(history(&rig.store, &g, &node_ref("a")).await, []);
    };
    nothing().await;
    assert_eq!(rig.store.stats(&g, AsOf::ALL).await.unwrap(), GraphStats::default());
    assert_eq!(listed(&rig.other, &rig.tenant, "", 10).await, ["g2"]);
    assert_eq!(node(&rig.store, &other, "a").await.unwrap().version, 2, "others stay");

    rig.clock.advance(1).await;
    let new = apply(&rig.store, &g, vec![put("b")]).await;
    nothing().await;
    assert!(new.revision > old.revision, "revisions go on");
    for reader in [Revision(0), Revision(1), old.revision] {
        let error = rig.other.changes(&g, reader, limit(10)).await.expect_err("an old reader");
        assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    }
    let head = rig.other.head(&g).await.unwrap().unwrap();
    assert_eq!((head.revision, head.created_at), (new.revision, new.recorded_at));
    let log = rig.other.changes(&g, head.log_start, limit(10)).await.unwrap();
    assert_eq!((log.changes.len(), log.upto), (1, new.revision));
}

/// `GRAPH-COMPACT-1`
pub async fn graph_compact_1(rig: Rig<Graphs>) {
    let g = graph(&rig, "g");
    let mut times = Vec::new();
    for n in 0..6 {
        let applied =
            apply(&rig.store, &g, vec![put_n("a", n), put("still"), link(1, "a", "r", "a")]).await;
        times.push(applied.recorded_at);
        rig.clock.advance(1).await;
    }
    apply(&rig.store, &g, vec![put("gone")]).await;
    apply(&rig.store, &g, vec![remove("gone")]).await;
    rig.clock.advance(1).await;
    apply(&rig.store, &g, vec![put_n("a", 6)]).await;
    let reads = async || {
        let nodes = all_nodes(&rig.other, &g, &NodeFilter::default(), AsOf::ALL, 10).await;
        let edges = all_edges(&rig.other, &g, &EdgeFilter::default(), AsOf::ALL, 10).await;
        (nodes, edges, rig.other.stats(&g, AsOf::ALL).await.unwrap())
    };
    let (before, head) = (reads().await, rig.store.head(&g).await.unwrap().unwrap());
    let upto = Revision(4);
    let compact = Compact { log_upto: Some(upto), history_before: Some(times[3]) };
    rig.store.compact(&g, compact).await.unwrap();
    assert_eq!(reads().await, before, "current reads are unchanged");
    let now = rig.other.head(&g).await.unwrap().unwrap();
    assert_eq!((now.revision, now.log_start), (head.revision, upto));
    let error = rig.other.changes(&g, Revision(3), limit(10)).await.expect_err("behind");
    assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    let log = rig.other.changes(&g, upto, limit(100)).await.unwrap();
    assert_eq!(log.upto, head.revision);
    if rig.has(hexmem_ports::Capability::History) {
        // Version n ended at times[n]: those that ended before times[3] are gone.
        let versions: Vec<_> = history(&rig.other, &g, &node_ref("a"))
            .await
            .iter()
            .map(|version| version.version())
            .collect();
        assert_eq!(versions, [7, 6, 5, 4, 3]);
        assert_eq!(history(&rig.other, &g, &node_ref("gone")).await.len(), 1);
    }
    // A later position than the head, and the same again, are no errors.
    let all =
        Compact { log_upto: Some(Revision(9_999)), history_before: Some(rig.clock.now().await) };
    rig.store.compact(&g, all).await.unwrap();
    rig.store.compact(&g, compact).await.unwrap();
    let now = rig.other.head(&g).await.unwrap().unwrap();
    assert_eq!((now.revision, now.log_start), (head.revision, head.revision));
    assert_eq!(history(&rig.other, &g, &node_ref("gone")).await, [], "nothing is left of it");
    assert_eq!(reads().await, before);
    let next = apply(&rig.store, &g, vec![put("next")]).await;
    let log = rig.other.changes(&g, head.revision, limit(100)).await.unwrap();
    assert_eq!((log.changes.len(), log.upto), (1, next.revision));
}
