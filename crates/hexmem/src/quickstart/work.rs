//! A queue of real commands, and the worker that does them.

use std::sync::Arc;
use std::time::Duration;

use hexmem_command_queue::{Commands, Job, JobError, PushOptions, Worker, WorkerOptions};
use hexmem_ports::{CommandState, Error, ErrorKind, Limit, NewCommand, Result};

use super::Place;
use super::summary::{Summarise, Summary, parts, summarise};
use crate::context::Context;

/// How long the results may take before the quickstart goes on without them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pushes a command for each part of the repository, works through them, and reads the results.
pub(super) async fn run(
    context: &Context,
    place: &Place,
    files: &[String],
) -> Result<(Vec<Summary>, String)> {
    let store = context.stores.queue().await?;
    let commands = Commands::new(store, context.stores.clock(), place.queue.clone());
    let new = parts(files)
        .into_iter()
        .map(|part| command(&commands, &Summarise { part }))
        .collect::<Result<Vec<NewCommand>>>()?;
    let ids: Vec<_> = new.iter().map(|command| command.id).collect();
    if ids.is_empty() {
        return Ok((Vec::new(), "no folders, so nothing to summarise".to_owned()));
    }
    commands.push_many(new, Vec::new()).await?;

    let files: Arc<[String]> = files.into();
    let root = place.repository.root.clone();
    let handler = |job: Job| {
        let (files, root) = (Arc::clone(&files), root.clone());
        async move {
            let Summarise { part } = job.json().map_err(JobError::dead)?;
            let work = move || serde_json::to_vec(&summarise(&root, &files, &part));
            let summary = tokio::task::spawn_blocking(work).await.map_err(JobError::retry)?;
            Ok(Some(summary.map_err(JobError::dead)?))
        }
    };
    // The worker stops when the last result is there.
    let all_ended = async {
        for id in &ids {
            if !matches!(commands.await_result(*id, PATIENCE).await, Ok(Some(_))) {
                break;
            }
        }
    };
    let options = WorkerOptions {
        name: "quickstart".to_owned(),
        concurrency: Limit::new(4)?,
        wait: Duration::from_millis(50),
        ..WorkerOptions::default()
    };
    let report = Worker::new(commands.clone(), options).run(handler, all_ended).await?;

    let mut summaries = Vec::with_capacity(ids.len());
    for id in ids {
        let ended =
            commands.result(id).await?.filter(|ended| ended.state == CommandState::Completed);
        if let Some(bytes) = ended.and_then(|ended| ended.result) {
            let summary = serde_json::from_slice(&bytes).map_err(|error| {
                Error::corrupt("quickstart.work", "a result is no summary")
                    .with("command", id)
                    .caused_by(error)
            })?;
            summaries.push(summary);
        }
    }
    let did = format!(
        "{} folders summarised by a worker, {} retried, {} dead",
        report.completed, report.retried, report.dead
    );
    Ok((summaries, did))
}

fn command(commands: &Commands, work: &Summarise) -> Result<NewCommand> {
    let payload = serde_json::to_vec(work).map_err(|error| {
        Error::new(ErrorKind::Internal, "quickstart.work", "a command cannot be JSON")
            .caused_by(error)
    })?;
    Ok(commands.command(payload, &PushOptions::default()))
}
