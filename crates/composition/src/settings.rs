//! The settings and where they come from.

use std::fmt;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use hexmem_ports::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::environment::variables;
use crate::{
    EmbedSettings, PgSettings, QdrantSettings, RedisSettings, RerankSettings, SqliteSettings,
};

/// Where a domain keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// In the process: gone when it ends.
    Memory,
    /// Files of JSON (graphs only).
    Json,
    /// One SQLite file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
    /// A Redis server or cluster.
    Redis,
    /// A Qdrant server.
    Qdrant,
    /// Several of them, routed.
    Hybrid,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Json => "json",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Qdrant => "qdrant",
            Self::Hybrid => "hybrid",
        })
    }
}

/// What a domain can be told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Where its data lies.
    pub backend: Backend,
}

impl Default for Domain {
    fn default() -> Self {
        Self { backend: Backend::Sqlite }
    }
}

/// How graph files are used.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonSettings {
    /// The folder; by default `graphs` in the data folder.
    pub path: Option<PathBuf>,
}

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Keys and values.
    pub key_value: Domain,
    /// Graphs.
    pub graph: Domain,
    /// Sessions.
    pub sessions: Domain,
    /// Cached answers.
    pub cache: Domain,
    /// Commands.
    pub queue: Domain,
    /// Collections and their documents.
    pub rag: Domain,
    /// The SQLite file.
    pub sqlite: SqliteSettings,
    /// Graph files.
    pub json: JsonSettings,
    /// The PostgreSQL server.
    pub pg: PgSettings,
    /// Who turns texts into vectors.
    pub embed: EmbedSettings,
    /// Who gives a second opinion on what a search found.
    pub rerank: RerankSettings,
    /// The Redis server or Cluster.
    pub redis: RedisSettings,
    /// The Qdrant server or cluster.
    pub qdrant: QdrantSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: PathBuf::from(".hexmem"),
            key_value: Domain::default(),
            graph: Domain::default(),
            sessions: Domain::default(),
            cache: Domain::default(),
            queue: Domain::default(),
            rag: Domain::default(),
            sqlite: SqliteSettings::default(),
            json: JsonSettings::default(),
            pg: PgSettings::default(),
            embed: EmbedSettings::default(),
            rerank: RerankSettings::default(),
            redis: RedisSettings::default(),
            qdrant: QdrantSettings::default(),
        }
    }
}

/// Where settings come from, the weakest first.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A file's name and text.
    pub toml: Option<(PathBuf, String)>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// The command line's data folder.
    pub data: Option<PathBuf>,
}

impl Sources {
    /// The file `explicit`, or else `hexmem.toml` in the present folder where it exists, and the process's environment.
    /// Variables that are not UTF-8 are left out, unless they begin with hexmem's prefix.
    pub fn from_process(explicit: Option<&Path>, data: Option<PathBuf>) -> Result<Self> {
        let path = explicit.map_or_else(|| PathBuf::from("hexmem.toml"), Path::to_path_buf);
        let toml = match std::fs::read(&path) {
            Ok(bytes) => Some((path.clone(), utf8(&path, bytes)?)),
            Err(error) if explicit.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                None
            }
            Err(error) => {
                return Err(Error::invalid(
                    "config.load",
                    "cannot read the configuration file; check --config",
                )
                .with("file", path.display())
                .caused_by(error));
            }
        };
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => environment.push((name, value)),
                (Ok(name), Err(_)) if name.starts_with("HEXMEM__") => {
                    return Err(Error::invalid("config.load", "the variable is not UTF-8")
                        .with("variable", name));
                }
                _ => {}
            }
        }
        environment.sort();
        Ok(Self { toml, environment, data })
    }
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        Error::invalid("config.load", "the configuration file is not UTF-8")
            .with("file", path.display())
            .caused_by(error)
    })
}

impl Settings {
    /// Merges the sources. An unknown key or a bad value is `Invalid` and names the file or variable.
    pub fn load(sources: &Sources) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some((path, text)) = &sources.toml {
            // Parsed here first: figment's own message for bad TOML does not name the file.
            figment = figment.merge(Named { path: path.clone(), toml: Toml::string(text) });
        }
        for variable in variables(&sources.environment) {
            figment = figment.merge(variable);
        }
        let mut settings: Self = figment.extract().map_err(|error| explain(&error, sources))?;
        if let Some(data) = &sources.data {
            settings.data.clone_from(data);
        }
        if settings.data.as_os_str().is_empty() {
            return Err(Error::invalid(
                "config.load",
                "the data folder is empty text; name a folder",
            )
            .with("key", "data"));
        }
        Ok(settings)
    }

    /// The SQLite file.
    pub fn sqlite_path(&self) -> PathBuf {
        self.sqlite.path.clone().unwrap_or_else(|| self.data.join("hexmem.db"))
    }

    /// The folder of graph files.
    pub fn json_path(&self) -> PathBuf {
        self.json.path.clone().unwrap_or_else(|| self.data.join("graphs"))
    }
}

/// A TOML text that names its file in errors.
struct Named {
    path: PathBuf,
    toml: figment::providers::Data<Toml>,
}

impl figment::Provider for Named {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(format!("file {}", self.path.display()))
    }

    fn data(
        &self,
    ) -> std::result::Result<
        figment::value::Map<figment::Profile, figment::value::Dict>,
        figment::Error,
    > {
        self.toml.data()
    }
}

fn explain(error: &figment::Error, sources: &Sources) -> Error {
    let place = match &error.metadata {
        Some(metadata) => metadata.name.to_string(),
        // A text that is no TOML at all has no metadata of its own.
        None => match &sources.toml {
            Some((path, _)) => format!("file {}", path.display()),
            None => "settings".to_owned(),
        },
    };
    let key = error.path.join(".");
    let what = error.kind.to_string().trim().replace('\n', " ");
    let built = Error::invalid("config.load", what).with("in", place);
    if key.is_empty() { built } else { built.with("key", key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Settings> {
        Settings::load(&Sources {
            toml: Some(("hexmem.toml".into(), toml.into())),
            environment: environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            data: None,
        })
    }

    #[test]
    fn the_environment_wins_over_the_file_and_own_names_over_the_seeds() {
        let settings =
            load("[graph]\nbackend = 'sqlite'\n[sqlite]\nbusy_timeout_ms = 7", &[]).unwrap();
        assert_eq!((settings.graph.backend, settings.sqlite.busy_timeout_ms), (Backend::Sqlite, 7));
        let seeds = load("[graph]\nbackend = 'sqlite'", &[("GRAPH_BACKEND", "json")]).unwrap();
        assert_eq!(seeds.graph.backend, Backend::Json);
        let own = [("HEXMEM__GRAPH__BACKEND", "memory"), ("GRAPH_BACKEND", "json")];
        assert_eq!(load("", &own).unwrap().graph.backend, Backend::Memory);
        let path = load("", &[("HEXMEM__SQLITE__PATH", "/a/b.db")]).unwrap();
        assert_eq!(path.sqlite_path(), PathBuf::from("/a/b.db"));
    }

    #[test]
    fn a_url_alone_switches_nothing() {
        let settings =
            load("", &[("DATABASE_URL", "postgres://x"), ("REDIS_URL", "redis://x")]).unwrap();
        assert_eq!(settings.graph.backend, Backend::Sqlite);
        assert_eq!(settings.cache.backend, Backend::Sqlite);
    }

    #[test]
    fn the_cache_goes_to_redis_where_it_is_said_and_nothing_else_is() {
        let cache = |environment: &[(&str, &str)]| load("", environment).map(|s| s.cache.backend);
        assert_eq!(cache(&[("USE_REDIS_CACHE", "True")]).unwrap(), Backend::Redis);
        assert_eq!(cache(&[("USE_REDIS_CACHE", "false")]).unwrap(), Backend::Sqlite);
        let both = [("CACHE_BACKEND", "memory"), ("USE_REDIS_CACHE", "true")];
        assert_eq!(cache(&both).unwrap(), Backend::Memory);
        let error = cache(&[("USE_REDIS_CACHE", "maybe")]).unwrap_err().to_string();
        assert!(error.contains("USE_REDIS_CACHE"), "{error}");
    }

    #[test]
    fn the_url_of_postgresql_has_three_names_and_no_driver() {
        let url = |environment: &[(&str, &str)]| {
            let toml = "[pg]\nurl = 'postgres://file/d'";
            load(toml, environment).unwrap().pg.url.unwrap().expose().to_owned()
        };
        assert_eq!(url(&[]), "postgres://file/d");
        let seeds = [("DATABASE_URL", "postgresql+asyncpg://u:p@h/d"), ("REDIS_URL", "x")];
        assert_eq!(url(&seeds), "postgresql://u:p@h/d");
        let own = [("HEXMEM__PG__URL", "postgres://own/d"), ("POSTGRES_DSN", "postgres://dsn/d")];
        assert_eq!(url(&own), "postgres://own/d");
    }

    #[test]
    fn no_password_is_shown() {
        let url = "postgres://me:hush@host:5433/db?sslmode=require&password=hush";
        let settings = load("", &[("HEXMEM__PG__URL", url), ("HEXMEM__PG__REPLICA_URL", "hush")]);
        let settings = settings.unwrap();
        let shown = serde_json::to_string(&settings).unwrap() + &format!("{settings:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains("postgres://me@host:5433/db"), "{shown}");
        let nodes = "redis://me:hush@a:1,rediss://:hush@b:2/0?password=hush";
        let given = [("HEXMEM__REDIS__PASSWORD", "hush"), ("REDIS_URL", nodes)];
        let settings = load("", &given).unwrap();
        let shown = serde_json::to_string(&settings).unwrap() + &format!("{settings:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains("redis://me@a:1/,rediss://@b:2/0"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let cases = [
            load("[grph]\nx = 1", &[]),
            load("[graph]\nbackend = 'oracle'", &[]),
            load("[graph\n", &[]),
            load("", &[("HEXMEM__GRAPH__BACKEND", "oracle")]),
            load("", &[("HEXMEM__GRAPH__COLOUR", "red")]),
            load("", &[("GRAPH_BACKEND", "networkx")]),
        ];
        let places = [
            "hexmem.toml",
            "hexmem.toml",
            "hexmem.toml",
            "HEXMEM__GRAPH__BACKEND",
            "HEXMEM__GRAPH__COLOUR",
            "GRAPH_BACKEND",
        ];
        for (case, place) in cases.into_iter().zip(places) {
            let text = case.unwrap_err().to_string();
            assert!(text.contains(place), "{text} does not name {place}");
            assert!(!text.contains('\n'), "{text}");
        }
    }
}
