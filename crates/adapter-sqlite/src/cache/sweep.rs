//! Freeing space.

use std::sync::atomic::Ordering;

use hexmem_ports::{Limit, REPLAY_WINDOW, Result};

use super::{SqliteCache, rows};
use crate::WriteTx;

impl SqliteCache {
    /// Frees at most `limit` answers, and on the way at most as many of each thing kept beside them.
    pub(super) async fn free(&self, limit: Limit) -> Result<u64> {
        let mut tx = self.database.write("cache.sweep").await?;
        let now = tx.now().as_micros();
        let expired: Vec<i64> = sqlx::query_scalar(include_str!("../sql/cache/sweep_expired.sql"))
            .bind(now)
            .bind(limit.get())
            .fetch_all(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        free(&mut tx, &expired).await?;
        let left = limit.as_usize().saturating_sub(expired.len());
        let ended: Vec<i64> = sqlx::query_scalar(include_str!("../sql/cache/sweep_ended.sql"))
            .bind(rows::signed(u64::try_from(left).unwrap_or(0)))
            .fetch_all(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        free(&mut tx, &ended).await?;
        for sql in [
            include_str!("../sql/cache/sweep_tombstones.sql"),
            include_str!("../sql/cache/sweep_flights.sql"),
        ] {
            let forgotten = sqlx::query(sql).bind(now).bind(limit.get()).execute(tx.connection());
            forgotten.await.map_err(|e| tx.error(e))?;
        }
        sqlx::query(include_str!("../sql/cache/sweep_generations.sql"))
            .bind(limit.get())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        let walked = self.drop_tags(&mut tx, limit).await?;
        tx.commit().await?;
        self.swept_tags.store(walked, Ordering::Relaxed);
        Ok(u64::try_from(expired.len() + ended.len()).unwrap_or(u64::MAX))
    }

    /// Drops unused tags of the next stretch; returns where the walk goes on.
    async fn drop_tags(&self, tx: &mut WriteTx, limit: Limit) -> Result<i64> {
        let from = self.swept_tags.load(Ordering::Relaxed);
        let (last, count): (Option<i64>, i64) =
            sqlx::query_as(include_str!("../sql/cache/sweep_window.sql"))
                .bind(from)
                .bind(limit.get())
                .fetch_one(tx.connection())
                .await
                .map_err(|e| tx.error(e))?;
        let Some(last) = last else { return Ok(0) };
        let unchanged_since = tx.now().minus(REPLAY_WINDOW).as_micros();
        sqlx::query(include_str!("../sql/cache/sweep_tags.sql"))
            .bind(from)
            .bind(last)
            .bind(unchanged_since)
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        Ok(if count < i64::from(limit.get()) { 0 } else { last })
    }
}

async fn free(tx: &mut WriteTx, entries: &[i64]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let (now, list) = (tx.now().as_micros(), rows::ids(entries));
    let unbound = sqlx::query(include_str!("../sql/cache/sweep_unbind.sql")).bind(&list);
    unbound.execute(tx.connection()).await.map_err(|e| tx.error(e))?;
    let kept = sqlx::query(include_str!("../sql/cache/sweep_keep.sql")).bind(&list).bind(now);
    kept.execute(tx.connection()).await.map_err(|e| tx.error(e))?;
    let dropped = sqlx::query(include_str!("../sql/cache/sweep_drop.sql")).bind(&list);
    dropped.execute(tx.connection()).await.map_err(|e| tx.error(e))?;
    Ok(())
}
