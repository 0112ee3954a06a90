//! Batches that wait for each other share one transaction: the one who gets the write lock writes for all who wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hexmem_ports::rules::graph::check_batch;
use hexmem_ports::{Applied, Error, GraphBatch, GraphId, PAGE_LIMIT, Result};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::oneshot::{self, Receiver, Sender};

use super::apply::apply_one;
use crate::{Database, WriteTx};

const OP: &str = "graph.apply";

/// The most batches of one transaction; together they have at most [`PAGE_LIMIT`] changes, or are one.
const TOGETHER: usize = 256;

/// Batches of this process that wait for the write lock.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<VecDeque<Asked>>);

/// A batch and who waits for its answer.
#[derive(Debug)]
struct Asked {
    graph: GraphId,
    batch: Arc<GraphBatch>,
    answer: Sender<Result<Applied>>,
}

/// Why a batch was not applied.
pub(super) enum Failed {
    /// It is refused, and the transaction goes on without it.
    Refused(Error),
    /// The transaction is of no use any more.
    Broken(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, graph: &GraphId, batch: &Arc<GraphBatch>) -> Receiver<Result<Applied>> {
        let (answer, answered) = oneshot::channel();
        let (graph, batch) = (graph.clone(), Arc::clone(batch));
        self.lock().push_back(Asked { graph, batch, answer });
        answered
    }

    /// Takes a batch back. `false`: somebody is writing it.
    fn withdraw(&self, batch: &Arc<GraphBatch>) -> bool {
        let mut waiting = self.lock();
        let before = waiting.len();
        waiting.retain(|asked| !Arc::ptr_eq(&asked.batch, batch));
        waiting.len() < before
    }

    /// Those who wait longest, without those who no longer do.
    fn take(&self) -> Vec<Asked> {
        let limit = usize::try_from(PAGE_LIMIT).unwrap_or(usize::MAX);
        let (mut taken, mut changes) = (Vec::new(), 0);
        let mut waiting = self.lock();
        while let Some(asked) = waiting.front() {
            changes += asked.batch.changes.len();
            if taken.len() == TOGETHER || (changes > limit && !taken.is_empty()) {
                break;
            }
            taken.extend(waiting.pop_front().filter(|asked| !asked.answer.is_closed()));
        }
        taken
    }
}

pub(super) async fn apply(db: &Database, graph: &GraphId, batch: GraphBatch) -> Result<Applied> {
    check_batch(&batch)?;
    let (batch, waiting) = (Arc::new(batch), db.graph_batches());
    loop {
        let mut answered = waiting.ask(graph, &batch);
        loop {
            let turn = tokio::select! {
                biased;
                answer = &mut answered => match answer {
                    Ok(answer) => return answer,
                    Err(_) => break,
                },
                turn = db.write(OP) => turn,
            };
            match turn {
                Ok(tx) => lead(waiting, tx).await,
                Err(error) if waiting.withdraw(&batch) => return Err(error),
                // Somebody is writing it: the answer comes.
                Err(_) => {}
            }
            match answered.try_recv() {
                Ok(answer) => return answer,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => break,
            }
        }
        // Whoever wrote it was broken off. It has an id: it happens once.
    }
}

/// Writes for all who wait.
async fn lead(waiting: &Waiting, mut tx: WriteTx) {
    let mut done = Vec::new();
    let mut asked = waiting.take().into_iter();
    let mut broken = None;
    for Asked { graph, batch, answer } in asked.by_ref() {
        match apply_one(&mut tx, &graph, &batch).await {
            Ok(applied) => done.push((answer, applied)),
            // Who no longer waits needs no answer, here and below.
            Err(Failed::Refused(error)) => drop(answer.send(Err(error))),
            Err(Failed::Broken(error)) => {
                drop(answer.send(Err(error.shared())));
                broken = Some(error);
                break;
            }
        }
    }
    let written = match broken {
        Some(error) => Err(error),
        None => tx.commit_before(&mut done, answer_all).await,
    };
    if let Err(error) = written {
        let answers = done.into_iter().map(|(answer, _)| answer);
        for answer in answers.chain(asked.map(|asked| asked.answer)) {
            drop(answer.send(Err(error.shared())));
        }
    }
}

/// Answers before the next one gets the write lock, so that nobody takes it in vain.
fn answer_all(done: &mut Vec<(Sender<Result<Applied>>, Applied)>) {
    for (answer, applied) in done.drain(..) {
        drop(answer.send(Ok(applied)));
    }
}
