//! A model in this process.

mod bert;
mod folder;
mod weights;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use hexmem_ports::{EmbedMode, Embedder, EmbeddingSpace, Error, ErrorKind, Name, Result};
use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokenizers::{Tokenizer, TruncationParams};

use bert::Bert;
pub use folder::Pooling;
use folder::{Folder, OPEN};
use weights::Weights;

const EMBED: &str = "embed.embed";

/// A model folder. What is `None` is as the folder says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalConfig {
    /// The folder with `config.json`, `tokenizer.json` and `model.safetensors`.
    pub folder: PathBuf,
    /// What stands before a question.
    pub query_prefix: Option<String>,
    /// What stands before a text to be found.
    pub passage_prefix: Option<String>,
    /// Longer texts are cut at this many tokens, those that the model adds included.
    pub max_tokens: Option<usize>,
    /// How the vectors of tokens become one.
    pub pooling: Option<Pooling>,
    /// Whether vectors are brought to length 1.
    pub normalise: Option<bool>,
    /// Texts computed at a time; 0: as many as the machine has cores.
    pub threads: usize,
}

/// An encoder of text that computes in this process, on its cores.
///
/// A folder of sentence-transformers is read whole into memory, once: 4 bytes a number, so 90 MB for MiniLM. The
/// embedding space names the model, the first digits of the SHA-256 of its weights, and what is done to text. Each text
/// is computed alone: it has the same vector in any batch. Dropping a call ends it after the texts it is at.
pub struct LocalModel(Arc<Inner>);

struct Inner {
    space: EmbeddingSpace,
    tokenizer: Tokenizer,
    bert: Bert,
    pooling: Pooling,
    prefixes: [String; 2],
    threads: usize,
}

impl std::fmt::Debug for LocalModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalModel").field("space", &self.0.space).finish_non_exhaustive()
    }
}

impl LocalModel {
    /// Reads the folder; takes about a tenth of a second for 90 MB, and blocks meanwhile. `NotFound` names a missing file,
    /// `Corrupt` one that is damaged, `Unsupported` a model of another kind.
    pub fn open(config: &LocalConfig) -> Result<Self> {
        let folder = Folder::read(&config.folder)?;
        let file = folder::bytes(&config.folder, "model.safetensors")?;
        let within = |error: Error| error.with("folder", config.folder.display());
        let weights = Weights::read(&file).map_err(within)?;
        let bert = Bert::read(&weights, &folder.shape).map_err(within)?;
        let longest = bert.longest();
        let max_tokens = config.max_tokens.or(folder.max_tokens).unwrap_or(longest).min(longest);
        if max_tokens < 3 {
            return Err(Error::invalid(
                OPEN,
                "max_tokens is 3 or more: the model adds two of its own",
            ));
        }
        let tokenizer = tokenizer(config, max_tokens, bert.vocabulary())?;
        let prefixes = [
            config.query_prefix.clone().or(folder.prompts.query).unwrap_or_default(),
            config.passage_prefix.clone().or(folder.prompts.passage).unwrap_or_default(),
        ];
        let pooling = config.pooling.unwrap_or(folder.pooling);
        let normalised = config.normalise.unwrap_or(folder.normalise);
        let mut preprocessing = vec![format!("{pooling:?} of {max_tokens} tokens").to_lowercase()];
        for (side, prefix) in ["query", "passage"].iter().zip(&prefixes) {
            if !prefix.is_empty() {
                preprocessing.push(format!("{side} after {prefix:?}"));
            }
        }
        let dimension = u32::try_from(folder.shape.hidden_size).map_err(|_| {
            Error::corrupt(OPEN, "config.json gives vectors of more numbers than there can be")
        })?;
        let space = EmbeddingSpace {
            provider: Name::new("local")?,
            model: Name::new(named(config, folder.shape.name.as_deref(), &file))?,
            dimension,
            normalised,
            preprocessing: preprocessing.join(", "),
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = if config.threads == 0 { cores } else { config.threads.min(256) };
        Ok(Self(Arc::new(Inner { space, tokenizer, bert, pooling, prefixes, threads })))
    }
}

/// The model's own name, or that of its folder, and what its weights are.
fn named(config: &LocalConfig, name: Option<&str>, file: &[u8]) -> String {
    let folder = config.folder.file_name().and_then(|name| name.to_str());
    let name = name.and_then(|name| name.rsplit('/').next()).filter(|name| !name.is_empty());
    let hash: String =
        Sha256::digest(file).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{}@{hash}", name.or(folder).unwrap_or("model"))
}

fn tokenizer(config: &LocalConfig, max_tokens: usize, vocabulary: usize) -> Result<Tokenizer> {
    let bytes = folder::bytes(&config.folder, "tokenizer.json")?;
    let damaged = |what: &str| {
        Error::corrupt(OPEN, format!("tokenizer.json {what}"))
            .with("file", config.folder.join("tokenizer.json").display())
    };
    let mut tokenizer = Tokenizer::from_bytes(bytes)
        .map_err(|error| damaged("is damaged; copy it again").caused_by(error))?;
    if tokenizer.get_vocab_size(true) > vocabulary {
        return Err(damaged("has more tokens than the model: it is another model's"));
    }
    // What the file says about length is for batches of its maker.
    let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(Some(truncation))
        .map_err(|error| damaged("cannot cut texts").caused_by(error))?;
    Ok(tokenizer)
}

impl Inner {
    fn vector(&self, text: &str) -> Result<Vec<f32>> {
        let encoding = self.tokenizer.encode(text, true).map_err(|error| {
            Error::invalid(EMBED, "a text cannot be cut into tokens").caused_by(error)
        })?;
        let rows = self.bert.encode(encoding.get_ids());
        let mut vector = pool(&rows, self.pooling);
        if self.space.normalised {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            if !length.is_normal() {
                return Err(Error::invalid(EMBED, "a text has a vector without a direction"));
            }
            vector /= length;
        }
        if vector.iter().any(|x| !x.is_finite()) {
            return Err(Error::corrupt(EMBED, "the model gives numbers that are not finite"));
        }
        Ok(vector.to_vec())
    }

    /// Each thread takes the next text, as soon as it is done with one.
    fn vectors(&self, texts: &[String], stopped: &AtomicBool) -> Result<Vec<Vec<f32>>> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(text) = texts.get(at) else { break };
                done.push((at, self.vector(text)?));
            }
            Ok(done)
        };
        let parts: Vec<Result<Vec<_>>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (1..self.threads.min(texts.len())).map(|_| scope.spawn(work)).collect();
            let own = work();
            let others = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Internal, EMBED, "a thread of the model ended early"))
                })
            });
            others.chain([own]).collect()
        });
        let mut vectors = vec![Vec::new(); texts.len()];
        for part in parts {
            for (at, vector) in part? {
                vectors[at] = vector;
            }
        }
        Ok(vectors)
    }
}

fn pool(rows: &Array2<f32>, pooling: Pooling) -> Array1<f32> {
    match pooling {
        Pooling::Mean => rows.sum_axis(Axis(0)) / bert::count(rows.nrows().max(1)),
        Pooling::Cls => {
            rows.rows().into_iter().next().map(|row| row.to_owned()).unwrap_or_default()
        }
        Pooling::Max => rows.fold_axis(Axis(0), f32::NEG_INFINITY, |most, x| most.max(*x)),
    }
}

/// Tells the threads to stop when the caller has gone.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Embedder for LocalModel {
    fn space(&self) -> EmbeddingSpace {
        self.0.space.clone()
    }

    async fn embed(&self, mode: EmbedMode, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let [query, passage] = &self.0.prefixes;
        let prefix = match mode {
            EmbedMode::Query => query,
            EmbedMode::Passage => passage,
        };
        let texts: Vec<String> = texts.iter().map(|text| format!("{prefix}{text}")).collect();
        let stop = Stop(Arc::new(AtomicBool::new(false)));
        let (inner, stopped) = (Arc::clone(&self.0), Arc::clone(&stop.0));
        let work = tokio::task::spawn_blocking(move || inner.vectors(&texts, &stopped));
        work.await.map_err(|error| {
            Error::new(ErrorKind::Internal, EMBED, "the model's thread ended early")
                .caused_by(error)
        })?
    }
}
