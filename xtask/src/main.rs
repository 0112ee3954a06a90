//! `cargo xtask`: the automation of the workspace, in one small program with few dependencies.

mod arch;
mod bench;
mod ci;
mod docs;
mod ledger;
mod migrate;
mod outcome;
mod process;
mod services;
mod test;
mod workspace;

use std::process::ExitCode;

use crate::outcome::{Failure, Result};

const USAGE: &str = "\
Usage: cargo xtask COMMAND [--help]

  test       runs every suite against everything it can have, and prints the table
  ci         formatting, lints, docs, arch, dependencies, then test
  arch       proves the architecture and the house rules
  bench      runs the benchmarks and prints the ratios
  services   starts and stops PostgreSQL, Redis, Redis Cluster and Qdrant for tests
  migrate    brings the tables of a PostgreSQL up to date
  docs       builds the documentation

Exit codes: 0 done, 1 failed, 2 wrong usage.";

struct Command {
    name: &'static str,
    usage: &'static str,
    run: fn(&[String]) -> Result,
}

const COMMANDS: &[Command] = &[
    Command { name: "test", usage: test::USAGE, run: test::main },
    Command { name: "ci", usage: ci::USAGE, run: ci::main },
    Command { name: "arch", usage: arch::USAGE, run: arch::main },
    Command { name: "bench", usage: bench::USAGE, run: bench::main },
    Command { name: "services", usage: services::USAGE, run: services::main },
    Command { name: "migrate", usage: migrate::USAGE, run: migrate::main },
    Command { name: "docs", usage: docs::USAGE, run: docs::main },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = args.first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "--help" | "-h" | "help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("error: no command is called {name}\n\n{USAGE}");
        return ExitCode::from(2);
    };
    let rest = args.get(1..).unwrap_or_default();
    if rest.first().is_some_and(|arg| matches!(arg.as_str(), "--help" | "-h")) {
        println!("{}", command.usage);
        return ExitCode::SUCCESS;
    }
    match (command.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            eprintln!("error: {text}\n\n{}", command.usage);
            ExitCode::from(2)
        }
        Err(Failure::Failed(text)) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}
