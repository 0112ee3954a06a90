//! Applying batches: planned here, checked and written by one statement.
//!
//! A plan needs to know the last versions of what it touches. It is made on a guess (what is put is new), or on what
//! the statement answered when the guess was wrong or somebody was faster; the statement writes it only if that still
//! holds under the lock of the graph's row. So the lock is never held over a round trip: what only adds takes one round
//! trip, other changes two. Who loses that race too often plans under the lock, in a transaction.

use std::collections::{HashMap, HashSet};

use hexmem_ports::rules::graph::{Step, plan};
use hexmem_ports::{
    Applied, Edge, Effect, Error, ErrorKind, GraphBatch, GraphId, Node, OpId, Result, Revision,
    Timestamp,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::rows::{self, Columns, column, count, missing, texts};
use super::touched::{Named, Touched};
use super::writes::Writes;
use crate::outbox::Effects;
use crate::query::Query;
use crate::value::Hash;
use crate::{Postgres, Tx};

const OP: &str = "graph.apply";

/// Round trips without the lock, and then with it.
const ROUNDS: usize = 4;

/// The answers to batches of one graph, in their order; they are applied in one transaction. An error: of all.
pub(super) async fn apply(
    postgres: &Postgres,
    graph: &GraphId,
    batches: &[&GraphBatch],
) -> Result<Vec<Result<Applied>>> {
    let named = Named::of(batches.iter().copied());
    let mut work = Work {
        postgres,
        graph,
        batches,
        touched: Touched::guess(&named, batches.iter().copied()),
        named,
        head: None,
        first: HashMap::new(),
    };
    for _ in 0..ROUNDS {
        if let Some(answers) = work.round(None).await? {
            return Ok(answers);
        }
    }
    // Others change the same elements all the time.
    let mut tx = postgres.begin(OP).await?;
    for _ in 0..ROUNDS {
        match work.round(Some(&mut tx)).await {
            Ok(None) => {}
            Ok(Some(answers)) => {
                tx.commit().await?;
                return Ok(answers);
            }
            Err(error) => return tx.finish(Err(error)).await,
        }
    }
    let error = Error::new(ErrorKind::Internal, OP, "a plan made under the lock did not hold");
    tx.finish(Err(error.not_applied().with("graph", graph))).await
}

/// Where the graph stood, as the statement answered.
#[derive(Debug, Clone, Copy)]
struct Head {
    revision: i64,
    exists: bool,
    at: Timestamp,
}

impl Head {
    /// What a batch is answered that is so many revisions above it.
    fn answer(self, offset: i32) -> Applied {
        let seen = self.exists || offset > 0;
        let revision = if seen { count(self.revision + i64::from(offset)) } else { 0 };
        Applied { revision: Revision(revision), recorded_at: self.at }
    }
}

struct Work<'a> {
    postgres: &'a Postgres,
    graph: &'a GraphId,
    batches: &'a [&'a GraphBatch],
    named: Named,
    /// `None`: nothing is known yet.
    touched: Option<Touched>,
    head: Option<Head>,
    /// Answers that batches got before.
    first: HashMap<OpId, Applied>,
}

/// What is to be done about one batch.
enum Fate {
    /// It was applied before.
    Done(Applied),
    /// As the batch of this place.
    Same(usize),
    Refused(Error),
    /// Its steps lead to the revision so many above the graph's.
    Planned {
        steps: Vec<Step>,
        offset: i32,
        remember: bool,
    },
}

impl Work<'_> {
    /// One round trip; `None`: another one is needed.
    async fn round(&mut self, tx: Option<&mut Tx>) -> Result<Option<Vec<Result<Applied>>>> {
        let pending = self.pending();
        let fates = self.touched.as_ref().map(|touched| self.plan(touched, pending));
        let guessed = self.touched.as_ref().is_some_and(|touched| touched.body.is_none());
        // A guess refuses nothing, and says nothing of where the graph stands.
        let fates = fates.filter(|fates| {
            !guessed
                || fates.iter().any(|fate| matches!(fate, Fate::Planned { remember: true, .. }))
                    && !fates.iter().any(|fate| matches!(fate, Fate::Refused(_)))
        });
        let written = fates.as_deref().unwrap_or_default();
        let nothing =
            !written.iter().any(|fate| matches!(fate, Fate::Planned { remember: true, .. }));
        if let (Some(head), true, true) = (self.head, nothing, fates.is_some()) {
            return Ok(fates.map(|fates| answers(fates, head)));
        }
        let rows = self.call(tx, written, pending).await?;
        let mut done = None;
        let mut touched = Touched::default();
        for row in rows {
            match row.tag {
                0 => {
                    let head = Head {
                        revision: row.revision()?,
                        exists: row.columns.created.is_some(),
                        at: row.recorded()?,
                    };
                    touched.body = Some(row.body.unwrap_or(0));
                    if row.version == Some(1) {
                        done = Some(head);
                    }
                    self.head = Some(head);
                }
                1 => {
                    let revision = row.revision()?;
                    touched.add_node(row.node()?, revision);
                }
                2 => {
                    let revision = row.revision()?;
                    touched.add_edge(row.edge()?, revision);
                }
                3 => drop(touched.joined.insert(rows::name(OP, row.text()?)?)),
                _ => {
                    let revision = Revision(count(row.revision()?));
                    let applied = Applied { revision, recorded_at: row.recorded()? };
                    self.first.insert(OpId(row.uuid()?), applied);
                }
            }
        }
        if let (Some(head), Some(fates)) = (done, fates) {
            return Ok(Some(answers(fates, head)));
        }
        self.touched = Some(touched);
        Ok(None)
    }

    /// An instant that nothing has, standing for the one of the batch while it is not known.
    fn pending(&self) -> Timestamp {
        let drafts = self.batches.iter().flat_map(|batch| &batch.changes);
        let given = drafts.filter_map(|change| match change {
            hexmem_ports::GraphChange::PutNode(draft) => draft.created_at,
            hexmem_ports::GraphChange::PutEdge(draft) => draft.created_at,
            _ => None,
        });
        let known = self.touched.iter().flat_map(Touched::created);
        let used: HashSet<Timestamp> = given.chain(known).collect();
        let mut pending = Timestamp::MAX;
        while used.contains(&pending) {
            pending = pending.minus(std::time::Duration::from_micros(1));
        }
        pending
    }

    /// Plans the batches one after another, each on what the ones before leave.
    fn plan(&self, touched: &Touched, pending: Timestamp) -> Vec<Fate> {
        let mut ahead: Option<Touched> = None;
        let (mut offset, mut seen) = (0, HashMap::new());
        let mut fates = Vec::with_capacity(self.batches.len());
        for (place, batch) in self.batches.iter().enumerate() {
            if let Some(first) = self.first.get(&batch.id) {
                fates.push(Fate::Done(*first));
                continue;
            }
            if let Some(same) = seen.get(&batch.id) {
                fates.push(Fate::Same(*same));
                continue;
            }
            let steps = match plan(ahead.as_ref().unwrap_or(touched), &batch.changes, pending) {
                Ok(steps) => steps,
                Err(error) => {
                    fates.push(Fate::Refused(error));
                    continue;
                }
            };
            if !steps.is_empty() {
                offset += 1;
                if place + 1 < self.batches.len() {
                    ahead.get_or_insert_with(|| touched.clone()).advance(&steps, pending);
                }
            }
            let remember = !batch.changes.is_empty() || !batch.effects.is_empty();
            if remember {
                seen.insert(batch.id, place);
            }
            fates.push(Fate::Planned { steps, offset, remember });
        }
        fates
    }

    async fn call(
        &self,
        tx: Option<&mut Tx>,
        fates: &[Fate],
        pending: Timestamp,
    ) -> Result<Vec<Loaded>> {
        const SQL: &str = include_str!("../sql/graph/apply.sql");
        let none = Touched::default();
        let touched = self.touched.as_ref().unwrap_or(&none);
        let mut steps = Vec::new();
        let (mut ids, mut offsets) = (Vec::new(), Vec::new());
        let mut effects: Vec<Effect> = Vec::new();
        for (fate, batch) in fates.iter().zip(self.batches) {
            if let Fate::Planned { steps: made, offset, remember: true } = fate {
                steps.push((*offset, made.as_slice()));
                ids.push(batch.id.0);
                offsets.push(*offset);
                effects.extend_from_slice(&batch.effects);
            }
        }
        let write = !ids.is_empty();
        if !write {
            ids.extend(self.batches.iter().map(|batch| batch.id.0));
        }
        let writes = Writes::of(touched, steps, pending);
        let effects = Effects::new(self.postgres, OP, &effects)?;
        let query = match tx {
            Some(tx) => tx.query(SQL),
            None => self.postgres.write(OP, SQL),
        };
        let query = query
            .bind(Hash(self.graph.digest()))
            .bind(self.graph.tenant.as_str())
            .bind(self.graph.name.as_str())
            .bind(touched.body)
            .bind(write)
            .bind(ids)
            .bind(offsets);
        let query = writes.bind(self.bind_known(touched, query)).effects(&effects);
        query.fetch_all().await.map_err(|error| error.with("graph", self.graph))
    }

    /// What the plan was made on.
    fn bind_known<'q>(&self, touched: &Touched, query: Query<'q>) -> Query<'q> {
        let mut nodes = (Vec::new(), Vec::new(), Vec::new());
        for id in &self.named.nodes {
            let (version, revision) = match touched.nodes.get(id) {
                Some(last) => {
                    let version = column(last.element.version);
                    let ended = last.element.superseded_at.is_some();
                    (Some(if ended { -version } else { version }), last.revision)
                }
                None => ((!touched.taken.contains(id)).then_some(0), 0),
            };
            nodes.0.push(id.as_str());
            nodes.1.push(version);
            nodes.2.push(revision);
        }
        let mut edges = (Vec::new(), Vec::new(), Vec::new());
        let found = touched.edges.keys().filter(|id| !self.named.edges.contains(id));
        for id in self.named.edges.iter().chain(found) {
            let (version, revision) = touched.edges.get(id).map_or((0, 0), |last| {
                let version = column(last.element.version);
                let ended = last.element.superseded_at.is_some();
                (if ended { -version } else { version }, last.revision)
            });
            edges.0.push(id.0);
            edges.1.push(version);
            edges.2.push(revision);
        }
        let joined: Vec<bool> =
            self.named.orphans.iter().map(|id| touched.joined.contains(id)).collect();
        query
            .bind(nodes.0.iter().map(|id| (*id).to_owned()).collect::<Vec<String>>())
            .bind(nodes.1)
            .bind(nodes.2)
            .bind(edges.0)
            .bind(edges.1)
            .bind(edges.2)
            .bind(texts(&self.named.removed))
            .bind(texts(&self.named.purged))
            .bind(texts(&self.named.orphans))
            .bind(joined)
    }
}

fn answers(fates: Vec<Fate>, head: Head) -> Vec<Result<Applied>> {
    let mut answers: Vec<Result<Applied>> = Vec::with_capacity(fates.len());
    for fate in fates {
        let answer = match fate {
            Fate::Done(applied) => Ok(applied),
            Fate::Same(place) => match answers.get(place) {
                Some(Ok(applied)) => Ok(*applied),
                Some(Err(error)) => Err(error.shared()),
                None => Err(Error::new(ErrorKind::Internal, OP, "a batch repeats a later one")),
            },
            Fate::Refused(error) => Err(error),
            Fate::Planned { offset, .. } => Ok(head.answer(offset)),
        };
        answers.push(answer);
    }
    answers
}

/// A row of `hexmem.graph_apply` or `hexmem.graph_load`.
pub(super) struct Loaded {
    pub(super) tag: i16,
    body: Option<i64>,
    version: Option<i64>,
    revision: Option<i64>,
    columns: Columns,
}

impl<'r> FromRow<'r, PgRow> for Loaded {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            tag: row.try_get(0)?,
            body: row.try_get(1)?,
            version: row.try_get(2)?,
            revision: row.try_get(3)?,
            columns: Columns::read(row, 4)?,
        })
    }
}

impl Loaded {
    pub(super) fn revision(&self) -> Result<i64> {
        self.revision.ok_or_else(|| missing(OP))
    }

    fn recorded(&self) -> Result<Timestamp> {
        self.columns.recorded.map(|at| at.0).ok_or_else(|| missing(OP))
    }

    fn uuid(&self) -> Result<Uuid> {
        self.columns.edge.ok_or_else(|| missing(OP))
    }

    fn text(self) -> Result<String> {
        self.columns.id.ok_or_else(|| missing(OP))
    }

    pub(super) fn node(self) -> Result<Node> {
        self.columns.node(OP, self.version)
    }

    pub(super) fn edge(self) -> Result<Edge> {
        self.columns.edge(OP, self.version)
    }
}
