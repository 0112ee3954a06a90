//! Web and agent sessions.

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Capabilities, Cursor, Digest, Effect, Limit, Name, OpId, Page, Result, Tenant, Timestamp, Ttl,
    UserScope,
};

/// A session's public id: listable, loggable, no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a store sees of a token: the public bucket and the SHA-256 of the 256 secret bits. The bucket is
/// [`UserScope::bucket`] of the owner, so that everything of a user lies under one hash tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenKey {
    /// hash(tenant, user) mod [`BUCKETS`](crate::BUCKETS).
    pub bucket: u16,
    /// SHA-256 of the secret.
    pub hash: Digest,
}

/// A session that a user's request can be answered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The public id.
    pub id: SessionId,
    /// Whose it is.
    pub owner: UserScope,
    /// What the caller keeps with it. Any JSON.
    pub data: Value,
    /// Where it came from and what it belongs to.
    pub origin: SessionOrigin,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last touched.
    pub last_seen_at: Timestamp,
    /// When it ends unless touched.
    pub idle_expires_at: Timestamp,
    /// When it ends in any case.
    pub absolute_expires_at: Timestamp,
    /// When its token was last changed (created or rotated).
    pub token_issued_at: Timestamp,
    /// Grows with each update of `data`.
    pub version: u64,
}

/// Attributes of a session that are not the caller's data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionOrigin {
    /// The cluster or deployment an agent session works on.
    pub cluster: Option<Name>,
    /// The correlation id of the work it is part of.
    pub correlation: Option<Name>,
    /// The service identity of an agent session.
    pub service: Option<Name>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The client's user agent, at most 1,024 bytes.
    pub user_agent: Option<Name>,
    /// A digest of what authenticates the user: compared by the domain, so that a changed password
    /// ends the user's sessions.
    pub auth_hash: Option<Digest>,
}

/// How many live sessions a user may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCap {
    /// At least 1.
    pub max: u32,
    /// What happens to the one too many.
    pub when_full: WhenFull,
}

/// What a create does at the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenFull {
    /// The longest unseen sessions are revoked.
    EvictOldest,
    /// The create is refused with `Conflict`.
    Refuse,
}

/// A session to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// A fresh id: the key of idempotence of the create.
    pub id: SessionId,
    /// The token's public part and hash.
    pub token: TokenKey,
    /// Whose it is. `token.bucket` must be `owner.bucket()`; otherwise `Invalid`.
    pub owner: UserScope,
    /// The caller's data.
    pub data: Value,
    /// Where it comes from.
    pub origin: SessionOrigin,
    /// The idle timeout, kept with the session and applied by each touch.
    pub idle: Ttl,
    /// The absolute timeout.
    pub absolute: Ttl,
    /// The user's cap, if any.
    pub cap: Option<SessionCap>,
    /// How long the record stays after revocation or expiry, for audit and migration.
    pub retention: Ttl,
}

/// What a create did.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The session.
    pub session: Session,
    /// Sessions revoked to stay within the cap.
    pub evicted: Vec<SessionId>,
}

/// What a touch may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touch {
    /// A new client address, if it changed.
    pub ip: Option<IpAddr>,
    /// A new user agent, if it changed.
    pub user_agent: Option<Name>,
    /// Touches closer together than this are answered without a write.
    pub coalesce: Option<Ttl>,
}

/// A new token for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotate {
    /// The token to replace.
    pub old: TokenKey,
    /// The new one, of the same bucket.
    pub new: TokenKey,
    /// How long the old one stays valid; `None`: it ends at once.
    pub grace: Option<Ttl>,
}

/// The number of live sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The number.
    pub value: u64,
    /// Whether it is exact.
    pub exact: bool,
}

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
    /// - `SESS-CREATE-2`: a repeat with the same id and token gives the first answer; the same id with another token, or the same token with another id, is `AlreadyExists` and changes nothing.
    /// - `SESS-CREATE-3`: `EvictOldest` revokes the longest unseen live sessions of the owner and names them.
    /// - `SESS-CREATE-4`: `Refuse` at the cap is `Conflict` and inserts nothing; dead sessions do not count.
    /// - `SESS-CREATE-5`: of N concurrent creates at a cap of M never more than M are live.
    /// - `SESS-CREATE-6`: a bucket that is not the owner's, or invalid data (NUL, integers beyond i64), is `Invalid` and changes nothing.
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
    /// - `SESS-TOUCH-1`: moves `last_seen_at` and the idle end; data and version stay.
    /// - `SESS-TOUCH-2`: never moves the idle end beyond the absolute end.
    /// - `SESS-TOUCH-3`: an expired or revoked session stays so.
    /// - `SESS-TOUCH-4`: within `coalesce` of the last touch nothing is written and the session is returned.
    /// - `SESS-TOUCH-5`: a touch concurrent with a revoke cannot bring the session back.
    async fn touch(&self, token: &TokenKey, touch: Touch) -> Result<Option<Session>>;

    /// Replaces `data` where the version is still `expected`. `None` when no live session has the token.
    ///
    /// # Behavior
    /// - `SESS-UPDATE-1`: writes the data and raises the version by one; times stay.
    /// - `SESS-UPDATE-2`: another version is `Conflict` and changes nothing: of N concurrent updates of one version exactly one succeeds.
    /// - `SESS-UPDATE-3`: a repeat with the op of the latest update gives its answer.
    /// - `SESS-UPDATE-4`: invalid data is `Invalid` and changes nothing.
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
    /// - `SESS-ROTATE-2`: within the grace both find it; after it only the new one does.
    /// - `SESS-ROTATE-3`: a repeat with the same new token gives the first answer.
    /// - `SESS-ROTATE-4`: a new token already in use is `AlreadyExists`; of another bucket it is `Invalid`; nothing changes.
    /// - `SESS-ROTATE-5`: a token in its grace cannot be rotated again: of two concurrent rotations one wins, the other is `Conflict`.
    async fn rotate(&self, rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>>;

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
    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool>;

    /// Ends all live sessions of an owner but `except`; returns how many.
    ///
    /// # Behavior
    /// - `SESS-REVOKEALL-1`: all but the excepted one are gone; other owners keep theirs.
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
    /// - `SESS-SWEEP-1`: removes only what is past its retention, at most `limit`; live ones stay.
    async fn sweep(&self, limit: Limit) -> Result<u64>;
}
