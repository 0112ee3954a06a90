//! How a Redis is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};

const OPERATION: &str = "redis.connect";

/// What stands behind the URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisMode {
    /// One server, or a proxy or virtual address before one.
    #[default]
    Single,
    /// The URLs are Sentinels; the master is asked of them, again after a failover.
    Sentinel,
    /// The URLs are nodes of a Cluster; the others are found.
    Cluster,
}

/// Which Redis, and how. Everything but the URLs has a default.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// What stands behind the URLs.
    pub mode: RedisMode,
    /// `redis://[user:password@]host:port[/database]`, or `rediss://` for TLS. One for a single server, one or more
    /// Sentinels or nodes otherwise.
    pub urls: Vec<String>,
    /// The ACL user; wins over the URL's.
    pub username: Option<String>,
    /// The password; wins over the URL's.
    pub password: Option<String>,
    /// The numbered database; wins over the URL's. A Cluster has 0 only.
    pub database: Option<u32>,
    /// The master's name among the Sentinels.
    pub master: String,
    /// The user at the Sentinels themselves.
    pub sentinel_username: Option<String>,
    /// The password at the Sentinels themselves.
    pub sentinel_password: Option<String>,
    /// PEM file of the authority that signed the server's certificate; without it, the system's authorities. Only with
    /// `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// PEM file of this client's certificate, where the server asks for one; needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file of the key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// What every key begins with, so that several programs share a server: at most 64 bytes without braces, spaces and
    /// control characters.
    pub prefix: String,
    /// How long a connection may take to be made, in milliseconds: 1 to 600,000.
    pub connect_timeout_ms: u32,
    /// How long a call may take, in milliseconds: 1 to 600,000.
    pub response_timeout_ms: u32,
    /// The first pause before a connection is tried again, in milliseconds: 1 to 60,000. It doubles, with jitter.
    pub reconnect_min_ms: u32,
    /// The longest such pause, in milliseconds: `reconnect_min_ms` to 600,000.
    pub reconnect_max_ms: u32,
    /// How often one reconnect is tried before the calls that wait for it fail, 0 to 100. The next call starts anew.
    pub reconnect_tries: u32,
    /// Send small packets at once (TCP_NODELAY).
    pub tcp_nodelay: bool,
    /// How many replicas must have a write before it is acknowledged, 0 to 100: `WAIT` behind each write. Fewer of them within
    /// `wait_timeout_ms` is `Unavailable` with an unknown outcome. Each write then takes as long as the
    /// replicas, on a connection of the pool, so that nothing waits behind it.
    pub wait_replicas: u8,
    /// How long a write waits for its replicas, in milliseconds: 1 to less than `response_timeout_ms`.
    pub wait_timeout_ms: u32,
    /// Cached answers of at least this many bytes are kept as an LZ4 block where that is shorter; 0: never.
    pub cache_compress_from: u32,
    /// How many keys of the cache are copied in this process and taken back by the server when they change (RESP3 tracking):
    /// 0, none, to 10,000,000; a key is an answer of any size. On a single server only.
    pub cache_copies: u32,
    /// How old such a copy may get, in milliseconds, 1 to 60,000: for at most that long after its invalidation an answer may be
    /// served from a copy, whatever becomes of the connection.
    pub cache_copies_max_age_ms: u32,
    /// Connections for writes that wait for replicas, 1 to 1,024, opened when first needed.
    pub pool_size: u32,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            mode: RedisMode::Single,
            urls: vec![String::from("redis://127.0.0.1:6379")],
            username: None,
            password: None,
            database: None,
            master: String::from("mymaster"),
            sentinel_username: None,
            sentinel_password: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            prefix: String::from("hexmem:"),
            connect_timeout_ms: 3_000,
            response_timeout_ms: 5_000,
            reconnect_min_ms: 50,
            reconnect_max_ms: 2_000,
            reconnect_tries: 2,
            tcp_nodelay: true,
            wait_replicas: 0,
            wait_timeout_ms: 1_000,
            cache_compress_from: 1_024,
            cache_copies: 0,
            cache_copies_max_age_ms: 1_000,
            pool_size: 16,
        }
    }
}

impl RedisConfig {
    /// The defaults on one server, or on the nodes of a Cluster where `url` names several, separated by commas.
    pub fn new(url: impl AsRef<str>) -> Self {
        let urls: Vec<String> = url.as_ref().split(',').map(|one| one.trim().to_owned()).collect();
        let mode = if urls.len() > 1 { RedisMode::Cluster } else { RedisMode::Single };
        Self { mode, urls, ..Self::default() }
    }

    /// With another prefix of keys.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// `Invalid`, naming the setting, outside the stated ranges.
    pub fn check(&self) -> Result<()> {
        let bad_prefix = |c: char| c == '{' || c == '}' || c.is_whitespace() || c.is_control();
        let wrong = if self.urls.is_empty() {
            "urls is empty; name a server"
        } else if self.mode == RedisMode::Single && self.urls.len() > 1 {
            "urls names several servers, which mode = \"single\" has not; say \"cluster\" or \"sentinel\""
        } else if self.mode == RedisMode::Cluster && self.database.unwrap_or(0) != 0 {
            "database: a Cluster has database 0 only; use prefix to keep programs apart"
        } else if self.mode == RedisMode::Sentinel && self.master.is_empty() {
            "master is empty; name the master that the Sentinels watch"
        } else if self.prefix.len() > 64 || self.prefix.contains(bad_prefix) {
            "prefix is at most 64 bytes without braces, spaces and control characters"
        } else if !(1..=600_000).contains(&self.connect_timeout_ms) {
            "connect_timeout_ms is 1 to 600000"
        } else if !(1..=600_000).contains(&self.response_timeout_ms) {
            "response_timeout_ms is 1 to 600000"
        } else if !(1..=60_000).contains(&self.reconnect_min_ms) {
            "reconnect_min_ms is 1 to 60000"
        } else if !(self.reconnect_min_ms..=600_000).contains(&self.reconnect_max_ms) {
            "reconnect_max_ms is reconnect_min_ms to 600000"
        } else if self.reconnect_tries > 100 {
            "reconnect_tries is 0 to 100"
        } else if self.wait_replicas > 100 {
            "wait_replicas is 0 to 100"
        } else if self.wait_replicas > 0
            && !(1..self.response_timeout_ms).contains(&self.wait_timeout_ms)
        {
            "wait_timeout_ms is 1 to less than response_timeout_ms"
        } else if self.cache_copies > 10_000_000 {
            "cache_copies is 0 to 10000000"
        } else if self.cache_copies > 0 && self.mode != RedisMode::Single {
            "cache_copies needs mode = \"single\"; set it to 0"
        } else if !(1..=60_000).contains(&self.cache_copies_max_age_ms) {
            "cache_copies_max_age_ms is 1 to 60000"
        } else if !(1..=1_024).contains(&self.pool_size) {
            "pool_size is 1 to 1024"
        } else if self.cert_file.is_some() != self.key_file.is_some() {
            "cert_file and key_file belong together; give both or none"
        } else if self.ca_file.is_some() && !self.urls.iter().all(|url| is_tls(url)) {
            "ca_file is for TLS; write the urls as rediss://"
        } else {
            return Ok(());
        };
        Err(Error::invalid(OPERATION, wrong))
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.into())
    }

    pub(crate) fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms.into())
    }

    pub(crate) fn compress_from(&self) -> usize {
        usize::try_from(self.cache_compress_from).unwrap_or(usize::MAX)
    }

    /// The URLs without user and password, for people to read.
    pub fn shown_urls(&self) -> String {
        self.urls.iter().map(|url| shown(url)).collect::<Vec<_>>().join(",")
    }
}

fn is_tls(url: &str) -> bool {
    url.starts_with("rediss://") || url.starts_with("valkeys://")
}

/// A URL without what stands before its `@` and without its query, which may hold secrets too.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        f.debug_struct("RedisConfig")
            .field("mode", &self.mode)
            .field("urls", &self.shown_urls())
            .field("username", &self.username)
            .field("password", &hidden(&self.password))
            .field("database", &self.database)
            .field("master", &self.master)
            .field("sentinel_username", &self.sentinel_username)
            .field("sentinel_password", &hidden(&self.sentinel_password))
            .field("ca_file", &self.ca_file)
            .field("cert_file", &self.cert_file)
            .field("key_file", &self.key_file)
            .field("prefix", &self.prefix)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("response_timeout_ms", &self.response_timeout_ms)
            .field("reconnect_min_ms", &self.reconnect_min_ms)
            .field("reconnect_max_ms", &self.reconnect_max_ms)
            .field("reconnect_tries", &self.reconnect_tries)
            .field("tcp_nodelay", &self.tcp_nodelay)
            .field("wait_replicas", &self.wait_replicas)
            .field("wait_timeout_ms", &self.wait_timeout_ms)
            .field("cache_compress_from", &self.cache_compress_from)
            .field("cache_copies", &self.cache_copies)
            .field("cache_copies_max_age_ms", &self.cache_copies_max_age_ms)
            .field("pool_size", &self.pool_size)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let config = RedisConfig {
            password: Some("s3cret".into()),
            sentinel_password: Some("s3cret".into()),
            ..RedisConfig::new("rediss://me:s3cret@db.example:6380/2?password=s3cret")
        };
        let text = format!("{config:?}");
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("rediss://db.example:6380/2"), "{text}");
    }

    #[test]
    fn a_bad_value_is_named() {
        let wrong = |change: fn(&mut RedisConfig)| {
            let mut config = RedisConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(wrong(|c| c.urls.clear()).contains("urls"));
        assert!(wrong(|c| c.urls.push("redis://b".into())).contains("mode"));
        assert!(wrong(|c| c.prefix = "a{b".into()).contains("prefix"));
        assert!(wrong(|c| c.response_timeout_ms = 0).contains("response_timeout_ms"));
        assert!(wrong(|c| c.reconnect_max_ms = 1).contains("reconnect_max_ms"));
        assert!(wrong(|c| c.pool_size = 0).contains("pool_size"));
        assert!(wrong(|c| c.ca_file = Some("ca.pem".into())).contains("rediss"));
        assert!(wrong(|c| c.key_file = Some("k.pem".into())).contains("cert_file"));
        RedisConfig::default().check().unwrap();
    }
}
