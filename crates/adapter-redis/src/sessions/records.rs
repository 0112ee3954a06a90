//! Records of sessions.

use std::collections::HashMap;

use async_trait::async_trait;
use hexmem_ports::{
    BUCKETS, Cursor, Error, Limit, Page, Record, RecordKind, Records, Restored, Result, SessionId,
    StoredSession, Timestamp, TokenKey, UserScope, to_hex,
};

use super::{PAGE_BYTES, RedisSessions, SESSION, buckets, row, text};
use crate::key_value::bound;
use crate::keys::Tag;
use crate::script::Script;

static RECORDS: Script = Script::reads(&[SESSION, include_str!("../lua/sessions/records.lua")]);
static RESTORE: Script = Script::writes(&[SESSION, include_str!("../lua/sessions/restore.lua")]);

/// Whether a restore is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Check,
    Write,
}

impl RedisSessions {
    /// What becomes of one record; `Conflict` when one of its tokens belongs to another session.
    async fn restore_one(&self, stored: &StoredSession, mode: Mode) -> Result<Restored> {
        const OPERATION: &str = "sessions.restore";
        let session = &stored.session;
        let (owner, origin) = (&session.owner, &session.origin);
        let bucket = owner.bucket();
        let hints = self.hint_tags(&owner.tenant, origin);
        let stamps = if mode == Mode::Write {
            let address = row::address(owner, session.id);
            self.give_hints(OPERATION, &hints, bucket, &address).await?
        } else {
            Vec::new()
        };
        let tag = self.tag(bucket);
        let time = |at: Timestamp| at.as_micros().to_string();
        let evicted: Vec<_> = stored.evicted.iter().map(|id| row::id_key(*id)).collect();
        let mut call = self
            .0
            .script(&RESTORE, &tag)
            .arg(if mode == Mode::Check { "check" } else { "write" })
            .arg(row::owner_key(owner))
            .arg(row::id_key(session.id))
            .arg(row::tenant_key(&owner.tenant))
            .arg(hints.iter().map(Tag::as_str).collect::<Vec<_>>().join(" "))
            .list(&stamps)
            .arg(row::fixed(OPERATION, session.id, owner, origin)?)
            .arg(session.data.to_string())
            .arg(time(session.created_at))
            .arg(time(session.last_seen_at))
            .arg(time(session.idle_expires_at))
            .arg(time(session.absolute_expires_at))
            .arg(time(session.token_issued_at))
            .arg(session.version.to_string())
            .arg(text(origin.ip))
            .arg(text(origin.user_agent.as_ref()))
            .arg(text(origin.auth_hash))
            .ttl(Some(stored.idle))
            .ttl(Some(stored.retention))
            .arg(stored.revision.to_string())
            .arg(time(stored.modified_at))
            .time(stored.revoked_at)
            .arg(stored.last_op.map(|op| op.0.simple().to_string()).unwrap_or_default())
            .arg(evicted.join(" "))
            .arg(stored.tokens.len());
        for token in &stored.tokens {
            call = call
                .arg(token.hash.to_hex())
                .time(token.valid_until)
                .arg(token.replaces.map(|hash| to_hex(&hash.0)).unwrap_or_default());
        }
        match call.run(OPERATION).await?.text()?.as_str() {
            "written" => Ok(Restored::Written),
            "kept" => Ok(Restored::Kept),
            _ => Err(elsewhere(owner, session.id)),
        }
    }
}

fn elsewhere(owner: &UserScope, id: SessionId) -> Error {
    let what = "a token of the record belongs to another session here";
    Error::conflict("sessions.restore", what).with("owner", owner).with("id", id)
}

/// Where a scan goes on: after this address of this bucket.
fn cursor(bucket: u16, address: &str) -> Cursor {
    row::cursor(&format!("r{bucket}."), address)
}

fn position(operation: &'static str, cursor: &Cursor) -> Result<(u16, String)> {
    let bad = || {
        Error::invalid(operation, "the cursor is not one that this scan gave; start without one")
    };
    let head = cursor.0.strip_prefix('r').and_then(|rest| rest.split_once('.')).ok_or_else(bad)?.0;
    let bucket: u16 = head.parse().map_err(|_| bad())?;
    if bucket >= BUCKETS {
        return Err(bad());
    }
    Ok((bucket, row::after(operation, &format!("r{head}."), cursor)?))
}

#[async_trait]
impl Records for RedisSessions {
    fn kind(&self) -> RecordKind {
        RecordKind::Session
    }

    async fn scan(&self, after: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        const OPERATION: &str = "sessions.scan";
        let start = after.map(|cursor| position(OPERATION, &cursor)).transpose()?;
        let (first, mut address) = match start {
            Some((bucket, address)) => (bucket, Some(address)),
            None => (0, None),
        };
        let kept = self.tally(OPERATION, &buckets::KEPT, "").await?;
        let (mut page, mut bytes) = (Page::default(), 0);
        for (bucket, held) in (0u16..).zip(kept).skip(first.into()) {
            // The place within the first bucket only.
            let mut from = address.take();
            if held == 0 {
                continue;
            }
            loop {
                let tag = self.tag(bucket);
                let call = self
                    .0
                    .script(&RECORDS, &tag)
                    .bytes(
                        from.as_ref().map_or_else(|| vec![b'-'], |at| bound(b'(', at.as_bytes())),
                    )
                    .arg(limit.as_usize() - page.items.len())
                    .arg(PAGE_BYTES.saturating_sub(bytes));
                let mut answer = call.run(OPERATION).await?.list()?;
                let done = answer.item()?.int()? == 1;
                for row in answer.item()?.list()? {
                    let (at, stored) = row::stored(OPERATION, row)?;
                    bytes += row::weight(&stored.session);
                    page.items.push(stored.to_record()?);
                    from = Some(at);
                }
                if page.items.len() >= limit.as_usize() || bytes >= PAGE_BYTES {
                    page.next = from.map(|at| cursor(bucket, &at));
                    return Ok(page);
                }
                if done {
                    break;
                }
            }
        }
        Ok(page)
    }

    /// Each session is one script; what is refused is found out before the first of them. A connection that breaks in
    /// between leaves some restored: repeat the call.
    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let read = records.into_iter().map(StoredSession::from_record);
        let sessions = read.collect::<Result<Vec<_>>>()?;
        let mut claimed = HashMap::<TokenKey, (UserScope, SessionId)>::new();
        for stored in &sessions {
            let here = (stored.session.owner.clone(), stored.session.id);
            let expected = self.restore_one(stored, Mode::Check).await?;
            if expected == Restored::Kept {
                continue;
            }
            for token in stored.token_keys() {
                if claimed.insert(token, here.clone()).is_some_and(|holder| holder != here) {
                    return Err(elsewhere(&here.0, here.1));
                }
            }
        }
        let mut answers = Vec::with_capacity(sessions.len());
        for stored in &sessions {
            answers.push(self.restore_one(stored, Mode::Write).await?);
        }
        Ok(answers)
    }
}
