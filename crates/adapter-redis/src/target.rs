//! The settings as the driver wants them.

use std::path::Path;

use hexmem_ports::{Error, Result};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    TlsCertificates, TlsMode,
};

use crate::RedisConfig;
use crate::error::{self, Access};

const OPERATION: &str = "redis.connect";

/// The files of certificates, read.
fn certificates(config: &RedisConfig) -> Result<Option<TlsCertificates>> {
    let read = |name: &'static str, path: &Path| {
        std::fs::read(path).map_err(|error| {
            Error::invalid(OPERATION, format!("{name} cannot be read"))
                .with("file", path.display())
                .caused_by(error)
        })
    };
    let root_cert = config.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
    let client_tls = match (&config.cert_file, &config.key_file) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: read("cert_file", cert)?,
            client_key: read("key_file", key)?,
        }),
        _ => None,
    };
    let any = root_cert.is_some() || client_tls.is_some();
    Ok(any.then_some(TlsCertificates { client_tls, root_cert }))
}

fn tcp(config: &RedisConfig) -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(config.tcp_nodelay);
    // A peer that vanished is noticed while data waits for it; without this the kernel waits for a quarter of an hour.
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(config.response_timeout() + config.connect_timeout());
    settings
}

fn node(config: &RedisConfig, url: &str) -> Result<ConnectionInfo> {
    provide_cryptography();
    let info = url.into_connection_info().map_err(|_| {
        // The driver's text may repeat the URL.
        Error::invalid(OPERATION, "one of urls is no Redis URL; write redis://host:port")
            .with("url", RedisConfig::new(url).shown_urls())
    })?;
    let mut redis = info.redis_settings().clone();
    if let Some(username) = &config.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &config.password {
        redis = redis.set_password(password);
    }
    if let Some(database) = config.database {
        redis = redis.set_db(database.into());
    }
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp(config)))
}

/// The driver takes the process's cryptography and panics where there is none. A program that chose its own keeps it.
fn provide_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Whoever was first meanwhile has provided it.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

fn nodes(config: &RedisConfig) -> Result<Vec<ConnectionInfo>> {
    config.urls.iter().map(|url| node(config, url)).collect()
}

fn failed(error: redis::RedisError) -> Error {
    error::map(OPERATION, Access::Reads, error)
}

/// The client of the one server.
pub(crate) fn single(config: &RedisConfig) -> Result<Client> {
    let Some(url) = config.urls.first() else {
        return Err(Error::invalid(OPERATION, "urls is empty; name a server"));
    };
    let info = node(config, url)?;
    match certificates(config)? {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
    .map_err(failed)
}

/// The client that asks the Sentinels for the master.
pub(crate) fn sentinel(config: &RedisConfig) -> Result<SentinelClient> {
    let nodes = nodes(config)?;
    let tls = nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }));
    let settings = nodes.first().map(|node| node.redis_settings().clone()).unwrap_or_default();
    let addresses = nodes.into_iter().map(|node| node.addr().clone());
    let mut builder =
        SentinelClientBuilder::new(addresses, config.master.clone(), SentinelServerType::Master)
            .map_err(failed)?
            .set_client_to_redis_tcp_settings(tcp(config))
            .set_client_to_sentinel_tcp_settings(tcp(config))
            .set_client_to_redis_db(settings.db());
    if let Some(username) = settings.username() {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(username) = &config.sentinel_username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &config.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates(config)? {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder.build().map_err(failed)
}

/// The client of the Cluster. It sends each command once: the driver would also repeat a command whose connection broke,
/// which may have been done; what may be repeated is decided here, in `link.rs`.
pub(crate) fn cluster(config: &RedisConfig) -> Result<ClusterClient> {
    cluster_builder(config)?.build().map_err(failed)
}

/// The same, for who wants more of it.
pub(crate) fn cluster_builder(config: &RedisConfig) -> Result<ClusterClientBuilder> {
    let mut builder = ClusterClientBuilder::new(nodes(config)?)
        .retries(0)
        .connection_timeout(config.connect_timeout())
        .response_timeout(config.response_timeout())
        .overall_response_timeout(None)
        .tcp_settings(tcp(config));
    if let Some(username) = &config.username {
        builder = builder.username(username);
    }
    if let Some(password) = &config.password {
        builder = builder.password(password);
    }
    if let Some(certificates) = certificates(config)? {
        builder = builder.certs(certificates).tls(TlsMode::Secure);
    }
    Ok(builder)
}
