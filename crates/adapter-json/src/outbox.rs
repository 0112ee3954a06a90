//! The outbox of a folder: effects of all its graphs.
//!
//! The line of a batch in the graph's journal decides. A writer first notes the effects here (`prepare`), then
//! writes that line, then notes that it did. Both locks are held meanwhile, so at most one note is ever open: after a
//! crash, whoever comes next looks whether the graph's last operation with effects is the noted one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{
    Effect, Effectiveness, Error, GraphId, Limit, Name, OpId, Outbox, OutboxBatch, OutboxEntry,
    OutboxLease, Result, Timestamp, Ttl,
};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::JsonGraphs;
use crate::disk::{Paths, blocking};
use crate::graph_file::GraphFile;
use crate::journal::{Header, Journal};
use crate::lock::Lock;
use crate::store::Inner;

const KIND: &str = "outbox journal";

/// A journal below this size is never rewritten.
const LEAST: u64 = 64 * 1_024;

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Note {
    /// Everything before it, in short: the first line of a rewritten journal.
    State { last: i64, waiting: Vec<OutboxEntry>, held: Vec<Held> },
    /// Effects of an operation that may or may not have been committed.
    Prepare { op: OpId, graph: GraphId, entries: Vec<OutboxEntry> },
    /// It was.
    Commit { op: OpId },
    /// It was not.
    Abort { op: OpId },
    /// Entries were handed out.
    Lease(Held),
    /// Their work is done.
    Ack { lease: OutboxLease },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Held {
    lease: OutboxLease,
    until: Timestamp,
    sequences: Vec<i64>,
}

struct Prepared {
    op: OpId,
    graph: GraphId,
    entries: Vec<OutboxEntry>,
}

/// The outbox as far as it was read.
pub(crate) struct OutboxFile {
    journal: Journal,
    rewritten_bytes: u64,
    last: i64,
    waiting: BTreeMap<i64, OutboxEntry>,
    held: HashMap<OutboxLease, Held>,
    prepared: Option<Prepared>,
}

/// The outbox in the hands of one caller of one process.
pub(crate) struct HeldOutbox {
    file: OwnedMutexGuard<OutboxFile>,
    _lock: Lock,
}

impl OutboxFile {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            journal: Journal::at(root.join("outbox.journal")),
            rewritten_bytes: 0,
            last: 0,
            waiting: BTreeMap::new(),
            held: HashMap::new(),
            prepared: None,
        }
    }

    pub(crate) async fn hold(inner: &Arc<Inner>, operation: &'static str) -> Result<HeldOutbox> {
        let file = Arc::clone(&inner.outbox).lock_owned().await;
        let path = inner.root.join("outbox.lock");
        let lock = Lock::take(operation, &path, inner.config.lock_timeout()).await?;
        Ok(HeldOutbox { file, _lock: lock })
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::State { last, waiting, held } => {
                self.last = last;
                self.waiting = waiting.into_iter().map(|entry| (entry.sequence, entry)).collect();
                self.held = held.into_iter().map(|held| (held.lease, held)).collect();
                self.prepared = None;
            }
            Note::Prepare { op, graph, entries } => {
                self.last = entries.last().map_or(self.last, |entry| entry.sequence);
                self.prepared = Some(Prepared { op, graph, entries });
            }
            Note::Commit { op } => {
                if let Some(prepared) = self.prepared.take_if(|prepared| prepared.op == op) {
                    let entries = prepared.entries.into_iter();
                    self.waiting.extend(entries.map(|entry| (entry.sequence, entry)));
                }
            }
            Note::Abort { op } => {
                self.prepared.take_if(|prepared| prepared.op == op);
            }
            Note::Lease(held) => {
                self.held.insert(held.lease, held);
            }
            Note::Ack { lease } => {
                if let Some(held) = self.held.remove(&lease) {
                    for sequence in held.sequences {
                        self.waiting.remove(&sequence);
                    }
                }
            }
        }
    }
}

impl HeldOutbox {
    /// Takes in what others have written and settles what a crash left open.
    fn refresh(&mut self, inner: &Inner, operation: &'static str) -> Result<()> {
        let file = &mut *self.file;
        match file.journal.read::<Note>(operation)? {
            None => {
                let header = Header::new(KIND, Vec::new(), 0);
                file.journal.start::<Note>(operation, &header, &[])?;
                file.journal.read::<Note>(operation)?;
            }
            Some(news) => {
                if file.journal.header().is_none_or(|header| header.hexmem != KIND) {
                    let path = file.journal.path().display().to_string();
                    file.journal.forget();
                    return Err(Error::corrupt(
                        operation,
                        "the file is no outbox of hexmem; it was left untouched: restore a backup",
                    )
                    .with("file", path));
                }
                if news.replaced {
                    (file.last, file.prepared) = (0, None);
                    file.waiting.clear();
                    file.held.clear();
                }
                let mut news = Some(news);
                while let Some(part) = news {
                    part.entries.into_iter().for_each(|(_, note)| file.take(note));
                    news = if part.more { file.journal.read::<Note>(operation)? } else { None };
                }
            }
        }
        inner.warn(file.journal.cut(operation)?);
        if let Some(Prepared { op, graph, .. }) = &file.prepared {
            let (op, graph) = (*op, graph.clone());
            let mut of = GraphFile::new(Paths::of(&inner.root, &graph), graph);
            of.refresh(operation)?;
            let committed = of.last_effects() == Some(op);
            self.note(operation, if committed { Note::Commit { op } } else { Note::Abort { op } })?;
        }
        Ok(())
    }

    /// Notes something that follows from other files, or that may be done twice.
    fn note(&mut self, operation: &'static str, note: Note) -> Result<()> {
        self.file.journal.append_lightly(operation, &note)?;
        self.file.take(note);
        Ok(())
    }

    /// Notes the effects of an operation that is about to be written, durably.
    pub(crate) fn prepare(
        &mut self,
        inner: &Inner,
        operation: &'static str,
        op: OpId,
        graph: &GraphId,
        committed_at: Timestamp,
        effects: Vec<Effect>,
    ) -> Result<()> {
        self.refresh(inner, operation)?;
        let last = self.file.last;
        let numbered = effects.into_iter().zip(last.saturating_add(1)..);
        let entries = numbered
            .map(|(effect, sequence)| OutboxEntry { sequence, committed_at, effect })
            .collect();
        let note = Note::Prepare { op, graph: graph.clone(), entries };
        self.file.journal.append(operation, std::slice::from_ref(&note))?;
        self.file.take(note);
        Ok(())
    }

    /// Notes what became of it. Where that fails, or is unknown, the next one who comes finds out.
    pub(crate) fn settle(&mut self, operation: &'static str, op: OpId, written: &Result<()>) {
        let note = match written {
            Ok(()) => Note::Commit { op },
            Err(error) if error.effectiveness() == Effectiveness::NotApplied => Note::Abort { op },
            Err(_) => return,
        };
        let _ = self.note(operation, note);
    }

    /// Rewrites a journal of which most is done.
    fn tidy(&mut self, operation: &'static str) -> Result<()> {
        let file = &mut *self.file;
        if file.journal.len() < LEAST.max(file.rewritten_bytes.saturating_mul(4)) {
            return Ok(());
        }
        let state = Note::State {
            last: file.last,
            waiting: file.waiting.values().cloned().collect(),
            held: file.held.values().cloned().collect(),
        };
        let header = Header::new(KIND, Vec::new(), file.journal.number());
        file.journal.start(operation, &header, &[state])?;
        file.journal.read::<Note>(operation)?;
        file.rewritten_bytes = file.journal.len();
        Ok(())
    }
}

/// The outbox of a folder of graphs.
#[derive(Debug, Clone)]
pub struct JsonOutbox(JsonGraphs);

impl JsonGraphs {
    /// The outbox that effects of all graphs of this folder go to.
    pub fn outbox(&self) -> JsonOutbox {
        JsonOutbox(self.clone())
    }
}

impl JsonOutbox {
    async fn with<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut HeldOutbox, Timestamp) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0.0);
        let mut held = OutboxFile::hold(&inner, operation).await?;
        blocking(operation, move || {
            held.refresh(&inner, operation)?;
            let done = work(&mut held, inner.clock.now())?;
            // What was asked for is done; a journal that stays long is tidied by a later call.
            inner.warn(held.tidy(operation).err().map(|e| e.to_string()));
            Ok(done)
        })
        .await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Outbox for JsonOutbox {
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>> {
        self.with("outbox.lease", move |outbox, now| {
            let file = &mut *outbox.file;
            file.held.retain(|_, held| held.until > now);
            let sequences = file.held.values().flat_map(|held| &held.sequences);
            let busy: HashSet<Name> = sequences
                .filter_map(|sequence| Some(file.waiting.get(sequence)?.effect.key.clone()))
                .collect();
            let free = file.waiting.values().filter(|entry| !busy.contains(&entry.effect.key));
            let entries: Vec<_> = free.take(limit.as_usize()).cloned().collect();
            if entries.is_empty() {
                return Ok(None);
            }
            let lease = OutboxLease(Uuid::new_v4());
            let sequences = entries.iter().map(|entry| entry.sequence).collect();
            let until = now.plus(visibility.get());
            outbox.note("outbox.lease", Note::Lease(Held { lease, until, sequences }))?;
            Ok(Some(OutboxBatch { lease, entries }))
        })
        .await
    }

    async fn ack(&self, lease: OutboxLease) -> Result<()> {
        self.with("outbox.ack", move |outbox, now| {
            if outbox.file.held.get(&lease).is_none_or(|held| held.until <= now) {
                return Err(Error::stale_lease(
                    "outbox.ack",
                    "the lease ran out or was replaced; the entries are handed out again",
                ));
            }
            outbox.note("outbox.ack", Note::Ack { lease })
        })
        .await
    }

    async fn depth(&self) -> Result<u64> {
        self.with("outbox.depth", |outbox, _| Ok(outbox.file.waiting.len() as u64)).await
    }
}
