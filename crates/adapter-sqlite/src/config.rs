//! How a SQLite file is opened.

use std::path::PathBuf;
use std::time::Duration;

use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which file, and how. Everything but the path has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// The file. It and its folder are created when missing, for the owner alone.
    pub path: PathBuf,
    /// When a commit counts as done.
    pub synchronous: Synchronous,
    /// How long a call waits for another process to finish its write, in milliseconds: 1 to 600,000.
    pub busy_timeout_ms: u32,
    /// How long a call waits for its turn within this process, in milliseconds: 1 to 600,000.
    pub queue_timeout_ms: u32,
    /// Connections that read while one writes: 1 to 64. Each is a thread, opened when first needed.
    pub readers: u32,
    /// Page cache of each connection, in KiB: 64 to 1,048,576.
    pub cache_kib: u32,
}

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// When it is on the disk: what was acknowledged survives a power cut.
    #[default]
    Full,
    /// When the operating system has it: what was acknowledged survives the end of the process; a power cut
    /// may take the latest commits, never the consistency of the file.
    Normal,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("hexmem.db"),
            synchronous: Synchronous::Full,
            busy_timeout_ms: 5_000,
            queue_timeout_ms: 30_000,
            readers: 4,
            cache_kib: 8_192,
        }
    }
}

impl SqliteConfig {
    /// The defaults on `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// `Invalid` outside the stated ranges.
    pub fn check(&self) -> Result<()> {
        let wrong = if self.path.as_os_str().is_empty() {
            "path is empty; name a file"
        } else if self.path.to_str().is_none_or(|path| path.contains('\0')) {
            "path is not UTF-8 without NUL; name another file"
        } else if !(1..=600_000).contains(&self.busy_timeout_ms) {
            "busy_timeout_ms is 1 to 600000"
        } else if !(1..=600_000).contains(&self.queue_timeout_ms) {
            "queue_timeout_ms is 1 to 600000"
        } else if !(1..=64).contains(&self.readers) {
            "readers is 1 to 64"
        } else if !(64..=1_048_576).contains(&self.cache_kib) {
            "cache_kib is 64 to 1048576"
        } else {
            return Ok(());
        };
        Err(Error::invalid("sqlite.open", wrong))
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms.into())
    }

    pub(crate) fn queue_timeout(&self) -> Duration {
        Duration::from_millis(self.queue_timeout_ms.into())
    }
}
