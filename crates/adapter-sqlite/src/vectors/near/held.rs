//! Indexes in memory: copies of what the file has, compared with it at each search.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hexmem_ports::{Distance, Result};

use super::super::collection::Collection;
use super::super::pack::DenseRun;
use super::super::{Turn, dense};
use super::code::Form;
use super::graph::Graph;
use super::rows::{self, Stand};

/// One version of an index.
#[derive(Debug)]
pub(super) struct Held {
    /// Of the collection: its ords mean other vectors in another one.
    life: i64,
    pub(super) stand: Stand,
    pub(super) graph: Graph,
}

impl Held {
    pub(super) fn new(there: &Collection, stand: Stand, graph: Graph) -> Arc<Self> {
        Arc::new(Self { life: there.version, stand, graph })
    }
}

/// Vectors that are in no index yet. Of one life of a collection an ord has one vector for ever, so that they can
/// only be too few: `to` says up to where they were read, and `revision` when.
#[derive(Debug, Default, Clone)]
struct Tail {
    life: i64,
    revision: i64,
    from: u32,
    to: u32,
    runs: Vec<Arc<DenseRun>>,
}

/// What there is of an index in memory.
#[derive(Debug, Default)]
struct Kept {
    held: Option<Arc<Held>>,
    tail: Tail,
    used: u64,
}

/// The indexes of one file in this process.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    kept: Mutex<HashMap<(i64, u16), Kept>>,
    /// One reads an index, and those who come meanwhile find it read.
    reading: tokio::sync::Mutex<()>,
    /// One tends an index at a time.
    pub(super) growing: tokio::sync::Mutex<()>,
}

/// What a search finds.
pub(super) enum There {
    /// No index, in the file.
    Nothing,
    /// This process knows a later one than the snapshot that asks.
    Later,
    Index(Arc<Held>),
}

impl Indexes {
    fn kept(&self) -> MutexGuard<'_, HashMap<(i64, u16), Kept>> {
        // What was kept is only replaced as a whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version in memory, where it is of this index.
    fn at_hand(&self, there: &Collection, channel: u16, stand: &Stand) -> Option<Arc<Held>> {
        let mut kept = self.kept();
        let used = 1 + kept.values().map(|kept| kept.used).max().unwrap_or(0);
        let kept = kept.get_mut(&(there.id, channel))?;
        kept.used = used;
        kept.held.clone().filter(|held| held.life == there.version && held.stand.born == stand.born)
    }

    /// Keeps a version, and lets go of others where they are too much together.
    pub(super) fn keep(&self, there: &Collection, channel: u16, held: &Arc<Held>, most: usize) {
        let mut all = self.kept();
        let used = 1 + all.values().map(|kept| kept.used).max().unwrap_or(0);
        let kept = all.entry((there.id, channel)).or_default();
        let newer = kept.held.as_ref().is_none_or(|old| {
            let same = old.life == held.life && old.stand.born == held.stand.born;
            !same || old.stand.version <= held.stand.version
        });
        if newer {
            kept.held = Some(Arc::clone(held));
        }
        kept.used = used;
        loop {
            let bytes = |kept: &Kept| kept.held.as_ref().map_or(0, |held| held.graph.bytes());
            let oldest = all.iter().filter(|(_, kept)| kept.held.is_some() && kept.used < used);
            let oldest = oldest.min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
            match oldest {
                Some(oldest) if all.values().map(bytes).sum::<usize>() > most => {
                    all.remove(&oldest)
                }
                _ => return,
            };
        }
    }

    /// The index as the snapshot of `turn` has it.
    pub(super) async fn of(
        turn: &mut impl Turn,
        there: &Collection,
        channel: u16,
        dimension: usize,
        distance: Distance,
    ) -> Result<There> {
        let Some(stand) = rows::stand(turn, there.id, channel).await? else {
            return Ok(There::Nothing);
        };
        let database = turn.database().clone();
        let indexes = database.dense_indexes();
        let known = |held: Arc<Held>| match held.stand.version.cmp(&stand.version) {
            std::cmp::Ordering::Equal => Some(There::Index(held)),
            std::cmp::Ordering::Greater => Some(There::Later),
            std::cmp::Ordering::Less => None,
        };
        if let Some(found) = indexes.at_hand(there, channel, &stand).and_then(known) {
            return Ok(found);
        }
        let _reading = indexes.reading.lock().await;
        let older = indexes.at_hand(there, channel, &stand);
        if let Some(found) = older.clone().and_then(known) {
            return Ok(found);
        }
        let form = Form::of(distance, dimension, stand.precision);
        let older = older.filter(|older| older.graph.form() == form);
        let since = older.as_ref().map(|older| older.stand.version);
        let mut graph = older.map_or_else(|| Graph::new(form), |older| older.graph.clone());
        rows::read(turn, there.id, channel, since, &mut graph).await?;
        let held = Held::new(there, stand, graph);
        indexes.keep(there, channel, &held, database.dense_index().bytes());
        Ok(There::Index(held))
    }

    /// The vectors from `from` on, which no index has; dead ones among them.
    pub(super) async fn tail(
        turn: &mut impl Turn,
        there: &Collection,
        channel: u16,
        dimension: usize,
        from: u32,
    ) -> Result<Vec<Arc<DenseRun>>> {
        let database = turn.database().clone();
        let kept = {
            let all = database.dense_indexes().kept();
            all.get(&(there.id, channel)).map(|kept| kept.tail.clone())
        };
        let known = kept.filter(|tail| {
            tail.life == there.version && tail.from <= from && tail.revision <= there.revision
        });
        let mut tail = known.unwrap_or_else(|| Tail {
            life: there.version,
            from,
            to: from,
            ..Tail::default()
        });
        tail.revision = there.revision;
        tail.from = from;
        tail.runs.retain(|run| run.ords.last().is_some_and(|last| *last >= from));
        let start = tail.to.max(from);
        if start < there.next_ord {
            let run = read_from(turn, there, channel, dimension, start, usize::MAX).await?;
            tail.runs.push(Arc::new(run));
            tail.to = there.next_ord;
        }
        let mut kept = database.dense_indexes().kept();
        if let Some(kept) = kept.get_mut(&(there.id, channel))
            && (kept.tail.life, kept.tail.revision) <= (tail.life, tail.revision)
        {
            kept.tail = tail.clone();
        }
        Ok(tail.runs)
    }
}

/// Vectors of ords from `start` on, at most `most` and those of a block more; the ords count from 0.
pub(super) async fn read_from(
    turn: &mut impl Turn,
    there: &Collection,
    channel: u16,
    dimension: usize,
    start: u32,
    most: usize,
) -> Result<DenseRun> {
    const BLOCKS: u32 = 16;
    let (mut all, mut run) = (DenseRun::default(), DenseRun::default());
    let first = dense::block_of(turn, there.id, channel, start).await?;
    let mut after = first.as_ref().map_or(i64::from(start) - 1, |row| row.0);
    let mut rows: Vec<_> = first.into_iter().collect();
    loop {
        for row in &rows {
            let first = dense::unpack(turn, row, dimension, &mut run)?;
            for (ord, values) in run.ords.iter().zip(run.values.chunks_exact(dimension)) {
                let ord = first.saturating_add(*ord);
                if ord >= start {
                    all.ords.push(ord);
                    all.values.extend_from_slice(values);
                }
            }
        }
        if all.ords.len() >= most {
            return Ok(all);
        }
        rows = dense::blocks_after(turn, there.id, channel, after, BLOCKS).await?;
        match rows.last() {
            Some(last) => after = last.0,
            None => return Ok(all),
        }
    }
}
