//! Effects: committed with the change, handed out in order.

use async_trait::async_trait;
use hexmem_ports::{
    Digest, Effect, Error, Limit, Name, Outbox, OutboxBatch, OutboxEntry, OutboxLease, Result, Ttl,
    check_effects,
};
use uuid::Uuid;

use crate::Postgres;
use crate::query::{Query, Work};
use crate::value::{At, Hash, lock_key};

impl Postgres {
    /// The outbox of all stores of this schema.
    pub fn outbox(&self) -> PgOutbox {
        PgOutbox(self.clone())
    }
}

/// Effects as the arguments of `hexmem.push_effects`, for functions that call it themselves.
pub(crate) struct Effects {
    ids: Vec<Uuid>,
    topics: Vec<String>,
    keys: Vec<String>,
    hashes: Vec<Hash>,
    payloads: Vec<String>,
    /// Keys of the advisory locks that keep the order within a key.
    locks: Vec<i64>,
}

impl Effects {
    /// Checks `effects` first: `Invalid` for a payload that cannot be kept.
    pub(crate) fn new(
        postgres: &Postgres,
        operation: &'static str,
        effects: &[Effect],
    ) -> Result<Self> {
        check_effects(operation, effects)?;
        let schema = postgres.config().schema.as_bytes();
        let hashes: Vec<Hash> =
            effects.iter().map(|e| Hash(Digest::of(e.key.as_str().as_bytes()))).collect();
        let lock = |hash: &Hash| lock_key([b"outbox".as_slice(), schema, hash.0.0.as_slice()]);
        Ok(Self {
            ids: effects.iter().map(|effect| effect.id).collect(),
            topics: effects.iter().map(|effect| effect.topic.as_str().to_owned()).collect(),
            keys: effects.iter().map(|effect| effect.key.as_str().to_owned()).collect(),
            payloads: effects.iter().map(|effect| effect.payload.to_string()).collect(),
            locks: hashes.iter().map(lock).collect(),
            hashes,
        })
    }
}

impl Query<'_> {
    /// The next six arguments: `effects`, in the order of `hexmem.push_effects`.
    pub(crate) fn effects(self, effects: &Effects) -> Self {
        let Effects { ids, topics, keys, hashes, payloads, locks } = effects;
        self.bind(ids).bind(topics).bind(keys).bind(hashes).bind(payloads).bind(locks)
    }
}

impl Work<'_> {
    /// Adds effects to the change: committed with it, or not at all. The last statement of a transaction: it
    /// locks the keys until the commit.
    pub(crate) async fn push_effects(&mut self, effects: &Effects) -> Result<()> {
        if effects.ids.is_empty() {
            return Ok(());
        }
        self.query(include_str!("sql/outbox/push.sql")).effects(effects).execute().await.map(|_| ())
    }
}

/// The outbox of a schema.
#[derive(Debug, Clone)]
pub struct PgOutbox(Postgres);

type Row = (i64, Uuid, String, String, String, At);

fn entry((sequence, id, topic, key, payload, committed_at): Row) -> Option<OutboxEntry> {
    Some(OutboxEntry {
        sequence,
        committed_at: committed_at.0,
        effect: Effect {
            id,
            topic: Name::new(topic).ok()?,
            key: Name::new(key).ok()?,
            payload: serde_json::from_str(&payload).ok()?,
        },
    })
}

#[async_trait]
impl Outbox for PgOutbox {
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>> {
        const OPERATION: &str = "outbox.lease";
        let lease = OutboxLease(Uuid::new_v4());
        let lock = lock_key([b"outbox lease".as_slice(), self.0.config().schema.as_bytes()]);
        let rows: Vec<Row> = self
            .0
            .write(OPERATION, include_str!("sql/outbox/lease.sql"))
            .bind(lock)
            .bind(lease.0)
            .bind(visibility.as_micros())
            .bind(i32::try_from(limit.get()).unwrap_or(i32::MAX))
            .fetch_all()
            .await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let sequence = row.0;
            entries.push(entry(row).ok_or_else(|| {
                Error::corrupt(OPERATION, "an entry of the outbox is not what was written")
                    .with("sequence", sequence)
            })?);
        }
        // RETURNING promises no order.
        entries.sort_by_key(|entry| entry.sequence);
        Ok((!entries.is_empty()).then_some(OutboxBatch { lease, entries }))
    }

    async fn ack(&self, lease: OutboxLease) -> Result<()> {
        let done = self
            .0
            .write("outbox.ack", include_str!("sql/outbox/ack.sql"))
            .bind(lease.0)
            .execute()
            .await?;
        if done == 0 {
            return Err(Error::stale_lease(
                "outbox.ack",
                "the lease ran out or was replaced; the entries are handed out again",
            ));
        }
        Ok(())
    }

    async fn depth(&self) -> Result<u64> {
        let (depth,): (i64,) = self
            .0
            .read_lagging("outbox.depth", include_str!("sql/outbox/depth.sql"))
            .fetch_one()
            .await?;
        Ok(u64::try_from(depth).unwrap_or(0))
    }
}
