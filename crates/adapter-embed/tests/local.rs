//! A model folder: its vectors against a plain reference, the suite, and folders that are not right.
#![cfg(feature = "local")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::sync::Arc;

use hexmem_adapter_embed::{LocalConfig, LocalModel};
use hexmem_adapter_memory::ManualClock;
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Capabilities, EmbedMode, Embedder, ErrorKind};
use serde_json::json;
use support::plain::vector_of;

fn config(folder: &Path) -> LocalConfig {
    LocalConfig { folder: folder.to_owned(), ..LocalConfig::default() }
}

fn tiny() -> (tempfile::TempDir, LocalModel) {
    let folder = tempfile::tempdir().unwrap();
    support::write(folder.path());
    let model = LocalModel::open(&config(folder.path())).unwrap();
    (folder, model)
}

async fn embed(model: &LocalModel, text: &str) -> Vec<f32> {
    model.embed(EmbedMode::Passage, &[text.to_owned()]).await.unwrap().remove(0)
}

fn near(found: &[f32], expected: &[f64]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5)
}

#[tokio::test]
async fn vectors_are_those_of_the_reference() {
    let (_folder, model) = tiny();
    for (text, tokens) in [
        ("", vec![2, 3]),
        ("a lease ends", vec![2, 4, 5, 6, 3]),
        ("The QUEUE hands  out leases", vec![2, 9, 10, 11, 12, 5, 13, 3]),
        ("what?", vec![2, 1, 1, 3]),
        // Cut at 16, the two that frame it included; the tokenizer's own 4 and its padding are not looked at.
        (&"lease ".repeat(400), [vec![2], vec![5; 14], vec![3]].concat()),
    ] {
        let found = embed(&model, text).await;
        assert!(
            near(&found, &vector_of(&tokens)),
            "{text:?}: {found:?} for {:?}",
            vector_of(&tokens)
        );
    }
    let space = model.space();
    assert_eq!((space.provider.as_str(), space.dimension, space.normalised), ("local", 8, true));
    assert!(
        space.model.as_str().starts_with("tiny@") && space.model.as_str().len() == 17,
        "{space}"
    );
    assert_eq!(space.preprocessing, "mean of 16 tokens");
}

#[tokio::test]
async fn settings_go_before_the_folder_and_show_in_the_space() {
    let (folder, model) = tiny();
    let prompts = json!({"prompts": {"query": "queue ", "document": "lease "}});
    std::fs::write(folder.path().join("config_sentence_transformers.json"), prompts.to_string())
        .unwrap();
    let asked = LocalModel::open(&config(folder.path())).unwrap();
    let vectors = asked.embed(EmbedMode::Query, &["ends".to_owned()]).await.unwrap();
    assert!(near(&vectors[0], &vector_of(&[2, 10, 6, 3])));
    assert!(near(&embed(&asked, "ends").await, &vector_of(&[2, 5, 6, 3])));
    assert_ne!(asked.space(), model.space());
    let plain = LocalConfig {
        query_prefix: Some(String::new()),
        passage_prefix: Some(String::new()),
        threads: 3,
        ..config(folder.path())
    };
    let plain = LocalModel::open(&plain).unwrap();
    assert_eq!(plain.space(), model.space());
    let shorter = LocalConfig { max_tokens: Some(4), ..config(folder.path()) };
    assert!(
        LocalModel::open(&shorter).unwrap().space().preprocessing.starts_with("mean of 4 tokens")
    );
}

#[tokio::test]
async fn a_folder_that_is_not_right_says_what_is_wrong() {
    let refused = |break_it: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        support::write(folder.path());
        break_it(folder.path());
        LocalModel::open(&config(folder.path())).unwrap_err()
    };
    let set = |path: &Path, key: &str, value: serde_json::Value| {
        let mut config = support::config();
        config[key] = value;
        std::fs::write(path.join("config.json"), config.to_string()).unwrap();
    };
    for file in ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"] {
        let error = refused(&|path| std::fs::remove_file(path.join(file)).unwrap());
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains(file), "{error}");
        let error = refused(&|path| std::fs::write(path.join(file), "{\"half\":").unwrap());
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    let cut_short = refused(&|path| {
        let whole = std::fs::read(path.join("model.safetensors")).unwrap();
        std::fs::write(path.join("model.safetensors"), &whole[..whole.len() - 5]).unwrap();
    });
    assert!(cut_short.to_string().contains("cut short"), "{cut_short}");
    for (key, value, kind, words) in [
        ("model_type", json!("mpnet"), ErrorKind::Unsupported, "kind mpnet"),
        ("position_embedding_type", json!("relative_key"), ErrorKind::Unsupported, "relative_key"),
        ("hidden_size", json!(10), ErrorKind::Corrupt, "shape"),
        ("hidden_size", json!(0), ErrorKind::Corrupt, "make no model"),
        ("num_attention_heads", json!(3), ErrorKind::Corrupt, "make no model"),
        ("num_hidden_layers", json!(3), ErrorKind::Corrupt, "has no encoder.layer.2"),
        ("hidden_act", json!("swish"), ErrorKind::Corrupt, "swish"),
    ] {
        let error = refused(&|path| set(path, key, value.clone()));
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let nowhere = LocalModel::open(&config(Path::new("/nowhere/model"))).unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    let dense = refused(&|path| {
        let steps =
            json!([{"idx": 0, "path": "2_Dense", "type": "sentence_transformers.models.Dense"}]);
        std::fs::write(path.join("modules.json"), steps.to_string()).unwrap();
    });
    assert!(dense.to_string().contains("models.Dense"), "{dense}");
}

#[test]
fn weights_under_the_name_of_their_model() {
    let folder = tempfile::tempdir().unwrap();
    support::write(folder.path());
    std::fs::write(folder.path().join("model.safetensors"), support::weights("bert.")).unwrap();
    LocalModel::open(&config(folder.path())).unwrap();
}

async fn rig() -> Rig<dyn Embedder> {
    let (folder, model) = tiny();
    let clock = Arc::new(ManualClock::default());
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let rig: Rig<dyn Embedder> =
        Rig::new("embed-local", Arc::new(model), Capabilities::default(), time);
    Rig { guard: Some(Arc::new(folder)), ..rig }
}

hexmem_conformance::embed_suite!(rig);
