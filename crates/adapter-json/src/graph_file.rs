//! One graph: its state in memory, and the files behind it.

use std::io;

use hexmem_ports::rules::graph::GraphState;
use hexmem_ports::{Error, GraphId, OpId, Result};

use crate::disk::{Paths, failed, make_folder, replace};
use crate::entry::{Entry, replay};
use crate::journal::{Header, Journal};
use crate::snapshot;

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
            for (number, entry) in news.entries {
                if number > self.entry {
                    self.take(operation, number, entry)?;
                }
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
        self.state = GraphState::default();
        (self.entry, self.last_effects, self.snapshot_bytes) = (0, None, 0);
        let path = &self.paths.snapshot;
        match std::fs::read(path) {
            Ok(bytes) => {
                let loaded = snapshot::read(operation, path, &self.graph, &bytes)?;
                self.snapshot_bytes = bytes.len() as u64;
                self.state = loaded.state;
                (self.entry, self.last_effects) = (loaded.entry, loaded.last_effects);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(operation, "the snapshot cannot be read", path, e)),
        }
        self.stale = false;
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
        replay(&mut self.state, entry.what).map_err(|e| {
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

    /// Writes an entry behind the others. [`GraphFile::perform`] comes next; until then the state is taken for stale.
    pub(crate) fn append(&mut self, operation: &'static str, entry: &Entry) -> Result<()> {
        if self.journal.header().is_none() {
            make_folder(&self.paths.folder).map_err(|e| {
                failed(operation, "the folder cannot be made", &self.paths.folder, e)
            })?;
            self.restart(operation)?;
        }
        self.stale = true;
        self.journal.append(operation, entry)?;
        self.entry = self.journal.number();
        self.last_effects = entry.effects.or(self.last_effects);
        Ok(())
    }

    /// Does to the state what the entry says that was appended.
    pub(crate) fn perform<T>(&mut self, change: impl FnOnce(&mut GraphState) -> T) -> T {
        let done = change(&mut self.state);
        self.stale = false;
        done
    }

    /// Changes the state before an entry says so. Unless the entry follows, the state is read anew.
    pub(crate) fn perform_first<T>(&mut self, change: impl FnOnce(&mut GraphState) -> T) -> T {
        self.stale = true;
        change(&mut self.state)
    }

    /// Whether the journal has grown as large as the snapshot.
    pub(crate) fn wants_snapshot(&self, least: u32) -> bool {
        self.journal.len() > self.snapshot_bytes.max(u64::from(least))
    }

    /// Writes a new snapshot and begins a new journal. Only for the holder of the lock, with nothing left to read.
    pub(crate) fn fold(&mut self, operation: &'static str) -> Result<()> {
        let path = &self.paths.snapshot;
        let written = replace(path, |out| {
            snapshot::write(out, &self.graph, &self.state, self.entry, self.last_effects)
        });
        self.snapshot_bytes =
            written.map_err(|e| failed(operation, "the snapshot cannot be written", path, e))?;
        self.restart(operation)
    }

    fn restart(&mut self, operation: &'static str) -> Result<()> {
        let name = vec![self.graph.tenant.to_string(), self.graph.name.to_string()];
        let header = Header::new(KIND, name, self.entry);
        self.journal.start::<Entry>(operation, &header, &[])?;
        self.journal.read::<Entry>(operation)?;
        Ok(())
    }
}

/// The graph that a journal is of, and whether it exists: from the journal alone where that says so.
pub(crate) fn identify(
    operation: &'static str,
    path: &std::path::Path,
) -> Result<Option<(Vec<String>, Option<bool>)>> {
    let mut journal = Journal::at(path.to_owned());
    let Some(news) = journal.read::<Entry>(operation)? else { return Ok(None) };
    let exists = news.entries.last().map(|(_, entry)| entry.exists);
    let Some(header) = journal.header().filter(|header| header.hexmem == KIND) else {
        return Ok(None);
    };
    Ok(Some((header.name.clone(), exists)))
}
