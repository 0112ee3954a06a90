//! Cases of embedders.

mod broken;

use hexmem_ports::{EmbedMode, Embedder, ErrorKind};

use crate::{Rig, awkward_names};

pub use broken::broken;

/// Registers the cases of an embedder: `embed_suite!(rig)`, or `embed_suite!(rig, broken)` for the doubles.
#[macro_export]
macro_rules! embed_suite {
    ($make:path) => {
        $crate::embed_suite!(@ [] $make);
    };
    ($make:path, broken) => {
        $crate::embed_suite!(@ [broken] $make);
    };
    (@ [$($mode:ident)?] $make:path) => {
        $crate::suite!([$($mode)?] embed, $make; embed_space_1, embed_batch_1, embed_batch_2);
    };
}

const MODES: [EmbedMode; 2] = [EmbedMode::Query, EmbedMode::Passage];

fn texts() -> Vec<String> {
    let words = ["a lease ends by itself", "the queue hands out commands", "42"].map(String::from);
    words.into_iter().chain(awkward_names().into_iter().map(String::from)).collect()
}

/// `EMBED-SPACE-1`
pub async fn embed_space_1(rig: Rig<dyn Embedder>) {
    let space = rig.store.space();
    let dimension = usize::try_from(space.dimension).unwrap();
    for mode in MODES {
        for vector in rig.store.embed(mode, &texts()).await.unwrap() {
            assert_eq!(vector.len(), dimension);
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!(!space.normalised || (length - 1.0).abs() < 1e-3, "length {length}");
        }
        assert_eq!(rig.store.space(), space, "constant");
        assert_eq!(rig.other.space(), space, "for every handle");
    }
}

/// `EMBED-BATCH-1`
pub async fn embed_batch_1(rig: Rig<dyn Embedder>) {
    let texts = texts();
    for mode in MODES {
        let many: Vec<String> = texts.iter().cycle().take(300).cloned().collect();
        let together = rig.store.embed(mode, &many).await.unwrap();
        assert_eq!(together.len(), many.len());
        for (n, text) in texts.iter().enumerate() {
            let alone = rig.other.embed(mode, std::slice::from_ref(text)).await.unwrap();
            let [alone] = alone.try_into().unwrap();
            for place in [n, n + texts.len()] {
                let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5;
                assert!(together[place].iter().zip(&alone).all(near), "{text:?} at {place}");
            }
        }
        assert_eq!(rig.store.embed(mode, &[]).await.unwrap(), Vec::<Vec<f32>>::new());
    }
}

/// `EMBED-BATCH-2`
pub async fn embed_batch_2(rig: Rig<dyn Embedder>) {
    let dimension = usize::try_from(rig.store.space().dimension).unwrap();
    let megabyte = "a lease ends by itself. ".repeat(44_000);
    let odd = ["", " ", "\n\n", "\0", "!?", "\u{202e}", "🦀"].map(String::from);
    for text in odd.into_iter().chain([megabyte, "x".repeat(1_048_576)]) {
        for mode in MODES {
            match rig.store.embed(mode, std::slice::from_ref(&text)).await {
                Ok(vectors) => {
                    assert_eq!(vectors.len(), 1);
                    assert_eq!(vectors[0].len(), dimension);
                    assert!(vectors[0].iter().all(|x| x.is_finite()), "{} bytes", text.len());
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{error}"),
            }
        }
    }
}
