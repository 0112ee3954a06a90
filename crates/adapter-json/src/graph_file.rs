//! One graph: its state in memory, and the files behind it.

use std::fs;
use std::path::Path;

use hexmem_ports::rules::graph::{GraphState, Planned};
use hexmem_ports::{Applied, Error, GraphId, OpId, Result};
use serde::Deserialize;

use crate::disk::{Paths, failed, make_folder, sync_folder};
use crate::entry::{Entry, replay};
use crate::journal::{self, Header, Journal, Next};
use crate::snapshot::{self, Writer};

const KIND: &str = "graph journal";

/// A graph as far as it was read.
pub(crate) struct GraphFile {
    graph: GraphId,
    paths: Paths,
    journal: Journal,
    state: GraphState,
    /// The last entry that is in `state`.
    entry: u64,
    last_effects: Option<OpId>,
    snapshot_bytes: u64,
    /// Whether the state is to be read anew: it may hold less or more than the files.
    stale: bool,
    /// The snapshot that is being written, if any.
    fold: Option<Fold>,
    folds: u64,
}

/// A snapshot that is being written.
struct Fold {
    number: u64,
    writer: Writer,
    /// Where the journal's entries begin that it will not hold.
    from: u64,
    exists: bool,
}

impl GraphFile {
    pub(crate) fn new(paths: Paths, graph: GraphId) -> Self {
        Self {
            graph,
            journal: Journal::at(paths.journal.clone()),
            paths,
            state: GraphState::default(),
            entry: 0,
            last_effects: None,
            snapshot_bytes: 0,
            stale: true,
            fold: None,
            folds: 0,
        }
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(crate) fn state(&self) -> &GraphState {
        &self.state
    }

    pub(crate) fn last_effects(&self) -> Option<OpId> {
        self.last_effects
    }

    /// Takes in what others have written. Needs no lock.
    pub(crate) fn refresh(&mut self, operation: &'static str) -> Result<()> {
        let refreshed = self.try_refresh(operation);
        if refreshed.is_err() {
            self.stale = true;
        }
        refreshed
    }

    fn try_refresh(&mut self, operation: &'static str) -> Result<()> {
        // A snapshot may be replaced between the two readings: then the journal begins after it.
        for _ in 0..100 {
            if self.stale {
                self.load(operation)?;
            }
            let Some(news) = self.journal.read::<Entry>(operation)? else {
                // Nobody has written yet, or only a snapshot was put there.
                return Ok(());
            };
            self.check_name(operation)?;
            if news.replaced && news.base > self.entry {
                self.stale = true;
                continue;
            }
            let mut more = news.more;
            self.take_all(operation, news.entries)?;
            while more {
                let Some(news) = self.journal.read::<Entry>(operation)? else { break };
                more = news.more;
                self.take_all(operation, news.entries)?;
            }
            return Ok(());
        }
        Err(Error::corrupt(
            operation,
            "the journal begins after the snapshot's end; both were left untouched: restore a backup of the snapshot",
        )
        .with("file", self.paths.snapshot.display()))
    }

    fn load(&mut self, operation: &'static str) -> Result<()> {
        self.journal.forget();
        // Freed before the new one is read: there is room for one.
        self.state = GraphState::default();
        (self.entry, self.last_effects, self.snapshot_bytes) = (0, None, 0);
        self.fold = None;
        if let Some(loaded) = snapshot::read(operation, &self.paths.snapshot, &self.graph)? {
            self.state = loaded.state;
            self.snapshot_bytes = loaded.bytes;
            (self.entry, self.last_effects) = (loaded.entry, loaded.last_effects);
        }
        self.stale = false;
        Ok(())
    }

    fn take_all(&mut self, operation: &'static str, entries: Vec<(u64, Entry)>) -> Result<()> {
        for (number, entry) in entries {
            if number > self.entry {
                self.take(operation, number, entry)?;
            }
        }
        Ok(())
    }

    fn check_name(&self, operation: &'static str) -> Result<()> {
        let name = [self.graph.tenant.as_str(), self.graph.name.as_str()];
        match self.journal.header() {
            Some(header) if header.hexmem == KIND && header.name == name => Ok(()),
            _ => Err(Error::corrupt(
                operation,
                "the journal is of another graph; it was left untouched: give it its own name back",
            )
            .with("file", self.paths.journal.display())
            .with("graph", &self.graph)),
        }
    }

    fn take(&mut self, operation: &'static str, number: u64, entry: Entry) -> Result<()> {
        self.last_effects = entry.effects.or(self.last_effects);
        let fold = &mut self.fold;
        let replayed =
            replay(&mut self.state, entry.what, |state, element| match (element, fold.as_mut()) {
                (Some(element), Some(fold)) => fold
                    .writer
                    .keep(state, element)
                    .map_err(|e| crate::disk::internal(operation, e)),
                (None, _) => {
                    *fold = None;
                    Ok(())
                }
                (Some(_), None) => Ok(()),
            });
        replayed.map_err(|e| {
            Error::corrupt(
                operation,
                "an entry of the journal does not fit the graph; it was left untouched: restore a backup",
            )
            .with("file", self.paths.journal.display())
            .with("entry", number)
            .caused_by(e)
        })?;
        self.entry = number;
        Ok(())
    }

    /// As [`GraphFile::refresh`], for the holder of the lock: a torn end is cut off. Says what was.
    pub(crate) fn refresh_to_write(&mut self, operation: &'static str) -> Result<Option<String>> {
        self.refresh(operation)?;
        self.journal.cut(operation)
    }

    /// Writes entries behind the others, all or none. Until the state is what they say, and [`GraphFile::settled`] says so
    /// or [`GraphFile::perform`] makes it so, it is taken for stale.
    pub(crate) fn append(&mut self, operation: &'static str, entries: &[Entry]) -> Result<()> {
        if self.journal.header().is_none() {
            make_folder(&self.paths.folder).map_err(|e| {
                failed(operation, "the folder cannot be made", &self.paths.folder, e)
            })?;
            self.start_journal(operation)?;
        }
        self.stale = true;
        self.journal.append(operation, entries)?;
        self.entry = self.journal.number();
        let effects = entries.iter().rev().find_map(|entry| entry.effects);
        self.last_effects = effects.or(self.last_effects);
        Ok(())
    }

    /// Does to the state what an entry says that was appended and that is no batch: a snapshot that is being written
    /// is given up.
    pub(crate) fn perform<T>(&mut self, change: impl FnOnce(&mut GraphState) -> T) -> T {
        self.fold = None;
        let done = change(&mut self.state);
        self.stale = false;
        done
    }

    /// As [`GraphFile::perform`], before the entry says so. Unless the entry follows, the state is read anew.
    pub(crate) fn perform_first<T>(&mut self, change: impl FnOnce(&mut GraphState) -> T) -> T {
        self.stale = true;
        self.fold = None;
        change(&mut self.state)
    }

    /// Carries out a batch. Unless its entry is written as well and [`GraphFile::settled`] called, the state is read anew.
    pub(crate) fn commit(&mut self, operation: &'static str, planned: &Planned) -> Result<Applied> {
        self.stale = true;
        if let Some(fold) = &mut self.fold {
            for step in &planned.steps {
                let kept = fold.writer.keep(&self.state, &step.element());
                kept.map_err(|e| crate::disk::internal(operation, e))?;
            }
        }
        Ok(self.state.commit(planned))
    }

    /// The entries were written: the state is what they say.
    pub(crate) fn settled(&mut self) {
        self.stale = false;
    }

    /// How large the journal is beside the snapshot, in percent, where it has `least` bytes or more.
    pub(crate) fn journal_share(&self, least: u32) -> u64 {
        let base = self.snapshot_bytes.max(u64::from(least)).max(1);
        self.journal.len().saturating_mul(100) / base
    }

    /// Begins to write a snapshot of the state as it was read last. `None`: nothing was ever written.
    pub(crate) fn begin_fold(&mut self) -> Option<u64> {
        self.journal.header()?;
        let writer = Writer::new(self.graph.clone(), &self.state, self.entry, self.last_effects);
        self.folds += 1;
        let (number, from) = (self.folds, self.journal.len());
        let exists = self.state.head().is_some();
        self.fold = Some(Fold { number, writer, from, exists });
        Some(number)
    }

    /// The next part of the snapshot, and whether it is the last. `None`: it was given up.
    pub(crate) fn fold_part(
        &mut self,
        operation: &'static str,
        number: u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<bool>> {
        if self.stale {
            self.fold = None;
        }
        let Some(fold) = self.fold.as_mut().filter(|fold| fold.number == number) else {
            return Ok(None);
        };
        let more = fold.writer.step(&self.state, out);
        more.map(|more| Some(!more)).map_err(|e| crate::disk::internal(operation, e))
    }

    /// Begins the journal that follows the snapshot.
    pub(crate) fn next_journal(
        &mut self,
        operation: &'static str,
        number: u64,
    ) -> Result<Option<Next>> {
        let Some(fold) = self.fold.as_ref().filter(|fold| fold.number == number) else {
            return Ok(None);
        };
        let (entry, from) = (fold.writer.entry(), fold.from);
        let exists = Some(fold.exists);
        let mut header = self.header(entry);
        header.exists = exists;
        self.journal.next(operation, header, from).map(Some)
    }

    /// Puts a snapshot and the journal behind it in place. Only for the holder of the lock, who has read everything.
    /// `false`: it was given up.
    pub(crate) fn end_fold(
        &mut self,
        operation: &'static str,
        number: u64,
        written: &Path,
        bytes: u64,
        next: Next,
    ) -> Result<bool> {
        if self.fold.take_if(|fold| fold.number == number).is_none() {
            return Ok(false);
        }
        let path = &self.paths.snapshot;
        let lost = |e| failed(operation, "the snapshot cannot be put in place", path, e);
        if !self.journal.follows(&next) {
            return Ok(false);
        }
        fs::rename(written, path).map_err(lost)?;
        sync_folder(&self.paths.folder).map_err(lost)?;
        self.snapshot_bytes = bytes;
        self.journal.adopt(operation, next)
    }

    fn header(&self, base: u64) -> Header {
        Header::new(KIND, vec![self.graph.tenant.to_string(), self.graph.name.to_string()], base)
    }

    fn start_journal(&mut self, operation: &'static str) -> Result<()> {
        let header = self.header(self.entry);
        self.journal.start::<Entry>(operation, &header, &[])?;
        self.journal.read::<Entry>(operation)?;
        Ok(())
    }
}

/// The graph that a journal is of, and whether it exists, where the ends of the journal say so.
pub(crate) fn identify(
    operation: &'static str,
    path: &Path,
) -> Result<Option<(Vec<String>, Option<bool>)>> {
    #[derive(Deserialize)]
    struct Exists {
        exists: bool,
    }
    let Some((header, last)) = journal::ends(operation, path)? else { return Ok(None) };
    if header.hexmem != KIND {
        return Ok(None);
    }
    // A torn end hides whether an entry came before it: then the graph is read.
    let exists = match last {
        journal::Last::Entry(last) => {
            serde_json::from_slice(&last).ok().map(|Exists { exists }| exists)
        }
        journal::Last::Nothing => header.exists,
        journal::Last::Unclear => None,
    };
    Ok(Some((header.name, exists)))
}
