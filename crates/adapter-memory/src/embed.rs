//! Vectors and rankings without a model, for tests and offline demonstrations.

use async_trait::async_trait;
use hexmem_ports::{EmbedMode, Embedder, EmbeddingSpace, Error, Name, Reranker, Result};

/// The largest dimension of an [`EmbeddingSpace`].
const DIMENSION_LIMIT: u32 = 65_536;

/// What a word and each of its trigrams add to a vector.
const WORD: f32 = 1.0;
const TRIGRAM: f32 = 0.5;

/// Hashed words and character trigrams ("feature hashing", Weinberger et al., 2009), of length 1.
///
/// It is no language model: texts are near each other when they share words or parts of words, and meaning
/// plays no part. The same text gives the same vector on every machine.
#[derive(Debug, Clone)]
pub struct HashEmbedder {
    space: EmbeddingSpace,
    dimension: usize,
}

impl HashEmbedder {
    /// Vectors of `dimension` numbers, 1 to 65,536. Below a few hundred, unlike words often fall together.
    pub fn new(dimension: u32) -> Result<Self> {
        let wrong = || {
            Error::invalid("embed.new", format!("a dimension is 1 to {DIMENSION_LIMIT}"))
                .with("dimension", dimension)
        };
        if !(1..=DIMENSION_LIMIT).contains(&dimension) {
            return Err(wrong());
        }
        let space = EmbeddingSpace {
            provider: Name::new("hexmem")?,
            model: Name::new("hash-1")?,
            dimension,
            normalised: true,
            preprocessing: "lower-case words and their trigrams".into(),
        };
        Ok(Self { space, dimension: usize::try_from(dimension).map_err(|_| wrong())? })
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.dimension];
        for word in words(text) {
            self.add(&mut vector, b"w", word.as_bytes(), WORD);
            let marked = format!("\u{2}{word}\u{3}");
            let starts: Vec<usize> = marked.char_indices().map(|(at, _)| at).collect();
            for (first, start) in starts.iter().enumerate() {
                let end = match starts.get(first + 3) {
                    Some(end) => *end,
                    None if first + 3 == starts.len() => marked.len(),
                    None => break,
                };
                self.add(&mut vector, b"t", &marked.as_bytes()[*start..end], TRIGRAM);
            }
        }
        let mut length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length < f32::EPSILON {
            // No words, or words that cancel out: a direction of its own instead of none.
            self.add(&mut vector, b"-", b"", 1.0);
            length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        }
        vector.iter_mut().for_each(|x| *x /= length);
        vector
    }

    /// Adds a feature at its place, with its sign: what falls together cancels out on average.
    fn add(&self, vector: &mut [f32], kind: &[u8], feature: &[u8], weight: f32) {
        let hash = fnv1a(kind.iter().chain(feature));
        let dimension = u64::try_from(self.dimension).unwrap_or(u64::MAX);
        let place = usize::try_from((hash >> 1) % dimension).unwrap_or(0);
        if let Some(number) = vector.get_mut(place) {
            *number += if hash & 1 == 0 { weight } else { -weight };
        }
    }
}

/// Lower-case runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo), finished by a multiplication that mixes the high bits into the low.
fn fnv1a<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8
}

#[async_trait]
impl Embedder for HashEmbedder {
    fn space(&self) -> EmbeddingSpace {
        self.space.clone()
    }

    async fn embed(&self, _mode: EmbedMode, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}

/// Scores a passage by the share of the query's words that it contains, 0 to 1. For tests and demonstrations.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverlapReranker;

#[async_trait]
impl Reranker for OverlapReranker {
    async fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<f32>> {
        let asked: std::collections::BTreeSet<String> = words(query).collect();
        let score = |passage: &String| {
            let said: std::collections::BTreeSet<String> = words(passage).collect();
            #[allow(clippy::cast_precision_loss, reason = "a share of a few words")]
            let share = asked.intersection(&said).count() as f32 / asked.len().max(1) as f32;
            share
        };
        Ok(passages.iter().map(score).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(embedder: &HashEmbedder, a: &str, b: &str) -> f32 {
        embedder.vector(a).iter().zip(embedder.vector(b)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn shared_words_and_parts_of_words_bring_texts_together() {
        let embedder = HashEmbedder::new(512).unwrap();
        let query = "how does a lease expire";
        let near = likeness(&embedder, query, "A lease expires when its time runs out");
        let far = likeness(&embedder, query, "Bananas ripen on the kitchen table");
        assert!(near > far + 0.1, "{near} and {far}");
        assert!(likeness(&embedder, "expire", "expires") > 0.3);
        assert!((likeness(&embedder, query, query) - 1.0).abs() < 1e-5);
        assert!((likeness(&embedder, "A b", "a  B!") - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_vector_never_changes() {
        let vector = HashEmbedder::new(8).unwrap().vector("lease 日本語");
        let rounded: Vec<String> = vector.iter().map(|x| format!("{x:.3}")).collect();
        assert_eq!(rounded.join(" "), GOLDEN);
    }

    const GOLDEN: &str = "0.000 -0.267 0.535 0.535 0.000 0.535 0.000 0.267";

    #[test]
    fn dimensions_have_bounds() {
        assert!(HashEmbedder::new(0).is_err());
        assert!(HashEmbedder::new(65_537).is_err());
        assert_eq!(HashEmbedder::new(1).unwrap().vector("").len(), 1);
    }
}
