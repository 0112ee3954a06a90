//! Rows as sessions, and sessions as rows.

use hexmem_ports::{
    Cursor, Digest, Error, Name, OpId, Result, Session, SessionId, SessionOrigin, StoredSession,
    StoredToken, Tenant, Timestamp, Ttl, UserScope, from_hex, to_hex,
};
use sqlx::query::QueryScalar;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Row as _, Sqlite};
use uuid::Uuid;

/// SHA-256 of tenant and user.
pub(super) fn owner_key(owner: &UserScope) -> Digest {
    part_key(&owner.tenant, &owner.user)
}

/// SHA-256 of a tenant and a name of it.
pub(super) fn part_key(tenant: &Tenant, name: &Name) -> Digest {
    Digest::of_parts([tenant.as_str().as_bytes(), name.as_str().as_bytes()])
}

/// The columns of a session, and what decides about its token.
pub(super) struct FoundRow {
    pub(super) seq: i64,
    pub(super) id: Vec<u8>,
    pub(super) last_op: Option<Vec<u8>>,
    /// Of the token it was found by; `None` where that is the current one, or none was asked for.
    pub(super) valid_until: Option<i64>,
    names: [String; 2],
    data: String,
    /// Cluster, correlation, service, user agent.
    origin: [Option<String>; 4],
    ip: Option<String>,
    auth_hash: Option<Vec<u8>>,
    parent: Option<Vec<u8>>,
    /// Created, last seen, idle end, absolute end, token issued.
    times: [i64; 5],
    version: i64,
}

impl FoundRow {
    fn read(row: &SqliteRow, valid_until: Option<i64>) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.try_get("seq")?,
            id: row.try_get("id")?,
            last_op: row.try_get("last_op")?,
            valid_until,
            names: [row.try_get("tenant")?, row.try_get("user_name")?],
            data: row.try_get("data")?,
            origin: [
                row.try_get("cluster")?,
                row.try_get("correlation")?,
                row.try_get("service")?,
                row.try_get("user_agent")?,
            ],
            ip: row.try_get("ip")?,
            auth_hash: row.try_get("auth_hash")?,
            parent: row.try_get("parent")?,
            times: [
                row.try_get("created_at")?,
                row.try_get("last_seen_at")?,
                row.try_get("idle_expires_at")?,
                row.try_get("absolute_expires_at")?,
                row.try_get("token_issued_at")?,
            ],
            version: row.try_get("version")?,
        })
    }

    /// The session. `Corrupt` when the row is not what this program wrote.
    pub(super) fn session(self, operation: &'static str) -> Result<Session> {
        let id = session_id(operation, &self.id)?;
        self.parsed(id).ok_or_else(|| corrupt(operation).with("id", id))
    }

    fn parsed(self, id: SessionId) -> Option<Session> {
        let [tenant, user] = self.names;
        let named = |text: Option<String>| match text {
            None => Some(None),
            Some(text) => Name::new(text).ok().map(Some),
        };
        let [cluster, correlation, service, user_agent] = self.origin;
        let mut times = [Timestamp::MIN; 5];
        for (time, micros) in times.iter_mut().zip(self.times) {
            *time = Timestamp::from_micros(micros)?;
        }
        let [created_at, last_seen_at, idle_expires_at, absolute_expires_at, token_issued_at] =
            times;
        Some(Session {
            id,
            owner: UserScope {
                tenant: Tenant(Name::new(tenant).ok()?),
                user: Name::new(user).ok()?,
            },
            data: serde_json::from_str(&self.data).ok()?,
            origin: SessionOrigin {
                cluster: named(cluster)?,
                correlation: named(correlation)?,
                service: named(service)?,
                ip: self.ip.map_or(Some(None), |ip| ip.parse().ok().map(Some))?,
                user_agent: named(user_agent)?,
                parent: match self.parent {
                    None => None,
                    Some(id) => Some(SessionId(Uuid::from_slice(&id).ok()?)),
                },
                auth_hash: self
                    .auth_hash
                    .map_or(Some(None), |h| Digest::from_slice(&h).map(Some))?,
            },
            created_at,
            last_seen_at,
            idle_expires_at,
            absolute_expires_at,
            token_issued_at,
            version: u64::try_from(self.version).ok()?,
        })
    }
}

impl FromRow<'_, SqliteRow> for FoundRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Self::read(row, row.try_get("valid_until")?)
    }
}

/// All columns of a session.
pub(super) struct SessionRow {
    pub(super) found: FoundRow,
    kept: [i64; 4],
    revoked_at: Option<i64>,
    evicted: String,
}

impl FromRow<'_, SqliteRow> for SessionRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            found: FoundRow::read(row, None)?,
            kept: [
                row.try_get("idle")?,
                row.try_get("retention")?,
                row.try_get("revision")?,
                row.try_get("modified_at")?,
            ],
            revoked_at: row.try_get("revoked_at")?,
            evicted: row.try_get("evicted")?,
        })
    }
}

impl SessionRow {
    /// The session as stores keep it.
    pub(super) fn stored(
        self,
        operation: &'static str,
        tokens: Vec<StoredToken>,
    ) -> Result<StoredSession> {
        let bad = || corrupt(operation);
        let last_op = match &self.found.last_op {
            Some(op) => Some(OpId(Uuid::from_slice(op).map_err(|e| bad().caused_by(e))?)),
            None => None,
        };
        let [idle, retention, revision, modified_at] = self.kept;
        let ttl = |micros: i64| -> Result<Ttl> {
            Ttl::try_from(u64::try_from(micros).map_err(|e| bad().caused_by(e))?)
        };
        Ok(StoredSession {
            idle: ttl(idle)?,
            retention: ttl(retention)?,
            revision: u64::try_from(revision).map_err(|e| bad().caused_by(e))?,
            modified_at: time(operation, modified_at)?,
            revoked_at: self.revoked_at.map(|at| time(operation, at)).transpose()?,
            last_op,
            evicted: evicted(operation, &self.evicted)?,
            tokens,
            session: self.found.session(operation)?,
        })
    }
}

/// A session's number, and what decides about a repeat of its create and about a newer record.
pub(super) struct HeldRow {
    pub(super) seq: i64,
    pub(super) created_at: i64,
    pub(super) evicted: String,
    pub(super) revision: i64,
    pub(super) modified_at: i64,
}

impl FromRow<'_, SqliteRow> for HeldRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.try_get("seq")?,
            created_at: row.try_get("created_at")?,
            evicted: row.try_get("evicted")?,
            revision: row.try_get("revision")?,
            modified_at: row.try_get("modified_at")?,
        })
    }
}

/// A token, whatever became of it.
pub(super) struct TokenRow {
    pub(super) seq: i64,
    pub(super) replaces: Option<Vec<u8>>,
    pub(super) valid_until: Option<i64>,
}

impl FromRow<'_, SqliteRow> for TokenRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.try_get("session")?,
            replaces: row.try_get("replaces")?,
            valid_until: row.try_get("valid_until")?,
        })
    }
}

/// The token of a row of `scan_tokens.sql`.
pub(super) fn stored_token(
    operation: &'static str,
    hash: &[u8],
    replaces: Option<&[u8]>,
    valid_until: Option<i64>,
) -> Result<StoredToken> {
    let digest = |bytes| Digest::from_slice(bytes).ok_or_else(|| corrupt(operation));
    Ok(StoredToken {
        hash: digest(hash)?,
        replaces: replaces.map(digest).transpose()?,
        valid_until: valid_until.map(|at| time(operation, at)).transpose()?,
    })
}

/// The insert of a session, with the number of the one it replaces.
pub(super) fn insert(
    seq: Option<i64>,
    kept: &StoredSession,
) -> Result<QueryScalar<'_, Sqlite, i64, SqliteArguments>> {
    let Session { owner, origin, .. } = &kept.session;
    let part =
        |name: &Option<Name>| name.as_ref().map(|name| part_key(&owner.tenant, name).0.to_vec());
    let number = |value: u64| {
        i64::try_from(value).map_err(|error| {
            Error::invalid("sessions.restore", "a version lies beyond 64 signed bits")
                .with("id", kept.session.id)
                .caused_by(error)
        })
    };
    let evicted: Vec<_> = kept.evicted.iter().map(|id| to_hex(id.0.as_bytes())).collect();
    Ok(sqlx::query_scalar(include_str!("../sql/sessions/insert.sql"))
        .bind(seq)
        .bind(owner.tenant.as_str())
        .bind(owner.user.as_str())
        .bind(owner_key(owner).0.to_vec())
        .bind(kept.session.id.0.as_bytes().as_slice())
        .bind(kept.session.data.to_string())
        .bind(origin.cluster.as_ref().map(Name::as_str))
        .bind(part(&origin.cluster))
        .bind(origin.correlation.as_ref().map(Name::as_str))
        .bind(part(&origin.correlation))
        .bind(origin.service.as_ref().map(Name::as_str))
        .bind(origin.ip.map(|ip| ip.to_string()))
        .bind(origin.user_agent.as_ref().map(Name::as_str))
        .bind(origin.auth_hash.as_ref().map(|hash| hash.0.as_slice()))
        .bind(kept.session.created_at.as_micros())
        .bind(kept.session.last_seen_at.as_micros())
        .bind(kept.session.idle_expires_at.as_micros())
        .bind(kept.session.absolute_expires_at.as_micros())
        .bind(kept.session.token_issued_at.as_micros())
        .bind(kept.revoked_at.map(Timestamp::as_micros))
        .bind(kept.idle.as_micros())
        .bind(kept.retention.as_micros())
        .bind(number(kept.session.version)?)
        .bind(number(kept.revision)?)
        .bind(kept.modified_at.as_micros())
        .bind(kept.last_op.as_ref().map(|op| op.0.as_bytes().as_slice()))
        .bind(evicted.join(" "))
        .bind(kept.purge_at().as_micros())
        .bind(origin.parent.as_ref().map(|id| id.0.as_bytes().as_slice())))
}

/// A stored instant.
pub(super) fn time(operation: &'static str, micros: i64) -> Result<Timestamp> {
    Timestamp::from_micros(micros).ok_or_else(|| corrupt(operation))
}

/// A stored id.
pub(super) fn session_id(operation: &'static str, bytes: &[u8]) -> Result<SessionId> {
    Uuid::from_slice(bytes).map(SessionId).map_err(|error| corrupt(operation).caused_by(error))
}

/// The ids that a create has revoked: hex, with spaces between.
pub(super) fn evicted(operation: &'static str, text: &str) -> Result<Vec<SessionId>> {
    let ids = text.split_ascii_whitespace().map(|hex| {
        from_hex(hex).ok_or_else(|| corrupt(operation)).and_then(|id| session_id(operation, &id))
    });
    ids.collect()
}

/// A place in a listing: what the listing is, and the key of the last row in hex.
pub(super) fn cursor(mark: &str, key: &[u8]) -> Cursor {
    Cursor(format!("{mark}{}", to_hex(key)))
}

/// The id after which a listing of an owner goes on.
pub(super) fn after_id(operation: &'static str, mark: &str, cursor: &Cursor) -> Result<Vec<u8>> {
    position::<16>(operation, mark, cursor).map(Vec::from)
}

/// The number after which any other listing goes on.
pub(super) fn after_seq(operation: &'static str, mark: &str, cursor: &Cursor) -> Result<i64> {
    position(operation, mark, cursor).map(i64::from_be_bytes)
}

fn position<const BYTES: usize>(
    operation: &'static str,
    mark: &str,
    cursor: &Cursor,
) -> Result<[u8; BYTES]> {
    // The length first: a cursor of a megabyte is refused without reading it.
    let hex = cursor.0.strip_prefix(mark).filter(|hex| hex.len() == BYTES * 2);
    hex.and_then(from_hex)
        .and_then(|key| key.try_into().ok())
        .ok_or_else(|| cursor.refused(operation))
}

fn corrupt(operation: &'static str) -> Error {
    Error::corrupt(operation, "a row of sessions is not what hexmem writes; restore it from a copy")
}
