//! The command line of hexmem: the storage layer for LLM agents.

mod arguments;
mod cli;
mod commands;
mod context;
mod output;
mod quickstart;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse_from(cli::arguments(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            let said = error.render().to_string();
            // clap colours and ends by itself, but quotes a wrong value whole.
            match output::without_long_lines(&said) {
                Some(short) if error.use_stderr() => {
                    output::remark(&short);
                    return ExitCode::from(2);
                }
                _ => error.exit(),
            }
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("cannot start the runtime: {error}"), &[]);
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            output::report(&error);
            ExitCode::from(1)
        }
    }
}
