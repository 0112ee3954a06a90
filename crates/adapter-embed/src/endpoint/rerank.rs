//! Cross-encoders behind HTTP.

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{Clock, Error, Reranker, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Caller;
use super::config::RerankConfig;
use super::text::{batches, cut};

const RERANK: &str = "rerank.rerank";

/// Bytes of text a request.
const BATCH_BYTES: usize = 1024 * 1024;

/// An endpoint that scores texts against a query at `/rerank`.
///
/// The request has the fields of both forms there are (`texts` of Text Embeddings Inference, `documents` of Cohere, Jina
/// and vLLM), and either form of answer is read. Repeats as [`Endpoint`](crate::Endpoint) does.
pub struct RerankEndpoint {
    config: RerankConfig,
    caller: Caller,
}

impl std::fmt::Debug for RerankEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RerankEndpoint").field("config", &self.config).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    #[serde(alias = "relevance_score")]
    score: f32,
}

impl RerankEndpoint {
    /// Asks nothing yet. `clock` sleeps between repeats. `Invalid` names what is wrong with the configuration.
    pub fn new(config: RerankConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let caller = Caller::new(config.calls()?, clock)?;
        Ok(Self { config, caller })
    }

    async fn batch(&self, query: &str, texts: &[String]) -> Result<Vec<f32>> {
        let mut body = json!({
            "query": query, "texts": texts, "documents": texts, "truncate": true, "top_n": texts.len(),
        });
        if !self.config.model.is_empty() {
            body["model"] = self.config.model.clone().into();
        }
        let answer = self.caller.ask(RERANK, &body).await.map_err(|failed| failed.error)?;
        self.scores(answer, texts.len())
    }

    fn scores(&self, answer: Value, texts: usize) -> Result<Vec<f32>> {
        let list = match answer {
            Value::Object(mut fields) => fields.remove("results").unwrap_or_default(),
            list => list,
        };
        let list: Vec<Scored> = serde_json::from_value(list).map_err(|error| {
            self.odd("it answered with JSON that has no scores; check the url").caused_by(error)
        })?;
        let mut scores = vec![None; texts];
        for Scored { index, score } in list {
            match scores.get_mut(index) {
                Some(place) if score.is_finite() => *place = Some(score),
                _ => return Err(self.odd(&format!("its score of text {index} cannot be used"))),
            }
        }
        let given: Vec<f32> = scores.into_iter().flatten().collect();
        if given.len() == texts {
            return Ok(given);
        }
        Err(self.odd(&format!("it gave {} scores for {texts} texts", given.len())))
    }

    fn odd(&self, what: &str) -> Error {
        self.caller.odd(RERANK, what)
    }
}

#[async_trait]
impl Reranker for RerankEndpoint {
    async fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<f32>> {
        let texts: Vec<String> =
            passages.iter().map(|text| cut(text, self.config.max_chars).to_owned()).collect();
        let mut scores = Vec::with_capacity(texts.len());
        for range in batches(&texts, self.config.batch, BATCH_BYTES) {
            scores.extend(self.batch(query, &texts[range]).await?);
        }
        Ok(scores)
    }
}
