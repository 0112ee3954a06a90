//! What happens when a batch's answer is lost, or its race.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use hexmem_graph_memory::GraphMemory;
use hexmem_ports::{
    Applied, Error, ErrorKind, GraphId, MockClock, MockGraphStore, OpId, Revision, Tenant,
};
use serde_json::json;
use support::{at, name};

fn memory(store: MockGraphStore) -> GraphMemory {
    let mut clock = MockClock::new();
    clock.expect_now().return_const(at("2026-01-01"));
    clock.expect_sleep().returning(|_| ());
    let graph = GraphId::new(Tenant(name("t")), name("g"));
    GraphMemory::new(Arc::new(store), Arc::new(clock), graph)
}

#[tokio::test]
async fn a_batch_without_an_answer_is_sent_again_under_its_id() {
    let ids: Arc<Mutex<Vec<OpId>>> = Arc::default();
    let mut store = MockGraphStore::new();
    let seen = Arc::clone(&ids);
    store.expect_apply().times(2).returning(move |_, batch| {
        let mut seen = seen.lock().unwrap();
        seen.push(batch.id);
        if seen.len() == 1 {
            return Err(Error::new(ErrorKind::Timeout, "graph.apply", "no answer in 5 s"));
        }
        Ok(Applied { revision: Revision(1), recorded_at: at("2026-01-01") })
    });
    memory(store).put_node(name("n"), name("thing"), json!({})).await.unwrap();
    let ids = ids.lock().unwrap();
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_refused_batch_is_not_sent_again_and_a_dead_store_not_for_ever() {
    let mut store = MockGraphStore::new();
    let refuse = || Err(Error::new(ErrorKind::Unavailable, "graph.apply", "the disk is full"));
    store.expect_apply().times(1).returning(move |_, _| refuse());
    let error = memory(store).put_node(name("n"), name("thing"), json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    let mut store = MockGraphStore::new();
    let silent = || Err(Error::new(ErrorKind::Timeout, "graph.apply", "no answer in 5 s"));
    store.expect_apply().times(3).returning(move |_, _| silent());
    let error = memory(store).put_node(name("n"), name("thing"), json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_merge_that_always_loses_gives_up_and_says_so() {
    let mut store = MockGraphStore::new();
    store.expect_nodes().times(1_000).returning(|_, _, _| Ok(vec![None]));
    let lose = || Err(Error::conflict("graph.apply", "the node has another version"));
    store.expect_apply().times(1_000).returning(move |_, _| lose());
    let kind = Some(name("thing"));
    let error = memory(store).merge_node(name("n"), kind, json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("1000 times"), "{error}");
}
