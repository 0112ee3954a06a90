//! How an index keeps up: what was written or removed waits until it is enough for a step.
//!
//! A step reads a snapshot, changes a copy of the graph without any lock, and writes the pages that changed in one
//! transaction, if the index still is what it was made from. Cut off at any point, the file has the index of before, and
//! what is not in it is compared one by one.

use std::thread;

use hexmem_ports::{CollectionId, Distance, ErrorKind, Result};
use uuid::Uuid;

use super::super::collection::Collection;
use super::super::live::{Live, POINTS};
use super::super::{SqliteVectors, aside};
use super::code::Form;
use super::graph::Graph;
use super::held::{Held, Indexes, There, read_from};
use super::rows::{self, Stand};
use crate::WriteTx;

const TEND: &str = "vectors.tend";
const BUILD: &str = "vectors.build_indexes";

/// The most vectors of a step, and about the most bytes of them.
const STEP: usize = 8_192;
const STEP_BYTES: usize = 64 << 20;

/// From so many on that are not in the index, a step is worth it.
const WORTH: u64 = 1_024;

/// The most steps that one write makes.
const STEPS: usize = 2;

/// The most threads of a step.
const THREADS: usize = 4;

/// Whether an index has to take in what was written or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Due {
    No,
    /// If nobody else is at it.
    Yes,
    /// Writers are faster than the index: this one waits for its turn.
    Late,
}

/// How many may wait: with the number of points, so that each page is written again as seldom.
fn limit(points: u64, from: u32) -> u64 {
    (points / 16).clamp(WORTH.min(u64::from(from)), STEP as u64)
}

/// What waits for an index that stands so: points that came, points that went.
fn waiting(stand: Option<&Stand>, live: &Live, there: &Collection) -> (u64, u64) {
    let up_to = stand.map_or(0, |stand| stand.up_to);
    let came = live.count_within(POINTS, up_to, there.next_ord);
    let left = live.count_within(POINTS, 0, up_to);
    (came, stand.map_or(0, |stand| stand.points.saturating_sub(left)))
}

/// Whether the indexes of a collection have to be tended. Without a point they go.
pub(in super::super) async fn due(
    tx: &mut WriteTx,
    there: &Collection,
    points: u64,
    live: &Live,
) -> Result<Due> {
    let from = tx.database().dense_index().from;
    let mut most = Due::No;
    if points == 0 {
        super::clear(tx, there.id).await?;
    } else if points > u64::from(from) {
        let limit = limit(points, from);
        for (channel, ..) in there.layout.denses() {
            let stand = match rows::stand(tx, there.id, channel).await {
                // Points do not wait for an index to be mended.
                Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                stand => stand?,
            };
            let (came, went) = waiting(stand.as_ref(), live, there);
            most = most.max(match came.max(went / 2) {
                wait if wait < limit => Due::No,
                wait if wait < 4 * limit => Due::Yes,
                _ => Due::Late,
            });
        }
    }
    Ok(most)
}

impl SqliteVectors {
    /// Lets the indexes take in what was written. Points are there whatever becomes of it: what fails here, or is
    /// cut off, is left to the next write, and compared until then.
    pub(in super::super) async fn tend(&self, at: &CollectionId, due: Due) {
        let indexes = self.0.dense_indexes();
        let _turn = match due {
            Due::No => return,
            Due::Yes => match indexes.growing.try_lock() {
                Ok(turn) => turn,
                Err(_) => return,
            },
            Due::Late => indexes.growing.lock().await,
        };
        for _ in 0..STEPS {
            if !matches!(self.step(TEND, at, true).await, Ok(true)) {
                return;
            }
        }
    }

    /// Brings the indexes of a collection's dense vectors up to date, whatever its size, and makes those anew that
    /// cannot be read: for collections that were written by an older hexmem, or before the setting was lowered.
    /// Searches and writes go on meanwhile; dropped, it has done a part.
    ///
    /// # Errors
    /// `NotFound` without the collection.
    pub async fn build_indexes(&self, collection: &CollectionId) -> Result<()> {
        let _turn = self.0.dense_indexes().growing.lock().await;
        loop {
            match self.step(BUILD, collection, false).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let (mut tx, there) = self.reach_to_write(BUILD, collection).await?;
                    super::clear(&mut tx, there.id).await?;
                    tx.commit().await?;
                    // A second time it is not the index that is damaged.
                    while self.step(BUILD, collection, false).await? {}
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One step of each index, or of each that is due; whether there may be more to do.
    async fn step(
        &self,
        operation: &'static str,
        at: &CollectionId,
        only_due: bool,
    ) -> Result<bool> {
        let (mut read, there) = self.reach(operation, at).await?;
        let from = self.0.dense_index().from;
        let live = Live::load(&mut read, there.id).await?;
        let mut found = Vec::new();
        for (channel, name, dimension) in there.layout.denses() {
            let stand = rows::stand(&mut read, there.id, channel).await?;
            let (came, went) = waiting(stand.as_ref(), &live, &there);
            let enough = came.max(went / 2) >= limit(there.points, from);
            if (only_due && enough) || (!only_due && came.max(went) > 0) {
                let distance = there.spec.dense.get(name).map(|dense| dense.distance);
                found.extend(distance.map(|distance| (channel, dimension, distance)));
            }
        }
        drop(read);
        let mut more = false;
        for (channel, dimension, distance) in found {
            more |= self.step_of(operation, at, channel, dimension, distance).await?;
        }
        Ok(more)
    }

    async fn step_of(
        &self,
        operation: &'static str,
        at: &CollectionId,
        channel: u16,
        dimension: usize,
        distance: Distance,
    ) -> Result<bool> {
        let (mut read, there) = self.reach(operation, at).await?;
        let base = match Indexes::of(&mut read, &there, channel, dimension, distance).await? {
            There::Index(held) => Some(held),
            There::Nothing => None,
            There::Later => return Ok(true),
        };
        let live = Live::load(&mut read, there.id).await?;
        let start = base.as_ref().map_or(0, |base| base.stand.up_to);
        let most = (STEP_BYTES / 4 / dimension.max(1)).clamp(super::PAGE, STEP);
        let run = read_from(&mut read, &there, channel, dimension, start, most).await?;
        drop(read);

        let whole = run.ords.len() < most;
        let up_to = match run.ords.last() {
            Some(last) if !whole => last.saturating_add(1),
            _ => there.next_ord,
        };
        let wished = self.0.dense_index().precision;
        let form =
            base.as_ref().map_or(Form::of(distance, dimension, wished), |base| base.graph.form());
        let graph = base.as_ref().map_or_else(|| Graph::new(form), |base| base.graph.clone());
        let (graph, left, live) = aside(operation, move || {
            let mut graph = graph;
            let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
            let view = live.view(POINTS);
            let lives = |ord: u32| view.slot(ord).is_some();
            let left = graph.remove(lives, STEP, threads);
            let new = run.ords.iter().zip(run.values.chunks_exact(dimension));
            let new: Vec<_> = new
                .filter(|(ord, _)| lives(**ord))
                .map(|(ord, values)| (*ord, form.encode(values)))
                .collect();
            graph.insert(&new, threads);
            (graph, left, live)
        })
        .await?;

        let (mut tx, current) = self.reach_to_write(operation, at).await?;
        if (current.id, current.version) != (there.id, there.version) {
            return Ok(true);
        }
        let before = base.as_ref().map(|base| base.stand);
        let drawn = || Uuid::new_v4().as_u64_pair().1.cast_signed();
        let stand = Stand {
            born: before.map_or_else(drawn, |before| before.born),
            version: before.map_or(0, |before| before.version) + 1,
            up_to,
            points: live.count_within(POINTS, 0, up_to) + left as u64,
            precision: form.precision,
        };
        let known = base.as_ref().map(|base| (base.stand, &base.graph));
        if !rows::write(&mut tx, &current, channel, &stand, &graph, known).await? {
            return Ok(true);
        }
        tx.commit().await?;
        let held = Held::new(&current, stand, graph);
        let config = self.0.dense_index();
        self.0.dense_indexes().keep(&current, channel, &held, config.bytes());
        Ok(!whole || left > 0)
    }
}
