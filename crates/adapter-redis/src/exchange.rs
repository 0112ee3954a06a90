//! How a call goes over a connection: one command or several in one round trip, and `WAIT` behind what changes something.

use std::future::Future;

use redis::aio::ConnectionLike;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};

use crate::RedisConfig;
use crate::keys::Tag;
use crate::link::checked;

/// The code of a write that too few replicas have.
pub(crate) const NOT_REPLICATED: &str = "NOTREPLICATED";

/// `WAIT`, sent behind each write on its connection: it answers when the replicas have all that the master had written when
/// it ran the write.
pub(crate) struct Wait {
    replicas: i64,
    command: Cmd,
}

impl Wait {
    /// None where the settings ask for no replicas.
    pub(crate) fn of(config: &RedisConfig) -> Option<Self> {
        let mut command = Cmd::new();
        command.arg("WAIT").arg(config.wait_replicas).arg(config.wait_timeout_ms);
        (config.wait_replicas > 0).then(|| Self { replicas: config.wait_replicas.into(), command })
    }

    fn check(&self, answer: Option<Value>) -> RedisResult<()> {
        let reached = match answer {
            Some(Value::Int(reached)) => reached,
            Some(other) => return other.extract_error().map(drop),
            None => 0,
        };
        if reached >= self.replicas {
            return Ok(());
        }
        let detail = format!("{reached} of {} replicas have the change", self.replicas);
        Err(redis::make_extension_error(NOT_REPLICATED.to_owned(), Some(detail)))
    }
}

/// What can be sent. A refusal of any of its commands is an error.
pub(crate) trait Sent: Send + Sync {
    /// Sends it, and `wait` behind it.
    fn exchange<L: ConnectionLike + Send>(
        &self,
        connection: &mut L,
        wait: Option<&Wait>,
    ) -> impl Future<Output = RedisResult<Value>> + Send;

    /// The same in a Cluster.
    fn exchange_in_cluster(
        &self,
        connection: &mut ClusterConnection,
    ) -> impl Future<Output = RedisResult<Value>> + Send {
        self.exchange(connection, None)
    }
}

/// A command without a key, for the master that has this tag.
pub(crate) struct OnTag<'a> {
    pub tag: &'a Tag,
    pub command: Cmd,
}

impl Sent for OnTag<'_> {
    async fn exchange<L: ConnectionLike + Send>(
        &self,
        connection: &mut L,
        _wait: Option<&Wait>,
    ) -> RedisResult<Value> {
        checked(connection.req_packed_command(&self.command).await)
    }

    async fn exchange_in_cluster(&self, connection: &mut ClusterConnection) -> RedisResult<Value> {
        let route = Route::with_key(self.tag.as_str(), SlotAddr::Master);
        let route = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
        checked(connection.route_command(self.command.clone(), route).await)
    }
}

impl Sent for Cmd {
    async fn exchange<L: ConnectionLike + Send>(
        &self,
        connection: &mut L,
        wait: Option<&Wait>,
    ) -> RedisResult<Value> {
        let Some(wait) = wait else {
            return checked(connection.req_packed_command(self).await);
        };
        let mut both = Pipeline::with_capacity(2);
        both.add_command(self.clone()).add_command(wait.command.clone());
        let mut answers = connection.req_packed_commands(&both, 0, 2).await?.into_iter();
        let answer = answers.next().unwrap_or(Value::Nil).extract_error()?;
        wait.check(answers.next())?;
        Ok(answer)
    }
}

impl Sent for Pipeline {
    /// Reads only: a pipeline is not atomic, what changes something is a script.
    async fn exchange<L: ConnectionLike + Send>(
        &self,
        connection: &mut L,
        _wait: Option<&Wait>,
    ) -> RedisResult<Value> {
        let answers = connection.req_packed_commands(self, 0, self.len()).await?;
        Value::Array(answers).extract_error()
    }

    /// While their slot moves, each read is answered by the node that has its key: nothing writes to the slot then, since
    /// scripts run on neither.
    async fn exchange_in_cluster(&self, connection: &mut ClusterConnection) -> RedisResult<Value> {
        let answer = self.exchange(connection, None).await;
        let slot = answer.as_ref().err().and_then(asked_of).map(|(_, slot)| slot);
        let Some(slot) = slot else { return answer };
        let mut answers = Vec::with_capacity(self.len());
        for command in self.cmd_iter() {
            answers.push(follow(connection, command, slot).await?);
        }
        Ok(Value::Array(answers))
    }
}

/// The node that has a key which has left a moving slot, and the slot.
fn asked_of(refused: &RedisError) -> Option<(&str, u16)> {
    let asks = refused.kind() == ErrorKind::Server(ServerErrorKind::Ask);
    refused.redirect_node().filter(|_| asks)
}

/// A read of the slot's master, or of the node that it names. The driver would say `ASKING` for the first command of several
/// alone.
async fn follow(
    connection: &mut ClusterConnection,
    command: &Cmd,
    slot: u16,
) -> RedisResult<Value> {
    let master = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
    let asked = connection.route_command(command.clone(), RoutingInfo::SingleNode(master)).await;
    let answer = checked(asked);
    let node = answer.as_ref().err().and_then(asked_of).and_then(|(node, _)| node.rsplit_once(':'));
    let Some((host, port)) = node.and_then(|(host, port)| Some((host, port.parse().ok()?))) else {
        return answer;
    };
    let node = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port };
    let mut both = Pipeline::with_capacity(2);
    both.cmd("ASKING").add_command(command.clone());
    let answers = connection.route_pipeline(both, 0, 2, node).await?;
    answers.into_iter().nth(1).unwrap_or(Value::Nil).extract_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_replicas_than_asked_for_are_an_error() {
        let config = RedisConfig { wait_replicas: 2, ..RedisConfig::default() };
        let wait = Wait::of(&config).unwrap();
        assert!(wait.check(Some(Value::Int(2))).is_ok());
        assert!(wait.check(Some(Value::Int(3))).is_ok());
        let few = wait.check(Some(Value::Int(1))).unwrap_err();
        assert_eq!(few.code(), Some(NOT_REPLICATED));
        assert!(wait.check(None).is_err());
        assert!(Wait::of(&RedisConfig::default()).is_none());
    }
}
