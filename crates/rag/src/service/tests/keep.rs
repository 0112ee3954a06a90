//! Ingest, replace, list, rebuild, remove.

use std::collections::BTreeSet;
use std::sync::Arc;

use hexmem_ports::{ErrorKind, Limit};
use serde_json::{Map, json};

use super::world::*;
use crate::chunk::{Chunking, Strategy};
use crate::{CollectionOptions, Document, Ingested, Rag};

#[tokio::test]
async fn a_repeat_writes_nothing() {
    let collection = open(&store()).await;
    let documents = || (0..30).map(|n| document(&format!("d{n}"), &prose(n, 5))).collect();
    let first = collection.ingest(documents()).await.unwrap();
    assert_eq!((first.added, first.unchanged), (30, 0));
    assert_eq!(collection.counts().await.unwrap(), (30, first.chunks));
    let again = collection.ingest(documents()).await.unwrap();
    assert_eq!(again, Ingested { unchanged: 30, ..Ingested::default() });
    assert_eq!(collection.ingest(Vec::new()).await.unwrap(), Ingested::default());
}

#[tokio::test]
async fn a_changed_document_leaves_nothing_of_the_old_text() {
    let store = store();
    let collection = open(&store).await;
    let other = document("other", &prose(9, 4));
    collection.ingest(vec![document("d", &prose(1, 12)), other]).await.unwrap();
    let report = collection.ingest(vec![document("d", "Short now.")]).await.unwrap();
    assert_eq!(report, Ingested { updated: 1, chunks: 1, ..Ingested::default() });
    let left = all_points(&store, collection.id()).await;
    let of_d: Vec<_> = left.iter().filter(|(document, ..)| document == "d").collect();
    assert_eq!(of_d, [&("d".to_owned(), 0, "Short now.".to_owned())]);
    assert!(search(&collection, "number1").await.is_empty());
    assert_eq!(documents(&search(&collection, "short").await), ["d"]);
    let longer = collection.ingest(vec![document("d", &prose(2, 12))]).await.unwrap();
    assert!(longer.updated == 1 && longer.chunks > 2);
    assert_eq!(collection.document("d").await.unwrap().unwrap().text, prose(2, 12));
}

#[tokio::test]
async fn every_part_of_a_document_counts_as_a_change() {
    let collection = open(&store()).await;
    let base = document("d", &prose(1, 3));
    collection.ingest(vec![base.clone()]).await.unwrap();
    let metadata = Map::from_iter([("a".to_owned(), json!(1))]);
    let variants = [
        Document { title: "Title".into(), ..base.clone() },
        Document { metadata, ..base.clone() },
        Document { root: Some("folder".into()), ..base.clone() },
        Document { chunking: Chunking::default(), ..base.clone() },
        base,
    ];
    for variant in variants {
        let report = collection.ingest(vec![variant]).await.unwrap();
        assert_eq!((report.updated, report.unchanged), (1, 0));
    }
}

#[tokio::test]
async fn empty_texts() {
    let store = store();
    let collection = open(&store).await;
    let report = collection.ingest(vec![document("d", " \n\t")]).await.unwrap();
    assert_eq!(report, Ingested { empty: 1, ..Ingested::default() });
    assert_eq!(collection.document("d").await.unwrap(), None);
    // A document that loses its text loses its chunks.
    collection.ingest(vec![document("d", &prose(1, 9))]).await.unwrap();
    collection.ingest(vec![document("d", "")]).await.unwrap();
    assert!(all_points(&store, collection.id()).await.is_empty());
    // A title alone is found.
    let titled = Document { title: "Lease expiry".into(), ..document("t", "") };
    let report = collection.ingest(vec![titled]).await.unwrap();
    assert_eq!((report.added, report.chunks), (1, 1));
    assert_eq!(documents(&search(&collection, "leases").await), ["t"]);
    assert_eq!(collection.document("t").await.unwrap().unwrap().text, "");
    // So is a text that has no term: it is kept, and no search of words finds it.
    collection.ingest(vec![document("p", "... --- ...")]).await.unwrap();
    assert_eq!(collection.document("p").await.unwrap().unwrap().text, "... --- ...");
}

#[tokio::test]
async fn what_cannot_be_ingested_is_named_and_nothing_is_written() {
    let store = store();
    let collection = open(&store).await;
    let good = document("good", "fine");
    let nul = Map::from_iter([("a".to_owned(), json!("x\0y"))]);
    let bad_cut = Chunking { size: 10, overlap: 9, ..Chunking::default() };
    let whole = Chunking { strategy: Strategy::Whole, ..Chunking::default() };
    let bad = [
        (document("good", "twice"), "good"),
        (document("", "no id"), "document"),
        (document("nul\0id", "x"), "nul\\0id"),
        (document(&"x".repeat(1_025), "x"), "1,024"),
        (Document { metadata: nul, ..document("meta", "x") }, "meta"),
        (Document { root: Some("\0".into()), ..document("rooted", "x") }, "rooted"),
        (Document { chunking: bad_cut, ..document("cut", "x") }, "overlap of 9"),
        (Document { chunking: whole, ..document("huge", &"x".repeat(9 << 20)) }, "huge"),
        (document("long", &"x".repeat((64 << 20) + 1)), "long"),
    ];
    for (bad, says) in bad {
        let error = collection.ingest(vec![good.clone(), bad]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(all_points(&store, collection.id()).await.is_empty());
}

#[tokio::test]
async fn a_document_comes_back_as_it_was() {
    let collection = open(&store()).await;
    let texts = [
        "One line.".to_owned(),
        prose(1, 40),
        "\u{feff}with a byte order mark, \u{feff} and another".to_owned(),
        "nul\0here \0\0 and at the end of a longer text than a chunk\0".to_owned(),
        "\0".repeat(100) + "x",
        "記憶は層になっている。短い文。".repeat(20),
        "a\u{301}".repeat(60),
        "👩‍👩‍👧‍👦 family ".repeat(12),
        "\r\n\r\n# Heading\r\n\r\ntext\r\n".repeat(10),
        " leading and trailing   ".to_owned(),
        "x".repeat(500),
    ];
    for strategy in [Strategy::Recursive, Strategy::Markdown, Strategy::Whole] {
        for (n, text) in texts.iter().enumerate() {
            let id = format!("d{n}");
            let mut one = document(&id, text);
            one.chunking.strategy = strategy;
            collection.ingest(vec![one]).await.unwrap();
            let back = collection.document(&id).await.unwrap().unwrap();
            assert_eq!(&back.text, text, "{strategy:?}");
            assert_eq!(back.info.id, id);
        }
    }
    assert_eq!(collection.document("absent").await.unwrap(), None);
}

#[tokio::test]
async fn documents_are_listed_once_each() {
    let collection = open(&store()).await;
    let all = (0..25).map(|n| Document {
        title: format!("Title {n}"),
        root: Some("place".into()),
        ..document(&format!("d{n}"), &prose(n, n % 7 + 1))
    });
    collection.ingest(all.collect()).await.unwrap();
    let (mut seen, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = collection.documents(cursor, Limit::new(4).unwrap()).await.unwrap();
        for info in page.items {
            assert_eq!(info.title, format!("Title {}", &info.id[1..]));
            assert_eq!(info.root.as_deref(), Some("place"));
            assert!(info.chunks > 0 && seen.insert(info.id));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
}

#[tokio::test]
async fn what_is_missing_at_its_root_goes() {
    let store = store();
    let collection = open(&store).await;
    let of = |root: &str, id: &str| Document {
        root: Some(root.into()),
        ..document(id, &prose(id.len(), 6))
    };
    let list = vec![of("a", "a/1"), of("a", "a/22"), of("b", "b/333"), document("none", "text")];
    collection.ingest(list).await.unwrap();
    assert_eq!(collection.remove_missing("a", |id| id == "a/22").await.unwrap(), 1);
    assert_eq!(collection.remove_missing("a", |id| id == "a/22").await.unwrap(), 0);
    // Ingested by itself, it still belongs to its root.
    let again = Document { root: None, ..of("a", "a/22") };
    assert_eq!(collection.ingest(vec![again]).await.unwrap().unchanged, 1);
    assert_eq!(collection.remove_missing("elsewhere", |_| false).await.unwrap(), 0);
    let left: BTreeSet<_> =
        all_points(&store, collection.id()).await.into_iter().map(|point| point.0).collect();
    assert_eq!(left, BTreeSet::from(["a/22", "b/333", "none"].map(String::from)));
}

#[tokio::test]
async fn a_removed_document_is_gone() {
    let store = store();
    let collection = open(&store).await;
    let list = vec![document("d", &prose(1, 20)), document("e", &prose(2, 3))];
    collection.ingest(list).await.unwrap();
    assert!(collection.delete("d").await.unwrap());
    assert!(!collection.delete("d").await.unwrap());
    assert!(search(&collection, "number1").await.is_empty());
    assert!(all_points(&store, collection.id()).await.iter().all(|point| point.0 == "e"));
    // It may come back.
    let report = collection.ingest(vec![document("d", &prose(1, 20))]).await.unwrap();
    assert_eq!(report.added, 1);
}

#[tokio::test]
async fn a_scratch_collection_ranks_equal_scores_alike_each_time() {
    let store = store();
    let rag = Rag::new(Arc::clone(&store));
    let like = id("t", "eval");
    let mut rankings = Vec::new();
    for _ in 0..2 {
        let scratch = rag.scratch(&like, CollectionOptions::default()).await.unwrap();
        assert_ne!(*scratch.id(), like);
        let same = (0..20).map(|n| document(&format!("d{n}"), "the same words")).collect();
        scratch.ingest(same).await.unwrap();
        assert_eq!(scratch.document("d7").await.unwrap().unwrap().text, "the same words");
        let found = search(&scratch, "words").await;
        rankings.push(documents(&found).into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert!(rag.drop_collection(scratch.id()).await.unwrap());
    }
    assert_eq!(rankings[0], rankings[1]);
    assert_eq!(rag.open(like).await.unwrap().map(|found| found.id().clone()), None);
}
