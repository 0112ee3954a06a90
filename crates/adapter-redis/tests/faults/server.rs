//! Servers of a test's own: started, killed, hung and started again, gone when the test ends.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hexmem_adapter_redis::RedisConfig;
use tempfile::TempDir;

/// How long a server may take to do what it was asked.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A redis-server. Killed when dropped.
pub struct Server {
    program: PathBuf,
    port: u16,
    options: Vec<String>,
    folder: TempDir,
    child: Option<Child>,
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain(["/usr/bin", "/usr/local/bin", "/usr/sbin"].map(PathBuf::from));
    let mut named =
        folders.flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)));
    named.find(|path| path.is_file()).expect(
        "redis-server is on no path: faults cannot be shown without servers of their own; install it",
    )
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Without persistence, replicas and password, and `options` on top of that.
    pub fn start(options: &[&str]) -> Self {
        // A replica is served at once, not after the five seconds in which others might come.
        let mut all = vec!["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"];
        all.extend(options);
        Self::of(&all)
    }

    /// With nothing but `options`.
    pub fn of(options: &[&str]) -> Self {
        let mut server = Self {
            program: program(),
            port: free_port(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            folder: tempfile::tempdir().unwrap(),
            child: None,
        };
        server.launch();
        server
    }

    /// Starts the process and waits until it answers.
    fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(&self.options).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let answers = || {
            // NOAUTH is an answer, LOADING is none.
            let pong = self.try_command(&["PING"]);
            pong.is_ok() || pong.is_err_and(|e| e.code() == Some("NOAUTH"))
        };
        assert!(wait_until(answers), "redis-server does not answer:\n{}", self.last_words());
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn last_words(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Short times, so that a test of a hang is short.
    pub fn config(&self) -> RedisConfig {
        quick(RedisConfig::new(self.url()))
    }

    fn signal(&self, name: &str) {
        hexmem_conformance::signal(name, &[self.child.as_ref().expect("it runs").id()]);
    }

    /// As a power cut would, but for what the kernel has.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts a killed one again, on its port and folder.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it still runs");
        self.launch();
    }

    /// The process stands still; its connections stay open.
    pub fn hang(&self) {
        self.signal("STOP");
    }

    pub fn go_on(&self) {
        self.signal("CONT");
    }

    pub fn try_command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        self.send(&command)
    }

    /// A command of bytes.
    pub fn send(&self, command: &redis::Cmd) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection_with_timeout(Duration::from_millis(500))?;
        connection.set_read_timeout(Some(PATIENCE))?;
        command.query(&mut connection)
    }

    /// A command, as an operator gives it.
    pub fn command(&self, words: &[&str]) -> redis::Value {
        self.try_command(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// A command whose answer is text.
    pub fn text(&self, words: &[&str]) -> String {
        redis::from_redis_value(self.command(words)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Also ends one that hangs.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Fails within a second or so instead of within ten.
pub fn quick(config: RedisConfig) -> RedisConfig {
    RedisConfig {
        connect_timeout_ms: 500,
        response_timeout_ms: 500,
        reconnect_min_ms: 5,
        reconnect_max_ms: 50,
        wait_timeout_ms: 250,
        ..config
    }
}

/// Whether `done` comes true within [`PATIENCE`].
pub fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
