//! Answers to similar questions.

mod context;
mod evidence;
mod judge;
mod look;
mod state;

use std::fmt;
use std::sync::Arc;

use hexmem_ports::{
    Digest, Embedder, Error, KeyValueStore, Limit, NamespaceId, Result, Timestamp, VectorStore,
};

pub use evidence::{Budget, Evidence, Start, Verdict, wilson_upper};
pub use judge::{Judge, SameText};
pub use state::BudgetState;

pub(crate) use context::Similarly;
pub(crate) use look::{Candidate, Look};

/// What a semantic tier decides.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticPolicy {
    /// Whether found answers are served.
    pub mode: SemanticMode,
    /// The least cosine similarity of the two questions, 0 to 1. 0 is 0: each answer of the context is near enough.
    /// Evidence may raise it, never lower it.
    pub threshold: f64,
    /// How often an answer may be wrong.
    pub budget: Budget,
    /// Of the served answers, how many in a hundred come with a review that computes the answer all the same and
    /// compares: 0 to 100. Needs a judge.
    pub review_percent: u8,
    /// How many of the nearest questions are tried: 1 to 64. A near one whose answer ended makes room for the
    /// next.
    pub candidates: u32,
}

/// Whether found answers are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SemanticMode {
    /// They are.
    Serve,
    /// They are only counted, and compared with the computed ones where there is a judge.
    Shadow,
}

impl SemanticPolicy {
    /// In shadow mode, at most 1 % wrong at 1.96 deviations, trusting; 2 % of served answers reviewed, 4 candidates.
    pub fn shadow(threshold: f64) -> Self {
        Self {
            mode: SemanticMode::Shadow,
            threshold,
            budget: Budget { false_hits: 0.01, deviations: 1.96, start: Start::Trusting },
            review_percent: 2,
            candidates: 4,
        }
    }

    /// The same, serving, and only what evidence shows to keep the budget.
    pub fn serve(threshold: f64) -> Self {
        let shadow = Self::shadow(threshold);
        let budget = Budget { start: Start::Proven, ..shadow.budget };
        Self { mode: SemanticMode::Serve, budget, ..shadow }
    }

    /// `Invalid` outside the stated ranges.
    pub fn check(&self) -> Result<()> {
        self.budget.check()?;
        let wrong = if !(0.0..=1.0).contains(&self.threshold) {
            "threshold is a similarity, 0 to 1"
        } else if self.review_percent > 100 {
            "review_percent is 0 to 100"
        } else if !(1..=64).contains(&self.candidates) {
            "candidates is 1 to 64"
        } else {
            return Ok(());
        };
        Err(Error::invalid("llm_cache.semantic", wrong))
    }
}

/// The semantic tier of caches: where questions are found again by what they mean.
///
/// A vector only points to a fingerprint; the exact entry decides whether there is an answer. It is looked for among
/// questions of one context: same tenant, namespace, provider, model, system prompt, earlier messages, tools,
/// parameters and tags; only the words of the last user message may differ. A question with tools, with a last
/// message that is not the user's, or not of text alone, is never answered from here.
#[derive(Clone)]
pub struct SemanticTier {
    vectors: Arc<dyn VectorStore>,
    embedder: Arc<dyn Embedder>,
    state: Arc<dyn KeyValueStore>,
    judge: Option<Arc<dyn Judge>>,
    policy: SemanticPolicy,
    candidates: Limit,
}

impl fmt::Debug for SemanticTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemanticTier")
            .field("policy", &self.policy)
            .field("judge", &self.judge.is_some())
            .finish_non_exhaustive()
    }
}

impl SemanticTier {
    /// A tier that keeps questions in `vectors` and evidence in `state`. Both outlive the process where the stores
    /// do; processes share them.
    ///
    /// # Errors
    /// `Invalid` for a policy outside its ranges.
    pub fn new(
        vectors: Arc<dyn VectorStore>,
        embedder: Arc<dyn Embedder>,
        state: Arc<dyn KeyValueStore>,
        policy: SemanticPolicy,
    ) -> Result<Self> {
        policy.check()?;
        let candidates = Limit::new(policy.candidates)?;
        Ok(Self { vectors, embedder, state, judge: None, policy, candidates })
    }

    /// With one who compares a found answer with the computed one.
    #[must_use]
    pub fn with_judge(mut self, judge: Arc<dyn Judge>) -> Self {
        self.judge = Some(judge);
        self
    }

    /// The policy.
    pub fn policy(&self) -> &SemanticPolicy {
        &self.policy
    }

    pub(crate) fn judge(&self) -> Option<&Arc<dyn Judge>> {
        self.judge.as_ref()
    }

    /// Tells apart what vectors of another model, or of another namespace, must not mix with.
    fn digest(&self, namespace: &NamespaceId) -> Digest {
        let space = self.embedder.space().to_string();
        Digest::of_parts([
            namespace.tenant.as_str().as_bytes(),
            namespace.name.as_str().as_bytes(),
            space.as_bytes(),
        ])
    }
}

/// An answer found under a similar question: what to give back to
/// [`LlmCache::report`](crate::LlmCache::report) when it turns out right or wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticHit {
    /// The cosine similarity of the questions.
    pub similarity: f64,
    /// The fingerprint under which the answer is.
    pub fingerprint: Digest,
    /// When the answer was stored.
    pub stored_at: Timestamp,
}
