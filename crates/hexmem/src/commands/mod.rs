//! The commands, one file each.

mod completions;
mod config;

use std::process::ExitCode;

use clap::Subcommand;
use hexmem_ports::Result;

use crate::cli::Cli;
use crate::context::Context;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// It ran, and what it was asked to do did not succeed (already said on stderr).
    #[allow(dead_code, reason = "commands that check things answer with it")]
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::from(1),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the settings in force
    #[command(subcommand)]
    Config(config::Command),
    /// Print completions for a shell
    Completions(completions::Args),
}

/// Runs the command line.
pub(crate) async fn run(cli: Cli) -> Result<Outcome> {
    if let Command::Completions(args) = &cli.command {
        return completions::run(args);
    }
    let context = Context::new(&cli)?;
    match cli.command {
        Command::Config(command) => config::run(&context, &command),
        Command::Completions(args) => completions::run(&args),
    }
}
