//! Web and agent sessions.

mod session;
mod stored;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::{Capabilities, Cursor, Effect, Limit, Name, OpId, Page, Result, Tenant, UserScope};

pub use session::*;
pub use stored::*;

/// Sessions, looked up by the hash of their secret.
///
/// A session is *live* while it is not revoked and neither its idle nor its absolute time has run out, by
/// the store's clock. Every read sees live sessions only.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Inserts a session and enforces the owner's cap, in one step.
    ///
    /// # Behavior
    /// - `SESS-CREATE-1`: the session reads back equal by value, stamped by the store's clock, version 1.
    /// - `SESS-CREATE-2`: a repeat with the same id and token gives the first answer until that token has ended for [`REPLAY_WINDOW`](crate::REPLAY_WINDOW) or the session is swept; the same id with another token, or the same token with another id or owner, is `AlreadyExists` and changes nothing.
    /// - `SESS-CREATE-3`: `EvictOldest` revokes the longest unseen live sessions of the owner (then the oldest, then the lowest id) and names them in that order.
    /// - `SESS-CREATE-4`: `Refuse` at the cap is `Conflict` and inserts nothing; dead sessions do not count.
    /// - `SESS-CREATE-5`: of N concurrent creates at a cap of M never more than M are live.
    /// - `SESS-CREATE-6`: a bucket that is not the owner's, a cap of zero, or invalid data (NUL, integers beyond i64), is `Invalid` and changes nothing.
    /// - `SESS-CREATE-7`: (effects) effects are committed with the session, and not when it is refused.
    async fn create(&self, session: NewSession, effects: Vec<Effect>) -> Result<Created>;

    /// The live session of a token. Takes no scope and returns it.
    ///
    /// # Behavior
    /// - `SESS-FIND-1`: an unknown token is `None`.
    /// - `SESS-FIND-2`: past the idle or the absolute end it is `None` at once, without sweeping.
    /// - `SESS-FIND-3`: finding does not extend.
    /// - `SESS-FIND-4`: a known hash under another bucket is `None`.
    async fn find(&self, token: &TokenKey) -> Result<Option<Session>>;

    /// Marks the session as seen now: moves its idle end, never beyond the absolute end. `None` when no
    /// live session has the token: nothing is created or revived.
    ///
    /// # Behavior
    /// - `SESS-TOUCH-1`: moves `last_seen_at` to now and the idle end ([`rules::idle_end`](crate::rules::idle_end)); data and version stay.
    /// - `SESS-TOUCH-2`: never moves the idle end beyond the absolute end.
    /// - `SESS-TOUCH-3`: an expired or revoked session stays so.
    /// - `SESS-TOUCH-4`: within `coalesce` of the last touch nothing is written and the session is returned ([`rules::seen`](crate::rules::seen)).
    /// - `SESS-TOUCH-5`: a touch concurrent with a revoke cannot bring the session back.
    /// - `SESS-TOUCH-6`: an address or user agent given replaces the kept one; one not given stays.
    async fn touch(&self, token: &TokenKey, touch: Touch) -> Result<Option<Session>>;

    /// Replaces `data` where the version is still `expected`. `None` when no live session has the token.
    ///
    /// # Behavior
    /// - `SESS-UPDATE-1`: writes the data and raises the version by one; times stay.
    /// - `SESS-UPDATE-2`: another version is `Conflict` and changes nothing: of N concurrent updates of one version exactly one succeeds.
    /// - `SESS-UPDATE-3`: a repeat with the op of the latest update gives its version and data, and writes nothing again.
    /// - `SESS-UPDATE-4`: invalid data is `Invalid` and changes nothing.
    /// - `SESS-UPDATE-5`: an expired, revoked or unknown session is `None` and stays as it is.
    /// - `SESS-UPDATE-6`: (effects) effects are committed with the update, not when it is refused, and not again on a repeat.
    async fn update(
        &self,
        token: &TokenKey,
        expected: u64,
        data: Value,
        op: OpId,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>>;

    /// Gives a live session a new token in one step. `None` when no live session has the old token.
    ///
    /// # Behavior
    /// - `SESS-ROTATE-1`: the new token finds the session with the same id; the old one ends at once without grace.
    /// - `SESS-ROTATE-2`: within the grace both find it; after it only the new one does. Tokens in an earlier grace end no later than the old one.
    /// - `SESS-ROTATE-3`: a repeat with the same old and new token, while the new one is current, gives the session and changes nothing: the grace is not prolonged.
    /// - `SESS-ROTATE-4`: a new token already in use is `AlreadyExists`; of another bucket, or equal to the old, it is `Invalid`; nothing changes.
    /// - `SESS-ROTATE-5`: a token in its grace cannot be rotated again: of concurrent rotations one wins, the others are `Conflict` (`None` where no grace was given).
    /// - `SESS-ROTATE-6`: an auth hash given replaces the kept one; otherwise it stays. Data, version and ends stay.
    /// - `SESS-ROTATE-7`: (effects) effects are committed with the rotation, not when it is refused, and not again on a repeat.
    /// - `SESS-ROTATE-8`: an address or user agent given replaces the kept one; one not given stays.
    async fn rotate(&self, rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>>;

    /// What a replaced token once opened: whoever presents one holds an old copy.
    ///
    /// # Behavior
    /// - `SESS-SPENT-1`: from the end of a replaced token on, for at least [`REPLAY_WINDOW`](crate::REPLAY_WINDOW), gives its live session and when it ended.
    /// - `SESS-SPENT-2`: `None` for a token that is current or in its grace, that is unknown or known under another bucket, or whose session has ended.
    /// - `SESS-SPENT-3`: asking neither extends the session nor revives the token.
    async fn spent(&self, token: &TokenKey) -> Result<Option<Spent>>;

    /// A live session of an owner by its id.
    ///
    /// # Behavior
    /// - `SESS-GET-1`: another user or tenant sees nothing.
    async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>>;

    /// The live sessions of an owner.
    ///
    /// # Behavior
    /// - `SESS-LIST-1`: pages give each live session exactly once while others come and go.
    /// - `SESS-LIST-2`: expired and revoked sessions, and those of other users and tenants, are not listed.
    /// - `SESS-LIST-3`: a cursor that this store did not give for this listing is `Invalid`.
    async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>>;

    /// The live sessions of a cluster of a tenant.
    ///
    /// # Behavior
    /// - `SESS-CLUSTER-1`: gives exactly the live sessions created with this cluster in this tenant, by pages.
    async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>>;

    /// The live sessions of a correlation id of a tenant.
    ///
    /// # Behavior
    /// - `SESS-CORR-1`: gives exactly the live sessions created with this correlation id in this tenant, by pages.
    async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>>;

    /// Ends a session of an owner. `false` when it was not live.
    ///
    /// # Behavior
    /// - `SESS-REVOKE-1`: no token finds it any more, those in grace included; a second revoke says `false`.
    /// - `SESS-REVOKE-2`: another owner's id is `false` and changes nothing.
    /// - `SESS-REVOKE-3`: (effects) effects are committed with the revocation, not when it says `false`.
    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool>;

    /// Ends all live sessions of an owner but `except`; returns how many.
    ///
    /// # Behavior
    /// - `SESS-REVOKEALL-1`: all but the excepted one are gone; other owners keep theirs.
    /// - `SESS-REVOKEALL-2`: (effects) effects are committed where at least one was revoked, and not otherwise.
    async fn revoke_all(
        &self,
        owner: &UserScope,
        except: Option<SessionId>,
        effects: Vec<Effect>,
    ) -> Result<u64>;

    /// How many sessions of a tenant are live.
    ///
    /// # Behavior
    /// - `SESS-COUNT-1`: (exact_counts) counts live sessions of the tenant only.
    async fn active_count(&self, tenant: &Tenant) -> Result<Count>;

    /// Frees the space of at most `limit` sessions whose retention has passed; returns how many.
    ///
    /// # Behavior
    /// - `SESS-SWEEP-1`: removes only what is past its retention (counted from revocation or expiry), at most `limit`, until it answers 0; live ones stay.
    async fn sweep(&self, limit: Limit) -> Result<u64>;
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: SessionStore + ?Sized> SessionStore for Arc<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn create(&self, session: NewSession, effects: Vec<Effect>) -> Result<Created> {
        (**self).create(session, effects).await
    }
    async fn find(&self, token: &TokenKey) -> Result<Option<Session>> {
        (**self).find(token).await
    }
    async fn touch(&self, token: &TokenKey, touch: Touch) -> Result<Option<Session>> {
        (**self).touch(token, touch).await
    }
    async fn update(
        &self,
        token: &TokenKey,
        expected: u64,
        data: Value,
        op: OpId,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        (**self).update(token, expected, data, op, effects).await
    }
    async fn rotate(&self, rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>> {
        (**self).rotate(rotate, effects).await
    }
    async fn spent(&self, token: &TokenKey) -> Result<Option<Spent>> {
        (**self).spent(token).await
    }
    async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>> {
        (**self).get(owner, id).await
    }
    async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        (**self).list(owner, cursor, limit).await
    }
    async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        (**self).list_by_cluster(tenant, cluster, cursor, limit).await
    }
    async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        (**self).list_by_correlation(tenant, correlation, cursor, limit).await
    }
    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool> {
        (**self).revoke(owner, id, effects).await
    }
    async fn revoke_all(
        &self,
        owner: &UserScope,
        except: Option<SessionId>,
        effects: Vec<Effect>,
    ) -> Result<u64> {
        (**self).revoke_all(owner, except, effects).await
    }
    async fn active_count(&self, tenant: &Tenant) -> Result<Count> {
        (**self).active_count(tenant).await
    }
    async fn sweep(&self, limit: Limit) -> Result<u64> {
        (**self).sweep(limit).await
    }
}
