//! Effects: committed with the change, handed out in order.

use async_trait::async_trait;
use hexmem_ports::{
    Digest, Effect, Error, Limit, Name, Outbox, OutboxBatch, OutboxEntry, OutboxLease, Result,
    Timestamp, Ttl, check_effects,
};
use uuid::Uuid;

use crate::{Database, WriteTx};

impl Database {
    /// The outbox of all stores of this file.
    pub fn outbox(&self) -> SqliteOutbox {
        SqliteOutbox(self.clone())
    }
}

impl WriteTx {
    /// Adds effects to the change: committed with it, or not at all. They are checked first.
    pub async fn push_effects(&mut self, effects: &[Effect]) -> Result<()> {
        check_effects(self.operation(), effects)?;
        let now = self.now().as_micros();
        for effect in effects {
            sqlx::query(include_str!("sql/outbox/push.sql"))
                .bind(effect.id.as_bytes().as_slice())
                .bind(effect.topic.as_str())
                .bind(effect.key.as_str())
                .bind(Digest::of(effect.key.as_str().as_bytes()).0.as_slice())
                .bind(effect.payload.to_string())
                .bind(now)
                .execute(self.connection())
                .await
                .map_err(|e| self.error(e))?;
        }
        Ok(())
    }
}

/// The outbox of a file.
#[derive(Debug, Clone)]
pub struct SqliteOutbox(Database);

type Row = (i64, Vec<u8>, String, String, String, i64);

fn entry((sequence, id, topic, key, payload, committed_at): Row) -> Option<OutboxEntry> {
    Some(OutboxEntry {
        sequence,
        committed_at: Timestamp::from_micros(committed_at)?,
        effect: Effect {
            id: Uuid::from_slice(&id).ok()?,
            topic: Name::new(topic).ok()?,
            key: Name::new(key).ok()?,
            payload: serde_json::from_str(&payload).ok()?,
        },
    })
}

#[async_trait]
impl Outbox for SqliteOutbox {
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>> {
        let mut tx = self.0.write("outbox.lease").await?;
        let lease = OutboxLease(Uuid::new_v4());
        let now = tx.now();
        let rows: Vec<Row> = sqlx::query_as(include_str!("sql/outbox/lease.sql"))
            .bind(lease.0.as_bytes().as_slice())
            .bind(now.plus(visibility.get()).as_micros())
            .bind(now.as_micros())
            .bind(limit.get())
            .fetch_all(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let sequence = row.0;
            entries.push(entry(row).ok_or_else(|| {
                Error::corrupt(tx.operation(), "an entry of the outbox is not what was written")
                    .with("sequence", sequence)
            })?);
        }
        // RETURNING promises no order.
        entries.sort_by_key(|entry| entry.sequence);
        tx.commit().await?;
        Ok(Some(OutboxBatch { lease, entries }))
    }

    async fn ack(&self, lease: OutboxLease) -> Result<()> {
        let mut tx = self.0.write("outbox.ack").await?;
        let now = tx.now().as_micros();
        let done = sqlx::query(include_str!("sql/outbox/ack.sql"))
            .bind(lease.0.as_bytes().as_slice())
            .bind(now)
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        if done.rows_affected() == 0 {
            return Err(Error::stale_lease(
                "outbox.ack",
                "the lease ran out or was replaced; the entries are handed out again",
            ));
        }
        tx.commit().await
    }

    async fn depth(&self) -> Result<u64> {
        let mut read = self.0.read("outbox.depth").await?;
        let depth: i64 = sqlx::query_scalar(include_str!("sql/outbox/depth.sql"))
            .fetch_one(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        Ok(u64::try_from(depth).unwrap_or(0))
    }
}
