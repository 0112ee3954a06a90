//! Writing a new snapshot, so that the journal may begin anew.
//!
//! The snapshot is that of the moment when the writing began. It is written beside the old one a step at a time, and
//! the graph is read and changed between the steps. Then the journal behind it is written beside the old one. Only
//! to put both in place the lock is taken. Whoever dies before leaves files that the next one overwrites; whoever dies
//! between the two leaves a journal that begins before the snapshot's end, and readers pass over what is in both.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::Result;
use tokio::sync::Mutex;

use crate::disk::{Paths, beside, blocking, failed};
use crate::graph_file::GraphFile;
use crate::lock::Lock;
use crate::store::Warnings;

/// The snapshot is made durable in pieces of this size: so a writer's own bytes do not wait behind all of it.
const PIECE: u64 = 4 << 20;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folded {
    /// The snapshot is in place.
    Done,
    /// Somebody else is writing one.
    Busy,
    /// The graph was changed in a way that it cannot be told apart from, or read anew.
    GivenUp,
}

/// Whether to wait for another process that is writing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    Await,
    Leave,
}

/// Writes a snapshot of a graph.
pub(crate) async fn fold(
    operation: &'static str,
    graph: Arc<Mutex<GraphFile>>,
    warnings: Arc<Warnings>,
    patience: Duration,
    others: Others,
) -> Result<Folded> {
    let paths = graph.lock().await.paths().clone();
    let claim = match others {
        Others::Await => Some(Lock::take(operation, &paths.fold, patience).await?),
        Others::Leave => Lock::take_free(operation, &paths.fold)?,
    };
    let Some(_claim) = claim else { return Ok(Folded::Busy) };
    let folding = Folding { operation, graph, paths };
    let folded = folding.run(&warnings, patience).await;
    if folded.as_ref().is_ok_and(|folded| *folded == Folded::Done) {
        return folded;
    }
    for left in [&folding.paths.snapshot, &folding.paths.journal] {
        // What is left of them is in nobody's way.
        let _ = std::fs::remove_file(beside(left));
    }
    folded
}

struct Folding {
    operation: &'static str,
    graph: Arc<Mutex<GraphFile>>,
    paths: Paths,
}

impl Folding {
    async fn run(&self, warnings: &Arc<Warnings>, patience: Duration) -> Result<Folded> {
        let begun = self.with(|file, operation| {
            file.refresh(operation)?;
            Ok(file.begin_fold())
        });
        let Some(number) = begun.await? else { return Ok(Folded::GivenUp) };
        let Some(bytes) = self.write(number).await? else { return Ok(Folded::GivenUp) };
        let next = self.with(move |file, operation| {
            file.refresh(operation)?;
            file.next_journal(operation, number)
        });
        let Some(next) = next.await? else { return Ok(Folded::GivenUp) };
        let mut file = Arc::clone(&self.graph).lock_owned().await;
        let lock = Lock::take(self.operation, &self.paths.lock, patience).await?;
        let (operation, warnings) = (self.operation, Arc::clone(warnings));
        let written = beside(&self.paths.snapshot);
        let done = blocking(operation, move || {
            let _lock = lock;
            warnings.add(file.refresh_to_write(operation)?);
            file.end_fold(operation, number, &written, bytes, next)
        });
        Ok(if done.await? { Folded::Done } else { Folded::GivenUp })
    }

    /// Work on the graph, which nobody else has meanwhile.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut GraphFile, &'static str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (mut file, operation) = (Arc::clone(&self.graph).lock_owned().await, self.operation);
        blocking(operation, move || work(&mut file, operation)).await
    }

    /// Writes the snapshot beside the old one; how many bytes, `None` where it was given up.
    async fn write(&self, number: u64) -> Result<Option<u64>> {
        let path = beside(&self.paths.snapshot);
        let lost = |e| failed(self.operation, "the snapshot cannot be written", &path, e);
        let file = Arc::new(File::create(&path).map_err(lost)?);
        let (mut bytes, mut unsynced) = (0, 0);
        loop {
            let (mut graph, operation) =
                (Arc::clone(&self.graph).lock_owned().await, self.operation);
            let (out, place) = (Arc::clone(&file), path.clone());
            let wrote = blocking(operation, move || {
                let mut part = Vec::new();
                let last = graph.fold_part(operation, number, &mut part)?;
                drop(graph);
                let lost = |e| failed(operation, "the snapshot cannot be written", &place, e);
                (&*out).write_all(&part).map_err(lost)?;
                let len = part.len() as u64;
                if last == Some(true) {
                    out.sync_all().map_err(lost)?;
                } else if unsynced + len >= PIECE {
                    out.sync_data().map_err(lost)?;
                }
                Ok((len, last))
            });
            let (len, last) = wrote.await?;
            bytes += len;
            unsynced = if unsynced + len >= PIECE { 0 } else { unsynced + len };
            match last {
                Some(false) => {}
                Some(true) => return Ok(Some(bytes)),
                None => return Ok(None),
            }
        }
    }
}
