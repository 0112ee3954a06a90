//! How a Qdrant server or cluster is reached, and how collections are made there.

use std::fmt;
use std::time::Duration;

use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};

const OPERATION: &str = "qdrant.config";

/// Which server, and how. Everything but the URL has a default. What stands under "of new collections" applies when a
/// collection is made; those that are there keep what they were made with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QdrantConfig {
    /// Where gRPC listens: `http://host:6334`, or `https://host:6334` for TLS. Of a cluster any node, or what balances
    /// them.
    pub url: String,
    /// The API key or token, where the server wants one. Sent with each call: use `https` then.
    pub api_key: Option<String>,
    /// What the names of collections in Qdrant begin with: 1 to 32 of `a-z`, `0-9`, `_` and `-`. Deployments with
    /// different prefixes share a server without seeing each other.
    pub prefix: String,
    /// How long one call may take, repeats included, in milliseconds: 1 to 3,600,000.
    pub timeout_ms: u32,
    /// How long opening a connection may take, in milliseconds: 1 to 600,000.
    pub connect_timeout_ms: u32,
    /// Connections that calls share: 1 to 100.
    pub pool_size: u32,
    /// How often a call that could not reach the server, or was told to come later, is sent again: 0 to 20. The
    /// server's wish to wait is honoured, as long as `timeout_ms` allows.
    pub retries: u32,
    /// Whether messages are packed on the wire.
    pub compression: Compression,
    /// Points of one message: 1 to 10,000.
    pub batch_points: u32,
    /// Bytes of one message, about; a single point may be larger: 65,536 to 1,073,741,824.
    pub batch_bytes: u32,
    /// Messages of one upsert that are on their way at once: 1 to 64.
    pub batch_parallel: u32,
    /// How writes to one point are ordered in a cluster.
    pub write_ordering: WriteOrdering,
    /// How many replicas a read asks; without it the one that is nearest.
    pub read_consistency: Option<ReadConsistency>,
    /// How wide an index of dense vectors is searched: 1 to 100,000. More finds more and takes longer. Without it as
    /// the server does.
    pub hnsw_ef: Option<u32>,
    /// Of new collections: shards, 1 to 10,000. Without it one for each node.
    pub shard_number: Option<u32>,
    /// Of new collections: copies of each shard, 1 to 100.
    pub replication_factor: Option<u32>,
    /// Of new collections: how many copies must have a write before it is acknowledged, 1 to 100.
    pub write_consistency_factor: Option<u32>,
    /// Of new collections: segments of each shard, 1 to 1,000. Fewer take less memory and give less parallelism.
    pub segments: Option<u32>,
    /// Of new collections: links of a point in the index of dense vectors, 4 to 1,000.
    pub hnsw_m: Option<u32>,
    /// Of new collections: candidates considered for the links of a new point, 4 to 100,000.
    pub hnsw_ef_construct: Option<u32>,
    /// Of new collections: what is kept in memory of dense vectors.
    pub quantization: Quantization,
    /// Of new collections: where dense vectors lie.
    pub vectors: Place,
    /// Of new collections: where the index of dense vectors lies.
    pub hnsw: Place,
    /// Of new collections: where the lists of sparse vectors lie.
    pub sparse: Place,
    /// Of new collections: where payloads lie.
    pub payload: Place,
    /// Of new collections: where the indexes of payload fields lie, those of sparse terms among them.
    pub payload_index: Place,
}

/// Whether messages are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// They are not: right beside the server.
    #[default]
    None,
    /// With gzip: over a slow line.
    Gzip,
}

/// Where something lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// As the server decides.
    #[default]
    Server,
    /// In memory, and on the disk.
    Memory,
    /// On the disk; memory only caches it.
    Disk,
}

impl Place {
    pub(crate) fn on_disk(self) -> Option<bool> {
        match self {
            Self::Server => None,
            Self::Memory => Some(false),
            Self::Disk => Some(true),
        }
    }
}

/// What is kept in memory of dense vectors. `Exact` searches always compare the vectors themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantization {
    /// The vectors as they are.
    #[default]
    None,
    /// A byte for each number: a quarter.
    Scalar,
    /// A bit for each number: a 32nd. For vectors of 1,000 numbers and more.
    Binary,
}

/// How writes to one point are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteOrdering {
    /// As they come to each replica.
    #[default]
    Weak,
    /// By a leader that may change.
    Medium,
    /// By one leader; writes wait while it is away.
    Strong,
}

/// How many replicas a read asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadConsistency {
    /// Most, and gives what most of them have.
    Majority,
    /// Most, and gives what all of these have.
    Quorum,
    /// All, and gives what all have.
    All,
}

impl Default for QdrantConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            api_key: None,
            prefix: "hexmem".to_owned(),
            timeout_ms: 30_000,
            connect_timeout_ms: 5_000,
            pool_size: 3,
            retries: 5,
            compression: Compression::None,
            batch_points: 512,
            batch_bytes: 8 << 20,
            batch_parallel: 2,
            write_ordering: WriteOrdering::Weak,
            read_consistency: None,
            hnsw_ef: None,
            shard_number: None,
            replication_factor: None,
            write_consistency_factor: None,
            segments: None,
            hnsw_m: None,
            hnsw_ef_construct: None,
            quantization: Quantization::None,
            vectors: Place::Server,
            hnsw: Place::Server,
            sparse: Place::Server,
            payload: Place::Server,
            payload_index: Place::Server,
        }
    }
}

/// The key is a secret: everything but it is printed.
impl fmt::Debug for QdrantConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QdrantConfig")
            .field("url", &self.shown_url())
            .field("api_key", &self.api_key.as_ref().map(|_| "***"))
            .field("prefix", &self.prefix)
            .field("timeout_ms", &self.timeout_ms)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("pool_size", &self.pool_size)
            .field("retries", &self.retries)
            .field("compression", &self.compression)
            .field("batch_points", &self.batch_points)
            .field("batch_bytes", &self.batch_bytes)
            .field("batch_parallel", &self.batch_parallel)
            .field("write_ordering", &self.write_ordering)
            .field("read_consistency", &self.read_consistency)
            .field("hnsw_ef", &self.hnsw_ef)
            .field("shard_number", &self.shard_number)
            .field("replication_factor", &self.replication_factor)
            .field("write_consistency_factor", &self.write_consistency_factor)
            .field("segments", &self.segments)
            .field("hnsw_m", &self.hnsw_m)
            .field("hnsw_ef_construct", &self.hnsw_ef_construct)
            .field("quantization", &self.quantization)
            .field("vectors", &self.vectors)
            .field("hnsw", &self.hnsw)
            .field("sparse", &self.sparse)
            .field("payload", &self.payload)
            .field("payload_index", &self.payload_index)
            .finish()
    }
}

impl QdrantConfig {
    /// The defaults on `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The URL without user and password, which it should not have.
    pub fn shown_url(&self) -> String {
        match self.url.split_once("://") {
            Some((scheme, rest)) => {
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                let place = place.split(['?', '#']).next().unwrap_or(place);
                format!("{scheme}://{place}")
            }
            None => "(not a URL)".to_owned(),
        }
    }

    /// `Invalid` for a value out of its range, naming it; never the key.
    pub fn check(&self) -> Result<()> {
        self.check_url()?;
        let most = u32::MAX;
        for (name, value, least, most) in [
            ("timeout_ms", Some(self.timeout_ms), 1, 3_600_000),
            ("connect_timeout_ms", Some(self.connect_timeout_ms), 1, 600_000),
            ("pool_size", Some(self.pool_size), 1, 100),
            ("retries", Some(self.retries), 0, 20),
            ("batch_points", Some(self.batch_points), 1, 10_000),
            ("batch_bytes", Some(self.batch_bytes), 65_536, most.min(1 << 30)),
            ("batch_parallel", Some(self.batch_parallel), 1, 64),
            ("hnsw_ef", self.hnsw_ef, 1, 100_000),
            ("shard_number", self.shard_number, 1, 10_000),
            ("replication_factor", self.replication_factor, 1, 100),
            ("write_consistency_factor", self.write_consistency_factor, 1, 100),
            ("segments", self.segments, 1, 1_000),
            ("hnsw_m", self.hnsw_m, 4, 1_000),
            ("hnsw_ef_construct", self.hnsw_ef_construct, 4, 100_000),
        ] {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                return Err(Error::invalid(
                    OPERATION,
                    format!("qdrant.{name} is {value}; it is {least} to {most}"),
                ));
            }
        }
        // The driver's own message would print the key.
        let sendable = |key: &String| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
        if !self.api_key.as_ref().is_none_or(sendable) {
            let what = "qdrant.api_key is empty or has a character beyond visible ASCII";
            return Err(Error::invalid(OPERATION, what));
        }
        let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if !(1..=32).contains(&self.prefix.len()) || !self.prefix.bytes().all(plain) {
            let what = "qdrant.prefix is 1 to 32 of a-z, 0-9, _ and -";
            return Err(Error::invalid(OPERATION, what));
        }
        Ok(())
    }

    fn check_url(&self) -> Result<()> {
        let wrong = |what: &str| {
            // Never the text itself: it may hold a secret.
            Err(Error::invalid(
                OPERATION,
                format!("the URL of Qdrant {what}; write http://host:6334 (the port of gRPC)"),
            ))
        };
        let rest = match self.url.split_once("://") {
            _ if self.url.is_empty() => return wrong("is missing"),
            Some(("http" | "https", rest)) => rest,
            _ => return wrong("does not start with http:// or https://"),
        };
        if rest.contains('@') {
            return wrong("has a user or password; put the key into qdrant.api_key");
        }
        let host = rest.trim_end_matches('/');
        if host.is_empty() || host.contains(['/', '?', '#']) || host.starts_with(':') {
            return wrong("is not a host and a port");
        }
        let read = self.url.parse::<tonic::codegen::http::Uri>();
        // After the brackets of an IPv6 address.
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        match read {
            Ok(uri) if has_port == uri.port_u16().is_some() => Ok(()),
            _ => wrong("cannot be read"),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let config = QdrantConfig {
            api_key: Some("hush1".into()),
            ..QdrantConfig::new("http://u:hush2@h:6334/?k=hush3")
        };
        let text = format!("{config:?} {}", config.check().unwrap_err());
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("http://h:6334"), "{text}");
        let config =
            QdrantConfig { api_key: Some("hush\n".into()), ..QdrantConfig::new("http://h:1") };
        assert!(!format!("{:?}", config.check().unwrap_err()).contains("hush"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, what) in [
            ("", "is missing"),
            ("qdrant://h:6334", "does not start with"),
            ("http://", "not a host"),
            ("http://:6334", "not a host"),
            ("http://h:6334/path", "not a host"),
            ("http://h:port", "cannot be read"),
        ] {
            let error = QdrantConfig::new(url).check().unwrap_err().to_string();
            assert!(error.contains(what), "{url}: {error}");
        }
        let good = || QdrantConfig::new("https://cloud.example:6334/");
        assert!(good().check().is_ok());
        assert!(QdrantConfig::new("http://[::1]:6334").check().is_ok());
        let zero = QdrantConfig { pool_size: 0, ..good() };
        assert!(zero.check().unwrap_err().to_string().contains("pool_size"));
        let many = QdrantConfig { shard_number: Some(0), ..good() };
        assert!(many.check().unwrap_err().to_string().contains("shard_number"));
        for prefix in ["", "A", "a.b", &"a".repeat(33)] {
            let odd = QdrantConfig { prefix: prefix.into(), ..good() };
            assert!(odd.check().unwrap_err().to_string().contains("prefix"), "{prefix}");
        }
    }
}
