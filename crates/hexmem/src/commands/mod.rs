//! The commands, one file each.

mod cache;
mod cache_stats;
mod completions;
mod config;
mod doctor;
mod doctor_qdrant;
mod doctor_redis;
pub(crate) mod graph;
pub(crate) mod queue;
pub(crate) mod rag;
mod schema;
mod session;
mod stop;

use std::process::ExitCode;

use clap::Subcommand;
use hexmem_ports::Result;

use crate::cli::Cli;
use crate::context::Context;
use crate::output;
use crate::quickstart;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// It ran, and what it was asked to do did not succeed (already said on stderr).
    Failed,
    /// The arguments do not go together (already said on stderr).
    WrongUsage,
}

impl Outcome {
    /// Says on stderr what is wrong with the arguments.
    pub(crate) fn wrong_usage(what: &str) -> Self {
        output::complain(what, &["see --help".to_owned()]);
        Self::WrongUsage
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::from(1),
            Outcome::WrongUsage => Self::from(2),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build the memory of a git repository, and ask it
    Quickstart(quickstart::Args),
    /// Graph memory: facts, when they hold, and what they connect
    #[command(subcommand)]
    Graph(graph::Command),
    /// Documents: ingest, search, measure
    #[command(subcommand)]
    Rag(rag::Command),
    /// Answers of language models: what is cached, and what is not any more
    #[command(subcommand)]
    Cache(cache::Command),
    /// Sessions of users and agents: start, look up, rotate, end
    #[command(subcommand)]
    Session(session::Command),
    /// Commands for workers: push, lease, acknowledge, inspect
    #[command(subcommand)]
    Queue(queue::Command),
    /// Run a program for each command of a queue, until Ctrl-C
    #[command(after_help = "Examples:
  hexmem work jobs -- jq .n                 payload on standard input, result from standard output
  hexmem work jobs --concurrency 4 --visibility 2m -- ./summarise
  hexmem work jobs --timeout 5m --grace 30s -- ./handle.sh
  hexmem work jobs --until-empty -- cat

Exit 0 completes the command with what the program printed. Exit 65 sends it to the dead letters; any other
failure is tried again after the command's backoff, the end of its standard error kept with it. HEXMEM_COMMAND_ID,
HEXMEM_ATTEMPT and HEXMEM_QUEUE are set. Commands are delivered at least once: a program may see one again, under
the same id. Ctrl-C (or SIGTERM) takes nothing new and lets programs finish; a second one ends them, with all that
they started, and hands their commands back. Recurring commands of the queue fire while it works.")]
    Work(queue::WorkArgs),
    /// The tables of PostgreSQL: what is applied, and applying what is missing
    #[command(subcommand)]
    Schema(schema::Command),
    /// Check the stores: do they open, answer, and look well?
    Doctor,
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
    let outcome = dispatch(&context, cli.command).await;
    // Everything acknowledged is on disk already; closing only tidies, so its failure is no failure of the command.
    context.stores.close().await.ok();
    outcome
}

async fn dispatch(context: &Context, command: Command) -> Result<Outcome> {
    match command {
        Command::Cache(command) => cache::run(context, command).await,
        Command::Quickstart(args) => quickstart::run(context, args).await,
        Command::Config(command) => config::run(context, &command),
        Command::Graph(command) => graph::run(context, command).await,
        Command::Queue(command) => queue::run(context, command).await,
        Command::Work(args) => queue::work(context, args).await,
        Command::Rag(command) => rag::run(context, command).await,
        Command::Session(command) => session::run(context, command).await,
        Command::Schema(command) => schema::run(context, &command).await,
        Command::Doctor => Box::pin(doctor::run(context)).await,
        Command::Completions(args) => completions::run(&args),
    }
}
