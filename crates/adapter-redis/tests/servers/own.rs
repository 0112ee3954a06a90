//! Servers of a test's own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server that ends with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts `redis-server` with the lines of a configuration made for its port and folder, and waits until the port is
    /// taken.
    pub(crate) fn start(more: &[&str], lines: impl Fn(u16, &Path) -> String) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("redis.conf");
        std::fs::write(&file, lines(port, folder.path())).unwrap();
        // The shell ends the server when its input ends: with `kill`, or with this process, however that ends.
        let child = Command::new("sh")
            .args(["-c", "redis-server \"$@\" & read end; kill -9 $!", "sh"])
            .arg(&file)
            .args(more)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port, folder };
        until("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    /// A server that keeps nothing.
    pub(crate) fn plain(more: &str) -> Self {
        Self::start(&[], |port, _| format!("{}{more}\n", common(port)))
    }

    pub(crate) fn kill(&mut self) {
        drop(self.child.stdin.take());
        // It may have ended.
        drop(self.child.wait());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A command, for the tests to look behind the adapter.
    pub(crate) fn command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
    }
}

/// The lines that every server here has.
pub(crate) fn common(port: u16) -> String {
    format!("port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\n")
}

/// Waits for a server to get somewhere; panics after ten seconds.
#[allow(clippy::disallowed_methods, reason = "another process is waited for")]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
