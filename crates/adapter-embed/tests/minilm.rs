//! MiniLM itself, in the folder that `HEXMEM_TEST_MODEL` names.
#![cfg(feature = "local")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, OnceLock};

use hexmem_adapter_embed::{LocalConfig, LocalModel};
use hexmem_adapter_memory::ManualClock;
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Capabilities, EmbedMode, Embedder};

fn model() -> Arc<LocalModel> {
    // Read once for all cases of a process.
    static MODEL: OnceLock<Arc<LocalModel>> = OnceLock::new();
    let open = || {
        let folder = std::env::var_os("HEXMEM_TEST_MODEL").unwrap_or_else(|| {
            panic!("HEXMEM_TEST_MODEL names no folder; `cargo xtask test` fetches one")
        });
        let config = LocalConfig { folder: folder.into(), ..LocalConfig::default() };
        Arc::new(LocalModel::open(&config).unwrap())
    };
    Arc::clone(MODEL.get_or_init(open))
}

#[tokio::test]
async fn texts_that_say_the_same_are_near_each_other() {
    let texts = [
        "The lock is released when its holder dies.",
        "If the owner crashes, the lease expires.",
        "She baked a chocolate cake for the party.",
    ];
    let vectors = model().embed(EmbedMode::Passage, &texts.map(str::to_owned)).await.unwrap();
    let likeness = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let (near, far) = (likeness(&vectors[0], &vectors[1]), likeness(&vectors[0], &vectors[2]));
    assert!(near > far + 0.2, "{near} and {far}");
    assert_eq!(vectors[0].len(), 384);
}

async fn rig() -> Rig<dyn Embedder> {
    let clock = Arc::new(ManualClock::default());
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let model: Arc<dyn Embedder> = model();
    Rig::new("embed-minilm", model, Capabilities::default(), time)
}

hexmem_conformance::embed_suite!(rig);
