//! Stores, opened when first asked for.

use std::fmt;
use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
#[cfg(feature = "sqlite")]
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    CacheStore, Clock, CommandQueue, Error, ErrorKind, GraphStore, KeyValueStore, Result,
    SessionStore, VectorStore,
};
#[cfg(feature = "sqlite")]
use tokio::sync::OnceCell;

use crate::{Backend, Settings};

/// The stores of one configuration. Each port's store is opened when it is first asked for; ports that share
/// the SQLite file share one handle on it.
pub struct Stores {
    settings: Settings,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "sqlite")]
    sqlite: OnceCell<Database>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Stores {
    /// Stores on the machine's clock. Opens nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: Arc::new(SystemClock),
            #[cfg(feature = "sqlite")]
            sqlite: OnceCell::new(),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The clock that embedded stores stamp with.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The SQLite file.
    #[cfg(feature = "sqlite")]
    pub async fn database(&self) -> Result<&Database> {
        let open = async || {
            let config = SqliteConfig {
                busy_timeout_ms: self.settings.sqlite.busy_timeout_ms,
                synchronous: match self.settings.sqlite.synchronous {
                    crate::Synchronous::Full => hexmem_adapter_sqlite::Synchronous::Full,
                    crate::Synchronous::Normal => hexmem_adapter_sqlite::Synchronous::Normal,
                },
                ..SqliteConfig::new(self.settings.sqlite_path())
            };
            Database::open(config, self.clock()).await
        };
        self.sqlite.get_or_try_init(open).await
    }

    /// Keys and values.
    pub async fn key_value(&self) -> Result<Arc<dyn KeyValueStore>> {
        Err(missing("key_value", self.settings.key_value.backend))
    }

    /// Graphs.
    pub async fn graph(&self) -> Result<Arc<dyn GraphStore>> {
        Err(missing("graph", self.settings.graph.backend))
    }

    /// Sessions.
    pub async fn sessions(&self) -> Result<Arc<dyn SessionStore>> {
        Err(missing("sessions", self.settings.sessions.backend))
    }

    /// Cached answers.
    pub async fn cache(&self) -> Result<Arc<dyn CacheStore>> {
        Err(missing("cache", self.settings.cache.backend))
    }

    /// Commands.
    pub async fn queue(&self) -> Result<Arc<dyn CommandQueue>> {
        Err(missing("queue", self.settings.queue.backend))
    }

    /// Vectors, for retrieval.
    pub async fn vectors(&self) -> Result<Arc<dyn VectorStore>> {
        Err(missing("rag", self.settings.rag.backend))
    }
}

/// The backend is known, and this build or this domain has no adapter for it.
fn missing(section: &'static str, backend: Backend) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "config.open",
        format!("{section} has no {backend} store in this build; set {section}.backend to sqlite or memory"),
    )
    .with("section", section)
    .with("backend", backend)
}
