//! What one call asks for beside its question.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::{Name, Ttl};

type KeepFailure = Arc<dyn Fn(&(dyn StdError + 'static)) -> Option<Ttl> + Send + Sync>;

/// The settings of one call. What is not set is as the [`Policy`](crate::Policy) has it. Tags alone are a call
/// too: `&[tag]` stands for `Call::new().tag(tag)`.
///
/// ```
/// use hexmem_llm_cache::{Call, Mode};
/// use hexmem_ports::Ttl;
///
/// # fn main() -> hexmem_ports::Result<()> {
/// let call = Call::new().tag("handbook".try_into()?).ttl(Ttl::secs(60)?).mode(Mode::Recompute);
/// assert_eq!(call.tags.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Call {
    /// What else ends the answer when it is invalidated, beside its model and namespace.
    pub tags: Vec<Name>,
    /// Whether the cache is read and written.
    pub mode: Mode,
    /// How long the answer is fresh, before jitter.
    pub ttl: Option<Ttl>,
    /// How long beyond that it is served stale.
    pub stale: Option<Ttl>,
    /// Which of several samples of one question is meant: each number has an answer of its own.
    pub sample: Option<u64>,
    /// How fast a found answer is replayed as a stream.
    pub pace: Pace,
    /// Whether the answer to a similar question will do.
    pub similar: Similar,
    keep_failure: Option<KeepFailure>,
}

/// Whether a call reads and writes the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Both.
    #[default]
    Use,
    /// Neither.
    Bypass,
    /// Computes in any case, and stores the answer in place of an earlier one.
    Recompute,
}

/// Whether the answer to a similar question will do, where there is a semantic tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Similar {
    /// As the tier decides.
    #[default]
    Allowed,
    /// Only the answer to this very question.
    No,
}

/// How fast a found answer is replayed as a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As fast as it is read.
    #[default]
    AtOnce,
    /// With this wait before each chunk but the first.
    Every(Duration),
    /// With the waits that were recorded, each at most this long.
    AsRecorded(Duration),
}

impl Call {
    /// A call as the policy has it, without tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more tag.
    pub fn tag(mut self, tag: Name) -> Self {
        self.tags.push(tag);
        self
    }

    /// Reading and writing as said.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// With a time to live of its own, before jitter.
    pub fn ttl(mut self, ttl: Ttl) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// With a stale time of its own.
    pub fn stale(mut self, stale: Ttl) -> Self {
        self.stale = Some(stale);
        self
    }

    /// For one of several samples of the question.
    pub fn sample(mut self, number: u64) -> Self {
        self.sample = Some(number);
        self
    }

    /// Replayed at this pace.
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Answered by this very question only.
    pub fn exact(mut self) -> Self {
        self.similar = Similar::No;
        self
    }

    /// Remembers a failure of the computation for as long as `keep` says; `None` forgets it. Its text is stored:
    /// keep none that names a secret. Who asks meanwhile gets
    /// [`CacheError::Remembered`](crate::CacheError::Remembered).
    pub fn keep_failures<F>(mut self, keep: F) -> Self
    where
        F: Fn(&(dyn StdError + 'static)) -> Option<Ttl> + Send + Sync + 'static,
    {
        self.keep_failure = Some(Arc::new(keep));
        self
    }

    /// How long a failure is remembered.
    pub(crate) fn failure_ttl(&self, error: &(dyn StdError + 'static)) -> Option<Ttl> {
        self.keep_failure.as_ref().and_then(|keep| keep(error))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("tags", &self.tags)
            .field("mode", &self.mode)
            .field("ttl", &self.ttl)
            .field("stale", &self.stale)
            .field("sample", &self.sample)
            .field("pace", &self.pace)
            .field("similar", &self.similar)
            .field("keep_failure", &self.keep_failure.is_some())
            .finish()
    }
}

impl From<&[Name]> for Call {
    fn from(tags: &[Name]) -> Self {
        Self { tags: tags.to_vec(), ..Self::default() }
    }
}

impl<const N: usize> From<&[Name; N]> for Call {
    fn from(tags: &[Name; N]) -> Self {
        tags.as_slice().into()
    }
}

impl From<&Vec<Name>> for Call {
    fn from(tags: &Vec<Name>) -> Self {
        tags.as_slice().into()
    }
}
