//! A look at the servers, for whoever asks whether all is well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hexmem_ports::{Error, Result};
use redis::{Cmd, Value};
use serde::Serialize;

use crate::error::{self, Access};
use crate::link::Call;
use crate::reply::Reply;
use crate::{Redis, RedisMode};

const OPERATION: &str = "redis.inspect";

/// What the servers look like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RedisInspection {
    /// What stands behind the URLs.
    pub mode: RedisMode,
    /// The URLs, without secrets.
    pub urls: String,
    /// The quickest of a few answers, there and back, in microseconds.
    pub latency_micros: u64,
    /// The servers that hold keys, by address.
    pub servers: Vec<RedisServer>,
    /// The state of the Cluster.
    pub cluster: Option<ClusterState>,
    /// What keeps it from working, and the way out. Empty when all is well.
    pub findings: Vec<String>,
    /// What may lose data one day, and the way out.
    pub warnings: Vec<String>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RedisServer {
    /// Where it listens.
    pub address: String,
    /// `redis` or `valkey`, and its version.
    pub version: String,
    /// `master` or `slave`, in the server's words.
    pub role: String,
    /// Bytes in use.
    pub used_bytes: u64,
    /// The limit; 0: none.
    pub max_bytes: u64,
    /// What it does at the limit.
    pub eviction: String,
    /// What a crash can lose.
    pub durability: Durability,
    /// Replicas that are connected.
    pub replicas: u64,
    /// By how many bytes the slowest of them is behind.
    pub replica_lag_bytes: u64,
}

/// What the end of a server can lose of what it has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing: each write is on the disk before it is acknowledged (`appendfsync always`).
    EachWrite,
    /// About the last second (`appendfsync everysec`).
    LastSecond,
    /// What the operating system had not written yet (`appendfsync no`).
    SystemBuffers,
    /// What came after the last snapshot (`save`).
    SinceSnapshot,
    /// Everything.
    Everything,
    /// It writes a log, and does not tell how often it is synced.
    Unknown,
}

/// The state of a Cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterState {
    /// `ok` or `fail`, in the server's words.
    pub state: String,
    /// Slots that are served, of 16,384.
    pub slots_ok: u64,
    /// Nodes that are known, replicas included.
    pub nodes: u64,
}

/// The lines `name:value` of `INFO`.
type Info = BTreeMap<String, String>;

fn info(text: &str) -> Info {
    let lines = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn of<'a>(info: &'a Info, name: &str) -> &'a str {
    info.get(name).map_or("", String::as_str)
}

fn number(info: &Info, name: &str) -> u64 {
    of(info, name).parse().unwrap_or(0)
}

impl RedisServer {
    fn read(address: String, info: &Info, config: &Info) -> Self {
        let product = if info.contains_key("valkey_version") { "valkey" } else { "redis" };
        let version = info.get("valkey_version").or_else(|| info.get("redis_version"));
        let offset = number(info, "master_repl_offset");
        let behind = |value: &String| {
            let at = value.split(',').find_map(|part| part.strip_prefix("offset="))?;
            Some(offset.saturating_sub(at.parse().ok()?))
        };
        let lags = info.iter().filter(|(name, _)| {
            name.strip_prefix("slave").is_some_and(|rest| rest.parse::<u32>().is_ok())
        });
        Self {
            address,
            version: format!("{product} {}", version.map_or("?", String::as_str)),
            role: of(info, "role").to_owned(),
            used_bytes: number(info, "used_memory"),
            max_bytes: number(info, "maxmemory"),
            eviction: of(info, "maxmemory_policy").to_owned(),
            durability: Durability::read(info, config),
            replicas: number(info, "connected_slaves"),
            replica_lag_bytes: lags.filter_map(|(_, value)| behind(value)).max().unwrap_or(0),
        }
    }

    /// What is wrong with it, and what may become wrong.
    fn judge(&self, info: &Info, findings: &mut Vec<String>, warnings: &mut Vec<String>) {
        let at = &self.address;
        let words = self.version.split(' ').nth(1).unwrap_or_default();
        let major: u32 = words.split('.').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        if major < 7 {
            findings.push(format!("{at} is {}; hexmem needs 7.0 or newer", self.version));
        }
        if self.role == "slave" {
            findings.push(format!("{at} is a read-only replica; name its master in urls"));
        }
        for (name, what) in [
            ("aof_last_write_status", "cannot write its append-only file"),
            ("rdb_last_bgsave_status", "could not save its last snapshot"),
        ] {
            if of(info, name) == "err" {
                findings.push(format!("{at} {what}; see its log and its disk"));
            }
        }
        if self.max_bytes > 0 && self.used_bytes > self.max_bytes / 10 * 9 {
            warnings.push(format!(
                "{at} uses more than nine tenths of its maxmemory; raise it, or sweep"
            ));
        }
        if self.max_bytes > 0 && self.eviction.starts_with("allkeys") {
            warnings.push(format!(
                "{at} has maxmemory-policy {}: it may evict sessions and commands; set noeviction",
                self.eviction
            ));
        } else if self.max_bytes > 0 && self.eviction.starts_with("volatile") {
            warnings.push(format!(
                "{at} has maxmemory-policy {}: it may forget the answers to repeats early, so that a repeat is done again; set noeviction",
                self.eviction
            ));
        }
        if self.durability == Durability::Everything {
            warnings.push(format!(
                "{at} persists nothing: its restart loses everything; set appendonly yes"
            ));
        }
    }
}

impl Durability {
    fn read(info: &Info, config: &Info) -> Self {
        if of(info, "aof_enabled") == "1" {
            return match of(config, "appendfsync") {
                "always" => Self::EachWrite,
                "everysec" => Self::LastSecond,
                "no" => Self::SystemBuffers,
                _ => Self::Unknown,
            };
        }
        match config.get("save").map(String::as_str) {
            Some("") => Self::Everything,
            Some(_) => Self::SinceSnapshot,
            None => Self::Unknown,
        }
    }
}

/// Pairs of a list or map of names and values.
fn pairs(value: Value) -> Result<Info> {
    let text = |value| Reply::new(OPERATION, value).text();
    let read = |(name, value)| Ok((text(name)?, text(value)?));
    match value {
        Value::Map(pairs) => pairs.into_iter().map(read).collect(),
        other => {
            let mut items = Reply::new(OPERATION, other).list()?;
            let mut all = Info::new();
            while items.left() > 0 {
                all.insert(items.item()?.text()?, items.item()?.text()?);
            }
            Ok(all)
        }
    }
}

impl Redis {
    /// Asks every server that holds keys for its state: some round trips each. A server that forbids `CONFIG GET` leaves the
    /// durability `Unknown`.
    pub async fn inspect(&self) -> Result<RedisInspection> {
        let mut latency = Duration::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            self.send(&call(&["TIME"])).await?;
            latency = latency.min(start.elapsed());
        }
        let (mut servers, mut findings, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let infos = self.of_masters(&call(&["INFO", "everything"])).await?;
        // Managed services forbid it.
        let configs = self.of_masters(&call(&["CONFIG", "GET", "appendfsync"])).await;
        let saves = self.of_masters(&call(&["CONFIG", "GET", "save"])).await;
        let mut settings: BTreeMap<String, Info> = BTreeMap::new();
        for answers in [configs, saves].into_iter().flatten() {
            for (address, value) in answers {
                settings.entry(address).or_default().extend(pairs(value)?);
            }
        }
        for (address, value) in infos {
            let info = info(&Reply::new(OPERATION, value).text()?);
            let config = settings.remove(&address).unwrap_or_default();
            let server = RedisServer::read(address, &info, &config);
            server.judge(&info, &mut findings, &mut warnings);
            servers.push(server);
        }
        servers.sort_by(|a, b| a.address.cmp(&b.address));
        let mode = self.config().mode;
        let cluster =
            if mode == RedisMode::Cluster { Some(self.cluster_state().await?) } else { None };
        if let Some(cluster) = &cluster
            && (cluster.state != "ok" || cluster.slots_ok < 16_384)
        {
            findings.push(format!(
                "the Cluster is {}, {} of 16384 slots are served; see CLUSTER NODES",
                cluster.state, cluster.slots_ok
            ));
        }
        if mode != RedisMode::Single {
            for server in servers.iter().filter(|server| server.replicas == 0) {
                warnings.push(format!(
                    "{} has no replica: its end takes its keys along",
                    server.address
                ));
            }
        }
        Ok(RedisInspection {
            mode,
            urls: self.config().shown_urls(),
            latency_micros: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            servers,
            cluster,
            findings,
            warnings,
        })
    }

    async fn cluster_state(&self) -> Result<ClusterState> {
        let answer = Reply::new(OPERATION, self.send(&call(&["CLUSTER", "INFO"])).await?);
        let info = info(&answer.text()?);
        Ok(ClusterState {
            state: of(&info, "cluster_state").to_owned(),
            slots_ok: number(&info, "cluster_slots_ok"),
            nodes: number(&info, "cluster_known_nodes"),
        })
    }

    /// The answer of each server that holds keys, with its address.
    async fn of_masters(&self, call: &Call) -> Result<Vec<(String, Value)>> {
        let patience = self.config().connect_timeout() + self.config().response_timeout();
        tokio::time::timeout(patience, self.link().of_masters(&call.command))
            .await
            .map_err(|_| error::timed_out(OPERATION, Access::Reads, patience.as_millis()))?
            .map_err(|refused| error::map(OPERATION, Access::Reads, refused))?
            .ok_or_else(|| Error::corrupt(OPERATION, "the Cluster names no servers"))
    }
}

fn call(words: &[&str]) -> Call {
    let mut command = Cmd::new();
    command.arg(words);
    Call { operation: OPERATION, access: Access::Reads, command }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(info: &str, config: &[(&str, &str)]) -> (RedisServer, Vec<String>, Vec<String>) {
        let info = super::info(info);
        let config = config.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let server = RedisServer::read("h:1".into(), &info, &config);
        let (mut findings, mut warnings) = (Vec::new(), Vec::new());
        server.judge(&info, &mut findings, &mut warnings);
        (server, findings, warnings)
    }

    #[test]
    fn what_may_lose_data_is_said() {
        let text = "redis_version:7.0.15\r\nrole:master\r\nmaxmemory:100\r\nused_memory:95\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\nconnected_slaves:1\r\nmaster_repl_offset:50\r\nslave0:ip=1,port=2,state=online,offset=40,lag=0";
        let (server, findings, warnings) = judged(text, &[("save", "")]);
        assert_eq!((server.durability, server.replica_lag_bytes), (Durability::Everything, 10));
        assert!(findings.is_empty(), "{findings:?}");
        assert!(warnings.iter().any(|w| w.contains("allkeys-lru") && w.contains("noeviction")));
        assert!(warnings.iter().any(|w| w.contains("persists nothing")));
        assert!(warnings.iter().any(|w| w.contains("nine tenths")));
    }

    #[test]
    fn a_replica_an_old_server_and_a_full_disk_are_findings() {
        let text =
            "redis_version:6.2.1\r\nrole:slave\r\naof_enabled:1\r\naof_last_write_status:err";
        let (server, findings, _) = judged(text, &[("appendfsync", "always")]);
        assert_eq!(server.durability, Durability::EachWrite);
        assert_eq!(findings.len(), 3, "{findings:?}");
        let (valkey, findings, warnings) = judged(
            "valkey_version:8.1.0\r\nredis_version:7.2.4\r\nrole:master\r\naof_enabled:1",
            &[],
        );
        assert_eq!(
            (valkey.version.as_str(), valkey.durability),
            ("valkey 8.1.0", Durability::Unknown)
        );
        assert!(findings.is_empty() && warnings.is_empty(), "{findings:?} {warnings:?}");
    }
}
