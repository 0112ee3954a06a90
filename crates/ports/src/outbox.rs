//! Effects: what must follow a change, committed with it, and the port that hands them out.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Limit, Name, Result, Timestamp, Ttl, check_json};

/// Something to be done because of a change: an entry of the outbox, committed in the same transaction or
/// script as the change itself, or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The key by which the receiver recognises a repeat. Unique per effect.
    pub id: Uuid,
    /// What kind of work it is, for example `index.memory`.
    pub topic: Name,
    /// The entity that it is about: effects of one key are handed out in the order of their commits.
    pub key: Name,
    /// What the receiver needs.
    pub payload: Value,
}

/// Checks the payloads of `effects` with [`check_json`](crate::check_json). A store does so before it changes
/// anything.
pub fn check_effects(operation: &'static str, effects: &[Effect]) -> Result<()> {
    effects.iter().try_for_each(|effect| check_json(operation, &effect.payload))
}

/// An effect as the outbox holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Its position. Grows within one key; says nothing across keys.
    pub sequence: i64,
    /// When its change was committed, by the store's clock.
    pub committed_at: Timestamp,
    /// The effect.
    pub effect: Effect,
}

/// The right to acknowledge a batch: 128 random bits, compared for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutboxLease(pub Uuid);

/// Entries handed to one drainer.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxBatch {
    /// What [`Outbox::ack`] presents.
    pub lease: OutboxLease,
    /// The entries, oldest first within each key. Never empty.
    pub entries: Vec<OutboxEntry>,
}

/// Drains effects in order, at least once.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Takes up to `limit` of the oldest entries for `visibility`. `None` when nothing is free.
    ///
    /// # Behavior
    /// - `OUTBOX-LEASE-1`: an entry of a committed change is handed out; one of a refused change never.
    /// - `OUTBOX-LEASE-2`: entries of one key come in the order of their commits.
    /// - `OUTBOX-LEASE-3`: while a batch is held, no other drainer gets its entries or later entries of
    ///   their keys.
    /// - `OUTBOX-LEASE-4`: when the visibility ran out unacknowledged, the entries are handed out again.
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>>;

    /// Removes the entries of a batch: their work is done.
    ///
    /// # Behavior
    /// - `OUTBOX-ACK-1`: acknowledged entries are never handed out again.
    /// - `OUTBOX-ACK-2`: a lease that ran out or was replaced is `StaleLease` and removes nothing.
    async fn ack(&self, lease: OutboxLease) -> Result<()>;

    /// How many entries wait, held ones included.
    ///
    /// # Behavior
    /// - `OUTBOX-DEPTH-1`: equals the entries committed and not yet acknowledged.
    async fn depth(&self) -> Result<u64>;
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Outbox + ?Sized> Outbox for Arc<T> {
    async fn lease(&self, limit: Limit, visibility: Ttl) -> Result<Option<OutboxBatch>> {
        (**self).lease(limit, visibility).await
    }
    async fn ack(&self, lease: OutboxLease) -> Result<()> {
        (**self).ack(lease).await
    }
    async fn depth(&self) -> Result<u64> {
        (**self).depth().await
    }
}
