//! Qdrant: a program on the path, or a container. Its URL is that of gRPC.

use std::process::Command;
use std::time::Duration;

use crate::outcome::{Failure, Result};
use crate::process::{find, wait_until};
use crate::services::install;
use crate::services::net::{free_port, http_ok};
use crate::services::state::State;

const IMAGE: &str = "qdrant/qdrant:v1.15.4";

/// Starts one; its gRPC URL.
pub(super) fn start(state: &mut State) -> Result<String> {
    let (http, grpc) = (free_port()?, free_port()?);
    let url = format!("http://127.0.0.1:{grpc}");
    if let Some(program) = find("qdrant", &[]) {
        let folder = state.data_folder("qdrant")?;
        let mut command = Command::new(program);
        command
            .current_dir(&folder)
            .env("QDRANT__SERVICE__HOST", "127.0.0.1")
            .env("QDRANT__SERVICE__HTTP_PORT", http.to_string())
            .env("QDRANT__SERVICE__GRPC_PORT", grpc.to_string())
            .env("QDRANT__STORAGE__STORAGE_PATH", folder.join("storage"))
            .env("QDRANT__STORAGE__SNAPSHOTS_PATH", folder.join("snapshots"))
            .env("QDRANT__TELEMETRY_DISABLED", "true");
        state.spawn("qdrant", "TERM", &mut command)?.wait(|| http_ok(http, "/readyz"))?;
        return Ok(url);
    }
    let options = [
        format!("--publish=127.0.0.1:{http}:6333"),
        format!("--publish=127.0.0.1:{grpc}:6334"),
        String::from("--env=QDRANT__TELEMETRY_DISABLED=true"),
    ];
    install::container(state, "qdrant", IMAGE, &options, &[]).map_err(|docker| {
        let none = "no HEXMEM_TEST_QDRANT_URL; no program qdrant on this machine";
        Failure::new(format!("{none}; Debian has no package; {docker}"))
    })?;
    if wait_until(Duration::from_secs(60), || http_ok(http, "/readyz")) {
        return Ok(url);
    }
    Err(Failure::new(format!("{IMAGE} did not answer within 60 s")))
}
