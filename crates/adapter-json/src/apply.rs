//! Batches that wait for each other share one write: the one who gets the graph writes for all who wait.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use hexmem_ports::{Applied, Clock, Error, ErrorKind, GraphBatch, GraphId, Result};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::JsonGraphs;
use crate::disk::blocking;
use crate::entry::{Entry, What};
use crate::graph_file::GraphFile;
use crate::lock::Lock;
use crate::open::OpenGraph;

const OP: &str = "graph.apply";

/// The most batches of one write.
const TOGETHER: usize = 256;

/// A batch and who waits for its answer.
pub(crate) struct Asked {
    ticket: Uuid,
    batch: GraphBatch,
    answer: oneshot::Sender<Result<Applied>>,
}

impl JsonGraphs {
    /// Applies a batch without effects, together with those of others who wait.
    pub(crate) async fn apply_together(
        &self,
        graph: &GraphId,
        batch: GraphBatch,
    ) -> Result<Applied> {
        let open = self.0.handle(graph);
        let (answer, mut answered) = oneshot::channel();
        let ticket = Uuid::new_v4();
        waiting(&open).push_back(Asked { ticket, batch, answer });
        loop {
            let guard = tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or_else(|_| Err(lost())),
                guard = open.lock() => guard,
            };
            // Whoever had the graph before may have answered.
            if let Ok(answer) = answered.try_recv() {
                return answer;
            }
            let lock = Lock::take(OP, &guard.paths().lock, self.0.config.lock_timeout()).await;
            // Taken back while nobody else has the graph: nobody will write it.
            let lock =
                lock.inspect_err(|_| waiting(&open).retain(|asked| asked.ticket != ticket))?;
            let (inner, with) = (Arc::clone(&self.0), Arc::clone(&open));
            let mut file = guard;
            blocking(OP, move || {
                let _lock = lock;
                let asked = take(&with);
                match file.refresh_to_write(OP) {
                    Ok(cut) => inner.warn(cut),
                    Err(error) => {
                        refuse(asked.into_iter().map(|asked| asked.answer), &error);
                        return Ok(());
                    }
                }
                write(&mut file, inner.clock.as_ref(), asked);
                Ok(())
            })
            .await?;
            if let Ok(answer) = answered.try_recv() {
                self.tend(graph).await;
                return answer;
            }
        }
    }
}

fn waiting(open: &OpenGraph) -> std::sync::MutexGuard<'_, std::collections::VecDeque<Asked>> {
    let waiting: &StdMutex<_> = &open.waiting;
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those who wait longest, without those who no longer do.
fn take(open: &OpenGraph) -> Vec<Asked> {
    let mut waiting = waiting(open);
    let count = waiting.len().min(TOGETHER);
    waiting.drain(..count).filter(|asked| !asked.answer.is_closed()).collect()
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, OP, "the write was broken off; read and repeat the call")
        .outcome_unknown()
}

fn refuse(waiting: impl Iterator<Item = oneshot::Sender<Result<Applied>>>, error: &Error) {
    for answer in waiting {
        // Who no longer waits needs no answer.
        let _ = answer.send(Err(error.shared()));
    }
}

/// Decides on each batch in turn, each on the state that those before it left, and writes all with one line each.
fn write(file: &mut GraphFile, clock: &dyn Clock, asked: Vec<Asked>) {
    let (mut entries, mut done) = (Vec::new(), Vec::new());
    for Asked { batch, answer, .. } in asked {
        let refused = match decide(file, clock, &batch) {
            Ok((applied, None)) => {
                // The first answer may be one of this very write: it is given when that is on the disk.
                done.push((answer, applied));
                continue;
            }
            Ok((applied, Some(exists))) => {
                let Applied { revision, recorded_at: at } = applied;
                let what = What::Batch { id: batch.id, at, revision, changes: batch.changes };
                entries.push(Entry { exists, effects: None, what });
                done.push((answer, applied));
                continue;
            }
            Err(error) => error,
        };
        let _ = answer.send(Err(refused));
    }
    let written = if entries.is_empty() { Ok(()) } else { file.append(OP, &entries) };
    if let Err(error) = written {
        refuse(done.into_iter().map(|(answer, _)| answer), &error);
        return;
    }
    file.settled();
    for (answer, applied) in done {
        let _ = answer.send(Ok(applied));
    }
}

/// What a batch is answered and, where it is to be written, whether the graph exists after it.
fn decide(
    file: &mut GraphFile,
    clock: &dyn Clock,
    batch: &GraphBatch,
) -> Result<(Applied, Option<bool>)> {
    if let Some(first) = file.state().replay(batch.id) {
        return Ok((first, None));
    }
    let planned = file.state().plan(batch, clock.now())?;
    if batch.changes.is_empty() {
        return Ok((planned.answer, None));
    }
    let applied = file.commit(OP, &planned)?;
    Ok((applied, Some(planned.life.exists())))
}
