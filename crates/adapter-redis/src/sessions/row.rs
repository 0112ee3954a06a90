//! Sessions as scripts keep them.

use hexmem_ports::{
    Cursor, Digest, Error, Name, OpId, Result, Session, SessionId, SessionOrigin, StoredSession,
    StoredToken, Tenant, Timestamp, Ttl, UserScope, from_hex, to_hex,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::reply::{Fields, Reply};

/// What never changes of a session.
#[derive(Serialize, Deserialize)]
pub(super) struct Fixed {
    tenant: Name,
    user: Name,
    id: SessionId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    cluster: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    correlation: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    service: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    parent: Option<SessionId>,
}

/// The text of what never changes.
pub(super) fn fixed(
    operation: &'static str,
    id: SessionId,
    owner: &UserScope,
    origin: &SessionOrigin,
) -> Result<String> {
    let fixed = Fixed {
        tenant: owner.tenant.0.clone(),
        user: owner.user.clone(),
        id,
        cluster: origin.cluster.clone(),
        correlation: origin.correlation.clone(),
        service: origin.service.clone(),
        parent: origin.parent,
    };
    serde_json::to_string(&fixed).map_err(|error| {
        Error::invalid(operation, "the session cannot be written as JSON").caused_by(error)
    })
}

/// 128 bits of the digest of a tenant and a name of it, in hex.
pub(super) fn part_key(tenant: &Tenant, name: &Name) -> String {
    let digest = Digest::of_parts([tenant.as_str().as_bytes(), name.as_str().as_bytes()]);
    to_hex(digest.0.split_at(16).0)
}

/// The same of a tenant alone.
pub(super) fn tenant_key(tenant: &Tenant) -> String {
    to_hex(Digest::of_parts([tenant.as_str().as_bytes()]).0.split_at(16).0)
}

/// An owner.
pub(super) fn owner_key(owner: &UserScope) -> String {
    part_key(&owner.tenant, &owner.user)
}

pub(super) fn id_key(id: SessionId) -> String {
    id.0.simple().to_string()
}

/// Where a session lies within its tag.
pub(super) fn address(owner: &UserScope, id: SessionId) -> String {
    format!("{}:{}", owner_key(owner), id_key(id))
}

fn corrupt(operation: &'static str) -> Error {
    Error::corrupt(operation, "a session is not what hexmem writes; restore it from a copy")
}

/// The fields that [`session`] reads, and when the session was revoked.
pub(super) const FIELDS: [&str; 12] = ["b", "d", "c", "s", "e", "a", "t", "v", "p", "u", "h", "x"];

/// The session of [`FIELDS`], where it is there and lives at `now`.
pub(super) fn live(operation: &'static str, row: Reply, now: Timestamp) -> Result<Option<Session>> {
    let mut row = row.list()?;
    if row.is_nothing() {
        return Ok(None);
    }
    let session = read(operation, &mut row)?;
    let revoked = row.optional()?.is_some();
    Ok((!revoked && session.is_live(now)).then_some(session))
}

/// The session of the fields that `shown` gives.
pub(super) fn session(operation: &'static str, row: Reply) -> Result<Session> {
    read(operation, &mut row.list()?)
}

fn read(operation: &'static str, row: &mut Fields) -> Result<Session> {
    let fixed = row.item()?.bytes()?;
    let fixed: Fixed =
        serde_json::from_slice(&fixed).map_err(|error| corrupt(operation).caused_by(error))?;
    let data = row.item()?.bytes()?;
    let data =
        serde_json::from_slice(&data).map_err(|error| corrupt(operation).caused_by(error))?;
    let created_at = row.item()?.time()?;
    let last_seen_at = row.item()?.time()?;
    let idle_expires_at = row.item()?.time()?;
    let absolute_expires_at = row.item()?.time()?;
    let token_issued_at = row.item()?.time()?;
    let version = row.item()?.uint()?;
    let ip = row.optional()?.map(Reply::text).transpose()?;
    let user_agent = row.optional()?.map(Reply::text).transpose()?;
    let auth_hash = row.optional()?.map(Reply::text).transpose()?;
    Ok(Session {
        id: fixed.id,
        owner: UserScope { tenant: Tenant(fixed.tenant), user: fixed.user },
        data,
        origin: SessionOrigin {
            cluster: fixed.cluster,
            correlation: fixed.correlation,
            service: fixed.service,
            parent: fixed.parent,
            ip: ip
                .map(|ip| ip.parse().map_err(|error| corrupt(operation).caused_by(error)))
                .transpose()?,
            user_agent: user_agent.map(Name::new).transpose()?,
            auth_hash: auth_hash.map(|hash| digest(operation, &hash)).transpose()?,
        },
        created_at,
        last_seen_at,
        idle_expires_at,
        absolute_expires_at,
        token_issued_at,
        version,
    })
}

fn digest(operation: &'static str, hex: &str) -> Result<Digest> {
    Digest::from_hex(hex).ok_or_else(|| corrupt(operation))
}

/// About how many bytes of a page a session takes.
pub(super) fn weight(session: &Session) -> usize {
    session.data.to_string().len()
}

/// The ids that a create has revoked: hex, with spaces between.
pub(super) fn ids(operation: &'static str, text: &str) -> Result<Vec<SessionId>> {
    let id = |hex| {
        Uuid::try_parse(hex).map(SessionId).map_err(|error| corrupt(operation).caused_by(error))
    };
    text.split_ascii_whitespace().map(id).collect()
}

/// A row of `records.lua`: its address, and the session.
pub(super) fn stored(operation: &'static str, row: Reply) -> Result<(String, StoredSession)> {
    let mut row = row.list()?;
    let address = row.item()?.text()?;
    let session = session(operation, row.item()?)?;
    let mut more = row.item()?.list()?;
    let ttl = |fields: &mut Fields| Ttl::try_from(fields.item()?.uint()?);
    let (idle, retention) = (ttl(&mut more)?, ttl(&mut more)?);
    let (revision, modified_at) = (more.item()?.uint()?, more.item()?.time()?);
    let revoked_at = more.optional()?.map(Reply::time).transpose()?;
    let last_op = more.optional()?.map(Reply::text).transpose()?;
    let last_op = last_op
        .map(|op| Uuid::try_parse(&op).map(OpId).map_err(|e| corrupt(operation).caused_by(e)))
        .transpose()?;
    let evicted = ids(operation, &more.item()?.text()?)?;
    let token = |row: Reply| {
        let mut row = row.list()?;
        Ok(StoredToken {
            hash: digest(operation, &row.item()?.text()?)?,
            valid_until: row.optional()?.map(Reply::time).transpose()?,
            replaces: row
                .optional()?
                .map(|replaces| digest(operation, &replaces.text()?))
                .transpose()?,
        })
    };
    let tokens = row.item()?.list()?.map(token).collect::<Result<Vec<_>>>()?;
    let stored = StoredSession {
        session,
        idle,
        retention,
        revision,
        modified_at,
        revoked_at,
        last_op,
        evicted,
        tokens,
    };
    Ok((address, stored))
}

/// A place in a listing: what the listing is, and the last row in hex.
pub(super) fn cursor(mark: &str, row: &str) -> Cursor {
    Cursor(format!("{mark}{}", to_hex(row.as_bytes())))
}

/// The row after which a listing goes on.
pub(super) fn after(operation: &'static str, mark: &str, cursor: &Cursor) -> Result<String> {
    // The length first: a cursor of a megabyte is refused without reading it.
    let hex = cursor.0.strip_prefix(mark).filter(|hex| (1..=256).contains(&hex.len()));
    let text = hex.and_then(from_hex).and_then(|bytes| String::from_utf8(bytes).ok());
    let shape = |c: char| c.is_ascii_hexdigit() || c == ':' || c == ' ';
    text.filter(|text| text.chars().all(shape)).ok_or_else(|| cursor.refused(operation))
}
