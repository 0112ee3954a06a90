//! `cargo xtask migrate`: brings the tables of a PostgreSQL up to date, with the program built from this tree.

use std::process::Command;

use crate::outcome::{Failure, Result, Trying as _};
use crate::workspace::Workspace;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask migrate [URL] [ARGUMENT]...

Applies the steps of migrations/pg that are missing, as `hexmem schema migrate` does. URL is
postgres://user@host:port/database; without one, the settings of hexmem.toml and the environment count. What
follows goes to hexmem as it is (--config FILE, --json).";

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result {
    let workspace = Workspace::here()?;
    let (url, rest) = match args.split_first() {
        Some((url, rest)) if url.contains("://") => (Some(url), rest),
        _ => (None, args),
    };
    let mut hexmem = Command::new("cargo");
    hexmem
        .current_dir(&workspace.root)
        .args(["run", "--quiet", "--package", "hexmem", "--", "schema", "migrate"])
        .args(rest);
    if let Some(url) = url {
        // Not an argument: those are seen by everybody on the machine.
        hexmem.env("HEXMEM__PG__URL", url);
    }
    let status = hexmem.status().trying("run hexmem")?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new("the tables were not brought up to date"))
    }
}
