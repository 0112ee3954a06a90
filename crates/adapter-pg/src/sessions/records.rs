//! The records of the sessions.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use hexmem_ports::{
    Cursor, Digest, Error, Limit, Name, Page, Record, RecordKind, Records, Restored, Result,
    StoredSession,
};
use uuid::Uuid;

use super::PgSessions;
use super::row::{self, StoredRow, owner_key, part_key};
use crate::Tx;
use crate::value::{At, Hash};

const MARK: &str = "r";

/// A page ends after the session that crosses this many bytes of data.
const PAGE_BYTES: i64 = 16 * 1024 * 1024;

#[async_trait]
impl Records for PgSessions {
    fn kind(&self) -> RecordKind {
        RecordKind::Session
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        const OPERATION: &str = "sessions.scan";
        let after = match &cursor {
            Some(cursor) => row::after_seq(OPERATION, MARK, cursor)?,
            None => 0,
        };
        let rows: Vec<StoredRow> = self
            .0
            .read(OPERATION, include_str!("../sql/sessions/scan.sql"))
            .bind(after)
            .bind(i64::from(limit.get()))
            .bind(PAGE_BYTES)
            .fetch_all()
            .await?;
        let next = rows.last().filter(|row| row.more);
        let next = next.map(|row| row::cursor(MARK, &row.seq.to_be_bytes()));
        let items = rows.into_iter().map(|row| row.stored.to_record()).collect::<Result<_>>()?;
        Ok(Page { items, next })
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let sessions = records.into_iter().map(StoredSession::from_record);
        let sessions = sessions.collect::<Result<Vec<_>>>()?;
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.0.begin("sessions.restore").await?;
        let restored = restore(&mut tx, &sessions).await;
        tx.finish(restored).await
    }
}

/// What names a session: the digest of its owner, and its id.
type Key = (Digest, Uuid);

fn key(kept: &StoredSession) -> Key {
    (owner_key(&kept.session.owner).0, kept.session.id.0)
}

/// Restores by rounds: a statement takes a session once, so that one given twice waits for the next round.
async fn restore(tx: &mut Tx, sessions: &[StoredSession]) -> Result<Vec<Restored>> {
    let mut answers = vec![Restored::Kept; sessions.len()];
    let mut waiting: Vec<(usize, &StoredSession)> = sessions.iter().enumerate().collect();
    while !waiting.is_empty() {
        let mut seen = HashSet::new();
        let (round, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, kept)| seen.insert(key(kept)));
        let written = restore_round(tx, &round).await?;
        for (place, kept) in &round {
            if let Some(answer) = answers.get_mut(*place).filter(|_| written.contains(&key(kept))) {
                *answer = Restored::Written;
            }
        }
        waiting = later;
    }
    Ok(answers)
}

async fn restore_round(tx: &mut Tx, round: &[(usize, &StoredSession)]) -> Result<HashSet<Key>> {
    let written = put_sessions(tx, round).await?;
    if written.is_empty() {
        return Ok(HashSet::new());
    }
    let numbers: Vec<i64> = written.values().copied().collect();
    tx.query(include_str!("../sql/sessions/restore_forget.sql")).bind(numbers).execute().await?;
    put_tokens(tx, round, &written).await?;
    Ok(written.into_keys().collect())
}

/// Writes those that are newer; their numbers.
async fn put_sessions(tx: &mut Tx, round: &[(usize, &StoredSession)]) -> Result<HashMap<Key, i64>> {
    let operation = tx.operation();
    /// One argument: a value of each session.
    macro_rules! each {
        (|$kept:ident| $value:expr) => {
            round.iter().map(|(_, $kept)| $value).collect::<Vec<_>>()
        };
    }
    let numbers = |value: fn(&StoredSession) -> u64| -> Result<Vec<i64>> {
        let number = |(_, kept): &(usize, &StoredSession)| {
            i64::try_from(value(kept)).map_err(|error| {
                Error::invalid(operation, "a version lies beyond 64 signed bits")
                    .with("id", kept.session.id)
                    .caused_by(error)
            })
        };
        round.iter().map(number).collect()
    };
    let versions = numbers(|kept| kept.session.version)?;
    let revisions = numbers(|kept| kept.revision)?;
    let part = |kept: &StoredSession, name: &Option<Name>| {
        name.as_ref().map(|name| part_key(&kept.session.owner.tenant, name))
    };
    let text = |name: &Option<Name>| name.as_ref().map(|name| name.as_str().to_owned());
    let rows: Vec<(Hash, Uuid, i64)> = tx
        .query(include_str!("../sql/sessions/restore.sql"))
        .bind(each!(|kept| owner_key(&kept.session.owner)))
        .bind(each!(|kept| kept.session.id.0))
        .bind(each!(|kept| kept.session.owner.tenant.as_str()))
        .bind(each!(|kept| kept.session.owner.user.as_str()))
        .bind(each!(|kept| At(kept.session.created_at)))
        .bind(each!(|kept| At(kept.session.last_seen_at)))
        .bind(each!(|kept| At(kept.session.idle_expires_at)))
        .bind(each!(|kept| At(kept.session.absolute_expires_at)))
        .bind(each!(|kept| At(kept.session.token_issued_at)))
        .bind(each!(|kept| kept.revoked_at.map(At)))
        .bind(each!(|kept| At(kept.modified_at)))
        .bind(each!(|kept| At(kept.purge_at())))
        .bind(each!(|kept| kept.idle.as_micros()))
        .bind(each!(|kept| kept.retention.as_micros()))
        .bind(versions)
        .bind(revisions)
        .bind(each!(|kept| kept.last_op.map(|op| op.0)))
        .bind(each!(|kept| kept.session.origin.parent.map(|id| id.0)))
        .bind(each!(|kept| kept.session.origin.auth_hash.map(Hash)))
        .bind(each!(|kept| text(&kept.session.origin.cluster)))
        .bind(each!(|kept| part(kept, &kept.session.origin.cluster)))
        .bind(each!(|kept| text(&kept.session.origin.correlation)))
        .bind(each!(|kept| part(kept, &kept.session.origin.correlation)))
        .bind(each!(|kept| text(&kept.session.origin.service)))
        .bind(each!(|kept| kept.session.origin.ip.map(|ip| ip.to_string())))
        .bind(each!(|kept| text(&kept.session.origin.user_agent)))
        .bind(each!(|kept| ids(kept)))
        .bind(each!(|kept| kept.session.data.to_string()))
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(owner, id, seq)| ((owner.0, id), seq)).collect())
}

/// The evicted ids as PostgreSQL writes an array: an argument cannot be an array of arrays of different lengths.
fn ids(kept: &StoredSession) -> String {
    let ids: Vec<String> = kept.evicted.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// Adds the tokens of those that were written; `Conflict` where another session has one.
async fn put_tokens(
    tx: &mut Tx,
    round: &[(usize, &StoredSession)],
    written: &HashMap<Key, i64>,
) -> Result<()> {
    let mut rows = Vec::new();
    for (_, kept) in round {
        let Some(seq) = written.get(&key(kept)) else { continue };
        let bucket = i32::from(kept.session.owner.bucket());
        rows.extend(kept.tokens.iter().map(|token| (bucket, *seq, token, *kept)));
    }
    let added: Vec<(Hash,)> = tx
        .query(include_str!("../sql/sessions/restore_tokens.sql"))
        .bind(rows.iter().map(|(bucket, ..)| *bucket).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, _, token, _)| Hash(token.hash)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, seq, ..)| *seq).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, _, token, _)| token.replaces.map(Hash)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, _, token, _)| token.valid_until.map(At)).collect::<Vec<_>>())
        .fetch_all()
        .await?;
    if added.len() == rows.len() {
        return Ok(());
    }
    let mut added: HashSet<Digest> = added.into_iter().map(|(hash,)| hash.0).collect();
    let lost = rows.iter().find(|(_, _, token, _)| !added.remove(&token.hash));
    let what = "a token of the record belongs to another session here";
    let conflict = Error::conflict(tx.operation(), what);
    Err(match lost {
        Some((.., kept)) => conflict.with("owner", &kept.session.owner).with("id", kept.session.id),
        None => conflict,
    })
}
