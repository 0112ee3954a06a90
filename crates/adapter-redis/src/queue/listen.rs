//! The task that listens: keeps one connection, and the subscriptions on it as they are wanted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::{Error, ErrorKind};
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, PushInfo, RedisError, RedisResult};

use tokio::time::Instant;

use super::wake::Shared;
use crate::error::{self, Access};
use crate::{RedisConfig, RedisMode, target};

const OPERATION: &str = "queue.listen";
/// A subscription that nobody needs stays this long, and the connection without one: workers come back.
const LINGER: Duration = Duration::from_secs(10);
/// How often a silent connection is asked whether it lives.
const PING: Duration = Duration::from_secs(15);

enum Connection {
    Direct(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Listens until it is aborted.
pub(super) async fn run(shared: Arc<Shared>, config: RedisConfig) {
    let first = Duration::from_millis(config.reconnect_min_ms.into());
    let longest = Duration::from_millis(config.reconnect_max_ms.into());
    let mut pause = first;
    loop {
        while shared.channels().is_empty() {
            shared.wanted.notified().await;
        }
        let done = match connect(&shared, &config).await {
            Ok(mut connection) => keep(&shared, &mut connection, || pause = first).await,
            Err(error) => Err(error),
        };
        let Err(error) = done else { continue };
        tracing::warn!(%error, "queues are looked at now and then until their wake-ups come again");
        shared.lost();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Keeps the subscriptions as they are wanted, until the connection fails or nobody needs it any more.
async fn keep(
    shared: &Shared,
    connection: &mut Connection,
    mut works: impl FnMut(),
) -> hexmem_ports::Result<()> {
    let failed = |error: RedisError| error::map(OPERATION, Access::Reads, error);
    // Each subscription, and since when nobody needs it.
    let mut heard: HashMap<String, Option<Instant>> = HashMap::new();
    let mut asked_at = Instant::now();
    loop {
        let wanted = shared.channels();
        for (name, is_live) in &wanted {
            if !is_live {
                connection.subscribe(name).await.map_err(failed)?;
                shared.subscribed(name);
                works();
            }
            heard.insert(name.clone(), None);
        }
        let now = Instant::now();
        for (name, since) in &mut heard {
            if !wanted.contains_key(name) {
                since.get_or_insert(now);
            }
        }
        let spent = |since: &Option<Instant>| since.is_some_and(|at| at + LINGER <= now);
        let over: Vec<_> =
            heard.iter().filter(|(_, since)| spent(since)).map(|(name, _)| name.clone()).collect();
        for name in over {
            connection.unsubscribe(&name).await.map_err(failed)?;
            heard.remove(&name);
        }
        if heard.is_empty() {
            return Ok(());
        }
        if asked_at + PING <= now {
            connection.ping().await.map_err(failed)?;
            asked_at = now;
        }
        let linger = heard.values().flatten().min().map(|at| *at + LINGER);
        let next = linger.map_or(asked_at + PING, |linger| linger.min(asked_at + PING));
        tokio::select! {
            () = shared.wanted.notified() => {}
            () = shared.ended.notified() => {
                return Err(Error::new(ErrorKind::Unavailable, OPERATION, "the connection broke"));
            }
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

async fn connect(shared: &Arc<Shared>, config: &RedisConfig) -> hexmem_ports::Result<Connection> {
    let failed = |error: RedisError| error::map(OPERATION, Access::Reads, error);
    let hears = Arc::clone(shared);
    let push = move |push: PushInfo| {
        hears.heard(&push);
        Ok::<(), std::convert::Infallible>(())
    };
    let patience = config.connect_timeout() + config.response_timeout();
    let open = async {
        if config.mode == RedisMode::Cluster {
            let builder = target::cluster_builder(config)?;
            let client = builder.use_protocol(ProtocolVersion::RESP3).push_sender(push).build();
            let client = client.map_err(failed)?;
            return client.get_async_connection().await.map(Connection::Cluster).map_err(failed);
        }
        let client = match config.mode {
            RedisMode::Sentinel => {
                target::sentinel(config)?.async_get_client().await.map_err(failed)?
            }
            _ => target::single(config)?,
        };
        let info = client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings)).map_err(failed)?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout()))
            .set_response_timeout(Some(config.response_timeout()))
            .set_push_sender(push);
        let made = client.get_multiplexed_async_connection_with_config(&settings).await;
        made.map(Connection::Direct).map_err(failed)
    };
    tokio::time::timeout(patience, open)
        .await
        .unwrap_or_else(|_| Err(error::timed_out(OPERATION, Access::Reads, patience.as_millis())))
}

impl Connection {
    async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Direct(connection) => {
                // One channel a command: each is one answer.
                let command = redis::cmd("SSUBSCRIBE").arg(channel).to_owned();
                connection.req_packed_command(&command).await.map(drop)
            }
            Self::Cluster(connection) => connection.ssubscribe(channel).await,
        }
    }

    async fn unsubscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Direct(connection) => {
                let command = redis::cmd("SUNSUBSCRIBE").arg(channel).to_owned();
                connection.req_packed_command(&command).await.map(drop)
            }
            Self::Cluster(connection) => connection.sunsubscribe(channel).await,
        }
    }

    async fn ping(&mut self) -> RedisResult<()> {
        let command = redis::cmd("PING");
        match self {
            Self::Direct(connection) => connection.req_packed_command(&command).await.map(drop),
            Self::Cluster(connection) => connection.req_packed_command(&command).await.map(drop),
        }
    }
}
