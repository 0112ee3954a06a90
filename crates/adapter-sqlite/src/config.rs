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
    /// How dense vectors are looked for.
    pub dense_index: DenseIndex,
}

/// The index of dense vectors. Any process may have other settings than the one that made an index: it is found by
/// what the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenseIndex {
    /// A collection of more points gets an index, and is searched by it; up to so many each vector is compared. At
    /// least 64.
    pub from: u32,
    /// How exactly an index that is made from now on keeps directions (cosine). Where lengths count (inner product,
    /// Euclid), it is always [`Precision::F32`]. Scores do not depend on it.
    pub precision: Precision,
    /// How much memory the indexes of this file may take in this process, in MiB: 16 to 1,048,576. Beyond, those that
    /// were not used for longest are let go and read again when needed; the one in use stays.
    pub cache_mib: u32,
}

impl Default for DenseIndex {
    fn default() -> Self {
        Self { from: 5_000, precision: Precision::I8, cache_mib: 1_024 }
    }
}

impl DenseIndex {
    /// The most bytes of indexes in memory.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.cache_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20)
    }
}

/// The numbers of an index. The vectors themselves are kept as they were written, whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Whole numbers from -127 to 127 and a step for each vector: a byte a number.
    #[default]
    I8,
    /// Half precision: two bytes.
    F16,
    /// Single precision: four bytes.
    F32,
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
            dense_index: DenseIndex::default(),
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
        } else if self.dense_index.from < 64 {
            "dense_index.from is at least 64"
        } else if !(16..=1_048_576).contains(&self.dense_index.cache_mib) {
            "dense_index.cache_mib is 16 to 1048576"
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
