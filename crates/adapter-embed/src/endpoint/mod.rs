//! Models behind HTTP.

mod call;
mod config;
mod rerank;
mod text;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hexmem_ports::{Clock, EmbedMode, Embedder, EmbeddingSpace, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use call::{Caller, Failed};
pub use config::{ApiKey, EndpointConfig, RerankConfig};
pub use rerank::RerankEndpoint;
use text::cut;

const EMBED: &str = "embed.embed";

/// Bytes of text a request: below what endpoints take as a body.
const BATCH_BYTES: usize = 1024 * 1024;

/// An endpoint that answers like OpenAI's `/v1/embeddings`.
///
/// Texts are sent in batches, several at a time, and a batch that the endpoint could not answer now (429, 5xx, no
/// answer in time, no connection) is sent again, after the pause it asks for or one that doubles. A batch that is
/// too large for it (413) is halved. An answer has to have a vector of the stated dimension for each text, in any order;
/// half a batch is an error, never half a result. Dropping a call stops its requests.
pub struct Endpoint {
    config: EndpointConfig,
    space: EmbeddingSpace,
    caller: Caller,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("config", &self.config).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Vec<f32>,
}

impl Endpoint {
    /// Asks nothing yet. `clock` sleeps between repeats. `Invalid` names what is wrong with the configuration.
    pub fn new(config: EndpointConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let space = config.space()?;
        let caller = Caller::new(config.calls()?, clock)?;
        Ok(Self { config, space, caller })
    }

    /// The vectors of a batch; halves it as often as it is too large.
    async fn batch(&self, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let mut done = Vec::with_capacity(texts.len());
        let mut waiting = vec![texts];
        while let Some(texts) = waiting.pop() {
            match self.request(texts).await {
                Ok(vectors) => done.extend(vectors),
                Err(failed) if failed.too_large && texts.len() > 1 => {
                    let (first, rest) = texts.split_at(texts.len() / 2);
                    waiting.extend([rest, first]);
                }
                Err(failed) => return Err(failed.error),
            }
        }
        Ok(done)
    }

    async fn request(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Failed> {
        let mut body =
            json!({"model": self.config.model, "input": texts, "encoding_format": "float"});
        if self.config.send_dimension {
            body["dimensions"] = self.config.dimension.into();
        }
        let answer = self.caller.ask(EMBED, &body).await?;
        Ok(self.vectors(answer, texts.len())?)
    }

    fn vectors(&self, answer: Value, texts: usize) -> Result<Vec<Vec<f32>>> {
        let answer: Answer = serde_json::from_value(answer).map_err(|error| {
            self.odd("it answered with JSON that has no `data` of embeddings; check the url")
                .caused_by(error)
        })?;
        let given = answer.data.len();
        if given != texts {
            return Err(self.odd(&format!("it gave {given} vectors for {texts} texts")));
        }
        let mut vectors = vec![None; texts];
        for (at, item) in answer.data.into_iter().enumerate() {
            let index = item.index.unwrap_or(at);
            let place = vectors.get_mut(index).filter(|place| place.is_none());
            let place = place.ok_or_else(|| {
                self.odd(&format!(
                    "it gave {texts} vectors, and not one for each text (index {index})"
                ))
            })?;
            *place = Some(self.checked(item.embedding)?);
        }
        Ok(vectors.into_iter().flatten().collect())
    }

    fn checked(&self, mut vector: Vec<f32>) -> Result<Vec<f32>> {
        let wanted = self.space.dimension;
        if u32::try_from(vector.len()) != Ok(wanted) {
            return Err(self.odd(&format!(
                "a vector of `{}` has {} numbers, and {wanted} are configured; set dimension",
                self.config.model,
                vector.len(),
            )));
        }
        if vector.iter().any(|number| !number.is_finite()) {
            return Err(self.odd("a vector holds a number that is not finite"));
        }
        if self.config.normalise && !text::normalise(&mut vector) {
            return Err(self.odd("a vector of zeros has no direction; set normalise = false"));
        }
        Ok(vector)
    }

    fn odd(&self, what: &str) -> Error {
        self.caller.odd(EMBED, what)
    }
}

#[async_trait]
impl Embedder for Endpoint {
    fn space(&self) -> EmbeddingSpace {
        self.space.clone()
    }

    async fn embed(&self, mode: EmbedMode, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let prefix = match mode {
            EmbedMode::Query => &self.config.query_prefix,
            EmbedMode::Passage => &self.config.passage_prefix,
        };
        let texts: Vec<String> = texts
            .iter()
            .map(|text| format!("{prefix}{}", cut(text, self.config.max_chars)))
            .collect();
        let batches = text::batches(&texts, self.config.batch, BATCH_BYTES);
        let requests = batches.into_iter().map(|range| self.batch(&texts[range]));
        let done: Vec<_> =
            stream::iter(requests).buffered(self.config.parallel).try_collect().await?;
        Ok(done.into_iter().flatten().collect())
    }
}
