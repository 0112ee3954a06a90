//! How a command ends: done, failed, or called wrongly.

use std::fmt;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Called wrongly: exit code 2, with the command's usage.
    Usage(String),
    /// Tried and failed: exit code 1.
    Failed(String),
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure saying `text`.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// Wrong usage, saying `text`.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

/// Says what was being tried when an error came.
pub(crate) trait Trying<T> {
    /// The same result, its error reading `cannot <what>: <error>`.
    fn trying(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Trying<T> for std::result::Result<T, E> {
    fn trying(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::new(format!("cannot {what}: {error}")))
    }
}
