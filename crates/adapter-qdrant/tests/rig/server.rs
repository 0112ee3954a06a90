//! A Qdrant of one test, for what must not be done to the one that all share: stopping, killing, keys.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_qdrant::{Qdrant, QdrantConfig};
use hexmem_ports::{ErrorKind, Result};

/// A server with a folder of its own; ends with it.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    ports: [u16; 2],
    settings: Vec<(String, String)>,
    process: Option<Child>,
}

/// The program that `HEXMEM_QDRANT_BIN` names, or the path's.
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("HEXMEM_QDRANT_BIN") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("qdrant")).find(|p| p.is_file()).unwrap_or_else(
        || panic!("this test starts its own server: put qdrant on the path, or name it in HEXMEM_QDRANT_BIN"),
    )
}

fn free_ports() -> [u16; 2] {
    let held = [0, 0].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|one| one.local_addr().unwrap().port())
}

impl Server {
    /// Makes and starts one, with further settings as variables.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { folder, ports: free_ports(), settings, process: None };
        server.run().await;
        server
    }

    /// Starts it again on what it has on the disk.
    pub(crate) async fn run(&mut self) {
        let [http, grpc] = self.ports;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let child = Command::new(program())
            .current_dir(self.folder.path())
            .env("QDRANT__TELEMETRY_DISABLED", "true")
            .env("QDRANT__LOG_LEVEL", "WARN")
            .env("QDRANT__SERVICE__HOST", "127.0.0.1")
            .env("QDRANT__SERVICE__HTTP_PORT", http.to_string())
            .env("QDRANT__SERVICE__GRPC_PORT", grpc.to_string())
            .env("QDRANT__STORAGE__WAL__WAL_CAPACITY_MB", "2")
            .envs(self.settings.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        let start = Instant::now();
        loop {
            match self.open(|config| config).await {
                Ok(_) => return,
                // It is up and wants a key.
                Err(error) if error.kind() == ErrorKind::Denied => return,
                Err(error) => {
                    assert!(start.elapsed() < Duration::from_secs(60), "not up: {error:?}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }

    /// Where it speaks HTTP.
    pub(crate) fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// A handle with changed settings.
    pub(crate) async fn open(
        &self,
        change: impl FnOnce(QdrantConfig) -> QdrantConfig,
    ) -> Result<Qdrant> {
        let config = QdrantConfig { retries: 0, ..super::config(self.url()) };
        Qdrant::connect(change(config), Arc::new(SystemClock)).await
    }

    /// A handle of the driver, beside the store.
    pub(crate) fn driver(&self) -> qdrant_client::Qdrant {
        qdrant_client::Qdrant::from_url(&self.url()).skip_compatibility_check().build().unwrap()
    }

    /// Ends it as a power cut would end the process.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        hexmem_conformance::signal(name, &[self.process.as_ref().unwrap().id()]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("the server's log:\n{log}");
        }
    }
}
