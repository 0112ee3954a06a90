//! The service: issue, authenticate, rotate, revoke.

mod authenticate;
mod chain;
mod change;
mod rotate;
mod start;

use std::sync::Arc;

use hexmem_ports::{
    Clock, Count, Cursor, Effectiveness, Limit, Name, Page, Result, Session, SessionId,
    SessionStore, Tenant, Touch, UserScope,
};

use crate::{End, Event, Policy, Token, Watch};

pub use authenticate::{AuthHash, Authenticated};
pub use chain::Link;
pub use rotate::Rotation;
pub use start::{Start, is_anonymous};

/// A token and its session. The token is nowhere else: give it to the user now.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The secret.
    pub token: Token,
    /// The session.
    pub session: Session,
    /// Sessions that ended because the user had too many.
    pub evicted: Vec<SessionId>,
}

/// Sessions over any store. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    auth: Option<Arc<dyn AuthHash>>,
    watch: Option<Arc<dyn Watch>>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Sessions {
    /// The service. `Invalid` when the policy contradicts itself. The clock only judges the age of tokens; the
    /// store stamps and expires by its own.
    pub fn new(
        store: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        policy: Policy,
    ) -> Result<Self> {
        policy.check()?;
        Ok(Self { store, clock, policy, auth: None, watch: None })
    }

    /// With a check of what authenticates the user, at each authentication.
    #[must_use]
    pub fn with_auth_hash(mut self, auth: Arc<dyn AuthHash>) -> Self {
        self.auth = Some(auth);
        self
    }

    /// With somebody who hears what happens.
    #[must_use]
    pub fn with_watch(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = Some(watch);
        self
    }

    /// How long a session lasts yet, whatever happens: by our clock, for the cookie.
    pub fn left(&self, session: &Session) -> core::time::Duration {
        session.absolute_expires_at.since(self.clock.now())
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The session of a token, untouched. Says nothing about what authenticates the user: to look, not to let in.
    pub async fn find(&self, token: &Token) -> Result<Option<Session>> {
        self.store.find(&token.key()).await
    }

    /// Marks the session as seen now, whenever it was last seen.
    pub async fn touch(&self, token: &Token) -> Result<Option<Session>> {
        self.store.touch(&token.key(), Touch::default()).await
    }

    /// A live session of an owner.
    pub async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>> {
        self.store.get(owner, id).await
    }

    /// The live sessions of an owner.
    pub async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.store.list(owner, cursor, limit).await
    }

    /// The live sessions of a cluster.
    pub async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.store.list_by_cluster(tenant, cluster, cursor, limit).await
    }

    /// The live sessions of a correlation id.
    pub async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.store.list_by_correlation(tenant, correlation, cursor, limit).await
    }

    /// Ends the session of a token: log out. `false` when it was not live.
    pub async fn end(&self, token: &Token) -> Result<bool> {
        match self.find(token).await? {
            Some(session) => self.revoke(&session.owner, session.id).await,
            None => Ok(false),
        }
    }

    /// Ends a session of an owner. `false` when it was not live.
    pub async fn revoke(&self, owner: &UserScope, id: SessionId) -> Result<bool> {
        self.ended(owner, id, End::Revoked).await
    }

    async fn ended(&self, owner: &UserScope, id: SessionId, why: End) -> Result<bool> {
        let ended = self.store.revoke(owner, id, vec![]).await?;
        if ended {
            self.tell(&Event::Ended { owner, id, why });
        }
        Ok(ended)
    }

    /// Ends all sessions of an owner, but for one; returns how many.
    pub async fn revoke_all(&self, owner: &UserScope, except: Option<SessionId>) -> Result<u64> {
        let count = self.store.revoke_all(owner, except, vec![]).await?;
        if count > 0 {
            self.tell(&Event::EndedAll { owner, except, count });
        }
        Ok(count)
    }

    fn tell(&self, event: &Event<'_>) {
        if let Some(watch) = &self.watch {
            watch.event(event);
        }
    }

    /// How many sessions of a tenant are live.
    pub async fn active_count(&self, tenant: &Tenant) -> Result<Count> {
        self.store.active_count(tenant).await
    }

    /// Frees the space of at most `limit` sessions past their retention; returns how many. Call it now and then:
    /// correctness never needs it.
    pub async fn sweep(&self, limit: Limit) -> Result<u64> {
        self.store.sweep(limit).await
    }
}

/// Whether the answer does not say if the change happened.
fn lost<T>(answer: &Result<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.effectiveness() == Effectiveness::Unknown)
}
