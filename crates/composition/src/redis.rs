//! The settings of Redis, and the handle that they describe.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use crate::{Secret, SecretUrl};

/// Addresses separated by commas: each printed and shown without its password.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct SecretUrls(Vec<SecretUrl>);

impl From<String> for SecretUrls {
    fn from(text: String) -> Self {
        Self(text.split(',').map(|url| SecretUrl::new(url.trim())).collect())
    }
}

impl SecretUrls {
    /// The whole addresses, passwords included.
    pub fn expose(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(SecretUrl::expose)
    }
}

impl Serialize for SecretUrls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown: Vec<String> = self.0.iter().map(|url| format!("{url:?}")).collect();
        serializer.serialize_str(&shown.join(","))
    }
}

/// What stands behind the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisKind {
    /// One server.
    Single,
    /// Sentinels, which name the master.
    Sentinel,
    /// Nodes of a Cluster.
    Cluster,
}

/// How Redis is reached. What is not given has the adapter's default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// `redis://user:password@host:port/database`, `rediss://` for TLS; several nodes separated by commas. Alone it switches
    /// no backend.
    pub url: Option<SecretUrls>,
    /// The host, where there is no URL.
    pub host: Option<String>,
    /// The port, where there is no URL.
    pub port: Option<u16>,
    /// The numbered database.
    pub database: Option<u32>,
    /// `single`, `sentinel` or `cluster`; by default `single` for one URL and `cluster` for several.
    pub mode: Option<RedisKind>,
    /// The ACL user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The master's name among the Sentinels.
    pub master: Option<String>,
    /// The user at the Sentinels.
    pub sentinel_username: Option<String>,
    /// The password at the Sentinels.
    pub sentinel_password: Option<Secret>,
    /// The certificates that the server's is checked against, as a PEM file.
    pub tls_ca: Option<PathBuf>,
    /// This client's certificate, as a PEM file.
    pub tls_cert: Option<PathBuf>,
    /// The key of this client's certificate, as a PEM file.
    pub tls_key: Option<PathBuf>,
    /// What every key begins with.
    pub prefix: Option<String>,
    /// How long a connection may take to be made, in milliseconds.
    pub connect_timeout_ms: Option<u32>,
    /// How long a call may take, in milliseconds.
    pub response_timeout_ms: Option<u32>,
    /// The first pause before a connection is tried again, in milliseconds.
    pub reconnect_min_ms: Option<u32>,
    /// The longest such pause, in milliseconds.
    pub reconnect_max_ms: Option<u32>,
    /// How often one reconnect is tried before the calls that wait for it fail.
    pub reconnect_tries: Option<u32>,
    /// Send small packets at once.
    pub tcp_nodelay: Option<bool>,
    /// How many replicas must have a write before it is acknowledged.
    pub wait_replicas: Option<u8>,
    /// How long a write waits for its replicas, in milliseconds.
    pub wait_timeout_ms: Option<u32>,
    /// Cached answers of at least this many bytes are compressed; 0: never.
    pub cache_compress_from: Option<u32>,
    /// How many keys of the cache are copied in this process; 0: none.
    pub cache_copies: Option<u32>,
    /// How old such a copy may get, in milliseconds.
    pub cache_copies_max_age_ms: Option<u32>,
    /// Connections for writes that wait for replicas.
    pub pool_size: Option<u32>,
}

#[cfg(feature = "redis")]
pub use hexmem_adapter_redis::{Durability, RedisInspection};

#[cfg(feature = "redis")]
mod open {
    use hexmem_adapter_redis::{Redis, RedisConfig, RedisMode};
    use hexmem_ports::{Error, Result};

    use super::{RedisKind, RedisSettings};
    use crate::{Secret, Stores};

    impl Stores {
        /// The Redis server or Cluster.
        pub async fn redis(&self) -> Result<&Redis> {
            let open = async || Box::pin(Redis::connect(self.settings().redis.config()?)).await;
            self.redis_cell().get_or_try_init(open).await
        }
    }

    impl RedisSettings {
        /// Where it is: the URL, or else host and port.
        fn urls(&self) -> Result<Vec<String>> {
            if let Some(url) = &self.url {
                return Ok(url.expose().map(str::to_owned).collect());
            }
            if self.host.is_none() && self.port.is_none() {
                return Err(Error::invalid(
                    "config.open",
                    "Redis has no address; set redis.url, HEXMEM__REDIS__URL, REDIS_URL or REDIS_HOST",
                )
                .with("key", "redis.url"));
            }
            let host = self.host.as_deref().unwrap_or("127.0.0.1");
            // An address of IPv6 has colons of its own.
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            Ok(vec![format!("redis://{host}:{}", self.port.unwrap_or(6_379))])
        }

        /// As the adapter takes it. `Invalid` without an address.
        fn config(&self) -> Result<RedisConfig> {
            let urls = self.urls()?;
            let mode = match self.mode {
                Some(RedisKind::Single) => RedisMode::Single,
                Some(RedisKind::Sentinel) => RedisMode::Sentinel,
                Some(RedisKind::Cluster) => RedisMode::Cluster,
                None if urls.len() > 1 => RedisMode::Cluster,
                None => RedisMode::Single,
            };
            let secret = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
            let mut config = RedisConfig {
                mode,
                urls,
                username: self.username.clone(),
                password: secret(&self.password),
                database: self.database,
                sentinel_username: self.sentinel_username.clone(),
                sentinel_password: secret(&self.sentinel_password),
                ca_file: self.tls_ca.clone(),
                cert_file: self.tls_cert.clone(),
                key_file: self.tls_key.clone(),
                ..RedisConfig::default()
            };
            if let Some(master) = &self.master {
                config.master.clone_from(master);
            }
            if let Some(prefix) = &self.prefix {
                config.prefix.clone_from(prefix);
            }
            let set = |given: Option<u32>, at: &mut u32| *at = given.unwrap_or(*at);
            set(self.connect_timeout_ms, &mut config.connect_timeout_ms);
            set(self.response_timeout_ms, &mut config.response_timeout_ms);
            set(self.reconnect_min_ms, &mut config.reconnect_min_ms);
            set(self.reconnect_max_ms, &mut config.reconnect_max_ms);
            set(self.reconnect_tries, &mut config.reconnect_tries);
            set(self.wait_timeout_ms, &mut config.wait_timeout_ms);
            set(self.cache_compress_from, &mut config.cache_compress_from);
            set(self.cache_copies, &mut config.cache_copies);
            set(self.cache_copies_max_age_ms, &mut config.cache_copies_max_age_ms);
            set(self.pool_size, &mut config.pool_size);
            config.wait_replicas = self.wait_replicas.unwrap_or(config.wait_replicas);
            config.tcp_nodelay = self.tcp_nodelay.unwrap_or(config.tcp_nodelay);
            Ok(config)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::{Settings, Sources};

        fn config(environment: &[(&str, &str)]) -> Result<RedisConfig> {
            let environment = environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            Settings::load(&Sources { environment, ..Sources::default() })?.redis.config()
        }

        #[test]
        fn the_address_has_many_names_and_the_own_one_wins() {
            let host = [("REDIS_DB", "3"), ("REDIS_HOST", "h"), ("REDIS_PORT", "7000")];
            let of_host = config(&host).unwrap();
            assert_eq!(
                (of_host.urls, of_host.database),
                (vec!["redis://h:7000".to_owned()], Some(3))
            );
            let six = config(&[("REDIS_HOST", "::1")]).unwrap();
            assert_eq!(six.urls, ["redis://[::1]:6379"]);
            let url = [("HEXMEM__REDIS__URL", "redis://own"), ("REDIS_URL", "redis://seed")];
            assert_eq!(config(&url).unwrap().urls, ["redis://own"]);
            let nodes = config(&[("REDIS_URL", "redis://a:1, redis://b:2")]).unwrap();
            assert_eq!((nodes.mode, nodes.urls.len()), (RedisMode::Cluster, 2));
            let error = config(&[]).unwrap_err().to_string();
            assert!(error.contains("HEXMEM__REDIS__URL"), "{error}");
        }

        #[test]
        fn a_password_of_digits_is_a_password() {
            let given = [("HEXMEM__REDIS__PASSWORD", "12345"), ("REDIS_URL", "redis://h")];
            assert_eq!(config(&given).unwrap().password.as_deref(), Some("12345"));
            let toml =
                Some(("hexmem.toml".into(), "[redis]\nurl = 'redis://h'\npassword = 99".into()));
            let settings = Settings::load(&Sources { toml, ..Sources::default() }).unwrap();
            assert_eq!(settings.redis.config().unwrap().password.as_deref(), Some("99"));
        }
    }
}
