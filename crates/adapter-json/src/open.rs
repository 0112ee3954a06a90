//! A graph that this process uses, and when its snapshot is written.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use hexmem_ports::{GraphId, Result};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

use crate::JsonGraphs;
use crate::apply::Asked;
use crate::disk::Paths;
use crate::fold::{Folded, Others, fold};
use crate::graph_file::GraphFile;

/// From this share of the snapshot on, in percent, the journal is folded beside the calls of others.
const FOLD_AT: u64 = 100;

/// From this share on a writer waits for it: a process that makes one change and ends would never come to it.
const WAIT_AT: u64 = 200;

/// How often a snapshot that was given up is begun again.
const TRIES: u32 = 8;

/// A graph in use.
pub(crate) struct OpenGraph {
    pub(crate) file: Arc<Mutex<GraphFile>>,
    pub(crate) waiting: StdMutex<VecDeque<Asked>>,
    folding: StdMutex<Option<Task>>,
}

/// Work that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl OpenGraph {
    pub(crate) fn new(root: &Path, graph: &GraphId) -> Self {
        let file = GraphFile::new(Paths::of(root, graph), graph.clone());
        Self {
            file: Arc::new(Mutex::new(file)),
            waiting: StdMutex::default(),
            folding: StdMutex::default(),
        }
    }

    /// The graph for this caller alone.
    pub(crate) async fn lock(&self) -> OwnedMutexGuard<GraphFile> {
        Arc::clone(&self.file).lock_owned().await
    }

    /// Whether somebody holds the graph or writes its snapshot.
    pub(crate) fn in_use(&self) -> bool {
        Arc::strong_count(&self.file) > 1
    }
}

impl JsonGraphs {
    /// Sees to it that a journal that has grown long is folded. The change that made it so is done: what fails here
    /// is a warning, and tried again after a later change.
    pub(crate) async fn tend(&self, graph: &GraphId) {
        const OP: &str = "json.fold";
        let open = self.0.handle(graph);
        let share = open.lock().await.journal_share(self.0.config.journal_bytes);
        if share <= FOLD_AT {
            return;
        }
        let (warnings, patience) = (Arc::clone(&self.0.warnings), self.0.config.lock_timeout());
        let folded =
            fold(OP, Arc::clone(&open.file), Arc::clone(&warnings), patience, Others::Leave);
        if share > WAIT_AT {
            warnings.add(folded.await.err().map(|e| e.to_string()));
            return;
        }
        let mut folding = open.folding.lock().unwrap_or_else(PoisonError::into_inner);
        if folding.as_ref().is_none_or(|task| task.0.is_finished()) {
            *folding = Some(Task(tokio::spawn(async move {
                warnings.add(folded.await.err().map(|e| e.to_string()));
            })));
        }
    }

    /// Writes a snapshot at once: what was removed is to leave the files too. What fails is a warning.
    pub(crate) async fn fold_now(&self, operation: &'static str, graph: &GraphId) {
        let failed = self.try_fold_now(operation, graph).await.err();
        self.0.warn(failed.map(|e| e.to_string()));
    }

    async fn try_fold_now(&self, operation: &'static str, graph: &GraphId) -> Result<()> {
        for _ in 0..TRIES {
            let file = Arc::clone(&self.0.handle(graph).file);
            let (warnings, patience) = (Arc::clone(&self.0.warnings), self.0.config.lock_timeout());
            if fold(operation, file, warnings, patience, Others::Await).await? == Folded::Done {
                break;
            }
        }
        Ok(())
    }
}
