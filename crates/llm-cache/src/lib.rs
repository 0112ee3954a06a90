//! Answers of language models, computed once and found again.
//!
//! A [`Question`] has a fingerprint: SHA-256 over canonical JSON (RFC 8785) of tenant, provider, model, system
//! prompt, messages, tools and parameters, never truncated. [`LlmCache::get_or_compute`] finds the answer or
//! computes it, once for all who ask at the same time. Answers end by time, by question, by tag, by model or by
//! namespace; one whose computation began before an invalidation is never served after it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hexmem_adapter_memory::{MemoryCache, SystemClock};
//! use hexmem_llm_cache::{Answer, LlmCache, Policy, Question};
//! use hexmem_ports::{NamespaceId, Tenant, Ttl};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(SystemClock);
//! let store = Arc::new(MemoryCache::new(clock.clone()));
//! let namespace = NamespaceId::new(Tenant("acme".try_into()?), "support-bot".try_into()?);
//! let policy = Policy::new(Ttl::secs(3_600)?)?.stale(Ttl::secs(600)?);
//! let cache = LlmCache::new(store, clock, namespace, policy)?;
//!
//! let question = Question::new("openai".try_into()?, "gpt-4o".try_into()?)
//!     .message("user", "What is a lease?")
//!     .parameter("temperature", 0.0);
//! let ask = || async { Ok::<_, std::io::Error>(Answer::new("A right that ends by itself.")) };
//!
//! let first = cache.get_or_compute(&question, &["handbook".try_into()?], ask).await?;
//! assert!(!first.origin.is_hit());
//! let again = cache.get_or_compute(&question, &["handbook".try_into()?], ask).await?;
//! assert!(again.origin.is_hit());
//! assert_eq!(again.answer.text()?, "A right that ends by itself.");
//!
//! cache.invalidate_tag("handbook".try_into()?).await?;
//! assert!(cache.get(&question).await?.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! Nothing runs in the background: a stale answer comes with a [`Refresh`] that the caller awaits or spawns, a semantic
//! answer that is to be judged with a [`Review`].
//!
//! [`LlmCache::get_or_stream`] records streamed answers and replays them chunk by chunk. A [`SemanticTier`] finds answers
//! to similar questions within a stated budget of wrong ones. [`CachedEmbedder`] keeps embeddings in the same store. The
//! feature `moka` adds `LocalTier`: copies in the process. `docs/cache.md` tells it whole.

mod answer;
mod cache;
mod call;
mod canonical;
mod compute;
mod copies;
mod embeddings;
mod envelope;
mod errand;
mod flights;
mod lead;
#[cfg(feature = "moka")]
mod local;
mod policy;
mod question;
mod review;
mod semantic;
mod stream;
mod tallies;

pub use answer::{
    Answer, CacheError, Cached, ChunkMark, Kept, Origin, Served, Skip, ToolCalls, Usage,
};
pub use cache::LlmCache;
pub use call::{Call, Mode, Pace, Similar};
pub use compute::{Refresh, Refreshed};
pub use embeddings::CachedEmbedder;
#[cfg(feature = "moka")]
pub use local::LocalTier;
pub use policy::{OnOutage, Policy, WhenRandom, WhenTools, jittered, poll_wait};
pub use question::Question;
pub use review::{Review, Reviewed};
pub use semantic::{
    Budget, BudgetState, Evidence, Judge, SameText, SemanticHit, SemanticMode, SemanticPolicy,
    SemanticTier, Start, Verdict, wilson_upper,
};
pub use stream::{AnswerStream, Piece, StreamOrigin};

/// The guide's examples compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/cache.md")]
struct Guide;
