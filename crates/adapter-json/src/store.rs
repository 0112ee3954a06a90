//! The store: graphs by name, and what each call does on their files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use async_trait::async_trait;
use hexmem_ports::rules::graph::{GraphState, Planned, list_cursor, list_cursor_of};
use hexmem_ports::{
    Applied, AsOf, Capabilities, Capability, ChangeLog, Clock, Compact, Cursor, Edge, EdgeFilter,
    EdgeId, Effect, Element, ElementRef, Error, GraphBatch, GraphHead, GraphId, GraphStats,
    GraphStore, Limit, Name, NeighbourQuery, Neighbourhood, Node, NodeFilter, OpId, Page, Prefix,
    Result, Revision, Tenant, Timestamp, check_effects,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::JsonConfig;
use crate::disk::{blocking, failed, make_folder, tenant_folder};
use crate::entry::{Entry, What};
use crate::graph_file::{GraphFile, identify};
use crate::lock::Lock;
use crate::open::OpenGraph;
use crate::outbox::OutboxFile;

/// The graphs of a folder. Clones share what is in memory; other processes may use the folder at the same time.
#[derive(Clone)]
pub struct JsonGraphs(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: JsonConfig,
    pub(crate) root: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    open: StdMutex<HashMap<GraphId, Arc<OpenGraph>>>,
    pub(crate) outbox: Arc<Mutex<OutboxFile>>,
    pub(crate) warnings: Arc<Warnings>,
}

/// What was set right, or could not be, until someone asks.
#[derive(Debug, Default)]
pub(crate) struct Warnings(StdMutex<Vec<String>>);

impl Warnings {
    pub(crate) fn add(&self, warning: Option<String>) {
        if let Some(warning) = warning {
            let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if warnings.len() < WARNINGS {
                warnings.push(warning);
            }
        }
    }
}

impl std::fmt::Debug for JsonGraphs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonGraphs").field("folder", &self.0.root).finish_non_exhaustive()
    }
}

/// How many warnings are kept until someone asks for them.
const WARNINGS: usize = 100;

/// What a change comes to.
enum Decision<T> {
    /// Nothing is written.
    Answer(T),
    Write(Box<Write<T>>),
}

struct Write<T> {
    op: OpId,
    at: Timestamp,
    exists: bool,
    what: What,
    perform: Perform<T>,
}

/// What a written entry does to the state.
enum Perform<T> {
    Batch(Planned, fn(Applied) -> T),
    Other(Box<dyn FnOnce(&mut GraphState) -> T + Send>),
}

impl JsonGraphs {
    /// Opens the folder with the default settings, creating it when missing. Graphs are read when first asked for.
    pub async fn open(folder: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with(JsonConfig::new(folder), clock).await
    }

    /// Opens the folder of `config`.
    pub async fn open_with(config: JsonConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        config.check()?;
        let root = std::path::absolute(&config.folder)
            .map_err(|e| Error::invalid("json.open", "the folder cannot be used").caused_by(e))?;
        let made = root.clone();
        blocking("json.open", move || {
            make_folder(&made)
                .map_err(|e| failed("json.open", "the folder cannot be made", &made, e))
        })
        .await?;
        Ok(Self(Arc::new(Inner {
            outbox: Arc::new(Mutex::new(OutboxFile::new(&root))),
            config,
            root,
            clock,
            open: StdMutex::default(),
            warnings: Arc::default(),
        })))
    }

    /// What was set right since the last call: torn ends of journals that were cut off, snapshots that could not be
    /// written.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.warnings.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A change with effects, or one that is no batch. Whether anything was written comes with the answer.
    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        graph: &GraphId,
        effects: Vec<Effect>,
        decide: impl FnOnce(&GraphState, Timestamp) -> Result<Decision<T>> + Send + 'static,
    ) -> Result<(T, bool)> {
        let patience = self.0.config.lock_timeout();
        let mut file = self.0.handle(graph).lock().await;
        let lock = Lock::take(operation, &file.paths().lock, patience).await?;
        // Always after the graph's own lock: so no two writers wait for each other.
        let mut outbox = match effects.is_empty() {
            true => None,
            false => Some(OutboxFile::hold(&self.0, operation).await?),
        };
        let (inner, graph) = (Arc::clone(&self.0), graph.clone());
        blocking(operation, move || {
            let _lock = lock;
            inner.warn(file.refresh_to_write(operation)?);
            let write = match decide(file.state(), inner.clock.now())? {
                Decision::Answer(answer) => return Ok((answer, false)),
                Decision::Write(write) => write,
            };
            if let Some(outbox) = &mut outbox {
                outbox.prepare(&inner, operation, write.op, &graph, write.at, effects)?;
            }
            let entry = Entry {
                exists: write.exists,
                effects: outbox.is_some().then_some(write.op),
                what: write.what,
            };
            let appended = file.append(operation, &[entry]);
            if let Some(outbox) = &mut outbox {
                outbox.settle(operation, write.op, &appended);
            }
            appended?;
            let answer = match write.perform {
                Perform::Batch(planned, answer) => {
                    let applied = file.commit(operation, &planned)?;
                    file.settled();
                    answer(applied)
                }
                Perform::Other(change) => file.perform(change),
            };
            Ok((answer, true))
        })
        .await
    }

    /// Looks at a graph as it is now, in any process.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        graph: &GraphId,
        look: impl FnOnce(&GraphState, Timestamp) -> T + Send + 'static,
    ) -> Result<T> {
        let mut file = self.0.handle(graph).lock().await;
        let now = self.0.clock.now();
        blocking(operation, move || {
            file.refresh(operation)?;
            Ok(look(file.state(), now))
        })
        .await
    }

    /// The graph for a change that is not decided on its state alone.
    pub(crate) async fn hold(
        &self,
        operation: &'static str,
        graph: &GraphId,
    ) -> Result<(OwnedMutexGuard<GraphFile>, Lock)> {
        let file = self.0.handle(graph).lock().await;
        let lock = Lock::take(operation, &file.paths().lock, self.0.config.lock_timeout()).await?;
        Ok((file, lock))
    }

    /// The graphs in the folder, of one tenant or of all, that exist (or ever did).
    pub(crate) async fn graphs(
        &self,
        operation: &'static str,
        tenant: Option<&Tenant>,
    ) -> Result<Vec<(GraphId, Option<bool>)>> {
        let (root, tenant) = (self.0.root.clone(), tenant.cloned());
        blocking(operation, move || {
            let folders = match &tenant {
                Some(tenant) => vec![tenant_folder(&root, tenant.as_str())],
                None => entries(operation, &root)?,
            };
            let mut found = Vec::new();
            for folder in folders {
                for path in entries(operation, &folder)? {
                    if path.extension().is_none_or(|end| end != "journal") {
                        continue;
                    }
                    let Some((name, exists)) = identify(operation, &path)? else { continue };
                    let [of, name] = name.as_slice() else { continue };
                    let graph =
                        GraphId::new(Tenant(Name::new(of.as_str())?), Name::new(name.as_str())?);
                    if tenant.as_ref().is_none_or(|tenant| *tenant == graph.tenant) {
                        found.push((graph, exists));
                    }
                }
            }
            found.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(found)
        })
        .await
    }
}

/// What lies in a folder; nothing where there is none.
fn entries(operation: &'static str, folder: &Path) -> Result<Vec<PathBuf>> {
    let lost = |e| failed(operation, "the folder cannot be read", folder, e);
    match fs::read_dir(folder) {
        Ok(found) => found.map(|entry| entry.map(|entry| entry.path()).map_err(lost)).collect(),
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(e) => Err(lost(e)),
    }
}

impl Inner {
    pub(crate) fn handle(&self, graph: &GraphId) -> Arc<OpenGraph> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = open.get(graph) {
            return Arc::clone(handle);
        }
        if open.len() >= usize::try_from(self.config.open_graphs).unwrap_or(usize::MAX) {
            // Those that nobody uses now; they are read again when asked for.
            open.retain(|_, handle| Arc::strong_count(handle) > 1 || handle.in_use());
        }
        let handle = Arc::new(OpenGraph::new(&self.root, graph));
        open.insert(graph.clone(), Arc::clone(&handle));
        handle
    }

    pub(crate) fn warn(&self, warning: Option<String>) {
        self.warnings.add(warning);
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl GraphStore for JsonGraphs {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Effects,
            Capability::Records,
            Capability::ExactCounts,
            Capability::NeighbourhoodInStore,
            Capability::History,
            Capability::Durable,
            Capability::MultiProcess,
        ])
    }

    async fn apply(&self, graph: &GraphId, batch: GraphBatch) -> Result<Applied> {
        if batch.effects.is_empty() {
            return self.apply_together(graph, batch).await;
        }
        let effects = batch.effects.clone();
        let decided = self.write("graph.apply", graph, effects, move |state, now| {
            if let Some(first) = state.replay(batch.id) {
                return Ok(Decision::Answer(first));
            }
            let planned = state.plan(&batch, now)?;
            let Applied { revision, recorded_at: at } = planned.answer;
            let what = What::Batch { id: batch.id, at, revision, changes: batch.changes };
            let (op, exists) = (batch.id, planned.life.exists());
            let perform = Perform::Batch(planned, |applied| applied);
            Ok(Decision::Write(Box::new(Write { op, at, exists, what, perform })))
        });
        let (applied, _) = decided.await?;
        self.tend(graph).await;
        Ok(applied)
    }

    async fn changes(&self, graph: &GraphId, after: Revision, limit: Limit) -> Result<ChangeLog> {
        self.read("graph.changes", graph, move |state, _| state.changes(after, limit)).await?
    }

    async fn head(&self, graph: &GraphId) -> Result<Option<GraphHead>> {
        self.read("graph.head", graph, |state, _| state.head()).await
    }

    async fn nodes(&self, graph: &GraphId, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>> {
        let ids = ids.to_vec();
        self.read("graph.nodes", graph, move |state, _| {
            ids.iter().map(|id| state.node(id, as_of)).collect()
        })
        .await
    }

    async fn edges(
        &self,
        graph: &GraphId,
        ids: &[EdgeId],
        as_of: AsOf,
    ) -> Result<Vec<Option<Edge>>> {
        let ids = ids.to_vec();
        self.read("graph.edges", graph, move |state, now| {
            ids.iter().map(|id| state.edge(*id, as_of, now)).collect()
        })
        .await
    }

    async fn find_nodes(
        &self,
        graph: &GraphId,
        filter: &NodeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Node>> {
        let filter = filter.clone();
        self.read("graph.find_nodes", graph, move |state, _| {
            state.find_nodes(&filter, as_of, cursor.as_ref(), limit)
        })
        .await?
    }

    async fn find_edges(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        as_of: AsOf,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        let filter = filter.clone();
        self.read("graph.find_edges", graph, move |state, now| {
            state.find_edges(&filter, as_of, now, cursor.as_ref(), limit)
        })
        .await?
    }

    async fn find_versions(
        &self,
        graph: &GraphId,
        filter: &EdgeFilter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Edge>> {
        let filter = filter.clone();
        self.read("graph.find_versions", graph, move |state, _| {
            state.find_versions(&filter, cursor.as_ref(), limit)
        })
        .await?
    }

    async fn neighbourhood(
        &self,
        graph: &GraphId,
        query: &NeighbourQuery,
    ) -> Result<Neighbourhood> {
        let query = query.clone();
        self.read("graph.neighbourhood", graph, move |state, now| state.neighbourhood(&query, now))
            .await?
    }

    async fn history(
        &self,
        graph: &GraphId,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Element>> {
        let element = element.clone();
        self.read("graph.history", graph, move |state, _| {
            state.history(&element, cursor.as_ref(), limit)
        })
        .await?
    }

    async fn stats(&self, graph: &GraphId, as_of: AsOf) -> Result<GraphStats> {
        self.read("graph.stats", graph, move |state, now| state.stats(as_of, now)).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        const OP: &str = "graph.list";
        let after = cursor.as_ref().map(list_cursor).transpose()?;
        let mut page = Page::default();
        for (graph, exists) in self.graphs(OP, Some(tenant)).await? {
            if !prefix.matches(graph.name.as_str())
                || after.as_ref().is_some_and(|after| graph.name <= *after)
            {
                continue;
            }
            let exists = match exists {
                Some(exists) => exists,
                None => self.read(OP, &graph, |state, _| state.head().is_some()).await?,
            };
            if !exists {
                continue;
            }
            if page.items.len() == limit.as_usize() {
                page.next = page.items.last().map(list_cursor_of);
                break;
            }
            page.items.push(graph.name);
        }
        Ok(page)
    }

    async fn delete(&self, graph: &GraphId, effects: Vec<Effect>) -> Result<bool> {
        check_effects("graph.delete", &effects)?;
        let decided = self.write("graph.delete", graph, effects, |state, now| {
            if state.head().is_none() {
                return Ok(Decision::Answer(false));
            }
            let at = state.life().instant(now);
            Ok(Decision::Write(Box::new(Write {
                op: OpId::random(),
                at,
                exists: false,
                what: What::Delete { at },
                perform: Perform::Other(Box::new(move |state| state.delete(at))),
            })))
        });
        let (deleted, written) = decided.await?;
        if written {
            self.fold_now("graph.delete", graph).await;
        }
        Ok(deleted)
    }

    async fn compact(&self, graph: &GraphId, compact: Compact) -> Result<()> {
        let decided = self.write("graph.compact", graph, Vec::new(), move |state, now| {
            if state.head().is_none() {
                return Ok(Decision::Answer(()));
            }
            let Compact { log_upto, history_before } = compact;
            Ok(Decision::Write(Box::new(Write {
                op: OpId::random(),
                at: now,
                exists: true,
                what: What::Compact { log_upto, history_before },
                perform: Perform::Other(Box::new(move |state| state.compact(compact))),
            })))
        });
        let ((), written) = decided.await?;
        if written {
            self.fold_now("graph.compact", graph).await;
        }
        Ok(())
    }
}
