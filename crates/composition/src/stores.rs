//! Stores, opened when first asked for.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "json")]
use hexmem_adapter_json::JsonGraphs;
use hexmem_adapter_memory::{
    MemoryCache, MemoryGraphs, MemoryKeyValue, MemoryOutbox, MemoryQueue, MemorySessions,
    MemoryVectors, SystemClock,
};
#[cfg(feature = "sqlite")]
use hexmem_adapter_sqlite::Database;
use hexmem_ports::{
    CacheStore, Clock, CommandQueue, Embedder, Error, ErrorKind, GraphStore, KeyValueStore, Result,
    SessionStore, VectorStore,
};
use tokio::sync::OnceCell;

use crate::{Backend, Settings};

/// The stores of one configuration. Each port's store is opened when it is first asked for; ports that share
/// the SQLite file share one handle on it.
pub struct Stores {
    settings: Settings,
    clock: Arc<dyn Clock>,
    memory: InProcess,
    #[cfg(feature = "json")]
    json: OnceCell<Arc<JsonGraphs>>,
    #[cfg(feature = "sqlite")]
    sqlite: OnceCell<Database>,
    #[cfg(feature = "pg")]
    postgres: OnceCell<hexmem_adapter_pg::Postgres>,
    embedder: OnceCell<Option<Arc<dyn Embedder>>>,
    #[cfg(feature = "redis")]
    redis: OnceCell<hexmem_adapter_redis::Redis>,
    #[cfg(feature = "qdrant")]
    qdrant: OnceCell<hexmem_adapter_qdrant::Qdrant>,
}

/// The in-process stores. Cheap while empty, so they are simply there: two calls must see the same data.
struct InProcess {
    key_value: Arc<MemoryKeyValue>,
    graph: Arc<MemoryGraphs>,
    sessions: Arc<MemorySessions>,
    cache: Arc<MemoryCache>,
    queue: Arc<MemoryQueue>,
    vectors: Arc<MemoryVectors>,
}

impl InProcess {
    fn new(clock: &Arc<dyn Clock>) -> Self {
        let outbox = MemoryOutbox::new(Arc::clone(clock));
        Self {
            key_value: Arc::new(MemoryKeyValue::new(Arc::clone(clock))),
            graph: Arc::new(MemoryGraphs::new(Arc::clone(clock), outbox.clone())),
            sessions: Arc::new(MemorySessions::new(Arc::clone(clock), outbox.clone())),
            cache: Arc::new(MemoryCache::new(Arc::clone(clock))),
            queue: Arc::new(MemoryQueue::new(Arc::clone(clock), outbox)),
            vectors: Arc::new(MemoryVectors::new(Arc::clone(clock))),
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Stores {
    /// Stores on the machine's clock. Opens nothing yet.
    pub fn new(settings: Settings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self {
            settings,
            memory: InProcess::new(&clock),
            clock,
            #[cfg(feature = "json")]
            json: OnceCell::new(),
            #[cfg(feature = "sqlite")]
            sqlite: OnceCell::new(),
            #[cfg(feature = "pg")]
            postgres: OnceCell::new(),
            embedder: OnceCell::new(),
            #[cfg(feature = "redis")]
            redis: OnceCell::new(),
            #[cfg(feature = "qdrant")]
            qdrant: OnceCell::new(),
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

    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite_cell(&self) -> &OnceCell<Database> {
        &self.sqlite
    }

    #[cfg(feature = "pg")]
    pub(crate) fn postgres_cell(&self) -> &OnceCell<hexmem_adapter_pg::Postgres> {
        &self.postgres
    }

    pub(crate) fn embedder_cell(&self) -> &OnceCell<Option<Arc<dyn Embedder>>> {
        &self.embedder
    }

    #[cfg(feature = "redis")]
    pub(crate) fn redis_cell(&self) -> &OnceCell<hexmem_adapter_redis::Redis> {
        &self.redis
    }

    #[cfg(feature = "qdrant")]
    pub(crate) fn qdrant_cell(&self) -> &OnceCell<hexmem_adapter_qdrant::Qdrant> {
        &self.qdrant
    }

    /// Closes what was opened. Without it nothing is lost, and the next one to open the SQLite file folds its log
    /// into it.
    pub async fn close(&self) -> Result<()> {
        #[cfg(feature = "sqlite")]
        if let Some(database) = self.sqlite.get() {
            database.clone().close().await?;
        }
        #[cfg(feature = "pg")]
        if let Some(postgres) = self.postgres.get() {
            postgres.clone().close().await;
        }
        Ok(())
    }

    /// Makes the data folder where it is missing, closed to others and invisible to git: it often lies in a
    /// repository, and holds what must not be committed.
    #[cfg(any(feature = "sqlite", feature = "json"))]
    pub(crate) fn make_data_folder(&self) -> Result<()> {
        let folder = &self.settings.data;
        if folder.exists() {
            return Ok(());
        }
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(folder)
            .and_then(|()| std::fs::write(folder.join(".gitignore"), "*\n"))
            .map_err(|error| {
                Error::new(
                    ErrorKind::Unavailable,
                    "config.open",
                    "cannot make the data folder; choose another with --data",
                )
                .with("folder", folder.display())
                .caused_by(error)
            })
    }

    /// Keys and values.
    pub async fn key_value(&self) -> Result<Arc<dyn KeyValueStore>> {
        match self.settings.key_value.backend {
            Backend::Memory => Ok(self.memory.key_value.clone()),
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => Ok(Arc::new(self.database().await?.key_value())),
            #[cfg(feature = "pg")]
            Backend::Postgres => Ok(Arc::new(self.postgres().await?.key_value())),
            #[cfg(feature = "redis")]
            Backend::Redis => Ok(Arc::new(self.redis().await?.key_value())),
            other => Err(missing("key_value", other)),
        }
    }

    /// Graphs.
    pub async fn graph(&self) -> Result<Arc<dyn GraphStore>> {
        match self.settings.graph.backend {
            Backend::Memory => Ok(self.memory.graph.clone()),
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => Ok(Arc::new(self.database().await?.graphs())),
            #[cfg(feature = "pg")]
            Backend::Postgres => Ok(Arc::new(self.postgres().await?.graphs())),
            #[cfg(feature = "json")]
            Backend::Json => {
                let open = async || {
                    self.make_data_folder()?;
                    let folder = self.settings.json_path();
                    JsonGraphs::open(folder, self.clock()).await.map(Arc::new)
                };
                Ok(self.json.get_or_try_init(open).await?.clone())
            }
            other => Err(missing("graph", other)),
        }
    }

    /// Sessions.
    pub async fn sessions(&self) -> Result<Arc<dyn SessionStore>> {
        match self.settings.sessions.backend {
            Backend::Memory => Ok(self.memory.sessions.clone()),
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => Ok(Arc::new(self.database().await?.sessions())),
            #[cfg(feature = "pg")]
            Backend::Postgres => Ok(Arc::new(self.postgres().await?.sessions())),
            #[cfg(feature = "redis")]
            Backend::Redis => Ok(Arc::new(self.redis().await?.sessions())),
            other => Err(missing("sessions", other)),
        }
    }

    /// Cached answers.
    pub async fn cache(&self) -> Result<Arc<dyn CacheStore>> {
        match self.settings.cache.backend {
            Backend::Memory => Ok(self.memory.cache.clone()),
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => Ok(Arc::new(self.database().await?.cache())),
            #[cfg(feature = "pg")]
            Backend::Postgres => Ok(Arc::new(self.postgres().await?.cache())),
            #[cfg(feature = "redis")]
            Backend::Redis => Ok(Arc::new(self.redis().await?.cache())),
            other => Err(missing("cache", other)),
        }
    }

    /// Commands.
    pub async fn queue(&self) -> Result<Arc<dyn CommandQueue>> {
        match self.settings.queue.backend {
            Backend::Memory => Ok(self.memory.queue.clone()),
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => Ok(Arc::new(self.database().await?.queue())),
            #[cfg(feature = "pg")]
            Backend::Postgres => Ok(Arc::new(self.postgres().await?.queue())),
            #[cfg(feature = "redis")]
            Backend::Redis => Ok(Arc::new(self.redis().await?.queue())),
            other => Err(missing("queue", other)),
        }
    }

    /// Vectors, for retrieval.
    pub async fn vectors(&self) -> Result<Arc<dyn VectorStore>> {
        match self.settings.rag.backend {
            Backend::Memory => Ok(self.memory.vectors.clone()),
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => Ok(Arc::new(self.database().await?.vectors())),
            #[cfg(feature = "pg")]
            Backend::Postgres => Ok(Arc::new(self.postgres().await?.vectors())),
            #[cfg(feature = "qdrant")]
            Backend::Qdrant => Ok(Arc::new(self.qdrant().await?.vectors())),
            other => Err(missing("rag", other)),
        }
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
