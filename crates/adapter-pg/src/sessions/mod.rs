//! Sessions.

mod records;
mod row;
mod write;

use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    Capabilities, Capability, Count, Created, Cursor, Effect, Limit, Name, NewSession, OpId, Page,
    Result, Rotate, Session, SessionId, SessionStore, Spent, Tenant, TokenKey, Touch, UserScope,
};
use serde_json::Value;
use uuid::Uuid;

use crate::Postgres;
use crate::outbox::Effects;
use crate::value::{At, Hash};
use row::{Judged, SessionRow, owner_key, part_key};

/// Sessions of a schema.
///
/// Every call is one statement, or one function of the schema, sent in one round trip. A call that lost a race to another
/// change of the same session looks again.
#[derive(Debug, Clone)]
pub struct PgSessions(Postgres);

impl Postgres {
    /// The sessions of this schema.
    pub fn sessions(&self) -> PgSessions {
        PgSessions(self.clone())
    }
}

/// What a listing by number is of.
#[derive(Clone, Copy)]
enum Group {
    Cluster,
    Correlation,
}

impl PgSessions {
    async fn group(
        &self,
        group: Group,
        (tenant, name): (&Tenant, &Name),
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        let (operation, mark, sql) = match group {
            Group::Cluster => (
                "sessions.list_by_cluster",
                "c",
                include_str!("../sql/sessions/list_by_cluster.sql"),
            ),
            Group::Correlation => (
                "sessions.list_by_correlation",
                "k",
                include_str!("../sql/sessions/list_by_correlation.sql"),
            ),
        };
        let after = cursor.map(|cursor| row::after_seq(operation, mark, &cursor)).transpose()?;
        let rows: Vec<SessionRow> = self
            .0
            .read_lagging(operation, sql)
            .bind(part_key(tenant, name))
            .bind(after.unwrap_or(0))
            .bind(i64::from(limit.get()) + 1)
            .fetch_all()
            .await?;
        Ok(page(rows, limit, |row| row::cursor(mark, &row.seq.to_be_bytes())))
    }
}

/// The rows up to the limit; one more says that there is a next page.
fn page(
    mut rows: Vec<SessionRow>,
    limit: Limit,
    cursor: impl Fn(&SessionRow) -> Cursor,
) -> Page<Session> {
    let more = rows.len() > limit.as_usize();
    rows.truncate(limit.as_usize());
    let next = rows.last().filter(|_| more).map(cursor);
    Page { items: rows.into_iter().map(|row| row.session).collect(), next }
}

#[async_trait]
impl SessionStore for PgSessions {
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
        self.insert(new, effects).await
    }

    async fn find(&self, token: &TokenKey) -> Result<Option<Session>> {
        let row: Option<SessionRow> = self
            .0
            .read("sessions.find", include_str!("../sql/sessions/find.sql"))
            .bind(i32::from(token.bucket))
            .bind(Hash(token.hash))
            .fetch_optional()
            .await?;
        Ok(row.map(|row| row.session))
    }

    async fn touch(&self, token: &TokenKey, touch: Touch) -> Result<Option<Session>> {
        self.mark_seen(token, touch).await
    }

    async fn update(
        &self,
        token: &TokenKey,
        expected: u64,
        data: Value,
        op: OpId,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        self.replace_data(token, expected, data, op, effects).await
    }

    async fn rotate(&self, rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>> {
        self.give_token(rotate, effects).await
    }

    async fn spent(&self, token: &TokenKey) -> Result<Option<Spent>> {
        let row: Option<Judged<At>> = self
            .0
            .read("sessions.spent", include_str!("../sql/sessions/spent.sql"))
            .bind(i32::from(token.bucket))
            .bind(Hash(token.hash))
            .fetch_optional()
            .await?;
        Ok(row.map(|Judged(row, ended_at)| Spent { session: row.session, ended_at: ended_at.0 }))
    }

    async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>> {
        let row: Option<SessionRow> = self
            .0
            .read("sessions.get", include_str!("../sql/sessions/get.sql"))
            .bind(owner_key(owner))
            .bind(id.0)
            .fetch_optional()
            .await?;
        Ok(row.map(|row| row.session))
    }

    /// On the first server, never its follower: who has just revoked one looks here whether it is gone.
    async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        const OPERATION: &str = "sessions.list";
        let first = match cursor {
            None => Uuid::nil(),
            Some(cursor) => {
                let after = row::after_id(OPERATION, "o", &cursor)?;
                let Some(next) = after.as_u128().checked_add(1) else {
                    return Ok(Page::default());
                };
                Uuid::from_u128(next)
            }
        };
        let rows: Vec<SessionRow> = self
            .0
            .read(OPERATION, include_str!("../sql/sessions/list.sql"))
            .bind(owner.tenant.as_str())
            .bind(owner_key(owner))
            .bind(first)
            .bind(i64::from(limit.get()) + 1)
            .fetch_all()
            .await?;
        Ok(page(rows, limit, |row| row::cursor("o", row.session.id.0.as_bytes())))
    }

    async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.group(Group::Cluster, (tenant, cluster), cursor, limit).await
    }

    async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.group(Group::Correlation, (tenant, correlation), cursor, limit).await
    }

    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool> {
        const OPERATION: &str = "sessions.revoke";
        let effects = Effects::new(&self.0, OPERATION, &effects)?;
        let (revoked,): (i64,) = self
            .0
            .write(OPERATION, include_str!("../sql/sessions/revoke.sql"))
            .bind(owner_key(owner))
            .bind(id.0)
            .effects(&effects)
            .fetch_one()
            .await?;
        Ok(revoked > 0)
    }

    async fn revoke_all(
        &self,
        owner: &UserScope,
        except: Option<SessionId>,
        effects: Vec<Effect>,
    ) -> Result<u64> {
        const OPERATION: &str = "sessions.revoke_all";
        let effects = Effects::new(&self.0, OPERATION, &effects)?;
        let (revoked,): (i64,) = self
            .0
            .write(OPERATION, include_str!("../sql/sessions/revoke_all.sql"))
            .bind(owner.tenant.as_str())
            .bind(owner_key(owner))
            .bind(except.map(|id| id.0))
            .effects(&effects)
            .fetch_one()
            .await?;
        Ok(u64::try_from(revoked).unwrap_or(0))
    }

    async fn active_count(&self, tenant: &Tenant) -> Result<Count> {
        let (count,): (i64,) = self
            .0
            .read_lagging("sessions.active_count", include_str!("../sql/sessions/count.sql"))
            .bind(tenant.as_str())
            .fetch_one()
            .await?;
        Ok(Count { value: u64::try_from(count).unwrap_or(0), exact: true })
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let mut left = i64::from(limit.get());
        while left > 0 {
            let batch = left.min(BATCH);
            let (postponed, freed): (i64, i64) = self
                .0
                .write("sessions.sweep", include_str!("../sql/sessions/sweep.sql"))
                .bind(batch)
                .fetch_one()
                .await?;
            left -= freed;
            if postponed + freed < batch {
                break;
            }
            breathe().await;
        }
        Ok(u64::try_from(i64::from(limit.get()) - left).unwrap_or(0))
    }
}

/// The most rows that one transaction of a sweep frees: its locks are short, and followers keep up.
pub(crate) const BATCH: i64 = 1_000;

/// A pause of 1 to 16 ms between two batches: those who wait for the rows or the disk come in between, and two sweeps that
/// began together do not stay together.
pub(crate) async fn breathe() {
    let [random, ..] = *Uuid::new_v4().as_bytes();
    tokio::time::sleep(Duration::from_millis(1 + u64::from(random % 16))).await;
}
