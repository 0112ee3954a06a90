//! Answers, where they come from, and what can go wrong.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use hexmem_ports::{Error, Result, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Refresh;

/// An answer of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its bytes.
    pub value: Vec<u8>,
    /// What is kept beside it: tokens, cost, the reason it ended, ... Any JSON.
    pub meta: Value,
}

impl Answer {
    /// Any bytes.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self { value: value.into(), meta: Value::Null }
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
    pub answer: Answer,
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
}

/// Where an answer comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Found, fresh.
    Fresh(Timestamp),
    /// Found, stale.
    Stale(Timestamp),
    /// Computed for this call.
    Computed(Kept),
    /// Computed meanwhile for another call of this process.
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
    /// The store failed, or refused it (too large): it is not stored.
    Not(Arc<Error>),
}

/// Why there is no answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CacheError {
    /// The store or an argument.
    Store(Arc<Error>),
    /// The computation failed. All who waited for it get this one; it is not kept.
    Computation(Arc<dyn StdError + Send + Sync>),
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Computation(_) => f.write_str("llm_cache.compute: the answer was not computed"),
        }
    }
}

impl StdError for CacheError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Computation(error) => Some(error.as_ref()),
        }
    }
}

impl From<Error> for CacheError {
    fn from(error: Error) -> Self {
        Self::Store(Arc::new(error))
    }
}
