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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use hexmem_adapter_memory::SystemClock;
    use hexmem_ports::{
        AsOf, Expect, GraphBatch, GraphChange, GraphId, GraphStore as _, Limit, Name, NodeDraft,
        NodeFilter, Revision, Tenant,
    };
    use serde_json::json;

    use super::*;
    use crate::{JsonConfig, JsonGraphs};

    fn graph() -> GraphId {
        GraphId::new(Tenant(Name::new("t").unwrap()), Name::new("g").unwrap())
    }

    async fn open(folder: &Path) -> JsonGraphs {
        // Nothing is folded but by hand.
        let config = JsonConfig { journal_bytes: 1 << 30, ..JsonConfig::new(folder) };
        JsonGraphs::open_with(config, Arc::new(SystemClock)).await.unwrap()
    }

    async fn put(store: &JsonGraphs, ids: &mut BTreeSet<String>, new: std::ops::Range<u32>) {
        let changes = new.map(|n| {
            let id = format!("n{n:05}");
            ids.insert(id.clone());
            let (id, kind) = (Name::new(id).unwrap(), Name::new("t").unwrap());
            let expect = Expect::Any;
            GraphChange::PutNode(NodeDraft { id, kind, data: json!({}), created_at: None, expect })
        });
        store.apply(&graph(), GraphBatch::new(changes.collect())).await.unwrap();
    }

    async fn ids(store: &JsonGraphs) -> BTreeSet<String> {
        let (filter, limit) = (NodeFilter::default(), Limit::new(10_000).unwrap());
        let page = store.find_nodes(&graph(), &filter, AsOf::ALL, None, limit).await.unwrap();
        page.items.into_iter().map(|node| node.id.to_string()).collect()
    }

    /// As after the machine stopped here: whoever opens a copy of the files finds everything and writes on, and the
    /// snapshot that was under way is in nobody's way.
    async fn as_if_killed(folder: &Path, expected: &BTreeSet<String>) {
        let copy = tempfile::tempdir().unwrap();
        let inner = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for tenant in inner.filter(|path| path.is_dir()) {
            let to = copy.path().join(tenant.file_name().unwrap());
            std::fs::create_dir(&to).unwrap();
            for file in std::fs::read_dir(&tenant).unwrap().map(|entry| entry.unwrap().path()) {
                std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
            }
        }
        let store = open(copy.path()).await;
        assert_eq!(ids(&store).await, *expected);
        let log = store.changes(&graph(), Revision(0), Limit::new(10_000).unwrap()).await.unwrap();
        assert_eq!(log.changes.len(), expected.len());
        let mut more = expected.clone();
        put(&store, &mut more, 9_000..9_001).await;
        store.compact(&graph(), hexmem_ports::Compact::default()).await.unwrap();
        assert_eq!(store.warnings(), [] as [String; 0]);
        assert_eq!(ids(&open(copy.path()).await).await, more);
    }

    #[tokio::test]
    async fn others_read_and_write_at_every_step_and_a_kill_at_any_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = (open(folder.path()).await, open(folder.path()).await);
        let mut there = BTreeSet::new();
        put(&store, &mut there, 0..3_500).await;
        let file = Arc::clone(&store.0.handle(&graph()).file);
        let paths = file.lock().await.paths().clone();
        let folding = Folding { operation: "json.fold", graph: file, paths };

        let begun = folding.with(|file, operation| {
            file.refresh(operation)?;
            Ok(file.begin_fold())
        });
        let number = begun.await.unwrap().unwrap();
        let mut bytes = Vec::new();
        // Held at each step: this process and another one write and read.
        for n in 4_000.. {
            put(&store, &mut there, n..n + 1).await;
            put(&other, &mut there, n + 1_000..n + 1_001).await;
            assert_eq!(ids(&store).await, there);
            assert_eq!(ids(&other).await, there);
            std::fs::write(beside(&folding.paths.snapshot), &bytes).unwrap();
            as_if_killed(folder.path(), &there).await;
            let part = folding.with(move |file, operation| {
                let mut part = Vec::new();
                Ok((file.fold_part(operation, number, &mut part)?, part))
            });
            let (last, part) = part.await.unwrap();
            bytes.extend(part);
            if last.unwrap() {
                break;
            }
        }
        let written = beside(&folding.paths.snapshot);
        std::fs::write(&written, &bytes).unwrap();
        as_if_killed(folder.path(), &there).await;
        let next = folding.with(move |file, operation| {
            file.refresh(operation)?;
            file.next_journal(operation, number)
        });
        let next = next.await.unwrap().unwrap();
        put(&other, &mut there, 6_000..6_001).await;
        as_if_killed(folder.path(), &there).await;

        // Killed between the two renames: the new snapshot beside the old journal.
        let old = std::fs::read(&folding.paths.journal).unwrap();
        std::fs::rename(&written, &folding.paths.snapshot).unwrap();
        as_if_killed(folder.path(), &there).await;
        std::fs::rename(&folding.paths.snapshot, &written).unwrap();

        let len = bytes.len() as u64;
        let ended = folding.with(move |file, operation| {
            file.refresh_to_write(operation)?;
            file.end_fold(operation, number, &written, len, next)
        });
        assert!(ended.await.unwrap());
        as_if_killed(folder.path(), &there).await;
        let new = std::fs::read(&folding.paths.journal).unwrap();
        assert!(new.len() < old.len(), "what the snapshot holds has left the journal");
        put(&store, &mut there, 7_000..7_001).await;
        put(&other, &mut there, 7_001..7_002).await;
        assert_eq!(ids(&store).await, there);
        assert_eq!(ids(&other).await, there);
    }

    #[tokio::test]
    async fn a_removal_gives_up_the_snapshot_that_still_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        put(&store, &mut BTreeSet::new(), 0..10).await;
        let file = Arc::clone(&store.0.handle(&graph()).file);
        let paths = file.lock().await.paths().clone();
        let folding = Folding { operation: "json.fold", graph: file, paths };
        let begun = folding.with(|file, operation| {
            file.refresh(operation)?;
            Ok(file.begin_fold())
        });
        let number = begun.await.unwrap().unwrap();
        assert!(store.delete(&graph(), Vec::new()).await.unwrap());
        let part =
            folding.with(move |file, operation| file.fold_part(operation, number, &mut Vec::new()));
        assert_eq!(part.await.unwrap(), None);
        let snapshot = std::fs::read_to_string(&folding.paths.snapshot).unwrap();
        assert!(!snapshot.contains("n00001"), "what was deleted has left the files");
    }
}
