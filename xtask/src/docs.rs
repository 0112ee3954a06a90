//! `cargo xtask docs`: the documentation, warnings denied.

use crate::outcome::{Failure, Result};
use crate::process::{cargo_with, show};

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask docs [--open]

Builds the documentation of the workspace's crates with warnings denied, into target/doc.

  --open    shows it in a browser";

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result {
    let mut doc = cargo_with(&["doc", "--no-deps", "--workspace"]);
    for arg in args {
        match arg.as_str() {
            "--open" => doc.arg("--open"),
            other => return Err(Failure::usage(format!("unknown argument {other}"))),
        };
    }
    show(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
