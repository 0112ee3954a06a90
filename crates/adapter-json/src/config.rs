//! Where the files lie, and how they are kept.

use std::path::PathBuf;
use std::time::Duration;

use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which folder, and how. Everything but the folder has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonConfig {
    /// The folder; created when missing.
    pub folder: PathBuf,
    /// How long a writer waits for another process, in milliseconds: 1 to 600,000.
    pub lock_timeout_ms: u32,
    /// A journal below this size is never folded into a snapshot, in bytes: 1,024 to 2^30.
    pub journal_bytes: u32,
    /// How many graphs stay in memory, at least those in use: 1 to 10,000.
    pub open_graphs: u32,
}

impl Default for JsonConfig {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("graphs"),
            lock_timeout_ms: 30_000,
            journal_bytes: 256 * 1_024,
            open_graphs: 64,
        }
    }
}

impl JsonConfig {
    /// The defaults in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..Self::default() }
    }

    /// `Invalid` outside the stated ranges.
    pub fn check(&self) -> Result<()> {
        let wrong = if self.folder.as_os_str().is_empty() {
            "folder is empty; name one"
        } else if !(1..=600_000).contains(&self.lock_timeout_ms) {
            "lock_timeout_ms is 1 to 600000"
        } else if !(1_024..=1 << 30).contains(&self.journal_bytes) {
            "journal_bytes is 1024 to 1073741824"
        } else if !(1..=10_000).contains(&self.open_graphs) {
            "open_graphs is 1 to 10000"
        } else {
            return Ok(());
        };
        Err(Error::invalid("json.open", wrong))
    }

    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_millis(self.lock_timeout_ms.into())
    }
}
