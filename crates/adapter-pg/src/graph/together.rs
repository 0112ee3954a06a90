//! Batches of one process that wait for each other: whoever has its graph's turn writes for all who wait, in one
//! transaction.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hexmem_ports::rules::graph::check_batch;
use hexmem_ports::{
    Applied, Digest, Error, ErrorKind, GraphBatch, GraphChange, GraphId, PAGE_LIMIT, Result,
};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::oneshot::{self, Receiver, Sender};

use super::apply;
use crate::Postgres;

const OP: &str = "graph.apply";

/// The most batches of one transaction; together they have at most [`PAGE_LIMIT`] changes, or are one.
const TOGETHER: usize = 256;

/// The most bytes of data of one transaction, about, unless they are one batch's.
const TOGETHER_BYTES: usize = 8 * 1024 * 1024;

/// The most bytes of data of one batch: a message to the server holds a gigabyte.
const BATCH_BYTES: usize = 512 * 1024 * 1024;

/// The graphs that this process writes.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<HashMap<Digest, Weak<Line>>>);

/// Those who wait to write one graph.
#[derive(Debug)]
struct Line {
    waiting: Mutex<VecDeque<Asked>>,
    turn: Semaphore,
}

/// A batch and who waits for its answer.
#[derive(Debug)]
struct Asked {
    batch: Arc<GraphBatch>,
    bytes: usize,
    answer: Sender<Result<Applied>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lines {
    fn of(&self, graph: &GraphId) -> Arc<Line> {
        let mut lines = lock(&self.0);
        let digest = graph.digest();
        if let Some(line) = lines.get(&digest).and_then(Weak::upgrade) {
            return line;
        }
        if lines.len() >= 64 && lines.len() == lines.capacity() {
            lines.retain(|_, line| line.strong_count() > 0);
        }
        let line = Arc::new(Line { waiting: Mutex::default(), turn: Semaphore::new(1) });
        lines.insert(digest, Arc::downgrade(&line));
        line
    }
}

impl Line {
    fn ask(&self, batch: &Arc<GraphBatch>, bytes: usize) -> Receiver<Result<Applied>> {
        let (answer, answered) = oneshot::channel();
        lock(&self.waiting).push_back(Asked { batch: Arc::clone(batch), bytes, answer });
        answered
    }

    /// Those who wait longest, without those who no longer do.
    fn take(&self) -> Vec<Asked> {
        let limit = usize::try_from(PAGE_LIMIT).unwrap_or(usize::MAX);
        let (mut taken, mut changes, mut bytes) = (Vec::new(), 0, 0_usize);
        let mut waiting = lock(&self.waiting);
        while let Some(asked) = waiting.front() {
            changes += asked.batch.changes.len();
            bytes = bytes.saturating_add(asked.bytes);
            let full = changes > limit || bytes > TOGETHER_BYTES;
            if taken.len() == TOGETHER || (full && !taken.is_empty()) {
                break;
            }
            taken.extend(waiting.pop_front().filter(|asked| !asked.answer.is_closed()));
        }
        taken
    }
}

pub(super) async fn apply(
    postgres: &Postgres,
    lines: &Lines,
    graph: &GraphId,
    batch: GraphBatch,
) -> Result<Applied> {
    check_batch(&batch)?;
    let bytes = weight(&batch);
    if bytes > BATCH_BYTES {
        let what = format!("a batch has about {bytes} bytes; the limit is {BATCH_BYTES}: split it");
        return Err(Error::invalid(OP, what));
    }
    let (batch, line) = (Arc::new(batch), lines.of(graph));
    loop {
        let mut answered = line.ask(&batch, bytes);
        loop {
            let turn = tokio::select! {
                biased;
                answer = &mut answered => match answer {
                    Ok(answer) => return answer,
                    Err(_) => break,
                },
                turn = line.turn.acquire() => turn,
            };
            let Ok(_turn) = turn else {
                return Err(Error::new(ErrorKind::Internal, OP, "a line was closed"));
            };
            lead(postgres, graph, &line).await;
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
async fn lead(postgres: &Postgres, graph: &GraphId, line: &Line) {
    let asked = line.take();
    let batches: Vec<&GraphBatch> = asked.iter().map(|asked| asked.batch.as_ref()).collect();
    if batches.is_empty() {
        return;
    }
    match apply::apply(postgres, graph, &batches).await {
        Ok(answers) => {
            for (asked, answer) in asked.into_iter().zip(answers) {
                // Who no longer waits needs no answer, here and below.
                drop(asked.answer.send(answer));
            }
        }
        Err(error) => {
            for asked in asked {
                drop(asked.answer.send(Err(error.shared())));
            }
        }
    }
}

/// About how many bytes a batch takes.
fn weight(batch: &GraphBatch) -> usize {
    let changes = batch.changes.iter().map(|change| match change {
        GraphChange::PutNode(draft) => 64 + size(&draft.data),
        GraphChange::PutEdge(draft) => 256 + size(&draft.data),
        _ => 64,
    });
    changes.chain(batch.effects.iter().map(|effect| 128 + size(&effect.payload))).sum()
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(key, item)| key.len() + 4 + size(item)).sum::<usize>() + 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}
