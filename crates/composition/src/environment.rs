//! The environment as a configuration source, one variable at a time, so that an error names the variable.

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

/// hexmem's own variables: `HEXMEM__GRAPH__BACKEND` is `graph.backend`.
const PREFIX: &str = "HEXMEM__";

/// Variables that users of the systems hexmem replaces have already set, and what they mean here.
const KNOWN: &[(&str, &str, &[&str])] = &[
    ("GRAPH_BACKEND", "backend", &["graph"]),
    ("CACHE_BACKEND", "backend", &["cache"]),
    ("VECTOR_BACKEND", "backend", &["rag"]),
    ("DATABASE_URL", "url", &["pg"]),
    ("POSTGRES_DSN", "url", &["pg"]),
    ("REDIS_URL", "url", &["redis"]),
    ("REDIS_HOST", "host", &["redis"]),
    ("REDIS_PORT", "port", &["redis"]),
    ("REDIS_DB", "database", &["redis"]),
    (QDRANT_URL, "url", &["qdrant"]),
    ("QDRANT_API_KEY", "api_key", &["qdrant"]),
];

/// Names where HTTP answers; hexmem speaks gRPC.
const QDRANT_URL: &str = "QDRANT_URL";

/// Switches the cache to Redis where it is true; every other name of the cache's backend wins.
const USE_REDIS_CACHE: &str = "USE_REDIS_CACHE";

/// Settings whose values are text, whatever they look like.
const TEXTS: [&str; 20] = [
    "data",
    "path",
    "url",
    "replica_url",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "application_name",
    "folder",
    "model",
    "api_key",
    "query_prefix",
    "passage_prefix",
    "host",
    "username",
    "password",
    "master",
    "sentinel_username",
    "sentinel_password",
    "prefix",
];

/// One variable as a figment provider.
pub(crate) struct Variable {
    name: String,
    path: Vec<String>,
    value: String,
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("environment variable {}", self.name))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        // Figment reads numbers, booleans and quoted text; anything else is text, and a place always is.
        let place = self.path.last().is_some_and(|key| TEXTS.contains(&key.as_str()));
        let text = || Value::from(self.value.clone());
        let leaf: Value =
            if place { text() } else { self.value.parse().unwrap_or_else(|_| text()) };
        let nested = self
            .path
            .iter()
            .rev()
            .fold(leaf, |inner, key| Value::from(Dict::from([(key.clone(), inner)])));
        Ok(nested.into_dict().map(|dict| Map::from([(Profile::Default, dict)])).unwrap_or_default())
    }
}

/// The variables that concern hexmem, those of the seeds first so that hexmem's own names win.
pub(crate) fn variables(environment: &[(String, String)]) -> Vec<Variable> {
    let seeds = environment.iter().flat_map(|(name, value)| {
        KNOWN.iter().filter(move |(known, _, _)| known == name).flat_map(
            move |(_, key, sections)| {
                sections.iter().map(move |section| Variable {
                    name: name.clone(),
                    path: vec![(*section).to_owned(), (*key).to_owned()],
                    value: if name == QDRANT_URL { grpc(value) } else { seed_value(value) },
                })
            },
        )
    });
    let own = environment.iter().filter_map(|(name, value)| {
        let rest = name.strip_prefix(PREFIX)?;
        let path = rest.split("__").map(str::to_lowercase).collect();
        Some(Variable { name: name.clone(), path, value: value.clone() })
    });
    switch(environment).into_iter().chain(seeds).chain(own).collect()
}

/// The cache's backend by [`USE_REDIS_CACHE`]. A word that is neither yes nor no is left to be refused by name.
fn switch(environment: &[(String, String)]) -> Option<Variable> {
    let (name, word) = environment.iter().find(|(name, _)| name == USE_REDIS_CACHE)?;
    let value = match word.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => "redis",
        "false" | "0" | "no" | "off" | "" => return None,
        _ => word,
    };
    let path = vec!["cache".to_owned(), "backend".to_owned()];
    Some(Variable { name: name.clone(), path, value: value.to_owned() })
}

/// The seeds' word for a backend in ours, and their URL without the name of a Python driver
/// (`postgresql+asyncpg://`).
fn seed_value(word: &str) -> String {
    if word == "postgresql" {
        return "postgres".to_owned();
    }
    let driver = word.strip_prefix("postgresql+").and_then(|rest| rest.split_once("://"));
    driver.map_or_else(|| word.to_owned(), |(_, rest)| format!("postgresql://{rest}"))
}

/// The address of Qdrant's gRPC beside that of its HTTP, where the ports are the usual ones: no port is 6333.
fn grpc(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    // The colons of an address of IPv6 stand before its bracket.
    let bracket = authority.rfind(['@', ']']).map_or(0, |at| at + 1);
    let host =
        match authority[bracket..].rfind(':').map(|colon| authority.split_at(bracket + colon)) {
            Some((host, ":6333")) => host,
            Some(_) => return url.to_owned(),
            None => authority,
        };
    format!("{scheme}://{host}:6334{path}")
}
