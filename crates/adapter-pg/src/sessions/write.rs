//! The changes that judge before they write.

use hexmem_ports::{
    Created, Effect, Error, ErrorKind, Name, NewSession, OpId, REPLAY_WINDOW, Result, Rotate,
    Session, SessionId, TokenKey, Touch, Ttl, WhenFull, check_json,
};
use serde_json::Value;
use uuid::Uuid;

use super::PgSessions;
use super::row::{Judged, RotatedRow, owner_key, part_key};
use crate::outbox::Effects;
use crate::value::{At, Hash, lock_key, micros};

/// How often a call that loses races looks again. Each loss is a change of the same session by somebody else.
const TRIES: u32 = 100;

fn taken(operation: &'static str, what: &'static str, id: SessionId) -> Error {
    Error::new(ErrorKind::AlreadyExists, operation, what).with("id", id)
}

fn crowded(operation: &'static str) -> Error {
    Error::conflict(operation, "the session changes too often; repeat the call").not_applied()
}

impl PgSessions {
    pub(super) async fn insert(&self, new: NewSession, effects: Vec<Effect>) -> Result<Created> {
        const OPERATION: &str = "sessions.create";
        new.check()?;
        let effects = Effects::new(&self.0, OPERATION, &effects)?;
        let owner = owner_key(&new.owner);
        let tenant = &new.owner.tenant;
        let part = |name: &Option<Name>| name.as_ref().map(|name| part_key(tenant, name));
        let schema = self.0.config().schema.as_bytes();
        let lock = lock_key([b"sessions".as_slice(), schema, owner.0.0.as_slice()]);
        let (outcome, created_at, evicted): (String, At, Vec<Uuid>) = self
            .0
            .write(OPERATION, include_str!("../sql/sessions/create.sql"))
            .bind(new.cap.map(|_| lock))
            .bind(new.cap.map(|cap| i32::try_from(cap.max).unwrap_or(i32::MAX)))
            .bind(new.cap.map(|cap| cap.when_full == WhenFull::EvictOldest))
            .bind(owner)
            .bind(new.id.0)
            .bind(i32::from(new.token.bucket))
            .bind(Hash(new.token.hash))
            .bind(tenant.as_str())
            .bind(new.owner.user.as_str())
            .bind(new.data.to_string())
            .bind(new.idle.as_micros())
            .bind(new.absolute.as_micros())
            .bind(new.retention.as_micros())
            .bind(new.origin.cluster.as_ref().map(Name::as_str))
            .bind(part(&new.origin.cluster))
            .bind(new.origin.correlation.as_ref().map(Name::as_str))
            .bind(part(&new.origin.correlation))
            .bind(new.origin.service.as_ref().map(Name::as_str))
            .bind(new.origin.ip.map(|ip| ip.to_string()))
            .bind(new.origin.user_agent.as_ref().map(Name::as_str))
            .bind(new.origin.auth_hash.map(Hash))
            .bind(new.origin.parent.map(|id| id.0))
            .effects(&effects)
            .fetch_one()
            .await?;
        match outcome.as_str() {
            "created" | "repeat" => Ok(Created {
                session: new.session(created_at.0),
                evicted: evicted.into_iter().map(SessionId).collect(),
            }),
            "id" => Err(taken(OPERATION, "the id is taken by another session", new.id)),
            "token" => Err(taken(OPERATION, "the token is taken by another session", new.id)),
            _ => {
                let what = "the user has as many sessions as allowed; revoke one";
                let refused = Error::conflict(OPERATION, what).with("owner", &new.owner);
                Err(refused.with("cap", new.cap.map_or(0, |cap| cap.max)))
            }
        }
    }

    pub(super) async fn mark_seen(
        &self,
        token: &TokenKey,
        touch: Touch,
    ) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.touch";
        for _ in 0..TRIES {
            let row: Option<Judged<bool>> = self
                .0
                .write(OPERATION, include_str!("../sql/sessions/touch.sql"))
                .bind(i32::from(token.bucket))
                .bind(Hash(token.hash))
                .bind(touch.ip.map(|ip| ip.to_string()))
                .bind(touch.user_agent.as_ref().map(Name::as_str))
                .bind(touch.coalesce.map(Ttl::as_micros))
                .fetch_optional()
                .await?;
            match row {
                None => return Ok(None),
                Some(Judged(row, true)) => return Ok(Some(row.session)),
                // It ended meanwhile, or another touch came first.
                Some(Judged(_, false)) => {}
            }
        }
        Err(crowded(OPERATION))
    }

    pub(super) async fn replace_data(
        &self,
        token: &TokenKey,
        expected: u64,
        data: Value,
        op: OpId,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.update";
        check_json(OPERATION, &data)?;
        let effects = Effects::new(&self.0, OPERATION, &effects)?;
        let text = data.to_string();
        for _ in 0..TRIES {
            let row: Option<Judged<String>> = self
                .0
                .write(OPERATION, include_str!("../sql/sessions/update.sql"))
                .bind(i32::from(token.bucket))
                .bind(Hash(token.hash))
                .bind(text.as_str())
                // No session has a version beyond i64.
                .bind(i64::try_from(expected).unwrap_or(-1))
                .bind(op.0)
                .effects(&effects)
                .fetch_optional()
                .await?;
            let Some(Judged(row, outcome)) = row else { return Ok(None) };
            let session = row.session;
            match outcome.as_str() {
                "written" => return Ok(Some(Session { data, ..session })),
                "repeat" => return Ok(Some(session)),
                // It ended meanwhile, or another update came first.
                "lost" => {}
                _ => {
                    let what = "the session was changed; read it again";
                    return Err(Error::conflict(OPERATION, what)
                        .with("id", session.id)
                        .with("expected", expected)
                        .with("version", session.version));
                }
            }
        }
        Err(crowded(OPERATION))
    }

    pub(super) async fn give_token(
        &self,
        rotate: Rotate,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.rotate";
        rotate.check()?;
        let effects = Effects::new(&self.0, OPERATION, &effects)?;
        let RotatedRow(outcome, row) = self
            .0
            .write(OPERATION, include_str!("../sql/sessions/rotate.sql"))
            .bind(i32::from(rotate.old.bucket))
            .bind(Hash(rotate.old.hash))
            .bind(Hash(rotate.new.hash))
            .bind(rotate.grace.map(Ttl::as_micros))
            .bind(micros(REPLAY_WINDOW))
            .bind(rotate.auth_hash.map(Hash))
            .bind(rotate.ip.map(|ip| ip.to_string()))
            .bind(rotate.user_agent.as_ref().map(Name::as_str))
            .effects(&effects)
            .fetch_one()
            .await?;
        let Some(session) = row.map(|row| row.session) else { return Ok(None) };
        match outcome.as_str() {
            "rotated" | "repeat" => Ok(Some(session)),
            "again" => {
                let what = "the token was rotated before; use the newer one";
                Err(Error::conflict(OPERATION, what).with("id", session.id))
            }
            _ => Err(taken(OPERATION, "the new token is in use; draw a fresh one", session.id)),
        }
    }
}
