//! Redis or Valkey: one server, or a cluster of three masters with a replica each. Nothing is written to disk.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::outcome::{Failure, Result};
use crate::process::{find, wait_until};
use crate::services::install;
use crate::services::net::{cluster_ports, free_port, redis};
use crate::services::state::State;

const IMAGE: &str = "redis:7";
const SLOTS: usize = 16_384;
const MASTERS: usize = 3;

/// Starts one server; its URL.
pub(super) fn start_single(state: &mut State) -> Result<String> {
    let port = free_port()?;
    start(state, "redis", port, &[])
        .map_err(|why| Failure::new(format!("no HEXMEM_TEST_REDIS_URL; {why}")))?;
    Ok(format!("redis://127.0.0.1:{port}"))
}

/// Starts a cluster; the URLs of its masters, separated by commas.
pub(super) fn start_cluster(state: &mut State) -> Result<String> {
    let ports = cluster_ports(MASTERS * 2)?;
    for port in &ports {
        let options =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-config-file"]
                .map(String::from);
        let mut options = Vec::from(options);
        options.push(format!("nodes-{port}.conf"));
        start(state, &format!("redis-cluster-{port}"), *port, &options)
            .map_err(|why| Failure::new(format!("no HEXMEM_TEST_REDIS_CLUSTER_URL; {why}")))?;
    }
    join(&ports)?;
    let masters = ports.iter().take(MASTERS);
    Ok(masters.map(|port| format!("redis://127.0.0.1:{port}")).collect::<Vec<_>>().join(","))
}

fn start(state: &mut State, name: &str, port: u16, more: &[String]) -> Result {
    let mut options: Vec<String> =
        ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]
            .map(String::from)
            .into();
    options.push(port.to_string());
    options.extend_from_slice(more);
    let answers = || redis(port, &["PING"]).is_ok_and(|answer| answer.starts_with("+PONG"));
    match install::program("redis-server", server) {
        Ok(program) => {
            let folder = state.data_folder(name)?;
            let mut command = Command::new(program);
            command.args(&options).current_dir(folder);
            state.spawn(name, "TERM", &mut command)?.wait(answers)
        }
        Err(why) => {
            // The host's network: the nodes of a cluster tell clients their own addresses.
            let network = [String::from("--network=host")];
            let mut command = vec![String::from("redis-server")];
            command.extend(options);
            install::container(state, name, IMAGE, &network, &command)
                .map_err(|docker| Failure::new(format!("{why}; {docker}")))?;
            if wait_until(Duration::from_secs(60), answers) {
                return Ok(());
            }
            Err(Failure::new(format!("{IMAGE} did not answer within 60 s")))
        }
    }
}

fn server() -> Option<PathBuf> {
    ["redis-server", "valkey-server"].iter().find_map(|name| find(name, &[]))
}

/// Makes a cluster of nodes: the first three share the slots, the others follow one of them each.
fn join(ports: &[u16]) -> Result {
    let (masters, replicas) = ports.split_at(MASTERS);
    let first = masters.first().copied().unwrap_or_default();
    for (index, port) in masters.iter().enumerate() {
        let slots = SLOTS * index / MASTERS..SLOTS * (index + 1) / MASTERS;
        let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
        let mut command = vec!["CLUSTER", "ADDSLOTS"];
        command.extend(slots.iter().map(String::as_str));
        redis(*port, &command)?;
        redis(*port, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
    }
    for port in ports.iter().filter(|port| **port != first) {
        redis(*port, &["CLUSTER", "MEET", "127.0.0.1", &first.to_string()])?;
    }
    for (port, master) in replicas.iter().zip(masters) {
        let answer = redis(*master, &["CLUSTER", "MYID"])?;
        let id = answer.lines().nth(1).unwrap_or_default().to_owned();
        // Refused until the news of the master has reached the node.
        let follow = || redis(*port, &["CLUSTER", "REPLICATE", &id]).is_ok();
        if !wait_until(Duration::from_secs(20), follow) {
            return Err(Failure::new("a node of the cluster does not get to know its master"));
        }
    }
    let whole = |port: &u16| {
        let info = redis(*port, &["CLUSTER", "INFO"]).unwrap_or_default();
        let known = format!("cluster_known_nodes:{}", ports.len());
        info.contains("cluster_state:ok") && info.contains(&known)
    };
    let followed = |port: &u16| {
        redis(*port, &["INFO", "replication"]).is_ok_and(|info| info.contains("state=online"))
    };
    let ready = || ports.iter().all(whole) && masters.iter().all(followed);
    if wait_until(Duration::from_secs(30), ready) {
        return Ok(());
    }
    Err(Failure::new("the cluster did not come together within 30 s"))
}
