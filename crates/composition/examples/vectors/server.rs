//! A Qdrant of its own.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program: the one that `HEXMEM_QDRANT_BIN` names, or the one on the path.
pub(crate) fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("HEXMEM_QDRANT_BIN") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("qdrant")).find(|file| file.is_file())
}

/// A server that ends with this.
pub(crate) struct Server {
    child: Child,
    grpc: u16,
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts one with its data in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let (http, grpc) = (free_port(), free_port());
        let child = Command::new(program().unwrap())
            .current_dir(folder)
            .env("QDRANT__SERVICE__HOST", "127.0.0.1")
            .env("QDRANT__SERVICE__HTTP_PORT", http.to_string())
            .env("QDRANT__SERVICE__GRPC_PORT", grpc.to_string())
            .env("QDRANT__STORAGE__STORAGE_PATH", folder.join("storage"))
            .env("QDRANT__STORAGE__SNAPSHOTS_PATH", folder.join("snapshots"))
            .env("QDRANT__TELEMETRY_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, grpc };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, grpc)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "Qdrant does not answer");
            #[allow(clippy::disallowed_methods, reason = "waits for a program")]
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
