//! Qdrant: one server, or a cluster of two. Addresses are those of gRPC. A server is a program of the machine, a
//! container, or the release archive.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::outcome::{Failure, Result};
use crate::process::{find, wait_until};
use crate::services::archive::Archive;
use crate::services::install;
use crate::services::net::{free_port, http_get};
use crate::services::state::State;

const IMAGE: &str = "qdrant/qdrant:v1.18.2";
const FOLDER: &str = "qdrant-1.18.2";

/// The variable that names a program of the machine.
pub(super) const PROGRAM: &str = "HEXMEM_QDRANT_BIN";

/// The static builds of the release v1.18.2, by architecture. The project publishes no file of sums: these are the
/// digests that GitHub states for the release's files, as several projects that download them have them pinned.
const ARCHIVES: [(&str, Archive<'static>); 2] = [
    (
        "x86_64",
        Archive {
            url: "https://github.com/qdrant/qdrant/releases/download/v1.18.2/qdrant-x86_64-unknown-linux-musl.tar.gz",
            sha256: "40a6af44f8a496560c9d2352b6b2a0ada816aa48d0781c68f602582e67b3aea0",
            program: "qdrant",
        },
    ),
    (
        "aarch64",
        Archive {
            url: "https://github.com/qdrant/qdrant/releases/download/v1.18.2/qdrant-aarch64-unknown-linux-musl.tar.gz",
            sha256: "2ead5bb8206289b67c930f0eb29123228ddb43c2344551a0947cbc9046f92c6c",
            program: "qdrant",
        },
    ),
];

/// Starts one server; its URL.
pub(super) fn start_single(state: &mut State) -> Result<String> {
    let node = Node::new("qdrant", None)?;
    node.start(state).map_err(|why| Failure::new(format!("no HEXMEM_TEST_QDRANT_URL; {why}")))?;
    Ok(node.url())
}

/// The program itself, for tests that start and kill servers of their own: that of the machine, or the archive's.
pub(super) fn for_tests(state: &State) -> Result<String> {
    let kept = state.kept(FOLDER);
    let program = match program(kept.join("qdrant"))? {
        Some(program) => program,
        None => unpacked(&kept).map_err(|why| {
            Failure::new(format!("no program qdrant here and no {PROGRAM}; {why}"))
        })?,
    };
    Ok(program.display().to_string())
}

/// Starts a cluster of two; their URLs, separated by a comma.
pub(super) fn start_cluster(state: &mut State) -> Result<String> {
    let none = |why| Failure::new(format!("no HEXMEM_TEST_QDRANT_CLUSTER_URL; {why}"));
    let first = Node::new("qdrant-cluster-1", Some(Place { port: free_port()?, beside: None }))?;
    first.start(state).map_err(none)?;
    let beside = first.place.as_ref().map(|place| place.port);
    let second = Node::new("qdrant-cluster-2", Some(Place { port: free_port()?, beside }))?;
    second.start(state).map_err(none)?;
    let both = [&first, &second];
    let together = || both.iter().all(|node| node.sees(both.len()));
    if wait_until(Duration::from_secs(30), together) {
        return Ok(both.map(Node::url).join(","));
    }
    Err(Failure::new("the nodes of Qdrant did not come together within 30 s"))
}

/// A server to be.
struct Node {
    name: &'static str,
    http: u16,
    grpc: u16,
    /// Its place in a cluster; a server of its own has none.
    place: Option<Place>,
}

/// Where a node talks to the others.
struct Place {
    /// The port for the others.
    port: u16,
    /// That of a node which is there; the first has none.
    beside: Option<u16>,
}

impl Node {
    fn new(name: &'static str, place: Option<Place>) -> Result<Self> {
        Ok(Self { name, http: free_port()?, grpc: free_port()?, place })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    /// Settings beside ports and places of files.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("QDRANT__TELEMETRY_DISABLED", String::from("true")),
            // Each collection takes room for its log at once; suites make hundreds of small ones.
            ("QDRANT__STORAGE__WAL__WAL_CAPACITY_MB", String::from("2")),
        ];
        if let Some(place) = &self.place {
            settings.push(("QDRANT__CLUSTER__ENABLED", String::from("true")));
            settings.push(("QDRANT__CLUSTER__P2P__PORT", place.port.to_string()));
        }
        settings
    }

    /// Settings where it listens on this machine's loopback itself.
    fn on_loopback(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.settings();
        settings.push(("QDRANT__SERVICE__HOST", String::from("127.0.0.1")));
        settings.push(("QDRANT__SERVICE__HTTP_PORT", self.http.to_string()));
        settings.push(("QDRANT__SERVICE__GRPC_PORT", self.grpc.to_string()));
        settings
    }

    /// The command line: who it is to the others, and whom it joins.
    fn arguments(&self) -> Vec<String> {
        let Some(place) = &self.place else { return Vec::new() };
        let uri = |port| format!("http://127.0.0.1:{port}");
        let mut arguments = vec![String::from("--uri"), uri(place.port)];
        if let Some(port) = place.beside {
            arguments.extend([String::from("--bootstrap"), uri(port)]);
        }
        arguments
    }

    fn start(&self, state: &mut State) -> Result {
        let kept = state.kept(FOLDER);
        if let Some(program) = program(kept.join("qdrant"))? {
            return self.run(state, &program);
        }
        let docker = match self.contain(state) {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        match unpacked(&kept) {
            Ok(program) => self.run(state, &program),
            Err(why) => {
                let none = format!("no program qdrant here and no {PROGRAM}");
                Err(Failure::new(format!("{none}; Debian has no package; {docker}; {why}")))
            }
        }
    }

    fn run(&self, state: &mut State, program: &PathBuf) -> Result {
        let folder = state.data_folder(self.name)?;
        let mut command = Command::new(program);
        command
            .current_dir(&folder)
            .args(self.arguments())
            .envs(self.on_loopback())
            .env("QDRANT__STORAGE__STORAGE_PATH", folder.join("storage"))
            .env("QDRANT__STORAGE__SNAPSHOTS_PATH", folder.join("snapshots"));
        state.spawn(self.name, "TERM", &mut command)?.wait(|| self.answers())
    }

    fn contain(&self, state: &mut State) -> Result {
        let (mut options, settings, command) = if self.place.is_some() {
            // The host's network: the nodes tell each other their own addresses.
            let mut command = vec![String::from("./qdrant")];
            command.extend(self.arguments());
            (vec![String::from("--network=host")], self.on_loopback(), command)
        } else {
            let publish = |outer, inner| format!("--publish=127.0.0.1:{outer}:{inner}");
            (vec![publish(self.http, 6333), publish(self.grpc, 6334)], self.settings(), vec![])
        };
        options.extend(settings.iter().map(|(name, value)| format!("--env={name}={value}")));
        install::container(state, self.name, IMAGE, &options, &command)?;
        if wait_until(Duration::from_secs(60), || self.answers()) {
            return Ok(());
        }
        Err(Failure::new(format!("{IMAGE} did not answer within 60 s")))
    }

    fn answers(&self) -> bool {
        http_get(self.http, "/readyz").is_some()
    }

    /// Whether it knows a leader and `count` nodes, itself among them.
    fn sees(&self, count: usize) -> bool {
        let answer = http_get(self.http, "/cluster").unwrap_or_default();
        is_together(&serde_json::from_str(&answer).unwrap_or_default(), count)
    }
}

fn is_together(answer: &Value, count: usize) -> bool {
    let seen = &answer["result"];
    let raft = &seen["raft_info"];
    seen["peers"].as_object().is_some_and(|peers| peers.len() == count)
        && !raft["leader"].is_null()
        && raft["is_voter"] == true
        && raft["pending_operations"] == 0
}

/// The program of the release archive.
fn unpacked(kept: &Path) -> std::result::Result<PathBuf, String> {
    let archive = ARCHIVES.iter().find(|(name, _)| *name == std::env::consts::ARCH);
    match archive.filter(|_| cfg!(target_os = "linux")) {
        Some((_, archive)) => archive.unpacked(kept),
        None => Err(String::from("no release archive is pinned for this kind of machine")),
    }
}

/// A program of the machine: the one that is named, or the one on the path, or the one of an archive that was
/// unpacked before.
fn program(kept: PathBuf) -> Result<Option<PathBuf>> {
    let named = std::env::var_os(PROGRAM).filter(|name| !name.is_empty()).map(PathBuf::from);
    match named {
        Some(named) if named.is_file() => Ok(Some(named)),
        Some(named) => Err(Failure::new(format!("{PROGRAM} names no file: {}", named.display()))),
        None => Ok(find("qdrant", &[]).or_else(|| Some(kept).filter(|file| file.is_file()))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(place: Option<Place>) -> Node {
        Node { name: "q", http: 1, grpc: 2, place }
    }

    #[test]
    fn a_second_node_joins_the_first() {
        let first = node(Some(Place { port: 7, beside: None }));
        assert_eq!(first.arguments(), ["--uri", "http://127.0.0.1:7"]);
        let second = node(Some(Place { port: 8, beside: Some(7) }));
        let joined = ["--uri", "http://127.0.0.1:8", "--bootstrap", "http://127.0.0.1:7"];
        assert_eq!(second.arguments(), joined);
        assert!(second.settings().contains(&("QDRANT__CLUSTER__P2P__PORT", String::from("8"))));
        let alone = node(None);
        assert!(alone.arguments().is_empty());
        assert!(!alone.settings().iter().any(|(name, _)| name.contains("CLUSTER")));
        assert_eq!(alone.url(), "http://127.0.0.1:2");
    }

    #[test]
    fn a_cluster_is_together_when_all_vote_and_somebody_leads() {
        let answer = |peers: Value, leader: Value, voter: bool| {
            let raft = json!({"leader": leader, "is_voter": voter, "pending_operations": 0});
            json!({"result": {"status": "enabled", "peers": peers, "raft_info": raft}})
        };
        let both = json!({"1": {"uri": "a"}, "2": {"uri": "b"}});
        assert!(is_together(&answer(both.clone(), json!(1), true), 2));
        assert!(!is_together(&answer(json!({"1": {}}), json!(1), true), 2));
        assert!(!is_together(&answer(both.clone(), Value::Null, true), 2));
        assert!(!is_together(&answer(both, json!(1), false), 2));
        assert!(!is_together(&json!({"result": {"status": "disabled"}}), 2));
    }
}
