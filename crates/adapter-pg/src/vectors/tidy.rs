//! Leaving removed points out of blocks, a little at a time.
//!
//! A removed point stays named in the blocks of its lists, and searches skip it. Once there are many, each write walks
//! a part of the blocks; at the end of the walk the points that were removed before its beginning are forgotten.

use std::collections::BTreeMap;

use hexmem_ports::Result;

use super::collection;
use super::layout::Layout;
use super::ords::Ords;
use super::{corrupt, pack, read};
use crate::{Postgres, Tx};

/// Removed points that are never worth a walk.
const FEW: u64 = 500;

/// Blocks of one step: about a megabyte.
const STEP: i64 = 1_000;

/// What a collection's blocks still say of removed points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dead {
    collection: i64,
    points: u64,
    held: u64,
}

impl Dead {
    pub(super) fn of(collection: i64, points: i64, held: u64) -> Self {
        Self { collection, points: u64::try_from(points).unwrap_or(0), held }
    }

    fn is_worth_a_walk(self) -> bool {
        self.points > FEW.max(self.held / 8)
    }
}

/// Does a write's share of the work. What was written is acknowledged whatever comes of it.
pub(super) async fn share(postgres: &Postgres, operation: &'static str, dead: Option<Dead>) {
    let Some(dead) = dead.filter(|dead| dead.is_worth_a_walk()) else { return };
    if let Err(error) = step(postgres, operation, dead.collection).await {
        tracing::warn!(%error, "removed points stay in the lists until a later write");
    }
}

/// Version, stamp, and the walk: the block it is at, and the last place it knows of.
type Walk = (Option<String>, Option<i64>, Option<i32>, Option<i64>);

/// One step; whether the walk came to its end.
pub(super) async fn step(
    postgres: &Postgres,
    operation: &'static str,
    collection: i64,
) -> Result<bool> {
    let mut tx = postgres.begin(operation).await?;
    let done = walk(&mut tx, collection).await;
    tx.finish(done).await
}

async fn walk(tx: &mut Tx, collection: i64) -> Result<bool> {
    let operation = tx.operation();
    let held: Option<Walk> = tx
        .query(include_str!("../sql/vectors/tidy_begin.sql"))
        .bind(collection)
        .fetch_optional()
        .await?;
    let Some((Some(spec), list, chunk, Some(place))) = held else { return Ok(true) };
    let layout = Layout::of(&collection::read_spec(operation, &spec)?);
    let (ords,): (Option<Vec<i32>>,) = tx
        .query(include_str!("../sql/vectors/tidy_dead.sql"))
        .bind(collection)
        .bind(place)
        .fetch_one()
        .await?;
    let mut dead = Ords::default();
    for ord in ords.unwrap_or_default() {
        dead.add(read::place(operation, ord)?);
    }
    let blocks: Vec<(i64, i32, Vec<u8>)> = tx
        .query(include_str!("../sql/vectors/tidy_blocks.sql"))
        .bind(collection)
        .bind(list.unwrap_or(-1))
        .bind(chunk.unwrap_or(0))
        .bind(STEP)
        .fetch_all()
        .await?;
    let last = blocks.last().map(|(list, chunk, _)| (*list, *chunk));
    let last = last.filter(|_| i64::try_from(blocks.len()).is_ok_and(|read| read == STEP));
    let mut changed: BTreeMap<(i64, i32), Vec<u8>> = BTreeMap::new();
    for (list, chunk, block) in blocks {
        let left = without(&layout, list, &block, &dead)
            .ok_or_else(|| corrupt(operation, "the block of a list"))?;
        if left.len() < block.len() {
            changed.insert((list, chunk), left);
        }
    }
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for ((list, chunk), block) in changed {
        columns.0.push(list);
        columns.1.push(chunk);
        columns.2.push(block);
    }
    tx.query(include_str!("../sql/vectors/tidy_put.sql"))
        .bind(collection)
        .bind(columns.0)
        .bind(columns.1)
        .bind(columns.2)
        .execute()
        .await?;
    tx.query(include_str!("../sql/vectors/tidy_end.sql"))
        .bind(collection)
        .bind(place)
        .bind(last.map(|last| last.0))
        .bind(last.map(|last| last.1))
        .execute()
        .await?;
    Ok(last.is_none())
}

/// The block without what is dead.
fn without(layout: &Layout, list: i64, block: &[u8], dead: &Ords) -> Option<Vec<u8>> {
    let channel = i16::try_from(list >> 32).ok()?;
    let width = if channel < layout.field(0) { 8 } else { 4 };
    let mut left = Vec::with_capacity(block.len());
    if !block.len().is_multiple_of(width) {
        return None;
    }
    for entry in block.chunks_exact(width) {
        let mut alive = false;
        pack::members(entry.get(..4)?, |ord| alive = !dead.has(ord))?;
        if alive {
            left.extend_from_slice(entry);
        }
    }
    Some(left)
}
