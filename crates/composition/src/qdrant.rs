//! The settings of Qdrant, and the handle that they describe.

use serde::{Deserialize, Serialize};

use crate::{Secret, SecretUrl};

/// How Qdrant is reached, and how collections are made there. What is not given has the adapter's default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QdrantSettings {
    /// Where gRPC answers: `http://host:6334`, `https://` for TLS; `qdrant+http://` and `qdrant+https://` say the same.
    /// Alone it switches no backend.
    pub url: Option<SecretUrl>,
    /// The key, sent with every call.
    pub api_key: Option<Secret>,
    /// What the names of collections in Qdrant begin with.
    pub prefix: Option<String>,
    /// How long a call may take, repeats included, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// How long a connection may take to be made, in milliseconds.
    pub connect_timeout_ms: Option<u32>,
    /// Connections that calls share.
    pub pool_size: Option<u32>,
    /// How often a call that could not reach the server is sent again.
    pub retries: Option<u32>,
    /// `none` or `gzip`.
    pub compression: Option<QdrantCompression>,
    /// Points of one message.
    pub batch_points: Option<u32>,
    /// Bytes of one message, about.
    pub batch_bytes: Option<u32>,
    /// Messages of one upsert that are on their way at once.
    pub batch_parallel: Option<u32>,
    /// `weak`, `medium` or `strong`: how writes to one point are ordered in a cluster.
    pub write_ordering: Option<QdrantOrdering>,
    /// `majority`, `quorum` or `all`: how many replicas a read asks; without it the nearest one.
    pub read_consistency: Option<QdrantConsistency>,
    /// How wide an index of dense vectors is searched.
    pub hnsw_ef: Option<u32>,
    /// Of new collections: shards.
    pub shard_number: Option<u32>,
    /// Of new collections: copies of each shard.
    pub replication_factor: Option<u32>,
    /// Of new collections: how many copies must have a write before it is acknowledged.
    pub write_consistency_factor: Option<u32>,
    /// Of new collections: segments of each shard.
    pub segments: Option<u32>,
    /// Of new collections: links of a point in the index of dense vectors.
    pub hnsw_m: Option<u32>,
    /// Of new collections: candidates considered for the links of a new point.
    pub hnsw_ef_construct: Option<u32>,
    /// Of new collections: `none`, `scalar` or `binary`, what is kept in memory of dense vectors.
    pub quantization: Option<QdrantQuantization>,
    /// Of new collections: `server`, `memory` or `disk`, where dense vectors lie.
    pub vectors: Option<QdrantPlace>,
    /// Of new collections: where the index of dense vectors lies.
    pub hnsw: Option<QdrantPlace>,
    /// Of new collections: where the lists of sparse vectors lie.
    pub sparse: Option<QdrantPlace>,
    /// Of new collections: where payloads lie.
    pub payload: Option<QdrantPlace>,
    /// Of new collections: where the indexes of payload fields lie.
    pub payload_index: Option<QdrantPlace>,
}

/// Whether messages are packed on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QdrantCompression {
    /// They are not.
    None,
    /// With gzip.
    Gzip,
}

/// How writes to one point are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QdrantOrdering {
    /// As they come to each replica.
    Weak,
    /// By a leader that may change.
    Medium,
    /// By one leader.
    Strong,
}

/// How many replicas a read asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QdrantConsistency {
    /// Most, and gives what most of them have.
    Majority,
    /// Most, and gives what all of these have.
    Quorum,
    /// All, and gives what all have.
    All,
}

/// What is kept in memory of dense vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QdrantQuantization {
    /// The vectors as they are.
    None,
    /// A byte for each number.
    Scalar,
    /// A bit for each number.
    Binary,
}

/// Where something lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QdrantPlace {
    /// As the server decides.
    Server,
    /// In memory, and on the disk.
    Memory,
    /// On the disk.
    Disk,
}

#[cfg(feature = "qdrant")]
pub use hexmem_adapter_qdrant::{
    CollectionHealth, CollectionState, Inspection as QdrantInspection,
};

#[cfg(feature = "qdrant")]
mod open {
    use hexmem_adapter_qdrant::{
        Compression, Place, Qdrant, QdrantConfig, Quantization, ReadConsistency, WriteOrdering,
    };
    use hexmem_ports::{Error, Result};

    use super::{
        QdrantCompression, QdrantConsistency, QdrantOrdering, QdrantPlace, QdrantQuantization,
        QdrantSettings,
    };
    use crate::Stores;

    impl Stores {
        /// The Qdrant server or cluster.
        pub async fn qdrant(&self) -> Result<&Qdrant> {
            let open = async || {
                let config = self.settings().qdrant.config()?;
                Box::pin(Qdrant::connect(config, self.clock())).await
            };
            self.qdrant_cell().get_or_try_init(open).await
        }
    }

    impl From<QdrantPlace> for Place {
        fn from(place: QdrantPlace) -> Self {
            match place {
                QdrantPlace::Server => Self::Server,
                QdrantPlace::Memory => Self::Memory,
                QdrantPlace::Disk => Self::Disk,
            }
        }
    }

    impl QdrantSettings {
        /// As the adapter takes it. `Invalid` without an address.
        fn config(&self) -> Result<QdrantConfig> {
            let url = self.url.as_ref().ok_or_else(|| {
                Error::invalid(
                    "config.open",
                    "Qdrant has no address; set qdrant.url, HEXMEM__QDRANT__URL or QDRANT_URL",
                )
                .with("key", "qdrant.url")
            })?;
            let url = url.expose();
            let mut config = QdrantConfig::new(url.strip_prefix("qdrant+").unwrap_or(url));
            config.api_key = self.api_key.as_ref().map(|key| key.expose().to_owned());
            if let Some(prefix) = &self.prefix {
                config.prefix.clone_from(prefix);
            }
            let set = |given: Option<u32>, at: &mut u32| *at = given.unwrap_or(*at);
            set(self.timeout_ms, &mut config.timeout_ms);
            set(self.connect_timeout_ms, &mut config.connect_timeout_ms);
            set(self.pool_size, &mut config.pool_size);
            set(self.retries, &mut config.retries);
            set(self.batch_points, &mut config.batch_points);
            set(self.batch_bytes, &mut config.batch_bytes);
            set(self.batch_parallel, &mut config.batch_parallel);
            config.hnsw_ef = self.hnsw_ef;
            config.shard_number = self.shard_number;
            config.replication_factor = self.replication_factor;
            config.write_consistency_factor = self.write_consistency_factor;
            config.segments = self.segments;
            config.hnsw_m = self.hnsw_m;
            config.hnsw_ef_construct = self.hnsw_ef_construct;
            config.compression = match self.compression {
                Some(QdrantCompression::Gzip) => Compression::Gzip,
                Some(QdrantCompression::None) => Compression::None,
                None => config.compression,
            };
            config.write_ordering = match self.write_ordering {
                Some(QdrantOrdering::Weak) => WriteOrdering::Weak,
                Some(QdrantOrdering::Medium) => WriteOrdering::Medium,
                Some(QdrantOrdering::Strong) => WriteOrdering::Strong,
                None => config.write_ordering,
            };
            config.read_consistency = self.read_consistency.map(|replicas| match replicas {
                QdrantConsistency::Majority => ReadConsistency::Majority,
                QdrantConsistency::Quorum => ReadConsistency::Quorum,
                QdrantConsistency::All => ReadConsistency::All,
            });
            config.quantization = match self.quantization {
                Some(QdrantQuantization::None) => Quantization::None,
                Some(QdrantQuantization::Scalar) => Quantization::Scalar,
                Some(QdrantQuantization::Binary) => Quantization::Binary,
                None => config.quantization,
            };
            let put = |given: Option<QdrantPlace>, at: &mut Place| {
                *at = given.map_or(*at, Place::from);
            };
            put(self.vectors, &mut config.vectors);
            put(self.hnsw, &mut config.hnsw);
            put(self.sparse, &mut config.sparse);
            put(self.payload, &mut config.payload);
            put(self.payload_index, &mut config.payload_index);
            Ok(config)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::{Settings, Sources};

        fn config(toml: &str, environment: &[(&str, &str)]) -> Result<QdrantConfig> {
            let environment = environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            let toml = Some(("hexmem.toml".into(), toml.into()));
            Settings::load(&Sources { toml, environment, ..Sources::default() })?.qdrant.config()
        }

        #[test]
        fn a_store_address_is_an_address() {
            let url = |given: &str| config(&format!("[qdrant]\nurl = '{given}'"), &[]).unwrap().url;
            assert_eq!(url("qdrant+http://h:6334"), "http://h:6334");
            assert_eq!(url("qdrant+https://h"), "https://h");
            assert_eq!(url("https://h:1"), "https://h:1");
            let error = config("", &[]).unwrap_err().to_string();
            assert!(
                error.contains("HEXMEM__QDRANT__URL") && error.contains("QDRANT_URL"),
                "{error}"
            );
        }

        /// Every setting reaches the adapter under the name that the adapter has for it.
        #[test]
        fn every_setting_reaches_the_adapter() {
            let given = QdrantConfig {
                url: "http://h:1".into(),
                api_key: Some("77".into()),
                prefix: "p".into(),
                timeout_ms: 1,
                connect_timeout_ms: 2,
                pool_size: 3,
                retries: 4,
                compression: Compression::Gzip,
                batch_points: 5,
                batch_bytes: 65_537,
                batch_parallel: 6,
                write_ordering: WriteOrdering::Strong,
                read_consistency: Some(ReadConsistency::Quorum),
                hnsw_ef: Some(7),
                shard_number: Some(8),
                replication_factor: Some(9),
                write_consistency_factor: Some(10),
                segments: Some(11),
                hnsw_m: Some(12),
                hnsw_ef_construct: Some(13),
                quantization: Quantization::Scalar,
                vectors: Place::Disk,
                hnsw: Place::Memory,
                sparse: Place::Disk,
                payload: Place::Memory,
                payload_index: Place::Disk,
            };
            let fields = serde_json::to_value(&given).unwrap();
            let fields = fields.as_object().unwrap();
            let lines = fields.iter().map(|(key, value)| format!("{key} = {value}\n"));
            let toml = format!("[qdrant]\n{}", lines.collect::<String>());
            assert_eq!(config(&toml, &[]).unwrap(), given);
            let variables: Vec<(String, String)> = fields
                .iter()
                .map(|(key, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    (format!("HEXMEM__QDRANT__{}", key.to_uppercase()), text)
                })
                .collect();
            let variables: Vec<_> =
                variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(config("", &variables).unwrap(), given);
            let untouched = config("[qdrant]\nurl = 'http://h'", &[]).unwrap();
            assert_eq!(untouched, QdrantConfig::new("http://h"));
        }

        #[test]
        fn a_wrong_word_names_its_place() {
            let error = config("[qdrant]\nquantization = 'all'", &[]).unwrap_err().to_string();
            assert!(error.contains("hexmem.toml") && error.contains("quantization"), "{error}");
            let error = config("", &[("HEXMEM__QDRANT__HNSW_EF", "wide")]).unwrap_err().to_string();
            assert!(error.contains("HEXMEM__QDRANT__HNSW_EF"), "{error}");
            let error = config("[qdrant]\nurls = 'x'", &[]).unwrap_err().to_string();
            assert!(error.contains("hexmem.toml"), "{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Backend, Settings, Sources};

    fn load(environment: &[(&str, &str)]) -> Settings {
        let environment = environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Settings::load(&Sources { environment, ..Sources::default() }).unwrap()
    }

    #[test]
    fn the_address_of_the_seeds_is_that_of_their_protocol() {
        let url = |environment: &[(&str, &str)]| {
            load(environment).qdrant.url.map(|url| url.expose().to_owned()).unwrap_or_default()
        };
        // Python's client speaks HTTP at 6333, also where no port is given; gRPC answers at 6334.
        let cases = [
            ("http://localhost:6333", "http://localhost:6334"),
            ("http://localhost:6333/", "http://localhost:6334/"),
            ("https://a.cloud.example", "https://a.cloud.example:6334"),
            ("http://[::1]", "http://[::1]:6334"),
            ("http://[::1]:6333", "http://[::1]:6334"),
            ("http://h:6334", "http://h:6334"),
            ("https://behind.a.proxy:443/q", "https://behind.a.proxy:443/q"),
            ("nothing", "nothing"),
        ];
        for (given, expected) in cases {
            assert_eq!(url(&[("QDRANT_URL", given)]), expected);
            assert_eq!(
                url(&[("HEXMEM__QDRANT__URL", given)]),
                given,
                "the own name is taken as it is"
            );
        }
        let both = [("HEXMEM__QDRANT__URL", "http://own:1"), ("QDRANT_URL", "http://seed")];
        assert_eq!(url(&both), "http://own:1");
    }

    #[test]
    fn it_is_used_where_it_is_said_and_the_key_is_never_shown() {
        let given = [("QDRANT_URL", "http://me:hush@h:6333"), ("QDRANT_API_KEY", "12345")];
        let alone = load(&given);
        assert_eq!(alone.rag.backend, Backend::Sqlite, "a URL alone switches nothing");
        let shown = serde_json::to_string(&alone).unwrap() + &format!("{alone:?}");
        assert!(!shown.contains("hush") && !shown.contains("12345"), "{shown}");
        assert!(shown.contains("http://me@h:6334/"), "{shown}");
        assert_eq!(alone.qdrant.api_key.unwrap().expose(), "12345");
        assert_eq!(load(&[("VECTOR_BACKEND", "qdrant")]).rag.backend, Backend::Qdrant);
    }
}
