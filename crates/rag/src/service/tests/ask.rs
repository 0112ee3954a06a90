//! Searching: modes, filters, spaces, tenants.

use std::sync::Arc;

use hexmem_ports::{ErrorKind, Filter, Limit, Prefix};
use serde_json::{Value, json};

use super::world::*;
use crate::analyse::{Analysis, Language, StopWords};
use crate::chunk::Chunking;
use crate::feedback::Feedback;
use crate::{CollectionOptions, Document, Mode, Rag, SearchOptions};

fn with_metadata(id: &str, text: &str, metadata: Value) -> Document {
    let Value::Object(metadata) = metadata else { panic!("an object") };
    Document { metadata, ..document(id, text) }
}

#[tokio::test]
async fn words_are_found_in_text_title_and_headings() {
    let collection = open(&store()).await;
    let titled = Document { title: "Expiring leases".into(), ..document("title", "of a queue") };
    let mut headed = document("heading", "# Leases\n\nWho holds one extends it.\n");
    headed.chunking.strategy = crate::chunk::Strategy::Markdown;
    let list = vec![titled, headed, document("text", "A lease ends."), document("no", "Nothing.")];
    collection.ingest(list).await.unwrap();
    let hits = search(&collection, "lease").await;
    let mut found = documents(&hits);
    found.sort_unstable();
    assert_eq!(found, ["heading", "text", "title"]);
    assert!(hits.iter().all(|hit| hit.signals.keys().eq(["sparse"].iter())));
    assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
    let hit = hits.iter().find(|hit| hit.document == "heading").unwrap();
    assert_eq!((hit.chunk, hit.context.as_slice()), (0, &["Leases".to_owned()][..]));
}

#[tokio::test]
async fn a_question_without_terms_finds_nothing() {
    let collection = open(&store()).await;
    collection.ingest(vec![document("d", "to be or not to be, that is it")]).await.unwrap();
    for question in ["", "  ", "the of and", "to be or not to be", "?!", "\0"] {
        assert!(search(&collection, question).await.is_empty(), "{question:?}");
    }
    // Where stop words are kept they count.
    let rag = Rag::new(store());
    let analysis = Analysis { language: Language::English, stop_words: StopWords::Keep };
    let options = CollectionOptions { analysis, ..CollectionOptions::default() };
    let collection = rag.open_or_create(id("t", "kept"), options).await.unwrap();
    collection.ingest(vec![document("d", "to be or not to be, that is it")]).await.unwrap();
    assert_eq!(documents(&search(&collection, "to be").await), ["d"]);
    // An existing collection keeps its own way of reading.
    let again = rag.open_or_create(id("t", "kept"), CollectionOptions::default()).await.unwrap();
    assert_eq!(documents(&search(&again, "to be").await), ["d"]);
}

#[tokio::test]
async fn a_turn_is_found_by_those_around_it_and_below_what_says_it() {
    let collection = open(&store()).await;
    let mut talk = document(
        "talk",
        "Ada: Where is the anchor?\nBob: In the cellar.\nAda: Thanks.\nBob: Fine.\n",
    );
    talk.chunking = Chunking { strategy: crate::chunk::Strategy::Dialogue, ..Chunking::default() };
    let other =
        Document { around: "the anchor again".into(), ..document("alone", "It lies there.") };
    collection.ingest(vec![talk, other.clone()]).await.unwrap();
    let options = SearchOptions { feedback: None, ..SearchOptions::default() };
    let hits = collection.search("anchor", &options).await.unwrap();
    assert_eq!((hits[0].document.as_str(), hits[0].chunk), ("talk", 0));
    let mut rest: Vec<(&str, usize)> =
        hits[1..].iter().map(|hit| (hit.document.as_str(), hit.chunk)).collect();
    rest.sort_unstable();
    assert_eq!(rest, [("alone", 0), ("talk", 1), ("talk", 2)]);
    assert!(hits.iter().all(|hit| !hit.text.contains("again")));
    // What stands around it is part of what it was made from.
    let moved = Document { around: "something else".into(), ..other.clone() };
    assert_eq!(collection.ingest(vec![other]).await.unwrap().unchanged, 1);
    assert_eq!(collection.ingest(vec![moved]).await.unwrap().updated, 1);
}

#[tokio::test]
async fn filters_see_metadata_alone() {
    let collection = open(&store()).await;
    let list = vec![
        with_metadata(
            "a",
            "lease of a",
            json!({ "lang": "en", "year": 2024, "deep": { "x": [1, 2] } }),
        ),
        with_metadata("b", "lease of b", json!({ "lang": "de", "year": 2020 })),
        with_metadata("c", "lease of c", json!({})),
    ];
    collection.ingest(list).await.unwrap();
    for (filter, expected) in [
        (json!({ "field": "lang", "eq": "en" }), &["a"][..]),
        (json!({ "field": "lang", "in": ["en", "de"] }), &["a", "b"]),
        (json!({ "field": "year", "gte": 2021 }), &["a"]),
        (json!({ "field": "lang", "exists": false }), &["c"]),
        (json!({ "not": { "field": "lang", "eq": "en" } }), &["b", "c"]),
        (
            json!({ "and": [{ "field": "lang", "exists": true }, { "field": "year", "lt": 2024 }] }),
            &["b"],
        ),
        (
            json!({ "or": [{ "field": "year", "eq": 2020 }, { "field": "deep.x", "eq": 2 }] }),
            &["a", "b"],
        ),
        // What the service itself keeps beside the metadata is no metadata.
        (json!({ "field": "document", "eq": "a" }), &[]),
        (json!({ "field": "chunk", "eq": 0 }), &[]),
    ] {
        let parsed = Filter::parse(&filter).unwrap();
        let options = SearchOptions { filter: parsed, ..SearchOptions::default() };
        let hits = collection.search("lease", &options).await.unwrap();
        let mut found = documents(&hits);
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn limit_and_least_score() {
    let collection = open(&store()).await;
    let list = (0..20).map(|n| document(&format!("d{n}"), &"lease ".repeat(n % 5 + 1)));
    collection.ingest(list.collect()).await.unwrap();
    let mut options = SearchOptions { limit: Limit::new(3).unwrap(), ..SearchOptions::default() };
    let hits = collection.search("lease", &options).await.unwrap();
    assert_eq!(hits.len(), 3);
    options.min_score = Some(hits[0].score + 1.0);
    assert!(collection.search("lease", &options).await.unwrap().is_empty());
    options.min_score = Some(f32::NAN);
    assert_eq!(collection.search("lease", &options).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn feedback_finds_the_same_in_other_words() {
    let collection = open(&store()).await;
    let list = vec![
        document("a", "lease expiry visibility"),
        document("b", "visibility timeout"),
        document("c", "tea"),
        document("d", "soup"),
        document("e", "bread"),
    ];
    collection.ingest(list).await.unwrap();
    let asked = SearchOptions { feedback: None, ..SearchOptions::default() };
    let plain = collection.search("lease expiry", &asked).await.unwrap();
    assert_eq!(documents(&plain), ["a"]);
    assert_eq!(documents(&search(&collection, "lease expiry").await), ["a", "b"]);
    // One word is looked for as it is.
    assert_eq!(documents(&search(&collection, "lease").await), ["a"]);
    for hits in [0, usize::MAX] {
        let feedback = Some(Feedback { hits, ..Feedback::default() });
        let options = SearchOptions { feedback, ..SearchOptions::default() };
        assert!(!collection.search("lease expiry", &options).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn hybrid_is_the_union_and_says_which_signal_found_what() {
    let store = store();
    let collection = dense(&store, "topics").await.unwrap();
    assert!(collection.has_dense());
    let list = vec![
        document("both", "A cat sleeps."),
        document("meaning", "Any feline rests."),
        document("word", "My car, your cat."),
        document("neither", "Bread."),
    ];
    collection.ingest(list).await.unwrap();
    let hits = search(&collection, "cat").await;
    let said = signals(&hits);
    assert_eq!(hits[0].document, "both");
    assert_eq!(said["both"], ["dense", "rrf", "sparse"]);
    assert_eq!(said["meaning"], ["dense", "rrf"]);
    assert!(said["word"].contains(&"sparse"));
    assert!((hits[0].signals["rrf"] - hits[0].score).abs() < f32::EPSILON);
    let mode = |mode| SearchOptions { mode: Some(mode), ..SearchOptions::default() };
    let by_word = collection.search("cat", &mode(Mode::Sparse)).await.unwrap();
    assert!(signals(&by_word).values().all(|names| names == &["sparse"]));
    assert!(!documents(&by_word).contains(&"meaning"));
    let by_meaning = collection.search("cat", &mode(Mode::Dense)).await.unwrap();
    assert!(signals(&by_meaning).values().all(|names| names == &["dense"]));
    // Stop words alone have no terms: meaning answers, and says so.
    let hits = collection.search("the", &mode(Mode::Hybrid)).await.unwrap();
    assert!(signals(&hits).values().all(|names| names == &["dense", "rrf"]));
    for empty in [Mode::Sparse, Mode::Dense, Mode::Hybrid] {
        assert!(collection.search(" ", &mode(empty)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_mode_that_needs_an_embedder_says_so() {
    let store = store();
    let collection = open(&store).await;
    for mode in [Mode::Dense, Mode::Hybrid] {
        let options = SearchOptions { mode: Some(mode), ..SearchOptions::default() };
        let error = collection.search("x", &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("sparse"), "{error}");
    }
    assert!(!collection.has_dense());
}

#[tokio::test]
async fn another_space_is_refused_by_name() {
    let store = store();
    dense(&store, "one").await.unwrap().ingest(vec![document("d", "cat")]).await.unwrap();
    let error = dense(&store, "two").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = error.to_string();
    assert!(text.contains("test/one of 3 dimensions") && text.contains("test/two"), "{text}");
    // Without an embedder it is read by words, and not written: its vectors would be lost.
    let collection = open(&store).await;
    assert!(!collection.has_dense());
    assert_eq!(documents(&search(&collection, "cat").await), ["d"]);
    let error = collection.ingest(vec![document("d", "dog")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("test/one"), "{error}");
}

#[tokio::test]
async fn a_collection_of_somebody_else_is_refused() {
    let store = store();
    let sparse = hexmem_ports::SparseSpec { weighting: hexmem_ports::Weighting::Plain };
    let name = hexmem_ports::Name::new("text").unwrap();
    let spec = hexmem_ports::CollectionSpec {
        sparse: [(name, sparse)].into(),
        ..hexmem_ports::CollectionSpec::default()
    };
    store.create(&id("t", "docs"), spec).await.unwrap();
    let rag = Rag::new(store);
    let error = rag.open(id("t", "docs")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("not made by rag"), "{error}");
    assert!(rag.open(id("t", "absent")).await.unwrap().is_none());
}

#[tokio::test]
async fn tenants_and_collections_do_not_touch() {
    let store = store();
    let rag = Rag::new(Arc::clone(&store));
    let mut all = Vec::new();
    for (tenant, name) in [("t", "docs"), ("t", "more"), ("u", "docs")] {
        let options = CollectionOptions::default();
        all.push(rag.open_or_create(id(tenant, name), options).await.unwrap());
    }
    let list = || vec![document("d", "a lease"), document("e", "a lease and a queue")];
    all[0].ingest(list()).await.unwrap();
    let before = search(&all[0], "lease").await;
    // The same words, and the same ids, many times over elsewhere.
    for other in &all[1..] {
        let mut more = list();
        more.extend((0..50).map(|n| document(&format!("x{n}"), "lease lease lease")));
        other.ingest(more).await.unwrap();
    }
    assert_eq!(search(&all[0], "lease").await, before);
    all[1].delete("d").await.unwrap();
    assert!(rag.drop_collection(all[2].id()).await.unwrap());
    assert_eq!(search(&all[0], "lease").await, before);
    assert!(all[0].document("d").await.unwrap().is_some());
    let page = rag
        .collections(&all[0].id().tenant, &Prefix::default(), None, Limit::default())
        .await
        .unwrap();
    assert_eq!(page.items.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["docs", "more"]);
    let gone = all[2].search("lease", &SearchOptions::default()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}
