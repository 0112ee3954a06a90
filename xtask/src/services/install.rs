//! Debian's packages and Docker: where a server comes from when the machine has none.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::outcome::{Failure, Result, Trying as _};
use crate::process::{find, quiet};
use crate::services::state::State;

/// Whether this process is root.
pub(super) fn is_root() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
    }
    #[cfg(not(unix))]
    {
        false
    }
}

/// The program that `look` finds, where needed after installing Debian's `package`. Says what was tried.
pub(super) fn program(
    package: &str,
    look: impl Fn() -> Option<PathBuf>,
) -> std::result::Result<PathBuf, String> {
    if let Some(found) = look() {
        return Ok(found);
    }
    if std::env::var_os("HEXMEM_TEST_NO_INSTALL").is_some() {
        return Err(String::from("no program on this machine, and installing is switched off"));
    }
    if !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return Err(String::from("no program on this machine, and no apt-get as root"));
    }
    eprintln!("installing Debian's {package}");
    let patience = Duration::from_secs(600);
    let get = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-o", "Acquire::http::Timeout=10", "-o", "Acquire::Retries=0", "-qq", "-y"]);
        quiet(apt.args(args).env("DEBIAN_FRONTEND", "noninteractive"), patience)
    };
    let install = ["install", "--no-install-recommends", package];
    if get(&install) || (get(&["update"]) && get(&install)) {
        return look().ok_or_else(|| format!("Debian's {package} brings no such program"));
    }
    Err(format!("no program on this machine, and apt-get could not install {package}"))
}

/// Starts a container of `image`, noted in `state`.
pub(super) fn container(
    state: &mut State,
    name: &str,
    image: &str,
    options: &[String],
    command: &[String],
) -> Result {
    if find("docker", &[]).is_none() {
        return Err(Failure::new("no Docker"));
    }
    if !quiet(Command::new("docker").arg("info"), Duration::from_secs(20)) {
        return Err(Failure::new("Docker's daemon does not answer"));
    }
    let output = Command::new("docker")
        .args(["run", "--detach", "--rm"])
        .args(options)
        .arg(image)
        .args(command)
        .stdin(Stdio::null())
        .output()
        .trying("run docker")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(Failure::new(format!("Docker cannot run {image}: {last}")));
    }
    state.contain(name, String::from_utf8_lossy(&output.stdout).trim())
}
