//! Answers, where they come from, and what can go wrong.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use hexmem_ports::{Error, Result, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Refresh, Review, SemanticHit};

/// An answer of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its bytes.
    pub value: Vec<u8>,
    /// What is kept beside it: the reason it ended, the id of the request, ... Any JSON.
    pub meta: Value,
    /// What it took to compute it: what a hit saves.
    pub usage: Usage,
    /// Whether it asks for tools to be called.
    pub tool_calls: ToolCalls,
    /// Where the chunks end that it was streamed in; none for an answer of one piece.
    pub chunks: Vec<ChunkMark>,
}

/// What a computation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens sent to the model.
    pub input_tokens: u64,
    /// Tokens that it answered.
    pub output_tokens: u64,
    /// Cost in millionths of the caller's currency.
    pub cost: u64,
}

impl Usage {
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether an answer asks for tools to be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolCalls {
    /// It does not, or nobody said so.
    #[default]
    None,
    /// It does.
    Some,
}

impl ToolCalls {
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A chunk of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkMark {
    /// Its length.
    pub bytes: u32,
    /// Milliseconds after the chunk before, or after the computation began.
    pub after_ms: u32,
}

impl Answer {
    /// Any bytes.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self {
            value: value.into(),
            meta: Value::Null,
            usage: Usage::default(),
            tool_calls: ToolCalls::None,
            chunks: Vec::new(),
        }
    }

    /// The JSON of `value`.
    ///
    /// # Errors
    /// `Invalid` where it has none.
    pub fn json(value: &impl Serialize) -> Result<Self> {
        serde_json::to_vec(value).map(Self::new).map_err(|error| {
            Error::invalid("llm_cache.answer", "the answer cannot be written as JSON")
                .caused_by(error)
        })
    }

    /// With the tokens it took.
    #[must_use]
    pub fn tokens(mut self, input: u64, output: u64) -> Self {
        (self.usage.input_tokens, self.usage.output_tokens) = (input, output);
        self
    }

    /// With what it cost, in millionths of the caller's currency.
    #[must_use]
    pub fn cost(mut self, millionths: u64) -> Self {
        self.usage.cost = millionths;
        self
    }

    /// Marked as one that asks for tools to be called.
    #[must_use]
    pub fn calls_tools(mut self) -> Self {
        self.tool_calls = ToolCalls::Some;
        self
    }

    /// With something kept beside it.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = meta;
        self
    }

    /// The answer as text.
    ///
    /// # Errors
    /// `Invalid` where it is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.value).map_err(|error| {
            Error::invalid("llm_cache.answer", "the answer is not text").caused_by(error)
        })
    }

    /// The answer read as JSON.
    ///
    /// # Errors
    /// `Invalid` where it is not that type's.
    pub fn read_json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.value).map_err(|error| {
            Error::invalid("llm_cache.answer", "the answer is not the JSON asked for")
                .caused_by(error)
        })
    }
}

/// An answer that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Cached {
    /// The answer.
    pub answer: Arc<Answer>,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Whether its time to live is over and its stale time is not.
    pub stale: bool,
}

/// An answer that was found or computed.
#[derive(Debug)]
#[must_use]
pub struct Served<'a> {
    /// The answer.
    pub answer: Arc<Answer>,
    /// Where it comes from.
    pub origin: Origin,
    /// With a stale answer, for one caller at a time: await it, or spawn it, to compute the answer anew. Dropped,
    /// the next caller gets it.
    pub refresh: Option<Refresh<'a>>,
    /// From the semantic tier, where an answer is to be judged: await it, or spawn it. Dropped, nothing is learnt.
    pub review: Option<Review<'a>>,
    /// Why the semantic tier had no say, where it failed. The call goes on without it.
    pub semantic_failure: Option<Arc<Error>>,
}

/// Where an answer comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Found, fresh.
    Fresh(Timestamp),
    /// Found, stale.
    Stale(Timestamp),
    /// Found under a similar question.
    Semantic(SemanticHit),
    /// Computed for this call.
    Computed(Kept),
    /// Computed meanwhile for another call of this process, or by another process.
    Shared,
}

impl Origin {
    /// Whether no computation was needed for this call.
    pub fn is_hit(&self) -> bool {
        !matches!(self, Self::Computed(_))
    }
}

/// What became of a computed answer.
#[derive(Debug, Clone)]
pub enum Kept {
    /// It is stored.
    Stored,
    /// Something it depends on was invalidated while it was computed: it is not stored.
    Outdated,
    /// The policy or the caller keeps no such answer.
    Skipped(Skip),
    /// The store failed, or refused it: it is not stored.
    Not(Arc<Error>),
}

/// Why an answer is neither looked up nor kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// The caller bypasses the cache.
    Asked,
    /// The temperature is above 0.
    Temperature,
    /// The question offers tools.
    Tools,
    /// The answer calls a tool.
    ToolCall,
    /// The answer is larger than the policy keeps, in bytes or in chunks.
    TooLarge,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CacheError {
    /// The store or an argument.
    Store(Arc<Error>),
    /// The computation failed. All who waited for it get this one.
    Computation(Arc<dyn StdError + Send + Sync>),
    /// The computation failed before, and the caller then chose to remember it.
    Remembered {
        /// What it said.
        message: Arc<str>,
        /// When.
        at: Timestamp,
    },
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Computation(_) => f.write_str("llm_cache.compute: the answer was not computed"),
            Self::Remembered { message, at } => {
                write!(f, "llm_cache.compute: failed at {at}, remembered: {message}")
            }
        }
    }
}

impl StdError for CacheError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Computation(error) => Some(error.as_ref()),
            Self::Remembered { .. } => None,
        }
    }
}

impl From<Error> for CacheError {
    fn from(error: Error) -> Self {
        Self::Store(Arc::new(error))
    }
}
