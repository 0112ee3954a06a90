//! Wake-ups: one connection listens for everybody who waits through a handle.
//!
//! A notice carries a topic and nothing else; who hears it looks for itself. A notice can be lost (a restart, a pooler), so
//! that whoever waits also looks by itself now and then: a notice only makes it sooner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Executor as _, PgPool};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::pool::Pool;
use crate::sql::render;
use crate::{Notify, PgConfig, Pooling, Postgres};

/// The channel, as `hexmem.notify` names it once its migration was applied: at most 55 bytes with the longest schema;
/// PostgreSQL takes 63.
const CHANNEL: &str = "hexmem.wake";

/// After how long without a notice the connection is asked whether it still answers.
const QUIET: Duration = Duration::from_secs(30);

/// The pauses between attempts to connect: each twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

type Topics = Arc<Mutex<HashMap<String, Weak<watch::Sender<()>>>>>;

/// Those who wait, and the task that hears for them. It ends with the handle.
#[derive(Default)]
pub(crate) struct Listener {
    topics: Topics,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

/// Hears the notices of one topic from when it was made.
#[derive(Clone)]
pub(crate) struct Ear {
    heard: watch::Receiver<()>,
    // The topic is forgotten with its last listener.
    _topic: Arc<watch::Sender<()>>,
}

impl Ear {
    /// Returns when something was heard since the last time, and where something may have been missed. Without a
    /// listener, never: wait for it beside a pause of your own. Cancellation-safe.
    pub(crate) async fn heard(&mut self) {
        if self.heard.changed().await.is_err() {
            // The sender is kept with the receiver.
            std::future::pending::<()>().await;
        }
    }
}

impl Postgres {
    /// Starts to hear what is told with `SELECT hexmem.notify(topic)`, at most 200 bytes: a letter for the port and a
    /// digest. Telling is not free: a commit that tells holds a lock of the whole server, so tell where somebody waits.
    pub(crate) fn hear(&self, topic: &str) -> Ear {
        let config = self.config();
        if config.notify == Notify::Listen && config.pooling == Pooling::Session {
            let mut task = lock(&self.listener().task);
            if task.as_ref().is_none_or(JoinHandle::is_finished) {
                let (pool, topics) = (self.primary(), &self.listener().topics);
                *task = Some(tokio::spawn(listen(
                    Arc::clone(pool),
                    config.clone(),
                    Arc::clone(topics),
                )));
            }
        }
        let mut topics = lock(&self.listener().topics);
        let sender = topics.get(topic).and_then(Weak::upgrade).unwrap_or_else(|| {
            topics.retain(|_, sender| sender.strong_count() > 0);
            let sender = Arc::new(watch::Sender::new(()));
            topics.insert(topic.to_owned(), Arc::downgrade(&sender));
            sender
        });
        Ear { heard: sender.subscribe(), _topic: sender }
    }

    /// Tells those who wait through this handle, and nobody else.
    pub(crate) fn tell_here(&self, topic: &str) {
        tell(&self.listener().topics, topic);
    }
}

async fn listen(pool: Arc<Pool>, config: PgConfig, topics: Topics) {
    let channel = render(CHANNEL, &config.schema);
    let connections = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(config.connect_timeout())
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(pool.options().clone());
    let mut pause = PAUSES.0;
    loop {
        match hear_all(&connections, &channel, &config, &topics).await {
            Ok(()) => pause = PAUSES.0,
            Err(error) => {
                tracing::warn!(server = pool.place(), %error, "nobody listens; those who wait look by themselves");
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Until the connection is lost, or cannot be had.
async fn hear_all(
    connections: &PgPool,
    channel: &str,
    config: &PgConfig,
    topics: &Topics,
) -> sqlx::Result<()> {
    let limit = config.connect_timeout();
    let late = |_| sqlx::Error::PoolTimedOut;
    let connect = async {
        let mut listener = PgListener::connect_with(connections).await?;
        listener.eager_reconnect(false);
        listener.listen(channel).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    let mut listener = timeout(limit, connect).await.map_err(late)??;
    // What was told before somebody listened.
    tell_all(topics);
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(notice))) => tell(topics, notice.payload()),
            Ok(Ok(None)) => break,
            Ok(Err(error)) => {
                tell_all(topics);
                return Err(error);
            }
            // A connection that nobody ended may still be dead.
            Err(_) => {
                timeout(limit, listener.execute("SELECT 1")).await.map_err(late)??;
            }
        }
    }
    tell_all(topics);
    Ok(())
}

fn tell(topics: &Topics, topic: &str) {
    if let Some(sender) = lock(topics).get(topic).and_then(Weak::upgrade) {
        sender.send_replace(());
    }
}

fn tell_all(topics: &Topics) {
    for sender in lock(topics).values().filter_map(Weak::upgrade) {
        sender.send_replace(());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(schema: &str) -> Postgres {
        let url = std::env::var("HEXMEM_TEST_PG_URL").unwrap_or_else(|_| {
            panic!("HEXMEM_TEST_PG_URL names no server; `cargo xtask test` starts one")
        });
        let config = PgConfig { schema: schema.to_owned(), ..PgConfig::new(url) };
        Postgres::lazy(config).unwrap()
    }

    const TELL: &str = "SELECT pg_notify('hexmem.wake', $1)";
    const LISTENERS: &str = "SELECT count(*), count(pg_terminate_backend(pid)) FILTER (WHERE $2) \
        FROM pg_stat_activity WHERE query ILIKE 'LISTEN \"\"\"' || $1 || '%'";

    async fn listeners(postgres: &Postgres, end: bool) -> i64 {
        let schema = postgres.config().schema.clone();
        let read = postgres.read("test", LISTENERS).bind(schema).bind(end);
        read.fetch_one::<(i64, i64)>().await.unwrap().0
    }

    #[tokio::test]
    async fn a_topic_is_heard_also_after_the_listener_was_ended() {
        // The longest name: the channel has to fit.
        let schema = format!("listen_{:0>41}", uuid::Uuid::new_v4().as_u128() % 1_000_000_007);
        let postgres = postgres(&schema);
        let (mut one, mut other) = (postgres.hear("q1"), postgres.hear("q2"));
        // Somebody listens from now on: all are told.
        one.heard().await;
        other.heard().await;
        postgres.read("test", TELL).bind("q1").execute().await.unwrap();
        one.heard().await;
        let waited = timeout(Duration::from_millis(50), other.heard()).await;
        assert!(waited.is_err(), "another topic is not told");

        assert_eq!(listeners(&postgres, true).await, 1);
        other.heard().await;
        one.heard().await;
        // The next one listens some time later.
        let mut told = false;
        while !told {
            postgres.read("test", TELL).bind("q2").execute().await.unwrap();
            told = timeout(Duration::from_millis(50), other.heard()).await.is_ok();
        }

        drop(postgres);
        let gone = self::postgres(&schema);
        while listeners(&gone, false).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
