//! A session as stores keep it, and its record.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Digest, Error, Name, NewSession, OpId, REPLAY_WINDOW, Record, RecordKind, Result, Session,
    SessionId, SessionOrigin, Tenant, Timestamp, TokenKey, Touch, Ttl, UserScope, check_json,
    rules,
};

/// A token of a session. One of them is current; others are in their grace or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredToken {
    /// SHA-256 of the secret.
    pub hash: Digest,
    /// The token it replaced; `None` for the one the session was created with.
    pub replaces: Option<Digest>,
    /// When it ends or ended; `None` for the current one.
    pub valid_until: Option<Timestamp>,
}

impl StoredToken {
    /// Whether it opens its session at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|end| end > now)
    }

    /// Whether it may be forgotten: it ended more than [`REPLAY_WINDOW`] ago.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.valid_until.is_some_and(|end| end.plus(REPLAY_WINDOW) <= now)
    }
}

/// A session with what only stores need. SQL stores keep its fields as columns.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSession {
    /// What the port shows.
    pub session: Session,
    /// The idle timeout that each touch applies.
    pub idle: Ttl,
    /// How long it stays after its end.
    pub retention: Ttl,
    /// Grows with each write: the version of the record.
    pub revision: u64,
    /// When it was last written.
    pub modified_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key of the latest update.
    pub last_op: Option<OpId>,
    /// What its create revoked, for the answer to a repeat.
    pub evicted: Vec<SessionId>,
    /// Its tokens.
    pub tokens: Vec<StoredToken>,
}

impl StoredSession {
    /// A session created at `now`.
    pub fn new(new: NewSession, now: Timestamp, evicted: Vec<SessionId>) -> Self {
        let (idle, retention) = (new.idle, new.retention);
        let token = StoredToken { hash: new.token.hash, replaces: None, valid_until: None };
        Self {
            session: new.session(now),
            idle,
            retention,
            revision: 1,
            modified_at: now,
            revoked_at: None,
            last_op: None,
            evicted,
            tokens: vec![token],
        }
    }

    /// Not revoked and not run out at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.session.is_live(now)
    }

    /// When its space may be freed.
    pub fn purge_at(&self) -> Timestamp {
        let end = self.session.idle_expires_at;
        self.revoked_at.map_or(end, |revoked| revoked.min(end)).plus(self.retention.get())
    }

    /// The token with this hash.
    pub fn token(&self, hash: &Digest) -> Option<&StoredToken> {
        self.tokens.iter().find(|token| token.hash == *hash)
    }

    /// Counts a write at `now`.
    pub fn written(&mut self, now: Timestamp) {
        self.revision += 1;
        self.modified_at = now;
    }

    /// Marks it as seen at `now`; `false` when nothing is to be written.
    pub fn touch(&mut self, touch: Touch, now: Timestamp) -> bool {
        let Some(seen_at) = rules::seen(self.session.last_seen_at, now, touch.coalesce) else {
            return false;
        };
        let session = &mut self.session;
        session.last_seen_at = seen_at;
        session.idle_expires_at = rules::idle_end(seen_at, self.idle, session.absolute_expires_at);
        session.origin.ip = touch.ip.or(session.origin.ip);
        if touch.user_agent.is_some() {
            session.origin.user_agent = touch.user_agent;
        }
        self.written(now);
        true
    }

    /// Revokes it at `now`.
    pub fn revoke(&mut self, now: Timestamp) {
        self.revoked_at = Some(now);
        self.written(now);
    }

    /// The keys of its tokens.
    pub fn token_keys(&self) -> impl Iterator<Item = TokenKey> + '_ {
        let bucket = self.session.owner.bucket();
        self.tokens.iter().map(move |token| TokenKey { bucket, hash: token.hash })
    }
}

/// The version of the form of a session's record.
pub const SESSION_FORM: u16 = 1;

/// The body of a session's record; the address is tenant, user, id.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    data: Value,
    origin: SessionOrigin,
    created_at: Timestamp,
    last_seen_at: Timestamp,
    idle_expires_at: Timestamp,
    absolute_expires_at: Timestamp,
    token_issued_at: Timestamp,
    version: u64,
    idle_micros: Ttl,
    retention_micros: Ttl,
    last_op: Option<OpId>,
    evicted: Vec<SessionId>,
    tokens: Vec<StoredToken>,
}

impl StoredSession {
    /// Its record.
    pub fn to_record(&self) -> Result<Record> {
        let session = self.session.clone();
        // One order everywhere, so that records of equal sessions are equal.
        let mut tokens = self.tokens.clone();
        tokens.sort_by_key(|token| token.hash);
        let body = Body {
            data: session.data,
            origin: session.origin,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            idle_expires_at: session.idle_expires_at,
            absolute_expires_at: session.absolute_expires_at,
            token_issued_at: session.token_issued_at,
            version: session.version,
            idle_micros: self.idle,
            retention_micros: self.retention,
            last_op: self.last_op,
            evicted: self.evicted.clone(),
            tokens,
        };
        let body = serde_json::to_value(body).map_err(|error| {
            Error::corrupt("sessions.scan", "a session cannot be written as JSON")
                .with("id", session.id)
                .caused_by(error)
        })?;
        let owner = &session.owner;
        Ok(Record {
            kind: RecordKind::Session,
            form: SESSION_FORM,
            address: vec![owner.tenant.to_string(), owner.user.to_string(), session.id.to_string()],
            version: self.revision,
            modified_at: self.modified_at,
            expires_at: Some(session.idle_expires_at),
            deleted_at: self.revoked_at,
            body,
        })
    }

    /// The session of a record. `Invalid`, naming the address, for another kind or form, an address that is
    /// not (tenant, user, id), a body that does not parse, or times that contradict each other.
    pub fn from_record(record: Record) -> Result<Self> {
        let address = format!("{:?}", record.address);
        read(record).map_err(|(what, cause)| {
            let error = Error::invalid("sessions.restore", what).with("address", address);
            if let Some(cause) = cause { error.caused_by(cause) } else { error }
        })
    }
}

type Refusal = (&'static str, Option<Box<dyn std::error::Error + Send + Sync>>);

fn read(record: Record) -> Result<StoredSession, Refusal> {
    if record.kind != RecordKind::Session {
        return Err(("the record is not of a session", None));
    }
    if record.form != SESSION_FORM {
        return Err(("the record has a form that this version does not know", None));
    }
    let Ok([tenant, user, id]) = <[String; 3]>::try_from(record.address) else {
        return Err(("a session's address is tenant, user and id", None));
    };
    let body: Body = serde_json::from_value(record.body)
        .map_err(|error| ("the body does not parse", Some(error.into())))?;
    let name = |text| Name::new(text).map_err(|error| ("a name is none", Some(error.into())));
    let owner = UserScope { tenant: Tenant(name(tenant)?), user: name(user)? };
    let id: Uuid = id.parse().map_err(|_| ("the id is no UUID", None))?;
    check_json("sessions.restore", &body.data)
        .map_err(|error| ("the data is refused", Some(error.into())))?;
    if body.idle_expires_at > body.absolute_expires_at {
        return Err(("the idle end lies beyond the absolute end", None));
    }
    if body.tokens.iter().filter(|token| token.valid_until.is_none()).count() != 1 {
        return Err(("a session has exactly one current token", None));
    }
    let session = Session {
        id: SessionId(id),
        owner,
        data: body.data,
        origin: body.origin,
        created_at: body.created_at,
        last_seen_at: body.last_seen_at,
        idle_expires_at: body.idle_expires_at,
        absolute_expires_at: body.absolute_expires_at,
        token_issued_at: body.token_issued_at,
        version: body.version,
    };
    Ok(StoredSession {
        session,
        idle: body.idle_micros,
        retention: body.retention_micros,
        revision: record.version,
        modified_at: record.modified_at,
        revoked_at: record.deleted_at,
        last_op: body.last_op,
        evicted: body.evicted,
        tokens: body.tokens,
    })
}
