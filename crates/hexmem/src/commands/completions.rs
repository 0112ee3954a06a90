//! `hexmem completions SHELL`

use clap::CommandFactory as _;
use clap_complete::Shell;
use hexmem_ports::Result;

use super::Outcome;
use crate::cli::Cli;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  hexmem completions bash > ~/.local/share/bash-completion/completions/hexmem"
)]
pub(crate) struct Args {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hexmem", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
