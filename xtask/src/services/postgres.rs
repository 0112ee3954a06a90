//! PostgreSQL: no password, no fsync, loopback only, as another user than root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::outcome::{Failure, Result, Trying as _};
use crate::process::{find, wait_until};
use crate::services::install;
use crate::services::net::{free_port, postgres_answers};
use crate::services::state::State;

const USER: &str = "hexmem";
const IMAGE: &str = "postgres:17";

/// Starts one; its URL.
pub(super) fn start(state: &mut State) -> Result<String> {
    match install::program("postgresql", initdb) {
        Ok(initdb) => from_program(state, &initdb),
        Err(why) => from_docker(state)
            .map_err(|docker| Failure::new(format!("no HEXMEM_TEST_PG_URL; {why}; {docker}"))),
    }
}

fn url(port: u16) -> String {
    format!("postgres://{USER}@127.0.0.1:{port}/postgres")
}

/// `url`, if its server offers pgvector. Debian has no package of it for every release: it is never installed.
pub(super) fn with_pgvector(url: &str) -> Result<String> {
    let Some(psql) = find("psql", &folders()) else {
        return Err(Failure::new("psql is not here to ask the server for pgvector"));
    };
    let asked = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'";
    let output = Command::new(psql)
        .args(["-XAtq", "-c", asked, url])
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::null())
        .output()
        .trying("ask the server for pgvector")?;
    let version = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && !version.trim().is_empty() {
        return Ok(url.to_owned());
    }
    Err(Failure::new("the server does not offer the extension pgvector (vector)"))
}

/// `initdb` on the path, or the newest of Debian's.
fn initdb() -> Option<PathBuf> {
    find("initdb", &folders()).filter(|initdb| initdb.with_file_name("postgres").is_file())
}

/// Where Debian has its programs, the newest first.
fn folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .map(|entry| {
            let version = entry.file_name().to_string_lossy().parse().unwrap_or_default();
            (version, entry.path().join("bin"))
        })
        .collect();
    folders.sort_by(|a, b| b.cmp(a));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

fn from_program(state: &mut State, initdb: &Path) -> Result<String> {
    let folder = state.data_folder("postgres")?;
    let other = if install::is_root() { Some(other_user()?) } else { None };
    if let Some((uid, gid)) = other {
        give(&folder, uid, gid)?;
    }
    let as_other = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir(&folder).env_remove("PGDATA");
        if let Some((uid, gid)) = other {
            become_user(&mut command, uid, gid);
        }
        command
    };
    let data = folder.join("data");
    let output = as_other(initdb)
        .args(["--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust"])
        .arg(format!("--username={USER}"))
        .arg("--pgdata")
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .trying("run initdb")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("initdb failed: {}", said.trim())));
    }
    let port = free_port()?;
    let mut postgres = as_other(&initdb.with_file_name("postgres"));
    postgres.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
    for setting in [
        "unix_socket_directories=",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=300",
        "shared_buffers=64MB",
        "log_min_messages=warning",
    ] {
        postgres.args(["-c", setting]);
    }
    // QUIT: at once, and the shared memory is given back.
    state.spawn("postgres", "QUIT", &mut postgres)?.wait(|| postgres_answers(port, USER))?;
    Ok(url(port))
}

fn from_docker(state: &mut State) -> Result<String> {
    let port = free_port()?;
    let options = [
        format!("--publish=127.0.0.1:{port}:5432"),
        format!("--env=POSTGRES_USER={USER}"),
        String::from("--env=POSTGRES_DB=postgres"),
        String::from("--env=POSTGRES_HOST_AUTH_METHOD=trust"),
    ];
    let command = ["-c", "fsync=off", "-c", "max_connections=300"].map(String::from);
    install::container(state, "postgres", IMAGE, &options, &command)?;
    if wait_until(Duration::from_secs(60), || postgres_answers(port, USER)) {
        return Ok(url(port));
    }
    Err(Failure::new(format!("{IMAGE} did not answer within 60 s")))
}

/// PostgreSQL refuses to run as root: the ids of `postgres`, else of `nobody`.
pub(super) fn other_user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").trying("read /etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let fields: Vec<&str> = line.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).ok_or_else(|| {
        Failure::new("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    })
}

#[cfg(unix)]
pub(super) fn give(folder: &Path, uid: u32, gid: u32) -> Result {
    std::os::unix::fs::chown(folder, Some(uid), Some(gid))
        .trying(format!("give {} to the user of PostgreSQL", folder.display()))
}

#[cfg(unix)]
pub(super) fn become_user(command: &mut Command, uid: u32, gid: u32) {
    use std::os::unix::process::CommandExt as _;
    command.uid(uid).gid(gid);
}

#[cfg(not(unix))]
pub(super) fn give(_: &Path, _: u32, _: u32) -> Result {
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn become_user(_: &mut Command, _: u32, _: u32) {}
