//! Stores that fail.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemorySessions};
use hexmem_ports::{
    Capabilities, Count, Created, Cursor, Effect, Error, ErrorKind, Limit, Name, NewSession, OpId,
    Page, Result, Rotate, Session, SessionId, SessionStore, Spent, Tenant, TokenKey, Touch,
    UserScope,
};
use serde_json::Value;

/// A store in memory that counts its calls, loses an answer on the way, or cannot be reached.
pub struct Faulty {
    inner: MemorySessions,
    /// The next answer to a create, an update or a rotation is lost, once.
    pub losing: AtomicBool,
    /// Nothing is reached.
    pub down: AtomicBool,
    /// How often it was asked.
    pub calls: AtomicUsize,
}

impl Faulty {
    pub fn new(clock: Arc<ManualClock>) -> Arc<Self> {
        let inner = MemorySessions::new(clock.clone(), MemoryOutbox::new(clock));
        let (losing, down, calls) = Default::default();
        Arc::new(Self { inner, losing, down, calls })
    }

    fn reach(&self) -> Result<&MemorySessions> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "sessions.test", "down").not_applied());
        }
        Ok(&self.inner)
    }

    fn lose<T>(&self, answer: Result<T>) -> Result<T> {
        if self.losing.swap(false, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Timeout, "sessions.test", "lost"));
        }
        answer
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl SessionStore for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn create(&self, session: NewSession, effects: Vec<Effect>) -> Result<Created> {
        self.lose(self.reach()?.create(session, effects).await)
    }
    async fn find(&self, token: &TokenKey) -> Result<Option<Session>> {
        self.reach()?.find(token).await
    }
    async fn touch(&self, token: &TokenKey, touch: Touch) -> Result<Option<Session>> {
        self.reach()?.touch(token, touch).await
    }
    async fn update(
        &self,
        token: &TokenKey,
        expected: u64,
        data: Value,
        op: OpId,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        self.lose(self.reach()?.update(token, expected, data, op, effects).await)
    }
    async fn rotate(&self, rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>> {
        self.lose(self.reach()?.rotate(rotate, effects).await)
    }
    async fn spent(&self, token: &TokenKey) -> Result<Option<Spent>> {
        self.reach()?.spent(token).await
    }
    async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>> {
        self.reach()?.get(owner, id).await
    }
    async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.reach()?.list(owner, cursor, limit).await
    }
    async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.reach()?.list_by_cluster(tenant, cluster, cursor, limit).await
    }
    async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.reach()?.list_by_correlation(tenant, correlation, cursor, limit).await
    }
    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool> {
        self.reach()?.revoke(owner, id, effects).await
    }
    async fn revoke_all(
        &self,
        owner: &UserScope,
        except: Option<SessionId>,
        effects: Vec<Effect>,
    ) -> Result<u64> {
        self.reach()?.revoke_all(owner, except, effects).await
    }
    async fn active_count(&self, tenant: &Tenant) -> Result<Count> {
        self.reach()?.active_count(tenant).await
    }
    async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.reach()?.sweep(limit).await
    }
}
