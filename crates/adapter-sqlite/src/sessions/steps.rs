//! The steps that changes are made of, each one statement.

use hexmem_ports::{
    Digest, Error, NewSession, Result, SessionId, StoredSession, Timestamp, TokenKey, WhenFull,
};
use sqlx::SqliteConnection;

use super::row::{self, FoundRow, HeldRow, TokenRow};
use crate::WriteTx;

/// The live session of a token, with what decides about it.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    token: &TokenKey,
    now: Timestamp,
) -> sqlx::Result<Option<FoundRow>> {
    sqlx::query_as(include_str!("../sql/sessions/find.sql"))
        .bind(i64::from(token.bucket))
        .bind(token.hash.0.as_slice())
        .bind(now.as_micros())
        .fetch_optional(connection)
        .await
}

impl WriteTx {
    pub(super) async fn session(&mut self, token: &TokenKey) -> Result<Option<FoundRow>> {
        let now = self.now();
        find(self.connection(), token, now).await.map_err(|e| self.error(e))
    }

    /// A token, whatever became of it and of its session.
    pub(super) async fn token(&mut self, token: &TokenKey) -> Result<Option<TokenRow>> {
        sqlx::query_as(include_str!("../sql/sessions/token.sql"))
            .bind(i64::from(token.bucket))
            .bind(token.hash.0.as_slice())
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))
    }

    pub(super) async fn held(&mut self, owner: &Digest, id: SessionId) -> Result<Option<HeldRow>> {
        sqlx::query_as(include_str!("../sql/sessions/by_id.sql"))
            .bind(owner.0.as_slice())
            .bind(id.0.as_bytes().as_slice())
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))
    }

    /// Writes a session and its tokens. `false` when a token is taken: then the change must be given up.
    pub(super) async fn insert_session(
        &mut self,
        seq: Option<i64>,
        kept: &StoredSession,
    ) -> Result<bool> {
        let bucket = kept.session.owner.bucket();
        let seq: i64 = row::insert(seq, kept)?
            .fetch_one(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        for token in &kept.tokens {
            let key = TokenKey { bucket, hash: token.hash };
            let ends = token.valid_until;
            if !self.insert_token(seq, &key, token.replaces, ends).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn insert_token(
        &mut self,
        seq: i64,
        token: &TokenKey,
        replaces: Option<Digest>,
        valid_until: Option<Timestamp>,
    ) -> Result<bool> {
        let inserted = sqlx::query(include_str!("../sql/sessions/insert_token.sql"))
            .bind(i64::from(token.bucket))
            .bind(token.hash.0.as_slice())
            .bind(seq)
            .bind(replaces.as_ref().map(|hash| hash.0.as_slice()))
            .bind(valid_until.map(Timestamp::as_micros))
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(inserted.rows_affected() == 1)
    }

    pub(super) async fn revoke_session(&mut self, owner: &Digest, id: SessionId) -> Result<bool> {
        let now = self.now().as_micros();
        let revoked = sqlx::query(include_str!("../sql/sessions/revoke.sql"))
            .bind(owner.0.as_slice())
            .bind(id.0.as_bytes().as_slice())
            .bind(now)
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(revoked.rows_affected() == 1)
    }

    /// Who must go so that one more stays within the cap; `Conflict` when the cap refuses.
    pub(super) async fn over_cap(
        &mut self,
        new: &NewSession,
        owner: &Digest,
    ) -> Result<Vec<SessionId>> {
        let Some(cap) = new.cap else { return Ok(vec![]) };
        let now = self.now().as_micros();
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(include_str!("../sql/sessions/over_cap.sql"))
            .bind(owner.0.as_slice())
            .bind(now)
            .bind(i64::from(cap.max) - 1)
            .fetch_all(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        if !rows.is_empty() && cap.when_full == WhenFull::Refuse {
            let what = "the user has as many sessions as allowed; revoke one";
            return Err(Error::conflict(self.operation(), what)
                .with("owner", &new.owner)
                .with("cap", cap.max));
        }
        rows.iter().map(|id| row::session_id(self.operation(), id)).collect()
    }
}
