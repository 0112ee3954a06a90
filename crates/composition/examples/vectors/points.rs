//! The vectors.

use hexmem_ports::{
    CollectionId, CollectionSpec, DenseSpec, Distance, EmbeddingSpace, Name, Point, PointId, Tenant,
};
use serde_json::json;
use uuid::Uuid;

pub(crate) const DIMENSION: u32 = 384;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn collection() -> CollectionId {
    CollectionId::new(Tenant(name("bench")), name("vectors"))
}

/// Knuth's MMIX generator: the same everywhere.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % end
    }

    fn unit(&mut self) -> f32 {
        f32::from(u16::try_from(self.below(2_000)).unwrap()) / 1_000.0 - 1.0
    }

    /// In clusters, as embeddings are.
    pub(crate) fn dense(&mut self) -> Vec<f32> {
        let mut centre = Numbers(u64::from(self.below(100)) * 7 + 1);
        (0..DIMENSION).map(|_| centre.unit() + self.unit() * 0.6).collect()
    }
}

pub(crate) fn point(numbers: &mut Numbers, n: u32) -> Point {
    Point {
        id: PointId(Uuid::from_u128(u128::from(n.wrapping_mul(2_654_435_761)))),
        dense: [(name("d"), numbers.dense())].into(),
        sparse: [].into(),
        payload: json!({"document": format!("d{}", n / 8), "chunk": n % 8, "text": "x".repeat(400)}),
    }
}

pub(crate) fn spec() -> CollectionSpec {
    let space = EmbeddingSpace {
        provider: name("bench"),
        model: name("m"),
        dimension: DIMENSION,
        normalised: false,
        preprocessing: String::new(),
    };
    let dense = [(name("d"), DenseSpec { space, distance: Distance::Cosine })].into();
    CollectionSpec { dense, ..CollectionSpec::default() }
}
