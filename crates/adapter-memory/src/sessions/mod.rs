//! Sessions in process.

mod records;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hexmem_ports::{
    Capabilities, Capability, Clock, Count, Created, Cursor, Effect, Error, ErrorKind, Limit, Name,
    NewSession, OpId, Page, Result, Rotate, Session, SessionId, SessionStore, Spent, StoredSession,
    StoredToken, Tenant, Timestamp, TokenKey, Touch, UserScope, WhenFull, check_effects,
    check_json,
};
use serde_json::Value;

use crate::MemoryOutbox;
use state::{Listing, State};

/// Sessions of one process. Clones share them.
#[derive(Clone)]
pub struct MemorySessions {
    clock: Arc<dyn Clock>,
    outbox: MemoryOutbox,
    state: Arc<Mutex<State>>,
}

impl MemorySessions {
    /// An empty store that stamps with `clock` and commits effects to `outbox`.
    pub fn new(clock: Arc<dyn Clock>, outbox: MemoryOutbox) -> Self {
        Self { clock, outbox, state: Arc::default() }
    }

    /// The state, and the present as it is once the lock is held.
    fn lock(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        (state, now)
    }

    fn page(
        &self,
        listing: &Listing<'_>,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        let (state, now) = self.lock();
        state.page(listing, cursor, limit, now)
    }
}

fn taken(operation: &'static str, what: &'static str, id: SessionId) -> Error {
    Error::new(ErrorKind::AlreadyExists, operation, what).with("id", id)
}

#[async_trait]
impl SessionStore for MemorySessions {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([Capability::Effects, Capability::Records, Capability::ExactCounts])
    }

    async fn create(&self, new: NewSession, effects: Vec<Effect>) -> Result<Created> {
        const OPERATION: &str = "sessions.create";
        new.check()?;
        check_effects(OPERATION, &effects)?;
        let (mut state, now) = self.lock();
        if let Some(kept) = state.by_id(&new.owner, new.id) {
            let first = kept.token(&new.token.hash).filter(|token| token.replaces.is_none());
            if first.is_none() {
                return Err(taken(OPERATION, "the id is taken by another session", new.id));
            }
            let (created_at, evicted) = (kept.session.created_at, kept.evicted.clone());
            return Ok(Created { session: new.session(created_at), evicted });
        }
        if state.holds_token(&new.token) {
            return Err(taken(OPERATION, "the token is taken by another session", new.id));
        }
        let mut evicted = Vec::new();
        if let Some(cap) = new.cap {
            let mut live = state.live_of(&new.owner, now);
            let most = usize::try_from(cap.max).unwrap_or(usize::MAX);
            let over = (live.len() + 1).saturating_sub(most);
            if over > 0 && cap.when_full == WhenFull::Refuse {
                return Err(Error::conflict(OPERATION, "the user has as many sessions as allowed")
                    .with("owner", &new.owner)
                    .with("cap", cap.max));
            }
            live.sort();
            for (_, _, id, seq) in live.into_iter().take(over) {
                state.change(seq, |kept| kept.revoke(now));
                evicted.push(id);
            }
        }
        let stored = StoredSession::new(new, now, evicted.clone());
        let session = stored.session.clone();
        state.insert(stored);
        self.outbox.commit(now, effects);
        Ok(Created { session, evicted })
    }

    async fn find(&self, token: &TokenKey) -> Result<Option<Session>> {
        let (state, now) = self.lock();
        Ok(state.live_by_token(token, now).map(|(_, kept)| kept.session.clone()))
    }

    async fn touch(&self, token: &TokenKey, touch: Touch) -> Result<Option<Session>> {
        let (mut state, now) = self.lock();
        let Some((seq, _)) = state.live_by_token(token, now) else { return Ok(None) };
        state.change(seq, |kept| kept.touch(touch, now));
        Ok(state.session(seq))
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
        check_effects(OPERATION, &effects)?;
        let (mut state, now) = self.lock();
        let Some((seq, kept)) = state.live_by_token(token, now) else { return Ok(None) };
        if kept.last_op == Some(op) {
            return Ok(Some(kept.session.clone()));
        }
        let version = kept.session.version;
        if version != expected {
            return Err(Error::conflict(OPERATION, "the session was changed; read it again")
                .with("id", kept.session.id)
                .with("expected", expected)
                .with("version", version));
        }
        state.change(seq, |kept| {
            kept.session.data = data;
            kept.session.version = version + 1;
            kept.last_op = Some(op);
            kept.written(now);
        });
        self.outbox.commit(now, effects);
        Ok(state.session(seq))
    }

    async fn rotate(&self, rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.rotate";
        rotate.check()?;
        check_effects(OPERATION, &effects)?;
        let (mut state, now) = self.lock();
        if let Some((_, kept)) = state.live_by_token(&rotate.new, now) {
            let repeat = kept.token(&rotate.new.hash).is_some_and(|token| {
                token.valid_until.is_none() && token.replaces == Some(rotate.old.hash)
            });
            if repeat {
                return Ok(Some(kept.session.clone()));
            }
        }
        let Some((seq, kept)) = state.live_by_token(&rotate.old, now) else { return Ok(None) };
        if kept.token(&rotate.old.hash).is_some_and(|token| token.valid_until.is_some()) {
            return Err(Error::conflict(OPERATION, "the token was rotated; use the newer one")
                .with("id", kept.session.id));
        }
        if state.holds_token(&rotate.new) {
            let id = kept.session.id;
            return Err(taken(OPERATION, "the new token is in use; draw a fresh one", id));
        }
        let old_ends = rotate.grace.map_or(now, |grace| now.plus(grace.get()));
        state.change_tokens(seq, |kept| {
            kept.tokens.retain(|token| !token.is_forgettable(now));
            for token in &mut kept.tokens {
                token.valid_until = Some(token.valid_until.unwrap_or(old_ends).min(old_ends));
            }
            kept.tokens.push(StoredToken {
                hash: rotate.new.hash,
                replaces: Some(rotate.old.hash),
                valid_until: None,
            });
            kept.session.token_issued_at = now;
            let origin = &mut kept.session.origin;
            origin.auth_hash = rotate.auth_hash.or(origin.auth_hash);
            origin.ip = rotate.ip.or(origin.ip);
            if rotate.user_agent.is_some() {
                origin.user_agent = rotate.user_agent;
            }
            kept.written(now);
        });
        self.outbox.commit(now, effects);
        Ok(state.session(seq))
    }

    async fn spent(&self, token: &TokenKey) -> Result<Option<Spent>> {
        let (state, now) = self.lock();
        Ok(state.spent(token, now))
    }

    async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>> {
        let (state, now) = self.lock();
        let live = state.by_id(owner, id).filter(|kept| kept.is_live(now));
        Ok(live.map(|kept| kept.session.clone()))
    }

    async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.page(&Listing::Owner(owner), cursor, limit)
    }

    async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.page(&Listing::Cluster(tenant, cluster), cursor, limit)
    }

    async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.page(&Listing::Correlation(tenant, correlation), cursor, limit)
    }

    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool> {
        check_effects("sessions.revoke", &effects)?;
        let (mut state, now) = self.lock();
        let live = state.live_of(owner, now).into_iter().find(|(_, _, live, _)| *live == id);
        let Some((.., seq)) = live else { return Ok(false) };
        state.change(seq, |kept| kept.revoke(now));
        self.outbox.commit(now, effects);
        Ok(true)
    }

    async fn revoke_all(
        &self,
        owner: &UserScope,
        except: Option<SessionId>,
        effects: Vec<Effect>,
    ) -> Result<u64> {
        check_effects("sessions.revoke_all", &effects)?;
        let (mut state, now) = self.lock();
        let mut revoked = 0;
        for (_, _, id, seq) in state.live_of(owner, now) {
            if Some(id) != except {
                state.change(seq, |kept| kept.revoke(now));
                revoked += 1;
            }
        }
        if revoked > 0 {
            self.outbox.commit(now, effects);
        }
        Ok(revoked)
    }

    async fn active_count(&self, tenant: &Tenant) -> Result<Count> {
        let (state, now) = self.lock();
        Ok(Count { value: state.count(tenant, now), exact: true })
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let (mut state, now) = self.lock();
        Ok(state.sweep(limit, now))
    }
}
