//! The handle.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hexmem_ports::{Clock, Error, ErrorKind, Result, Retry};
use qdrant_client::QdrantError;
use qdrant_client::config::CompressionEncoding;
use tokio::time::Instant;

use crate::error::{self, Access};
use crate::vectors::Lives;
use crate::{Compression, QdrantConfig};

/// The first pause before a call is sent again; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The oldest server that keeps a stamp beside its collection.
const OLDEST: (u32, u32) = (1, 16);

/// A Qdrant server or cluster. Clones share its connections and what is known of its collections; nothing runs in the
/// background.
#[derive(Clone)]
pub struct Qdrant {
    inner: Arc<Inner>,
}

struct Inner {
    config: QdrantConfig,
    client: qdrant_client::Qdrant,
    version: String,
    clock: Arc<dyn Clock>,
    lives: Lives,
    /// The last version that was given to a change.
    last_version: AtomicU64,
}

impl fmt::Debug for Qdrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qdrant").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Qdrant {
    /// Connects. `clock` stamps what is written: Qdrant has no time of its own.
    ///
    /// `Invalid` names a setting that is wrong; `Denied`, `Unavailable` and `Timeout` say what stands in the way;
    /// `Unsupported` tells of a server before 1.16.
    pub async fn connect(config: QdrantConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        const OPERATION: &str = "qdrant.connect";
        config.check()?;
        let client = client(&config).map_err(|e| error::map(OPERATION, Access::Reads, e))?;
        let url = config.shown_url();
        let lives = Lives::default();
        let last_version = AtomicU64::new(0);
        let inner = Inner { config, client, version: String::new(), clock, lives, last_version };
        let mut qdrant = Self { inner: Arc::new(inner) };
        // Health is told to everybody; the list of collections only to who holds a key.
        let ask = async {
            let health = qdrant.read(OPERATION, async |client| client.health_check().await).await?;
            qdrant.read(OPERATION, async |client| client.list_collections().await).await?;
            Ok(health.version)
        };
        let version = ask.await.map_err(|error: Error| error.with("url", &url))?;
        if number(&version).is_none_or(|version| version < OLDEST) {
            let (major, minor) = OLDEST;
            let what = format!("this needs Qdrant {major}.{minor} or later");
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, what)
                .with("version", version)
                .with("url", url));
        }
        if let Some(inner) = Arc::get_mut(&mut qdrant.inner) {
            inner.version = version;
        }
        Ok(qdrant)
    }

    /// The settings.
    pub fn config(&self) -> &QdrantConfig {
        &self.inner.config
    }

    /// The server's version, as it said when it was connected to.
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.inner.clock.as_ref()
    }

    /// What is known of collections.
    pub(crate) fn lives(&self) -> &Lives {
        &self.inner.lives
    }

    /// A version that no earlier change of this handle has, at least `least`.
    pub(crate) fn next_version(&self, least: u64) -> u64 {
        let next = |last: u64| last.saturating_add(1).max(least);
        let last = &self.inner.last_version;
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        last.fetch_update(set, fetch, |last| Some(next(last))).map_or(least, next)
    }

    /// How long the server may work on a call, in whole seconds.
    pub(crate) fn server_timeout(&self) -> Option<u64> {
        Some(u64::from(self.inner.config.timeout_ms).div_ceil(1_000))
    }

    /// A call that changes nothing.
    pub(crate) async fn read<T, F>(
        &self,
        operation: &'static str,
        call: impl Fn(qdrant_client::Qdrant) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        self.call(operation, Access::Reads, call).await
    }

    /// A call that changes something and leaves the same when it is sent again.
    pub(crate) async fn write<T, F>(
        &self,
        operation: &'static str,
        call: impl Fn(qdrant_client::Qdrant) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        self.call(operation, Access::Writes, call).await
    }

    /// Sends the call, again where that can help, all within `timeout_ms`. Dropping it leaves a write open, nothing else.
    async fn call<T, F>(
        &self,
        operation: &'static str,
        access: Access,
        call: impl Fn(qdrant_client::Qdrant) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let limit = self.inner.config.timeout();
        let deadline = Instant::now() + limit;
        let (mut pause, mut left, mut open) = (FIRST_PAUSE, self.inner.config.retries, false);
        loop {
            let answer = tokio::time::timeout_at(deadline, call(self.inner.client.clone())).await;
            let failed = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failed)) => error::map(operation, access, failed),
                Err(_) => return Err(error::timed_out(operation, access, limit)),
            };
            let wait = match failed.retry_hint() {
                Retry::After(wait) => wait,
                Retry::Soon if failed.kind() == ErrorKind::Unavailable => pause,
                _ => return Err(as_open(failed, open)),
            };
            // A wait that ends after the deadline is the caller's: the error says how long.
            if left == 0 || Instant::now() + wait >= deadline {
                return Err(as_open(failed, open));
            }
            open |= failed.effectiveness() == hexmem_ports::Effectiveness::Unknown;
            tracing::debug!(operation, error = %failed, "sent again");
            tokio::time::sleep(wait).await;
            (pause, left) = ((pause * 2).min(LONGEST_PAUSE), left - 1);
        }
    }
}

/// An earlier attempt may have been applied, whatever the last one says.
fn as_open(error: Error, open: bool) -> Error {
    if open { error.outcome_unknown() } else { error }
}

fn client(config: &QdrantConfig) -> Result<qdrant_client::Qdrant, QdrantError> {
    let mut driver = qdrant_client::Qdrant::from_url(&config.url)
        // It would block, and print on the standard output, which others read.
        .skip_compatibility_check()
        // Ours ends first, and says so; the driver would send a call anew after its own.
        .timeout(config.timeout() + Duration::from_secs(5))
        .connect_timeout(config.connect_timeout())
        .keep_alive_while_idle()
        .api_key(config.api_key.clone())
        .compression(match config.compression {
            Compression::None => None,
            Compression::Gzip => Some(CompressionEncoding::Gzip),
        });
    driver.set_pool_size(usize::try_from(config.pool_size).unwrap_or(1));
    driver.build()
}

/// Major and minor.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn versions_are_read() {
        assert_eq!(number("1.18.2"), Some((1, 18)));
        assert_eq!(number("1.16.0-dev"), Some((1, 16)));
        assert!(number("1.9.1") < Some((1, 16)));
        assert_eq!(number("dev"), None);
    }
}
