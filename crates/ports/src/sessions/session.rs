//! What a session is, and the arguments of its port.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Digest, Error, Name, Result, Timestamp, Ttl, UserScope, check_json, rules};

/// A session's public id: listable, loggable, no secret. Unique within its owner.
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

impl Session {
    /// Whether it has not run out at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.idle_expires_at.min(self.absolute_expires_at) > now
    }
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
    /// The session on whose behalf this one was started, of the same tenant. Stores keep it and ask nothing of it.
    pub parent: Option<SessionId>,
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
    /// The user's cap, if any. A cap of zero is `Invalid`.
    pub cap: Option<SessionCap>,
    /// How long the record stays after revocation or expiry, for audit and migration.
    pub retention: Ttl,
}

impl NewSession {
    /// What every store refuses before it changes anything.
    pub fn check(&self) -> Result<()> {
        const OPERATION: &str = "sessions.create";
        if self.token.bucket != self.owner.bucket() {
            return Err(Error::invalid(OPERATION, "the token's bucket is not the owner's")
                .with("bucket", self.token.bucket)
                .with("owner", &self.owner));
        }
        if self.cap.is_some_and(|cap| cap.max == 0) {
            return Err(Error::invalid(OPERATION, "a cap of zero sessions; give at least 1"));
        }
        check_json(OPERATION, &self.data)
    }

    /// The session as it is when its create happens at `now`. A pure function of the request: so the first
    /// answer of a create can be given again without being kept.
    pub fn session(self, now: Timestamp) -> Session {
        let absolute_expires_at = now.plus(self.absolute.get());
        Session {
            id: self.id,
            owner: self.owner,
            data: self.data,
            origin: self.origin,
            created_at: now,
            last_seen_at: now,
            idle_expires_at: rules::idle_end(now, self.idle, absolute_expires_at),
            absolute_expires_at,
            token_issued_at: now,
            version: 1,
        }
    }
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
    /// A new digest of what authenticates the user, when that is why the token changes; `None` keeps it.
    pub auth_hash: Option<Digest>,
    /// A new client address, when that is why the token changes; `None` keeps it.
    pub ip: Option<IpAddr>,
    /// A new user agent, likewise.
    pub user_agent: Option<Name>,
}

impl Rotate {
    /// What every store refuses before it changes anything.
    pub fn check(&self) -> Result<()> {
        const OPERATION: &str = "sessions.rotate";
        if self.new.bucket != self.old.bucket {
            return Err(Error::invalid(OPERATION, "the new token has another bucket than the old")
                .with("old", self.old.bucket)
                .with("new", self.new.bucket));
        }
        if self.new.hash == self.old.hash {
            return Err(Error::invalid(
                OPERATION,
                "the new token is the old one; draw a fresh one",
            ));
        }
        Ok(())
    }
}

/// A token that was replaced and opens its session no more.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    /// The live session that it once opened.
    pub session: Session,
    /// When it ended: at its rotation, or at the end of its grace.
    pub ended_at: Timestamp,
}

/// The number of live sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The number.
    pub value: u64,
    /// Whether it is exact.
    pub exact: bool,
}
