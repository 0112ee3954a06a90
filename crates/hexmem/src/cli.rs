//! The arguments that every command takes.

use std::path::PathBuf;

use clap::Parser;
use hexmem_ports::Name;

use crate::commands::Command;

/// Storage for LLM agents: graph memory, sessions, answer cache, command queue and retrieval.
///
/// Everything lies in one data folder (`.hexmem`) unless a configuration file says otherwise.
#[derive(Debug, Parser)]
#[command(name = "hexmem", version, propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Configuration file in TOML [default: hexmem.toml where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder [default: .hexmem]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print one JSON document on stdout; everything else goes to stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The tenant
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    pub(crate) tenant: Name,
    /// The user
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    pub(crate) user: Name,
    /// The agent, where a memory is one agent's own
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) agent: Option<Name>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hexmem quickstart                       build a memory of the git repository you are in, and ask it
  hexmem graph stats --graph code         what the graph holds
  hexmem rag search 'retry backoff' --collection docs
  hexmem queue push jobs '{\"n\": 1}'       then: hexmem work jobs -- cat
  hexmem doctor                           is everything well?

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 verification found differences.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
