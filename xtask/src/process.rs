//! Programs: finding, running and waiting for them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::{Failure, Result, Trying as _};
use crate::workspace::cargo;

/// The program `name` on the path or in one of `folders`.
pub(crate) fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(folders.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Asks `done` again and again until it says yes (true) or `limit` has passed (false).
pub(crate) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        #[allow(
            clippy::disallowed_methods,
            reason = "waits for a program, not for a store's time"
        )]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `command` without input or output; whether it succeeded within `limit`.
pub(crate) fn quiet(command: &mut Command, limit: Duration) -> bool {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = spawned else { return false };
    let mut success = false;
    let ended = wait_until(limit, || match child.try_wait() {
        Ok(None) => false,
        Ok(Some(status)) => {
            success = status.success();
            true
        }
        Err(_) => true,
    });
    if !ended {
        drop(child.kill());
        drop(child.wait());
    }
    ended && success
}

/// `cargo` with `args`, its input closed.
pub(crate) fn cargo_with(args: &[&str]) -> Command {
    let mut command = Command::new(cargo());
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs `command` with its output shown; an error where it fails.
pub(crate) fn show(command: &mut Command) -> Result {
    let line = line_of(command);
    eprintln!("$ {line}");
    let status = command.status().trying(format!("run {line}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{line}: {status}")))
}

/// Runs `command`, shows its standard output and hands each line to `see`; whether it succeeded.
pub(crate) fn watch(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool> {
    let line = line_of(command);
    eprintln!("$ {line}");
    let mut child = command.stdout(Stdio::piped()).spawn().trying(format!("run {line}"))?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).lines() {
            let text = text.trying(format!("read what {line} printed"))?;
            see(&text);
            let mut out = std::io::stdout().lock();
            writeln!(out, "{text}").trying("print")?;
        }
    }
    Ok(child.wait().trying(format!("wait for {line}"))?.success())
}

fn line_of(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}
