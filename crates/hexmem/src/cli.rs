//! The arguments that every command takes.

use std::ffi::OsString;
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
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder [default: .hexmem]
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print one JSON document on stdout; everything else goes to stderr
    #[arg(long, global = true, help_heading = "Options of every command")]
    pub(crate) json: bool,
    /// The tenant
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        value_name = "NAME",
        default_value = "default"
    )]
    pub(crate) tenant: Name,
    /// The user
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        value_name = "NAME",
        default_value = "default"
    )]
    pub(crate) user: Name,
    /// The agent, where a memory is one agent's own
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "NAME")]
    pub(crate) agent: Option<Name>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where `--data` with JSON after it means another option: a group of commands, its commands, the option.
const JSON_DATA: [(&str, &[&str], &str); 2] =
    [("graph", &["add-node", "add-edge"], "--attributes"), ("session", &["create"], "--value")];

/// The program's arguments as the parser takes them. `--data` is the data folder everywhere, and where a node, an edge
/// or a session is made it is also what scripts call what is kept with it: there, JSON after `--data` means that.
pub(crate) fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut taken: Vec<OsString> = Vec::new();
    let mut means = None;
    for argument in given {
        let text = argument.to_str().unwrap_or_default();
        if let Some(option) = means {
            let follows = taken.last_mut().filter(|last| *last == "--data");
            if let Some(last) = follows.filter(|_| is_json(text)) {
                *last = OsString::from(option);
            } else if let Some(value) = text.strip_prefix("--data=").filter(|value| is_json(value))
            {
                taken.push(format!("{option}={value}").into());
                continue;
            }
        }
        let here = JSON_DATA.iter().find(|(group, commands, _)| {
            commands.contains(&text) && taken.iter().any(|earlier| earlier == group)
        });
        means = means.or(here.map(|(_, _, option)| *option));
        taken.push(argument);
    }
    taken
}

/// Whether a value is meant as JSON: no folder that anybody has begins so.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"'])
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
    use std::ffi::OsString;

    use clap::CommandFactory as _;

    #[test]
    fn data_is_a_folder_but_for_json_where_something_is_added() {
        let read = |line: &str| {
            let given = line.split(' ').map(OsString::from);
            let read = super::arguments(given).into_iter().map(|word| word.into_string().unwrap());
            read.collect::<Vec<_>>().join(" ")
        };
        for (given, means) in [
            (
                "hexmem --data D graph add-node n --data {}",
                "hexmem --data D graph add-node n --attributes {}",
            ),
            (
                "hexmem graph add-edge a r b --data={}",
                "hexmem graph add-edge a r b --attributes={}",
            ),
            ("hexmem graph add-node n --data D", "hexmem graph add-node n --data D"),
            ("hexmem --data {} graph add-node n", "hexmem --data {} graph add-node n"),
            ("hexmem session create --data {}", "hexmem session create --value {}"),
            ("hexmem session create --data D", "hexmem session create --data D"),
            ("hexmem session list --data {}", "hexmem session list --data {}"),
            ("hexmem graph stats --data {}", "hexmem graph stats --data {}"),
        ] {
            assert_eq!(read(given), means);
        }
    }

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
