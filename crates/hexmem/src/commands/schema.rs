//! `hexmem schema status|migrate`

use clap::Subcommand;
use hexmem_ports::Result;
use serde_json::json;

use super::Outcome;
use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show which steps of the tables are applied in PostgreSQL, and which are missing
    #[command(after_help = "Exit code 1 when a step is missing, or is unknown to this program.

SQLite files bring themselves up to date when they are opened.")]
    Status,
    /// Apply the steps that are missing
    #[command(
        after_help = "Safe to run from any number of instances at once: one of them applies, the others wait.

The role needs CREATE on the schema, or on the database where the schema is missing."
    )]
    Migrate,
}

pub(crate) async fn run(context: &Context, command: &Command) -> Result<Outcome> {
    match command {
        Command::Status => status(context).await,
        Command::Migrate => migrate(context).await,
    }
}

async fn status(context: &Context) -> Result<Outcome> {
    let status = context.stores.schema_status().await?;
    let current = status.is_current();
    let document = json!({ "current": current, "server": status.server, "schema": status.schema, "steps": status.steps });
    context.emit(&document, || {
        let mut text = format!("{}, schema {}\n", status.server, status.schema);
        for step in &status.steps {
            let applied = match (step.applied_at, step.known) {
                (Some(at), true) => format!("applied {at}"),
                (Some(at), false) => format!("applied {at}, not of this program"),
                (None, _) => "missing: run `hexmem schema migrate`".to_owned(),
            };
            text.push_str(&format!("{:04} {:<16} {applied}\n", step.version, step.name));
        }
        text
    })?;
    Ok(if current { Outcome::Done } else { Outcome::Failed })
}

async fn migrate(context: &Context) -> Result<Outcome> {
    let applied = context.stores.migrate_schema().await?;
    let names: Vec<&str> = applied.iter().map(|step| step.name.as_str()).collect();
    context.emit(&json!({ "applied": names }), || match names.as_slice() {
        [] => "nothing to do: the tables are up to date\n".to_owned(),
        names => format!("applied: {}\n", names.join(", ")),
    })?;
    Ok(Outcome::Done)
}
