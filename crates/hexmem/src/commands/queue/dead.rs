//! `hexmem queue dead ...`

use clap::Subcommand;
use hexmem_ports::{CommandId, DeadLetters, Limit, Name, Result};
use serde_json::json;
use uuid::Uuid;

use super::super::Outcome;
use super::{done, open, view_document, view_text};
use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show them, with the error of each
    List {
        /// The queue
        queue: Name,
    },
    /// Put them back, with fresh attempts and without their deadline
    #[command(after_help = "Examples:
  hexmem queue dead requeue jobs --all
  hexmem queue dead requeue jobs ID ID")]
    Requeue(Which),
    /// Remove them for good
    Purge(Which),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The queue
    queue: Name,
    /// These
    #[arg(required_unless_present = "all")]
    ids: Vec<Uuid>,
    /// All of the queue
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

impl Which {
    fn letters(&self) -> DeadLetters {
        if self.all {
            DeadLetters::All
        } else {
            DeadLetters::Only(self.ids.iter().copied().map(CommandId).collect())
        }
    }
}

pub(super) async fn run(context: &Context, command: Command) -> Result<Outcome> {
    match command {
        Command::List { queue } => {
            let commands = open(context, &queue).await?;
            let (mut all, mut cursor) = (Vec::new(), None);
            loop {
                let page = commands.dead(cursor, Limit::default()).await?;
                all.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            let documents: Vec<_> = all.iter().map(view_document).collect();
            done(context, &json!(documents), &all.iter().map(view_text).collect::<String>())
        }
        Command::Requeue(which) => {
            let count = open(context, &which.queue).await?.requeue(which.letters()).await?;
            done(context, &json!({"requeued": count}), &format!("{count} requeued"))
        }
        Command::Purge(which) => {
            let count = open(context, &which.queue).await?.purge(which.letters()).await?;
            done(context, &json!({"purged": count}), &format!("{count} purged"))
        }
    }
}
