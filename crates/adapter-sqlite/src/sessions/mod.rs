//! Sessions.

mod records;
mod row;
mod steps;

use async_trait::async_trait;
use hexmem_ports::{
    Capabilities, Capability, Count, Created, Cursor, Digest, Effect, Error, ErrorKind, Limit,
    Name, NewSession, OpId, Page, REPLAY_WINDOW, Result, Rotate, Session, SessionId, SessionStore,
    Spent, StoredSession, Tenant, TokenKey, Touch, Ttl, UserScope, check_json, rules,
};
use serde_json::Value;

use crate::Database;
use row::{FoundRow, SessionRow, owner_key, part_key};
use steps::find;

/// Sessions of a file.
#[derive(Debug, Clone)]
pub struct SqliteSessions(Database);

impl Database {
    /// The sessions of this file.
    pub fn sessions(&self) -> SqliteSessions {
        SqliteSessions(self.clone())
    }
}

fn taken(operation: &'static str, what: &'static str, id: SessionId) -> Error {
    Error::new(ErrorKind::AlreadyExists, operation, what).with("id", id)
}

impl SqliteSessions {
    async fn page(
        &self,
        of: Listing<'_>,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        let (operation, mark) = of.names();
        let (owned, numbered) = match (&of, &cursor) {
            (_, None) => (vec![], 0),
            (Listing::Owner(_), Some(cursor)) => (row::after_id(operation, mark, cursor)?, 0),
            (_, Some(cursor)) => (vec![], row::after_seq(operation, mark, cursor)?),
        };
        let mut read = self.0.read(operation).await?;
        let (now, one_more) = (read.now().as_micros(), i64::from(limit.get()) + 1);
        let query = sqlx::query_as(of.statement()).bind(of.key().0.to_vec());
        let query = match of {
            Listing::Owner(_) => query.bind(owned),
            Listing::Cluster(..) | Listing::Correlation(..) => query.bind(numbered),
        };
        let mut rows: Vec<SessionRow> = query
            .bind(now)
            .bind(one_more)
            .fetch_all(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        drop(read);
        let more = rows.len() > limit.as_usize();
        rows.truncate(limit.as_usize());
        let next = rows.last().filter(|_| more).map(|row| match of {
            Listing::Owner(_) => row::cursor(mark, &row.found.id),
            Listing::Cluster(..) | Listing::Correlation(..) => {
                row::cursor(mark, &row.found.seq.to_be_bytes())
            }
        });
        let items = rows.into_iter().map(|row| row.found.session(operation));
        Ok(Page { items: items.collect::<Result<_>>()?, next })
    }
}

/// What a listing is of.
#[derive(Clone, Copy)]
enum Listing<'a> {
    Owner(&'a UserScope),
    Cluster(&'a Tenant, &'a Name),
    Correlation(&'a Tenant, &'a Name),
}

impl Listing<'_> {
    /// The operation, and what its cursors begin with.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Owner(_) => ("sessions.list", "o"),
            Self::Cluster(..) => ("sessions.list_by_cluster", "c"),
            Self::Correlation(..) => ("sessions.list_by_correlation", "k"),
        }
    }

    fn key(&self) -> Digest {
        match self {
            Self::Owner(owner) => owner_key(owner),
            Self::Cluster(tenant, name) | Self::Correlation(tenant, name) => part_key(tenant, name),
        }
    }

    fn statement(&self) -> &'static str {
        match self {
            Self::Owner(_) => include_str!("../sql/sessions/list.sql"),
            Self::Cluster(..) => include_str!("../sql/sessions/list_by_cluster.sql"),
            Self::Correlation(..) => include_str!("../sql/sessions/list_by_correlation.sql"),
        }
    }
}

#[async_trait]
impl SessionStore for SqliteSessions {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Durable,
            Capability::MultiProcess,
            Capability::Effects,
            Capability::Records,
            Capability::ExactCounts,
        ])
    }

    async fn create(&self, new: NewSession, effects: Vec<Effect>) -> Result<Created> {
        const OPERATION: &str = "sessions.create";
        new.check()?;
        let owner = owner_key(&new.owner);
        let mut tx = self.0.write(OPERATION).await?;
        let token = tx.token(&new.token).await?;
        if let Some(held) = tx.held(&owner, new.id).await? {
            if !token.is_some_and(|token| token.seq == held.seq && token.replaces.is_none()) {
                return Err(taken(OPERATION, "the id is taken by another session", new.id));
            }
            let created_at = row::time(OPERATION, held.created_at)?;
            let evicted = row::evicted(OPERATION, &held.evicted)?;
            return Ok(Created { session: new.session(created_at), evicted });
        }
        if token.is_some() {
            return Err(taken(OPERATION, "the token is taken by another session", new.id));
        }
        let evicted = tx.over_cap(&new, &owner).await?;
        for id in &evicted {
            tx.revoke_session(&owner, *id).await?;
        }
        let kept = StoredSession::new(new, tx.now(), evicted.clone());
        if !tx.insert_session(None, &kept).await? {
            let what = "the token is taken by another session";
            return Err(taken(OPERATION, what, kept.session.id));
        }
        tx.push_effects(&effects).await?;
        tx.commit().await?;
        Ok(Created { session: kept.session, evicted })
    }

    async fn find(&self, token: &TokenKey) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.find";
        let mut read = self.0.read(OPERATION).await?;
        let now = read.now();
        let found = find(read.connection(), token, now).await.map_err(|e| read.error(e))?;
        drop(read);
        found.map(|row| row.session(OPERATION)).transpose()
    }

    async fn touch(&self, token: &TokenKey, touch: Touch) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.touch";
        // A read first: neither a coalesced touch nor a forged token waits for the write lock.
        let mut read = self.0.read(OPERATION).await?;
        let now = read.now();
        let found = find(read.connection(), token, now).await.map_err(|e| read.error(e))?;
        drop(read);
        let Some(found) = found else { return Ok(None) };
        let session = found.session(OPERATION)?;
        if rules::seen(session.last_seen_at, now, touch.coalesce).is_none() {
            return Ok(Some(session));
        }
        let mut tx = self.0.write(OPERATION).await?;
        let now = tx.now().as_micros();
        let row: Option<SessionRow> = sqlx::query_as(include_str!("../sql/sessions/touch.sql"))
            .bind(i64::from(token.bucket))
            .bind(token.hash.0.as_slice())
            .bind(now)
            .bind(touch.ip.map(|ip| ip.to_string()))
            .bind(touch.user_agent.as_ref().map(Name::as_str))
            .bind(touch.coalesce.map(Ttl::as_micros))
            .fetch_optional(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        let Some(row) = row else {
            // It ended meanwhile, or another touch came first.
            return tx.session(token).await?.map(|row| row.session(OPERATION)).transpose();
        };
        let session = row.found.session(OPERATION)?;
        tx.commit().await?;
        Ok(Some(session))
    }

    async fn update(
        &self,
        token: &TokenKey,
        expected: u64,
        data: Value,
        op: OpId,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.update";
        check_json(OPERATION, &data)?;
        let mut tx = self.0.write(OPERATION).await?;
        let now = tx.now().as_micros();
        let row: Option<SessionRow> = sqlx::query_as(include_str!("../sql/sessions/update.sql"))
            .bind(i64::from(token.bucket))
            .bind(token.hash.0.as_slice())
            .bind(now)
            .bind(data.to_string())
            // No session has a version beyond i64.
            .bind(i64::try_from(expected).unwrap_or(-1))
            .bind(op.0.as_bytes().as_slice())
            .fetch_optional(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        let Some(row) = row else {
            let Some(found) = tx.session(token).await? else { return Ok(None) };
            let repeat = found.last_op.as_deref() == Some(op.0.as_bytes().as_slice());
            let session = found.session(OPERATION)?;
            if repeat {
                return Ok(Some(session));
            }
            return Err(Error::conflict(OPERATION, "the session was changed; read it again")
                .with("id", session.id)
                .with("expected", expected)
                .with("version", session.version));
        };
        let session = row.found.session(OPERATION)?;
        tx.push_effects(&effects).await?;
        tx.commit().await?;
        Ok(Some(session))
    }

    async fn rotate(&self, rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.rotate";
        rotate.check()?;
        let mut tx = self.0.write(OPERATION).await?;
        let now = tx.now();
        let new = tx.token(&rotate.new).await?;
        let repeat = new.as_ref().is_some_and(|token| {
            let old = Some(rotate.old.hash.0.as_slice());
            token.valid_until.is_none() && token.replaces.as_deref() == old
        });
        if repeat {
            let found = tx.session(&rotate.new).await?;
            return found.map(|row| row.session(OPERATION)).transpose();
        }
        let Some(old) = tx.session(&rotate.old).await? else { return Ok(None) };
        let id = row::session_id(OPERATION, &old.id)?;
        if old.valid_until.is_some() {
            let what = "the token was rotated before; use the newer one";
            return Err(Error::conflict(OPERATION, what).with("id", id));
        }
        if new.is_some() {
            return Err(taken(OPERATION, "the new token is in use; draw a fresh one", id));
        }
        sqlx::query(include_str!("../sql/sessions/forget_tokens.sql"))
            .bind(old.seq)
            .bind(now.minus(REPLAY_WINDOW).as_micros())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        sqlx::query(include_str!("../sql/sessions/end_tokens.sql"))
            .bind(old.seq)
            .bind(rotate.grace.map_or(now, |grace| now.plus(grace.get())).as_micros())
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        if !tx.insert_token(old.seq, &rotate.new, Some(rotate.old.hash), None).await? {
            return Err(taken(OPERATION, "the new token is in use; draw a fresh one", id));
        }
        let row: SessionRow = sqlx::query_as(include_str!("../sql/sessions/rotated.sql"))
            .bind(old.seq)
            .bind(now.as_micros())
            .bind(rotate.auth_hash.as_ref().map(|hash| hash.0.as_slice()))
            .bind(rotate.ip.map(|ip| ip.to_string()))
            .bind(rotate.user_agent.as_ref().map(Name::as_str))
            .fetch_one(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
        let session = row.found.session(OPERATION)?;
        tx.push_effects(&effects).await?;
        tx.commit().await?;
        Ok(Some(session))
    }

    async fn spent(&self, token: &TokenKey) -> Result<Option<Spent>> {
        const OPERATION: &str = "sessions.spent";
        let mut read = self.0.read(OPERATION).await?;
        let now = read.now().as_micros();
        let row: Option<FoundRow> = sqlx::query_as(include_str!("../sql/sessions/spent.sql"))
            .bind(i64::from(token.bucket))
            .bind(token.hash.0.as_slice())
            .bind(now)
            .fetch_optional(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        drop(read);
        let Some(row) = row else { return Ok(None) };
        let Some(ended_at) = row.valid_until else { return Ok(None) };
        let ended_at = row::time(OPERATION, ended_at)?;
        Ok(Some(Spent { session: row.session(OPERATION)?, ended_at }))
    }

    async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.get";
        let mut read = self.0.read(OPERATION).await?;
        let now = read.now().as_micros();
        let row: Option<SessionRow> = sqlx::query_as(include_str!("../sql/sessions/get.sql"))
            .bind(owner_key(owner).0.as_slice())
            .bind(id.0.as_bytes().as_slice())
            .bind(now)
            .fetch_optional(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        row.map(|row| row.found.session(OPERATION)).transpose()
    }

    async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.page(Listing::Owner(owner), cursor, limit).await
    }

    async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.page(Listing::Cluster(tenant, cluster), cursor, limit).await
    }

    async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.page(Listing::Correlation(tenant, correlation), cursor, limit).await
    }

    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool> {
        let mut tx = self.0.write("sessions.revoke").await?;
        if !tx.revoke_session(&owner_key(owner), id).await? {
            return Ok(false);
        }
        tx.push_effects(&effects).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn revoke_all(
        &self,
        owner: &UserScope,
        except: Option<SessionId>,
        effects: Vec<Effect>,
    ) -> Result<u64> {
        let mut tx = self.0.write("sessions.revoke_all").await?;
        let now = tx.now().as_micros();
        let revoked = sqlx::query(include_str!("../sql/sessions/revoke_all.sql"))
            .bind(owner_key(owner).0.as_slice())
            .bind(except.as_ref().map(|id| id.0.as_bytes().as_slice()))
            .bind(now)
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?
            .rows_affected();
        if revoked > 0 {
            tx.push_effects(&effects).await?;
            tx.commit().await?;
        }
        Ok(revoked)
    }

    async fn active_count(&self, tenant: &Tenant) -> Result<Count> {
        const OPERATION: &str = "sessions.active_count";
        let mut read = self.0.read(OPERATION).await?;
        let now = read.now().as_micros();
        let count: i64 = sqlx::query_scalar(include_str!("../sql/sessions/count.sql"))
            .bind(tenant.as_str())
            .bind(now)
            .fetch_one(read.connection())
            .await
            .map_err(|e| read.error(e))?;
        Ok(Count { value: u64::try_from(count).unwrap_or(0), exact: true })
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let mut left = u64::from(limit.get());
        // Each round is a short transaction of its own: a sweep never holds up writers for long.
        while left > 0 {
            let mut tx = self.0.write("sessions.sweep").await?;
            let mut affected = [0, 0];
            let statements = [
                include_str!("../sql/sessions/sweep_postpone.sql"),
                include_str!("../sql/sessions/sweep_delete.sql"),
            ];
            for (statement, affected) in statements.into_iter().zip(&mut affected) {
                let now = tx.now().as_micros();
                *affected = sqlx::query(statement)
                    .bind(now)
                    .bind(i64::try_from(left).unwrap_or(i64::MAX))
                    .execute(tx.connection())
                    .await
                    .map_err(|e| tx.error(e))?
                    .rows_affected();
            }
            tx.commit().await?;
            let [postponed, deleted] = affected;
            left = left.saturating_sub(deleted);
            if postponed == 0 {
                break;
            }
        }
        Ok(u64::from(limit.get()) - left)
    }
}
