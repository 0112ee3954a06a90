//! Which endpoint, and how it is asked.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use hexmem_ports::{EmbeddingSpace, Error, Name, Result};
use serde::{Deserialize, Serialize};

/// A secret that prints as dots.
#[derive(Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(transparent)]
pub struct ApiKey(String);

impl ApiKey {
    /// Holds `key`.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "***" })
    }
}

impl Serialize for ApiKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(if self.0.is_empty() { "" } else { "***" })
    }
}

/// An embedding endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointConfig {
    /// The address up to `/embeddings`, as in `https://api.openai.com/v1`.
    pub url: String,
    /// The model, as the endpoint names it.
    pub model: String,
    /// Sent as a bearer token where it is not empty.
    pub api_key: ApiKey,
    /// Numbers a vector: 1 to 65,536. Another number in an answer is an error.
    pub dimension: u32,
    /// Whether to ask the endpoint for `dimension` numbers, for models that can shorten their vectors.
    pub send_dimension: bool,
    /// Who computes, as the embedding space names it.
    pub provider: String,
    /// What stands before a question.
    pub query_prefix: String,
    /// What stands before a text to be found.
    pub passage_prefix: String,
    /// Longer texts are cut at this many characters, the prefix not counted. 0: never, and a text that is too long for the
    /// model is the endpoint's to refuse or to cut.
    pub max_chars: usize,
    /// Whether vectors are brought to length 1 here.
    pub normalise: bool,
    /// Texts a request: 1 to 2,048.
    pub batch: usize,
    /// Requests at a time: 1 to 64.
    pub parallel: usize,
    /// For how long one request may take, in milliseconds: 1 to 600,000.
    pub timeout_ms: u64,
    /// How often a request is repeated that the endpoint could not answer now: 0 to 20.
    pub retries: u32,
    /// The first pause before a repeat, in milliseconds; each next one is twice as long, at most a minute. What the endpoint asks
    /// for with `Retry-After` goes before it.
    pub backoff_ms: u64,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            model: String::new(),
            api_key: ApiKey::default(),
            dimension: 0,
            send_dimension: false,
            provider: "endpoint".into(),
            query_prefix: String::new(),
            passage_prefix: String::new(),
            max_chars: 0,
            normalise: true,
            batch: 64,
            parallel: 4,
            timeout_ms: 60_000,
            retries: 5,
            backoff_ms: 500,
        }
    }
}

/// A cross-encoder endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RerankConfig {
    /// The address up to `/rerank`, as in `http://127.0.0.1:8080`.
    pub url: String,
    /// The model, as the endpoint names it; empty where it has one.
    pub model: String,
    /// Sent as a bearer token where it is not empty.
    pub api_key: ApiKey,
    /// Passages a request: 1 to 1,000.
    pub batch: usize,
    /// Longer passages are cut at this many characters. 0: never.
    pub max_chars: usize,
    /// For how long one request may take, in milliseconds: 1 to 600,000.
    pub timeout_ms: u64,
    /// How often a request is repeated that the endpoint could not answer now: 0 to 20.
    pub retries: u32,
    /// The first pause before a repeat, in milliseconds.
    pub backoff_ms: u64,
}

impl Default for RerankConfig {
    fn default() -> Self {
        let embed = EndpointConfig::default();
        Self {
            url: String::new(),
            model: String::new(),
            api_key: ApiKey::default(),
            batch: 32,
            max_chars: 8_000,
            timeout_ms: embed.timeout_ms,
            retries: embed.retries,
            backoff_ms: embed.backoff_ms,
        }
    }
}

/// What both kinds of endpoint share.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) url: reqwest::Url,
    pub(crate) api_key: ApiKey,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) backoff: Duration,
}

const NEW: &str = "embed.new";

fn wrong(what: impl Into<String>) -> Error {
    Error::invalid(NEW, what)
}

fn within<T>(name: &str, value: T, range: RangeInclusive<T>) -> Result<()>
where
    T: PartialOrd + fmt::Display + Copy,
{
    if range.contains(&value) {
        return Ok(());
    }
    Err(wrong(format!("{name} is {} to {}, not {value}", range.start(), range.end())))
}

impl Calls {
    fn new(
        url: &str,
        path: &str,
        api_key: &ApiKey,
        (timeout_ms, retries, backoff_ms): (u64, u32, u64),
    ) -> Result<Self> {
        if url.is_empty() {
            return Err(wrong(
                "url is missing; name the endpoint, as in http://127.0.0.1:11434/v1",
            ));
        }
        let whole = format!("{}{path}", url.trim_end_matches('/'));
        let url = reqwest::Url::parse(&whole)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| wrong("url is no http:// or https:// address"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("url holds a user or a password; give the secret as api_key"));
        }
        within("timeout_ms", timeout_ms, 1..=600_000)?;
        within("retries", retries, 0..=20)?;
        within("backoff_ms", backoff_ms, 1..=60_000)?;
        Ok(Self {
            url,
            api_key: api_key.clone(),
            timeout: Duration::from_millis(timeout_ms),
            retries,
            backoff: Duration::from_millis(backoff_ms),
        })
    }
}

impl EndpointConfig {
    pub(crate) fn calls(&self) -> Result<Calls> {
        within("batch", self.batch, 1..=2_048)?;
        within("parallel", self.parallel, 1..=64)?;
        let spans = (self.timeout_ms, self.retries, self.backoff_ms);
        Calls::new(&self.url, "/embeddings", &self.api_key, spans)
    }

    pub(crate) fn space(&self) -> Result<EmbeddingSpace> {
        if self.model.is_empty() {
            return Err(wrong("model is missing; name it as the endpoint does"));
        }
        if self.dimension == 0 {
            return Err(wrong("dimension is missing; give the length of the model's vectors"));
        }
        within("dimension", self.dimension, 1..=65_536)?;
        let mut preprocessing = Vec::new();
        for (side, prefix) in [("query", &self.query_prefix), ("passage", &self.passage_prefix)] {
            if !prefix.is_empty() {
                preprocessing.push(format!("{side} after {prefix:?}"));
            }
        }
        if self.max_chars > 0 {
            preprocessing.push(format!("cut at {} characters", self.max_chars));
        }
        Ok(EmbeddingSpace {
            provider: Name::new(&self.provider)?,
            model: Name::new(&self.model)?,
            dimension: self.dimension,
            normalised: self.normalise,
            preprocessing: preprocessing.join(", "),
        })
    }
}

impl RerankConfig {
    pub(crate) fn calls(&self) -> Result<Calls> {
        within("batch", self.batch, 1..=1_000)?;
        let spans = (self.timeout_ms, self.retries, self.backoff_ms);
        Calls::new(&self.url, "/rerank", &self.api_key, spans)
    }
}
