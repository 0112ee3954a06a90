//! Writes that end half-way: a repeat finishes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hexmem_ports::{ErrorKind, VectorStore};

use super::world::*;
use crate::chunk::Chunking;
use crate::{Collection, Document};

struct World {
    store: Arc<dyn VectorStore>,
    failing: Arc<Failing>,
    collection: Collection,
}

impl World {
    async fn new() -> Self {
        let store = store();
        let passes = AtomicU32::new(NEVER);
        let failing = Arc::new(Failing { inner: Arc::clone(&store), passes });
        let as_store: Arc<dyn VectorStore> = failing.clone();
        let collection = open(&as_store).await;
        Self { store, failing, collection }
    }

    /// The writes that pass before one fails.
    fn passes(&self, writes: u32) {
        self.failing.passes.store(writes, Ordering::SeqCst);
    }

    async fn texts(&self) -> Vec<(String, u64, String)> {
        all_points(&self.store, self.collection.id()).await
    }
}

#[tokio::test]
async fn an_update_cut_between_delete_and_upsert_is_repaired_by_a_repeat() {
    let world = World::new().await;
    world.collection.ingest(vec![document("d", &prose(1, 12))]).await.unwrap();
    let new = || vec![document("d", &prose(2, 3))];
    world.passes(1);
    let error = world.collection.ingest(new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // Half-way: what there is of the document is of one text, and it says that something is missing.
    assert!(world.texts().await.iter().all(|point| point.2.contains("number1")));
    let half = world.collection.document("d").await.unwrap_err();
    assert_eq!(half.kind(), ErrorKind::Corrupt);
    assert!(half.to_string().contains("ingest"), "{half}");
    world.passes(NEVER);
    let report = world.collection.ingest(new()).await.unwrap();
    assert_eq!(report.updated, 1);
    assert_eq!(world.collection.document("d").await.unwrap().unwrap().text, prose(2, 3));
    assert!(world.texts().await.iter().all(|point| !point.2.contains("number1")));
    assert_eq!(world.collection.ingest(new()).await.unwrap().unchanged, 1);
}

#[tokio::test]
async fn an_ingest_cut_anywhere_is_finished_by_a_repeat() {
    for writes in 0..6 {
        let world = World::new().await;
        let old = (0..40).map(|n| document(&format!("d{n}"), &prose(n, 150)));
        world.collection.ingest(old.collect()).await.unwrap();
        let new = || -> Vec<Document> {
            (0..40).map(|n| document(&format!("d{n}"), &prose(n + 100, 90 + n))).collect()
        };
        world.passes(writes);
        let cut = world.collection.ingest(new()).await;
        world.passes(NEVER);
        let report = world.collection.ingest(new()).await.unwrap();
        assert_eq!(report.updated + report.unchanged, 40);
        assert_eq!(cut.is_ok(), report.unchanged == 40, "{writes}");
        for n in 0..40 {
            let back = world.collection.document(&format!("d{n}")).await.unwrap().unwrap();
            assert_eq!(back.text, prose(n + 100, 90 + n));
        }
        let (documents, chunks) = world.collection.counts().await.unwrap();
        let mut expected = 0;
        for document in new() {
            expected += document.chunking.chunks(&document.text).unwrap().len() as u64;
        }
        assert_eq!((documents, chunks), (40, expected));
    }
}

#[tokio::test]
async fn of_a_long_document_cut_off_nothing_stays_behind() {
    let long = |seed: usize| {
        let chunking = Chunking { size: 12, overlap: 0, ..Chunking::default() };
        Document { chunking, ..document("d", &format!("w{seed} ").repeat(60_000)) }
    };
    let chunks = long(1).chunking.chunks(&long(1).text).unwrap().len();
    assert!(chunks > 10_000, "{chunks}: more than one call takes");
    for before in [None, Some("a short text")] {
        let world = World::new().await;
        if let Some(text) = before {
            world.collection.ingest(vec![document("d", text)]).await.unwrap();
        }
        world.passes(2);
        world.collection.ingest(vec![long(1)]).await.unwrap_err();
        let id = world.collection.id();
        let info = world.store.info(id).await.unwrap().unwrap();
        assert!(info.points > 5_000, "{}: half of it is there", info.points);
        assert_eq!(world.collection.document("d").await.unwrap_err().kind(), ErrorKind::Corrupt);
        world.passes(NEVER);
        // Either another text follows, or it is removed.
        match before {
            None => {
                assert!(world.collection.delete("d").await.unwrap());
                assert_eq!(world.store.info(id).await.unwrap().unwrap().points, 0);
            }
            Some(_) => {
                world.collection.ingest(vec![document("d", "new")]).await.unwrap();
                assert_eq!(world.texts().await, [("d".to_owned(), 0, "new".to_owned())]);
            }
        }
    }
}

#[tokio::test]
async fn a_removal_cut_off_can_be_repeated() {
    let world = World::new().await;
    world.collection.ingest(vec![document("d", &prose(1, 12))]).await.unwrap();
    world.passes(0);
    world.collection.delete("d").await.unwrap_err();
    world.passes(NEVER);
    assert!(world.collection.delete("d").await.unwrap());
    assert!(world.texts().await.is_empty());
}
