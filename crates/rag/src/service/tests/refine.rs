//! What becomes of candidates, and what stands around hits.

use std::sync::Arc;

use hexmem_adapter_memory::OverlapReranker;
use hexmem_ports::{ErrorKind, Limit, Timestamp};
use serde_json::json;

use super::world::*;
use crate::profile::Profile;
use crate::{
    CollectionOptions, Document, Fusion, Mode, Passage, Rag, Refine, SearchOptions, Window,
};

fn refine(refine: Refine) -> SearchOptions {
    SearchOptions { refine, feedback: None, ..SearchOptions::default() }
}

fn dated(id: &str, text: &str, day: &str) -> Document {
    let mut document = document(id, text);
    document.metadata.insert("created_at".into(), json!(day));
    document
}

#[tokio::test]
async fn a_reranker_has_the_last_word_on_what_it_has_seen() {
    let plain = open(&store()).await;
    let texts = vec![
        document("often", "lease lease lease lease"),
        document("both", "a lease that ends early"),
    ];
    plain.ingest(texts.clone()).await.unwrap();
    let options = refine(Refine { rerank: Some(10), ..Refine::default() });
    let error = plain.search("lease ends", &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");

    let rag = Rag::new(store()).with_reranker(Arc::new(OverlapReranker));
    let collection =
        rag.open_or_create(id("t", "docs"), CollectionOptions::default()).await.unwrap();
    collection.ingest(texts).await.unwrap();
    let hits = collection.search("the lease ends", &options).await.unwrap();
    assert_eq!(documents(&hits), ["both", "often"]);
    assert!(
        (hits[0].signals["rerank"] - 2.0 / 3.0).abs() < 1e-6
            && hits[0].signals.contains_key("sparse")
    );
    // What it does not see comes behind, with no better score.
    let one = refine(Refine { rerank: Some(1), ..Refine::default() });
    let hits = collection.search("the lease ends", &one).await.unwrap();
    assert!(
        hits.len() == 2
            && hits[1].score <= hits[0].score
            && !hits[1].signals.contains_key("rerank")
    );
}

#[tokio::test]
async fn a_profile_lets_what_is_new_pass_what_is_old() {
    let collection = open(&store()).await;
    let list = vec![
        dated("old", "lease lease", "2020-01-01"),
        dated("new", "a lease among other things", "2026-11-20"),
    ];
    collection.ingest(list).await.unwrap();
    assert_eq!(documents(&search(&collection, "lease").await), ["old", "new"]);
    let now = Timestamp::parse("2026-11-21").unwrap();
    for profile in [Profile::Recent, Profile::Kagura, Profile::WhisperEngine] {
        let options = refine(Refine { profile: Some((profile, now)), ..Refine::default() });
        let hits = collection.search("lease", &options).await.unwrap();
        assert_eq!(documents(&hits), ["new", "old"], "{profile:?}");
        assert!(hits[0].signals.contains_key("recency") && hits[0].signals.contains_key("sparse"));
    }
}

#[tokio::test]
async fn copies_make_room_for_what_says_something_else() {
    let collection = open(&store()).await;
    let list = vec![
        document("a", "the lease ends early"),
        document("b", "the lease ends early"),
        document("c", "a lease is extended by its holder while it works on"),
    ];
    collection.ingest(list).await.unwrap();
    let two = Limit::new(2).unwrap();
    let plain = collection
        .search("lease ends", &SearchOptions { limit: two, ..refine(Refine::default()) })
        .await;
    assert!(plain.unwrap().iter().all(|hit| hit.document != "c"));
    let news = Refine { diversity: Some(0.3), ..Refine::default() };
    let hits = collection
        .search("lease ends", &SearchOptions { limit: two, ..refine(news) })
        .await
        .unwrap();
    assert_eq!(hits.iter().filter(|hit| hit.document == "c").count(), 1);
}

#[tokio::test]
async fn one_document_does_not_fill_the_list() {
    let collection = open(&store()).await;
    let long = (0..30).map(|n| format!("lease number {n} ends.")).collect::<Vec<_>>().join("\n\n");
    collection.ingest(vec![document("long", &long), document("short", "a lease")]).await.unwrap();
    let options = refine(Refine { per_document: Some(1), ..Refine::default() });
    let hits = collection.search("lease", &options).await.unwrap();
    let mut found = documents(&hits);
    found.sort_unstable();
    assert_eq!(found, ["long", "short"]);
}

#[tokio::test]
async fn weights_mix_words_and_meaning() {
    let rag = Rag::new(store()).with_embedder(Arc::new(Topics("one")));
    let collection =
        rag.open_or_create(id("t", "docs"), CollectionOptions::default()).await.unwrap();
    let list = vec![
        document("meaning", "a feline sleeps"),
        document("word", "the word cat in a sentence about tea"),
    ];
    collection.ingest(list).await.unwrap();
    let search = |dense| {
        let options =
            SearchOptions { fusion: Fusion::Weighted { dense }, ..refine(Refine::default()) };
        let collection = &collection;
        async move { collection.search("cat", &options).await }
    };
    let meaning = search(1.0).await.unwrap();
    assert_eq!(meaning[0].document, "meaning");
    assert!(meaning[0].signals.keys().eq(["dense", "weighted"].iter()));
    assert_eq!(search(0.0).await.unwrap()[0].document, "word");
    assert!(search(1.5).await.is_err());
    // Dense alone is not mixed.
    let options = SearchOptions {
        mode: Some(Mode::Dense),
        fusion: Fusion::Weighted { dense: 0.0 },
        ..SearchOptions::default()
    };
    assert_eq!(collection.search("cat", &options).await.unwrap()[0].document, "meaning");
}

#[tokio::test]
async fn steps_that_cannot_be_are_named() {
    let collection = open(&store()).await;
    for (step, words) in [
        (Refine { rerank: Some(0), ..Refine::default() }, "rerank"),
        (Refine { diversity: Some(f64::NAN), ..Refine::default() }, "diversity"),
        (Refine { per_document: Some(0), ..Refine::default() }, "one chunk"),
    ] {
        let error = collection.search("lease", &refine(step)).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn passages_have_what_stands_around_a_hit_once() {
    let collection = open(&store()).await;
    let text = "Nothing here at all, just words. A lease ends by itself in time. Others say little of it, too. \
                And a second lease ends as well. The end of the text is here.";
    collection.ingest(vec![document("d", text), document("e", "lease")]).await.unwrap();
    let hits = collection.search("lease ends", &refine(Refine::default())).await.unwrap();
    let passages = |window, most| {
        let (collection, hits) = (&collection, &hits);
        async move { collection.passages(hits, window, most).await.unwrap() }
    };
    let (alone, left) = passages(Window { before: 0, after: 0 }, None).await;
    assert!(left == 0 && alone.iter().any(|passage| passage.document == "e"));
    assert!(alone.iter().all(|passage| text.contains(&passage.text) || passage.text == "lease"));
    assert_eq!(alone.iter().flat_map(|passage| &passage.hits).count(), hits.len());
    let (whole, _) = passages(Window::DOCUMENT, None).await;
    let of = |passages: &[Passage], id: &str| {
        passages.iter().find(|passage| passage.document == id).cloned().unwrap()
    };
    assert_eq!(of(&whole, "d").text, text);
    assert_eq!(whole.len(), 2);
    // The first that does not fit ends it.
    let (few, left) = passages(Window::DOCUMENT, Some(1)).await;
    assert_eq!((few.len(), left), (0, 2));
    let (some, left) = passages(Window::DOCUMENT, Some(text.len())).await;
    assert_eq!((some.len(), left), (2, 0));
    // What was replaced since is left out.
    collection.ingest(vec![document("d", "short")]).await.unwrap();
    let (left, _) = passages(Window { before: 1, after: 1 }, None).await;
    assert!(left.iter().all(|passage| passage.document == "e" || passage.text == "short"));
}
