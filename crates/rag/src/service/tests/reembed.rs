//! Another embedding space, built beside the old one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hexmem_ports::{ErrorKind, Limit, Prefix, VectorStore};

use super::super::generation;
use super::world::*;
use crate::{Collection, CollectionOptions, Mode, Rag, SearchOptions};

async fn ask(collection: &Collection, mode: Mode) -> hexmem_ports::Result<Vec<String>> {
    let options = SearchOptions { mode: Some(mode), feedback: None, ..SearchOptions::default() };
    let hits = collection.search("a feline", &options).await?;
    Ok(hits.into_iter().map(|hit| hit.document).collect())
}

/// What lies in the store, by the names of its collections.
async fn places(store: &Arc<dyn VectorStore>) -> Vec<String> {
    let tenant = id("t", "docs").tenant;
    let page = store.list(&tenant, &Prefix::default(), None, Limit::default()).await.unwrap();
    page.items.iter().map(ToString::to_string).collect()
}

async fn filled(store: &Arc<dyn VectorStore>, model: Option<&'static str>) -> Collection {
    let collection = match model {
        Some(model) => dense(store, model).await.unwrap(),
        None => open(store).await,
    };
    let documents = vec![document("cat", "the cat sleeps"), document("car", "a car drives")];
    collection.ingest(documents).await.unwrap();
    collection
}

#[tokio::test]
async fn vectors_are_replaced_and_texts_stay() {
    for before in [Some("one"), None] {
        let store = store();
        let old = filled(&store, before).await;
        let points = all_points(&store, old.id()).await;
        let mut looked = 0;
        let done = with(&store, "two").reembed(old.id(), |chunks| looked += chunks).await.unwrap();
        assert_eq!((done.chunks, done.embedded, done.unchanged, looked), (2, 2, false, 2));
        assert_eq!(places(&store).await, ["docs~2"]);
        let new = dense(&store, "two").await.unwrap();
        assert_eq!(ask(&new, Mode::Dense).await.unwrap(), ["cat", "car"]);
        assert_eq!(all_points(&store, new.id()).await, points, "ids and texts are the same");
        let (rag, every) = (Rag::new(Arc::clone(&store)), Prefix::default());
        let listed = rag.collections(&new.id().tenant, &every, None, Limit::default()).await;
        assert_eq!(listed.unwrap().items.len(), 1);
        // A repeat does nothing.
        let again = with(&store, "two").reembed(old.id(), |_| {}).await.unwrap();
        assert_eq!((again.chunks, again.embedded, again.unchanged), (2, 0, true));
        assert!(new.document("cat").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn who_had_it_open_sees_the_new_points_or_why_not() {
    let store = store();
    let old = filled(&store, Some("one")).await;
    let by_words = open(&store).await;
    with(&store, "two").reembed(old.id(), |_| {}).await.unwrap();
    assert_eq!(documents(&search(&by_words, "cat").await), ["cat"]);
    let error = ask(&old, Mode::Dense).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.to_string().contains("test/one") && error.to_string().contains("test/two"),
        "{error}"
    );
    let error = old.ingest(vec![document("tea", "an infusion")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("open it again"), "{error}");
}

#[tokio::test]
async fn cut_off_anywhere_it_leaves_the_old_ones_and_a_repeat_goes_on() {
    let mut cut = 0;
    for writes in 0.. {
        let store = store();
        let failing =
            Arc::new(Failing { inner: Arc::clone(&store), passes: AtomicU32::new(NEVER) });
        let as_store: Arc<dyn VectorStore> = failing.clone();
        let old = filled(&as_store, Some("one")).await;
        failing.passes.store(writes, Ordering::SeqCst);
        let result = with(&as_store, "two").reembed(old.id(), |_| {}).await;
        failing.passes.store(NEVER, Ordering::SeqCst);
        cut += u32::from(result.is_err());
        // Old or new, and whole.
        let (model, other) = match dense(&store, "one").await {
            Ok(_) => ("one", "two"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict);
                ("two", "one")
            }
        };
        assert!(dense(&store, other).await.is_err());
        let now = dense(&store, model).await.unwrap();
        assert_eq!(ask(&now, Mode::Dense).await.unwrap(), ["cat", "car"], "{writes}");
        with(&as_store, "two").reembed(old.id(), |_| {}).await.unwrap();
        assert_eq!(places(&store).await, ["docs~2"]);
        let new = dense(&store, "two").await.unwrap();
        assert_eq!(ask(&new, Mode::Dense).await.unwrap(), ["cat", "car"], "{writes}");
        new.ingest(vec![document("tea", "an infusion")]).await.unwrap();
        if result.is_ok() {
            break;
        }
    }
    assert!(cut >= 5, "{cut}");
}

#[tokio::test]
async fn what_was_written_meanwhile_is_there_afterwards() {
    let store = store();
    let failing = Arc::new(Failing { inner: Arc::clone(&store), passes: AtomicU32::new(NEVER) });
    let as_store: Arc<dyn VectorStore> = failing.clone();
    let old = filled(&as_store, Some("one")).await;
    // The new collection, and its points: then it ends.
    failing.passes.store(2, Ordering::SeqCst);
    with(&as_store, "two").reembed(old.id(), |_| {}).await.unwrap_err();
    failing.passes.store(NEVER, Ordering::SeqCst);
    assert_eq!(places(&store).await, ["docs~1", "docs~2"]);
    let changed = vec![document("cat", "a feline and an automobile"), document("tea", "tea")];
    old.ingest(changed).await.unwrap();
    old.delete("car").await.unwrap();
    let done = with(&as_store, "two").reembed(old.id(), |_| {}).await.unwrap();
    assert_eq!((done.chunks, done.embedded), (2, 2));
    let new = dense(&store, "two").await.unwrap();
    assert_eq!(new.document("cat").await.unwrap().unwrap().text, "a feline and an automobile");
    assert!(new.document("car").await.unwrap().is_none());
    assert_eq!(ask(&new, Mode::Dense).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_write_that_would_be_lost_is_refused() {
    let store = store();
    let old = filled(&store, Some("one")).await;
    let closed = generation::closed(&generation::place(old.id(), 1).unwrap()).unwrap();
    let place = generation::place(old.id(), 1).unwrap();
    // As a kill between the last look and the switch leaves it.
    store.set_alias(&closed, Some(place.name)).await.unwrap();
    for error in [
        old.ingest(vec![document("tea", "tea")]).await.unwrap_err(),
        old.delete("cat").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("repeat"), "{error}");
    }
    assert_eq!(documents(&search(&old, "car").await)[0], "car", "it is read all the same");
    let rag = with(&store, "one");
    assert!(rag.abandon_reembed(old.id()).await.unwrap());
    assert!(!rag.abandon_reembed(old.id()).await.unwrap());
    old.ingest(vec![document("tea", "tea")]).await.unwrap();
}

#[tokio::test]
async fn one_that_wanted_another_space_is_begun_anew() {
    let store = store();
    let failing = Arc::new(Failing { inner: Arc::clone(&store), passes: AtomicU32::new(NEVER) });
    let as_store: Arc<dyn VectorStore> = failing.clone();
    let old = filled(&as_store, Some("one")).await;
    failing.passes.store(2, Ordering::SeqCst);
    with(&as_store, "two").reembed(old.id(), |_| {}).await.unwrap_err();
    failing.passes.store(NEVER, Ordering::SeqCst);
    let done = with(&as_store, "three").reembed(old.id(), |_| {}).await.unwrap();
    assert_eq!(done.embedded, 2);
    assert!(dense(&store, "three").await.is_ok());
    let rag = Rag::new(Arc::clone(&store));
    assert!(rag.drop_collection(old.id()).await.unwrap());
    assert!(places(&store).await.is_empty());
    assert!(!rag.drop_collection(old.id()).await.unwrap());
}

#[tokio::test]
async fn without_an_embedder_or_a_collection_it_says_so() {
    let store = store();
    let old = filled(&store, None).await;
    let error = Rag::new(Arc::clone(&store)).reembed(old.id(), |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = with(&store, "two").reembed(&id("t", "absent"), |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let options = CollectionOptions::default();
    let error = with(&store, "two").open_or_create(id("t", "docs~2"), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
