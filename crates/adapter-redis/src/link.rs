//! The one multiplexed connection that ordinary commands share, and what is done when it or its server changes.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hexmem_ports::Result;
use redis::aio::{ConnectionLike as _, ConnectionManager, ConnectionManagerConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::sentinel::SentinelClient;
use redis::{Client, Cmd, ConnectionInfo, RedisError, Value};
use tokio::sync::Mutex;

use crate::error::{self, Access};
use crate::exchange::{Sent, Wait};
use crate::pool::Pool;
use crate::{RedisConfig, RedisMode, target};

const OPERATION: &str = "redis.connect";
/// The first pause before a command is sent again, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A command of an operation, or several that are answered in order.
pub(crate) struct Call<C = Cmd> {
    /// As `port.method`.
    pub operation: &'static str,
    /// Whether it changes something.
    pub access: Access,
    /// The command.
    pub command: C,
}

/// The connection.
pub(crate) enum Link {
    /// To one server, or to the master that the Sentinels name.
    Direct(Box<Direct>),
    /// To every master of a Cluster.
    Cluster(ClusterConnection),
}

/// A connection to one server at a time.
pub(crate) struct Direct {
    sentinel: Option<Mutex<SentinelClient>>,
    settings: ConnectionManagerConfig,
    current: RwLock<Current>,
}

/// The server in use. The generation tells whether somebody else has replaced it already.
#[derive(Clone)]
struct Current {
    generation: u64,
    client: Arc<Client>,
    manager: ConnectionManager,
}

impl Link {
    /// Connects.
    pub(crate) async fn open(config: &RedisConfig) -> Result<Self> {
        let failed = |error| error::map(OPERATION, Access::Reads, error);
        if config.mode == RedisMode::Cluster {
            let client = target::cluster(config)?;
            return client.get_async_connection().await.map(Self::Cluster).map_err(failed);
        }
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(config.connect_timeout()))
            .set_response_timeout(Some(config.response_timeout()))
            .set_min_delay(Duration::from_millis(config.reconnect_min_ms.into()))
            .set_max_delay(Duration::from_millis(config.reconnect_max_ms.into()))
            .set_number_of_retries(usize::try_from(config.reconnect_tries).unwrap_or(usize::MAX));
        let (client, sentinel) = if config.mode == RedisMode::Sentinel {
            let mut sentinel = target::sentinel(config)?;
            let client = sentinel.async_get_client().await.map_err(failed)?;
            (client, Some(Mutex::new(sentinel)))
        } else {
            (target::single(config)?, None)
        };
        let manager = ConnectionManager::new_with_config(client.clone(), settings.clone())
            .await
            .map_err(failed)?;
        let current = RwLock::new(Current { generation: 0, client: Arc::new(client), manager });
        Ok(Self::Direct(Box::new(Direct { sentinel, settings, current })))
    }

    /// Sends the command, again while the server refuses it for the moment, until `deadline`. What may have been done
    /// is sent again only where it changes nothing.
    pub(crate) async fn send<C: Sent>(
        &self,
        call: &Call<C>,
        wait: Option<(&Wait, &Pool)>,
        deadline: Instant,
    ) -> Result<Value, RedisError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.once(call, wait).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let again = match self {
                Self::Cluster(_) => {
                    let lost = error.is_connection_dropped() || error.is_io_error();
                    error::is_refused_for_now(&error)
                        || error.is_connection_refusal()
                        || (lost && call.access == Access::Reads)
                }
                Self::Direct(_) => {
                    error::is_replica(&error)
                        || (error.is_connection_dropped() && call.access == Access::Reads)
                }
            };
            if !again || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn once<C: Sent>(
        &self,
        call: &Call<C>,
        wait: Option<(&Wait, &Pool)>,
    ) -> Result<Value, RedisError> {
        let wait = wait.filter(|_| call.access == Access::Writes);
        let apart = async |(wait, pool): (&Wait, &Pool)| {
            pool.take(self).await?.exchange(&call.command, wait).await
        };
        match self {
            Self::Cluster(connection) => match wait {
                Some(wait) => apart(wait).await,
                None => call.command.exchange_in_cluster(&mut connection.clone()).await,
            },
            Self::Direct(direct) => {
                let mut current = direct.current();
                let answer = match wait {
                    Some(wait) => apart(wait).await,
                    None => call.command.exchange(&mut current.manager, None).await,
                };
                if let Err(error) = &answer {
                    let gone = direct.sentinel.is_some() && error.is_io_error();
                    if error::is_replica(error) || gone {
                        direct.replace(current.generation).await;
                    }
                }
                answer
            }
        }
    }

    /// The answer of each server that holds keys, with its address; `None` where a Cluster does not tell them apart.
    pub(crate) async fn of_masters(
        &self,
        command: &Cmd,
    ) -> Result<Option<Vec<(String, Value)>>, RedisError> {
        match self {
            Self::Direct(direct) => {
                let mut current = direct.current();
                let answer = checked(current.manager.req_packed_command(command).await)?;
                let address = current.client.get_connection_info().addr().to_string();
                Ok(Some(vec![(address, answer)]))
            }
            Self::Cluster(connection) => {
                let everywhere =
                    RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                let mut connection = connection.clone();
                let answer = checked(connection.route_command(command.clone(), everywhere).await)?;
                let Value::Map(answers) = answer else { return Ok(None) };
                let named = answers.into_iter().map(|(address, answer)| {
                    Ok((redis::from_redis_value::<String>(address)?, answer.extract_error()?))
                });
                named.collect::<Result<Vec<_>, RedisError>>().map(Some)
            }
        }
    }

    /// The server in use, for connections of one's own; `None` for a Cluster.
    pub(crate) fn server(&self) -> Option<(u64, ConnectionInfo)> {
        match self {
            Self::Cluster(_) => None,
            Self::Direct(direct) => {
                let current = direct.current();
                Some((current.generation, current.client.get_connection_info().clone()))
            }
        }
    }
}

/// The driver gives a refusal as a value.
pub(crate) fn checked(answer: Result<Value, RedisError>) -> Result<Value, RedisError> {
    answer.and_then(Value::extract_error)
}

impl Direct {
    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the Sentinels for the master anew, or resolves the one name anew: behind it may stand another server. Where
    /// that fails the old one stays, and the next failure asks again.
    async fn replace(&self, seen: u64) {
        let client = match &self.sentinel {
            Some(sentinel) => {
                let mut sentinel = sentinel.lock().await;
                if self.current().generation != seen {
                    return;
                }
                match sentinel.async_get_client().await {
                    Ok(client) => Arc::new(client),
                    Err(error) => {
                        tracing::warn!(%error, "the Sentinels name no master");
                        return;
                    }
                }
            }
            None => self.current().client,
        };
        let made =
            ConnectionManager::new_lazy_with_config((*client).clone(), self.settings.clone());
        match made {
            Ok(manager) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                if current.generation == seen {
                    *current = Current { generation: seen + 1, client, manager };
                }
            }
            Err(error) => tracing::warn!(%error, "the master cannot be connected to"),
        }
    }
}
