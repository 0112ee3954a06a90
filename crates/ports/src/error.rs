//! The one error type of every port.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// What every fallible port call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of a failure: what a caller may branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The thing the call changes does not exist (a read of an absent thing is `Ok(None)` instead).
    NotFound,
    /// An insert-only create met an existing thing.
    AlreadyExists,
    /// A precondition (version, revision, embedding space) does not hold any more.
    Conflict,
    /// The lease presented is not the current one: it expired, was replaced, or was never given.
    StaleLease,
    /// The thing existed and its time has run out.
    Expired,
    /// The reader's position lies before the retained log: reload.
    Gap,
    /// The argument can never be accepted: a limit, a type, a forbidden character.
    Invalid,
    /// The store cannot do this; its [`Capabilities`](crate::Capabilities) say so.
    Unsupported,
    /// The store cannot be reached, is full, or is held by another process.
    Unavailable,
    /// No answer within the limit.
    Timeout,
    /// The store asks to slow down.
    RateLimited,
    /// The credentials do not allow this.
    Denied,
    /// Stored bytes are not what this program wrote.
    Corrupt,
    /// A defect of hexmem or of a driver.
    Internal,
}

/// Whether a failed mutation can have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effectiveness {
    /// Nothing changed.
    NotApplied,
    /// The change may or may not have happened: repeat it with the same key to find out.
    Unknown,
}

/// Whether the same call can succeed later without a change by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Repeating the call gives the same failure.
    Never,
    /// Repeating may help, at once or with the caller's own backoff.
    Soon,
    /// Repeating may help after this long (the store said so).
    After(Duration),
}

/// A failure of a port call: what, where, and what to do.
///
/// `Display` is one line without the source chain; `Debug` prints everything.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    effectiveness: Effectiveness,
    retry: Retry,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `operation` (for example `"sessions.touch"`). `message` says what is wrong and
    /// what to do about it. By default nothing was applied, and a retry helps for
    /// [`ErrorKind::Unavailable`], [`ErrorKind::Timeout`] and [`ErrorKind::RateLimited`] only.
    /// A [`ErrorKind::Timeout`] has an unknown outcome until said otherwise.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::RateLimited => Retry::Soon,
            _ => Retry::Never,
        };
        let effectiveness = match kind {
            ErrorKind::Timeout => Effectiveness::Unknown,
            _ => Effectiveness::NotApplied,
        };
        Self(Box::new(Inner {
            kind,
            effectiveness,
            retry,
            operation,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Shorthand for [`ErrorKind::Invalid`].
    pub fn invalid(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, operation, message)
    }

    /// Shorthand for [`ErrorKind::Conflict`].
    pub fn conflict(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, operation, message)
    }

    /// Shorthand for [`ErrorKind::StaleLease`].
    pub fn stale_lease(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::StaleLease, operation, message)
    }

    /// Shorthand for [`ErrorKind::Corrupt`].
    pub fn corrupt(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, operation, message)
    }

    /// Adds a named fact (a key, a file, a line). Never a secret.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// States that the change may have happened.
    #[must_use]
    pub fn outcome_unknown(mut self) -> Self {
        self.0.effectiveness = Effectiveness::Unknown;
        self
    }

    /// States that nothing changed.
    #[must_use]
    pub fn not_applied(mut self) -> Self {
        self.0.effectiveness = Effectiveness::NotApplied;
        self
    }

    /// States whether a retry can help.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// The same failure for another caller whose change failed with this one; the cause as text.
    #[must_use]
    pub fn shared(&self) -> Self {
        let Inner { kind, effectiveness, retry, operation, .. } = *self.0;
        Self(Box::new(Inner {
            kind,
            effectiveness,
            retry,
            operation,
            message: self.0.message.clone(),
            context: self.0.context.clone(),
            source: self.0.source.as_ref().map(|cause| cause.to_string().into()),
        }))
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the mutation can have taken effect.
    pub fn effectiveness(&self) -> Effectiveness {
        self.0.effectiveness
    }

    /// Whether a retry can help.
    pub fn retry_hint(&self) -> Retry {
        self.0.retry
    }

    /// The operation that failed, as `port.method`.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The message without operation and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The named facts, in the order they were added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.message)?;
        for (i, (name, value)) in self.0.context.iter().enumerate() {
            let lead = if i == 0 { " (" } else { ", " };
            write!(f, "{lead}{name}: {value}")?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{self}")?;
        writeln!(
            f,
            "  kind: {:?}, {:?}, retry: {:?}",
            self.0.kind, self.0.effectiveness, self.0.retry
        )?;
        let mut cause = self.source();
        while let Some(error) = cause {
            writeln!(f, "  caused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_and_leaves_the_cause_to_the_chain() {
        let error = Error::invalid("kv.set", "the key has 1025 bytes; the limit is 1024")
            .with("bucket", "default/notes")
            .with("key", "aaa")
            .caused_by("inner");
        assert_eq!(
            error.to_string(),
            "kv.set: the key has 1025 bytes; the limit is 1024 (bucket: default/notes, key: aaa)"
        );
        assert!(format!("{error:?}").contains("caused by: inner"));
    }

    #[test]
    fn a_timeout_has_an_unknown_outcome_and_may_be_repeated() {
        let error = Error::new(ErrorKind::Timeout, "queue.ack", "no answer in 5 s");
        assert_eq!(error.effectiveness(), Effectiveness::Unknown);
        assert_eq!(error.retry_hint(), Retry::Soon);
    }
}
