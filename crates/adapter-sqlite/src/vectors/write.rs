//! Writing and removing points.

use hexmem_ports::{Error, ErrorKind, PointId, Result};

use super::batch::Batch;
use super::collection::Collection;
use super::live::{Live, POINTS};
use super::near::{self, Due};
use super::{corrupt, dense, id_list, number_list, segments};
use crate::WriteTx;

/// How many ids one statement names.
const NAMED: usize = 10_000;

/// A change of a collection's points, within a transaction. Nothing of it counts before [`Self::finish`].
pub(super) struct Writer<'a> {
    pub(super) tx: &'a mut WriteTx,
    pub(super) collection: Collection,
    pub(super) live: Live,
    removed: bool,
}

impl<'a> Writer<'a> {
    pub(super) async fn begin(tx: &'a mut WriteTx, collection: Collection) -> Result<Self> {
        let live = Live::load(tx, collection.id).await?;
        Ok(Self { tx, collection, live, removed: false })
    }

    /// The version of this change.
    pub(super) fn next_version(&mut self) -> i64 {
        self.collection.revision += 1;
        self.collection.revision
    }

    /// A version that came from elsewhere counts as given.
    pub(super) fn seen_version(&mut self, version: i64) {
        self.collection.revision = self.collection.revision.max(version);
    }

    /// Writes the points of `batch` in place of those of the same ids. `stamp` gives version and time of each.
    pub(super) async fn put(
        &mut self,
        batch: &Batch,
        stamp: impl Fn(usize) -> (i64, i64),
    ) -> Result<()> {
        let list = id_list(&batch.ids);
        self.remove_listed(&list, None).await?;
        sqlx::query(include_str!("../sql/vectors/gone_remove.sql"))
            .bind(self.collection.id)
            .bind(&list)
            .execute(self.tx.connection())
            .await
            .map_err(|e| self.tx.error(e))?;
        let base = self.collection.next_ord;
        let count = u32::try_from(batch.ids.len()).ok().and_then(|count| base.checked_add(count));
        self.collection.next_ord = count.ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                self.tx.operation(),
                "the collection has taken 4 billion writes; make a new one and switch its alias",
            )
        })?;
        self.insert_rows(batch, base, stamp).await?;
        (base..self.collection.next_ord).for_each(|ord| self.live.set(POINTS, ord));
        batch.members.iter().for_each(|(channel, ord)| self.live.set(*channel, base + ord));
        for (channel, dimension, run) in &batch.dense {
            dense::append(self, *channel, *dimension, run, base).await?;
        }
        segments::append(self, batch, base).await
    }

    async fn insert_rows(
        &mut self,
        batch: &Batch,
        base: u32,
        stamp: impl Fn(usize) -> (i64, i64),
    ) -> Result<()> {
        let ids: Vec<u8> = batch.ids.iter().flat_map(|id| *id.0.as_bytes()).collect();
        let cuts = batch.cuts.iter().enumerate().map(|(i, [payload, bytes, sparse, length])| {
            let (version, at) = stamp(i);
            format!("[{payload},{bytes},{sparse},{length},{version},{at}]")
        });
        let cuts = format!("[{}]", cuts.collect::<Vec<_>>().join(","));
        sqlx::query(include_str!("../sql/vectors/points_insert.sql"))
            .bind(self.collection.at(base))
            .bind(self.collection.id)
            .bind(ids)
            .bind(batch.payloads.as_slice())
            .bind(batch.sparse.as_slice())
            .bind(cuts)
            .execute(self.tx.connection())
            .await
            .map_err(|e| self.tx.error(e))?;
        Ok(())
    }

    /// Removes points and leaves tombstones of the current version; gives how many there were.
    pub(super) async fn delete(&mut self, ids: &[PointId]) -> Result<u64> {
        let stamp = (self.collection.revision, self.tx.now().as_micros());
        let mut count = 0;
        for ids in ids.chunks(NAMED) {
            count += self.remove_listed(&id_list(ids), Some(stamp)).await?;
        }
        Ok(count)
    }

    /// Leaves a tombstone that came from elsewhere.
    pub(super) async fn bury(&mut self, id: PointId, version: i64, at: i64) -> Result<()> {
        self.remove_listed(&id_list(&[id]), None).await?;
        sqlx::query(include_str!("../sql/vectors/gone_one.sql"))
            .bind(self.collection.id)
            .bind(id.0.as_bytes().as_slice())
            .bind(version)
            .bind(at)
            .execute(self.tx.connection())
            .await
            .map_err(|e| self.tx.error(e))?;
        Ok(())
    }

    async fn remove_listed(&mut self, ids: &str, tombstone: Option<(i64, i64)>) -> Result<u64> {
        if self.live.count(POINTS) == 0 {
            return Ok(0);
        }
        let found: String = sqlx::query_scalar(include_str!("../sql/vectors/find.sql"))
            .bind(self.collection.id)
            .bind(ids)
            .fetch_one(self.tx.connection())
            .await
            .map_err(|e| self.tx.error(e))?;
        let mut places: Vec<i64> = serde_json::from_str(&found)
            .map_err(|e| corrupt(self.tx, "a list of points").caused_by(e))?;
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            return Ok(0);
        }
        let list = number_list(places.iter().copied());
        if let Some((version, at)) = tombstone {
            sqlx::query(include_str!("../sql/vectors/gone_put.sql"))
                .bind(&list)
                .bind(version)
                .bind(at)
                .execute(self.tx.connection())
                .await
                .map_err(|e| self.tx.error(e))?;
        }
        sqlx::query(include_str!("../sql/vectors/points_remove.sql"))
            .bind(&list)
            .execute(self.tx.connection())
            .await
            .map_err(|e| self.tx.error(e))?;
        places.iter().for_each(|at| self.live.clear(Collection::ord(*at)));
        self.removed = true;
        Ok(places.len() as u64)
    }

    /// Frees what only removed points used, and writes the bitmaps and counters. Says whether an index has to take in
    /// what changed: after the commit, since that takes a while.
    pub(super) async fn finish(mut self) -> Result<Due> {
        if self.removed {
            dense::tidy(&mut self).await?;
            segments::tidy(&mut self).await?;
        }
        let points = self.live.count(POINTS);
        sqlx::query(include_str!("../sql/vectors/collection_update.sql"))
            .bind(self.collection.id)
            .bind(self.collection.revision)
            .bind(self.collection.next_ord)
            .bind(i64::try_from(points).unwrap_or(i64::MAX))
            .execute(self.tx.connection())
            .await
            .map_err(|e| self.tx.error(e))?;
        let due = near::due(self.tx, &self.collection, points, &self.live).await?;
        self.live.store(self.tx, self.collection.id).await?;
        Ok(due)
    }
}
