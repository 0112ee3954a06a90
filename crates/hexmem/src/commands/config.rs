//! `hexmem config show`

use clap::Subcommand;
use hexmem_ports::{Error, ErrorKind, Result};

use super::Outcome;
use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print all settings, defaults included
    Show,
}

pub(crate) fn run(context: &Context, command: &Command) -> Result<Outcome> {
    match command {
        Command::Show => {
            let settings = context.stores.settings();
            let document = serde_json::to_value(settings).map_err(|error| {
                Error::new(ErrorKind::Internal, "config.show", "the settings cannot be printed")
                    .caused_by(error)
            })?;
            context.emit(&document, || lines("", &document))?;
            Ok(Outcome::Done)
        }
    }
}

/// `section.key = value`, a line each.
fn lines(path: &str, value: &serde_json::Value) -> String {
    match value.as_object() {
        Some(fields) => fields
            .iter()
            .map(|(key, inner)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                lines(&path, inner)
            })
            .collect(),
        None if value.is_null() => String::new(),
        None => format!("{path} = {value}\n"),
    }
}
