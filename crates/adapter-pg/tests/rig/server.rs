//! A PostgreSQL server of one test, for what must not be done to the one that all share: stopping, killing, passwords.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hexmem_adapter_pg::{PgConfig, Postgres};

/// A server with a folder of its own; ends with it.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    settings: Vec<String>,
    process: Option<Child>,
    owner: Option<(u32, u32)>,
}

/// Where `initdb` and `postgres` are: in the folder of `HEXMEM_TEST_PG_BIN`, else Debian's newest, else the path's.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("HEXMEM_TEST_PG_BIN") {
        return folder.into();
    }
    let mut folders: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            let version = entry.file_name().to_string_lossy().parse().unwrap_or_default();
            (version, entry.path().join("bin"))
        })
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).collect::<Vec<_>>();
    all.extend(folders.into_iter().map(|(_, folder)| folder));
    // The last one that has both.
    let whole =
        |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    all.into_iter().rfind(whole).unwrap_or_else(|| {
        panic!(
            "this test starts its own server: install the programs of PostgreSQL (initdb, postgres)"
        )
    })
}

/// The ids of `postgres` or `nobody` where this runs as root: PostgreSQL refuses to.
fn other_user() -> Option<(u32, u32)> {
    let mine = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = mine.lines().any(|line| line.starts_with("Uid:\t0"));
    if !root {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let fields: Vec<&str> = line.split(':').collect();
        Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
    };
    Some(find("postgres").or_else(|| find("nobody")).unwrap())
}

impl Server {
    /// Makes and starts one. `settings` as `name=value`.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let owner = other_user();
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self {
            folder,
            bin: programs(),
            port,
            settings: settings.iter().map(|text| (*text).to_owned()).collect(),
            process: None,
            owner,
        };
        let made = server
            .command("initdb")
            .args([
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
                "--auth=trust",
                "--username=hexmem",
            ])
            .arg("--pgdata")
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.run().await;
        server
    }

    /// Makes and starts a server that follows this one, by streaming.
    pub(crate) async fn follower(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some((user, group)) = self.owner {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (bin, settings) = (self.bin.clone(), self.settings.clone());
        let mut follower = Self { folder, bin, port, settings, process: None, owner: self.owner };
        let copied = follower
            .command("pg_basebackup")
            .args(["--host=127.0.0.1", "--username=hexmem", "--checkpoint=fast", "--no-sync"])
            .args(["--write-recovery-conf", "--wal-method=stream", "--port"])
            .arg(self.port.to_string())
            .arg("--pgdata")
            .arg(follower.data())
            .output()
            .unwrap_or_else(|error| {
                panic!("this test copies a server: install pg_basebackup ({error})")
            });
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        follower.run().await;
        follower
    }

    /// The folder of the cluster.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a file of the server's, readable by it alone.
    pub(crate) fn write(&self, path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        if let Some((user, group)) = self.owner {
            std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts the server again and waits until it answers.
    pub(crate) async fn run(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-h", "127.0.0.1"]);
        command.args(["-c", "unix_socket_directories=", "-c", "shared_buffers=16MB"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        self.process = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        for _ in 0..1_000 {
            let connected = <sqlx::PgConnection as sqlx::Connection>::connect(&self.url()).await;
            match connected {
                Ok(_) => return,
                // It answers, and refuses this user: that is an answer.
                Err(sqlx::Error::Database(told)) if told.code().as_deref() != Some("57P03") => {
                    return;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        panic!("{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("postgres://hexmem@127.0.0.1:{}/postgres", self.port)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Settings with short limits.
    pub(crate) fn config(&self) -> PgConfig {
        PgConfig {
            max_connections: 2,
            acquire_timeout_ms: 1_000,
            connect_timeout_ms: 1_000,
            statement_timeout_ms: 500,
            migrate: hexmem_adapter_pg::Migrate::Connect,
            ..PgConfig::new(self.url())
        }
    }

    /// A handle on migrated tables.
    pub(crate) async fn open(&self) -> Postgres {
        Postgres::connect(self.config()).await.unwrap()
    }

    /// All processes of the server.
    fn pids(&self) -> Vec<u32> {
        let Some(first) = self.process.as_ref().map(Child::id) else { return Vec::new() };
        let children = format!("/proc/{first}/task/{first}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(first).chain(children).collect()
    }

    /// Sends a signal (`STOP`, `CONT`, `KILL`) to all processes of the server.
    pub(crate) fn signal(&self, signal: &str) {
        hexmem_conformance::signal(signal, &self.pids());
    }

    /// Ends it as a power cut would end the machine, as far as a signal can: no process of it is left.
    pub(crate) fn kill(&mut self) {
        // First the one that makes others; stopped, it makes none while they are counted.
        if let Some(process) = &self.process {
            hexmem_conformance::signal("STOP", &[process.id()]);
        }
        let pids = self.pids();
        self.signal("KILL");
        if let Some(mut process) = self.process.take() {
            process.wait().unwrap();
        }
        let lives = |pid: &u32| {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        while pids.iter().any(lives) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("CONT");
        // QUIT: at once, and the shared memory is given back.
        if let Some(mut process) = self.process.take() {
            let _ = Command::new("kill").args(["-QUIT", &process.id().to_string()]).status();
            let _ = process.wait();
        }
    }
}
