//! The records of the sessions.

use std::collections::HashMap;

use async_trait::async_trait;
use hexmem_ports::{
    Cursor, Error, Limit, Page, Record, RecordKind, Records, Restored, Result, StoredSession,
    StoredToken,
};

use super::SqliteSessions;
use super::row::{self, SessionRow, owner_key};
use crate::{ReadTx, WriteTx};

const MARK: &str = "r";

/// The tokens of sessions, by their number.
type Tokens = HashMap<i64, Vec<StoredToken>>;

impl ReadTx {
    async fn session_tokens(&mut self, first: i64, last: i64) -> Result<Tokens> {
        type Row = (i64, Vec<u8>, Option<Vec<u8>>, Option<i64>);
        let rows: Vec<Row> = sqlx::query_as(include_str!("../sql/sessions/scan_tokens.sql"))
            .bind(first)
            .bind(last)
            .fetch_all(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        let mut tokens = Tokens::new();
        for (seq, hash, replaces, valid_until) in rows {
            let operation = self.operation();
            let token = row::stored_token(operation, &hash, replaces.as_deref(), valid_until)?;
            tokens.entry(seq).or_default().push(token);
        }
        Ok(tokens)
    }
}

impl WriteTx {
    /// Writes a session of a record where it is newer.
    async fn restore_session(&mut self, kept: &StoredSession) -> Result<Restored> {
        let (owner, id) = (&kept.session.owner, kept.session.id);
        let held = self.held(&owner_key(owner), id).await?;
        let seq = held.as_ref().map(|held| held.seq);
        if let Some(held) = held {
            let revision = u64::try_from(held.revision).unwrap_or(0);
            let modified_at = row::time(self.operation(), held.modified_at)?;
            if (kept.revision, kept.modified_at) <= (revision, modified_at) {
                return Ok(Restored::Kept);
            }
            sqlx::query(include_str!("../sql/sessions/delete.sql"))
                .bind(held.seq)
                .execute(self.connection())
                .await
                .map_err(|e| self.error(e))?;
        }
        if !self.insert_session(seq, kept).await? {
            let what = "a token of the record belongs to another session here";
            return Err(Error::conflict(self.operation(), what)
                .with("owner", owner)
                .with("id", id));
        }
        Ok(Restored::Written)
    }
}

#[async_trait]
impl Records for SqliteSessions {
    fn kind(&self) -> RecordKind {
        RecordKind::Session
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        const OPERATION: &str = "sessions.scan";
        let after = match &cursor {
            Some(cursor) => row::after_seq(OPERATION, MARK, cursor)?,
            None => 0,
        };
        let mut read = self.0.snapshot(OPERATION).await?;
        let mut rows: Vec<SessionRow> = sqlx::query_as(include_str!("../sql/sessions/scan.sql"))
            .bind(after)
            .bind(i64::from(limit.get()) + 1)
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        let more = rows.len() > limit.as_usize();
        rows.truncate(limit.as_usize());
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(Page::default());
        };
        let last = last.found.seq;
        let mut tokens = read.session_tokens(first.found.seq, last).await?;
        drop(read);
        let items = rows.into_iter().map(|row| {
            let tokens = tokens.remove(&row.found.seq).unwrap_or_default();
            row.stored(OPERATION, tokens)?.to_record()
        });
        let items = items.collect::<Result<_>>()?;
        Ok(Page { items, next: more.then(|| row::cursor(MARK, &last.to_be_bytes())) })
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let sessions = records.into_iter().map(StoredSession::from_record);
        let sessions = sessions.collect::<Result<Vec<_>>>()?;
        let mut answers = Vec::with_capacity(sessions.len());
        if sessions.is_empty() {
            return Ok(answers);
        }
        let mut tx = self.0.write("sessions.restore").await?;
        for session in &sessions {
            answers.push(tx.restore_session(session).await?);
        }
        tx.commit().await?;
        Ok(answers)
    }
}
