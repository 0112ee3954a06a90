//! `cargo xtask ci`: all checks, each by name.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::outcome::{Failure, Result};
use crate::process::{cargo_with, quiet, show};
use crate::{arch, docs, test};

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask ci [STEP]...

Runs the checks, all of them even when one fails, and says at the end which held. Without STEP, all in this order:

  fmt       cargo fmt --check
  clippy    cargo clippy on everything, warnings denied
  docs      cargo doc, warnings denied
  arch      cargo xtask arch
  deny      cargo deny: licences, bans, sources; advisories where their database can be reached
  test      cargo xtask test";

type Step = (&'static str, fn() -> Result);

const STEPS: [Step; 6] = [
    ("fmt", fmt),
    ("clippy", clippy),
    ("docs", || docs::main(&[])),
    ("arch", || arch::main(&[])),
    ("deny", deny),
    ("test", || test::main(&[])),
];

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result {
    for arg in args {
        if !STEPS.iter().any(|(name, _)| name == arg) {
            return Err(Failure::usage(format!("no step is called {arg}")));
        }
    }
    let chosen = |name: &str| args.is_empty() || args.iter().any(|arg| arg == name);
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for (name, run) in STEPS.iter().filter(|(name, _)| chosen(name)) {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let outcome = run();
        let seconds = start.elapsed().as_secs();
        match outcome {
            Ok(()) => lines.push(format!("{name:8}ok      {seconds:4} s")),
            Err(failure) => {
                eprintln!("error: {failure}");
                lines.push(format!("{name:8}FAILED  {seconds:4} s"));
                failed.push(*name);
            }
        }
    }
    println!("\n{}", lines.join("\n"));
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("ci: failed: {}", failed.join(", "))))
}

fn fmt() -> Result {
    component("fmt", "rustfmt");
    show(&mut cargo_with(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result {
    component("clippy", "clippy");
    let args = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    show(&mut cargo_with(&args))
}

/// Asks rustup for a component that a minimal toolchain lacks.
fn component(command: &str, name: &str) {
    if !quiet(&mut cargo_with(&[command, "--version"]), Duration::from_secs(30)) {
        let mut rustup = Command::new("rustup");
        quiet(rustup.args(["component", "add", name]), Duration::from_secs(300));
    }
}

fn deny() -> Result {
    let version = || quiet(&mut cargo_with(&["deny", "--version"]), Duration::from_secs(30));
    if !version() {
        eprintln!("cargo-deny is not here: installing it, which takes some minutes, once");
        show(&mut cargo_with(&["install", "--locked", "cargo-deny"]))?;
    }
    let checks = ["bans", "licenses", "sources"];
    if reaches_advisories() {
        return show(
            cargo_with(&["deny", "check", "--hide-inclusion-graph", "advisories"]).args(checks),
        );
    }
    show(cargo_with(&["deny", "check", "--hide-inclusion-graph"]).args(checks))?;
    println!("NOT RUN: advisories: their database cannot be reached from this machine");
    Ok(())
}

fn reaches_advisories() -> bool {
    let mut git = Command::new("git");
    git.args(["ls-remote", "--exit-code", "https://github.com/rustsec/advisory-db", "HEAD"]);
    quiet(git.env("GIT_TERMINAL_PROMPT", "0"), Duration::from_secs(15))
}
