//! The service: issue, authenticate, rotate, revoke.

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{
    Clock, Count, Cursor, Digest, Effect, Effectiveness, Error, ErrorKind, Limit, Name, NewSession,
    OpId, Page, Result, Rotate, Session, SessionId, SessionOrigin, SessionStore, Tenant, Timestamp,
    Touch, Ttl, UserScope, check_json,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{Client, Policy, Token, merge_patch};

/// How often a merge is tried again when others keep changing the session.
const PATCH_ATTEMPTS: usize = 16;

/// Tells what authenticates a user at present, for example the SHA-256 of their password's hash. A session made
/// under another answer ends at its next use: so a changed password logs out everywhere.
#[async_trait]
pub trait AuthHash: Send + Sync {
    /// The digest; `None` for a user who cannot log in (unknown, locked).
    async fn auth_hash(&self, owner: &UserScope) -> Result<Option<Digest>>;
}

/// A session to be started.
#[derive(Debug, Clone)]
pub struct Start {
    owner: UserScope,
    data: Value,
    origin: SessionOrigin,
    effects: Vec<Effect>,
}

impl Start {
    /// A session of `owner` with no data.
    pub fn new(owner: UserScope) -> Self {
        let origin = SessionOrigin::default();
        Self { owner, data: Value::Null, origin, effects: vec![] }
    }

    /// What the caller keeps with it. Any JSON without NUL, integers within i64.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// Who asks.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.origin.ip = client.ip;
        self.origin.user_agent = client.user_agent;
        self
    }

    /// The cluster or deployment that an agent works on.
    #[must_use]
    pub fn cluster(mut self, cluster: Name) -> Self {
        self.origin.cluster = Some(cluster);
        self
    }

    /// The correlation id of the work it is part of.
    #[must_use]
    pub fn correlation(mut self, correlation: Name) -> Self {
        self.origin.correlation = Some(correlation);
        self
    }

    /// The agent's service identity, as the caller has verified it.
    #[must_use]
    pub fn service(mut self, service: Name) -> Self {
        self.origin.service = Some(service);
        self
    }

    /// What must follow, committed with the session.
    #[must_use]
    pub fn effects(mut self, effects: Vec<Effect>) -> Self {
        self.effects = effects;
        self
    }
}

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

/// A session whose token was presented.
#[derive(Debug, Clone, PartialEq)]
pub struct Authenticated {
    /// The session.
    pub session: Session,
    /// Whether its token is old enough to be renewed: rotate it with [`Rotation::Renewal`].
    pub renewal_due: bool,
}

/// Why a token changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It is old. The old one stays valid for [`Policy::grace`].
    Renewal,
    /// The user may do more, or less, than before (logged in, became administrator). The old one stays
    /// valid for [`Policy::privilege_grace`]: by default not at all.
    Privilege,
    /// The user has just proved and changed what authenticates them. Like [`Self::Privilege`], and the session takes
    /// the present auth hash: it lives on while the user's other sessions end.
    Credentials,
}

/// Sessions over any store. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    auth: Option<Arc<dyn AuthHash>>,
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
        Ok(Self { store, clock, policy, auth: None })
    }

    /// With a check of what authenticates the user, at each authentication.
    #[must_use]
    pub fn with_auth_hash(mut self, auth: Arc<dyn AuthHash>) -> Self {
        self.auth = Some(auth);
        self
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Starts a session and issues its token.
    ///
    /// # Errors
    /// `Conflict` when the user has as many sessions as allowed and the policy refuses more; `Invalid` for data
    /// that cannot be kept.
    pub async fn create(&self, start: Start) -> Result<Issued> {
        let Start { owner, data, mut origin, effects } = start;
        if let Some(auth) = &self.auth {
            origin.auth_hash = auth.auth_hash(&owner).await?;
        }
        let token = Token::random(&owner)?;
        let new = NewSession {
            id: fresh_id(self.clock.now()),
            token: token.key(),
            owner,
            data,
            origin,
            idle: self.policy.idle,
            absolute: self.policy.absolute,
            cap: self.policy.cap,
            retention: self.policy.retention,
        };
        let mut answer = self.store.create(new.clone(), effects.clone()).await;
        if lost(&answer) {
            // The secret is only here: a lost answer would leave a session that nobody can use.
            answer = self.store.create(new, effects).await;
        }
        let created = answer?;
        Ok(Issued { token, session: created.session, evicted: created.evicted })
    }

    /// The session of a token, which is marked as seen (at most once per [`Policy::coalesce`]). `None` when the
    /// token opens no live session, or when what authenticates its user has changed: then the session is revoked.
    pub async fn authenticate(
        &self,
        token: &Token,
        client: &Client,
    ) -> Result<Option<Authenticated>> {
        let touch = Touch {
            ip: client.ip,
            user_agent: client.user_agent.clone(),
            coalesce: self.policy.coalesce,
        };
        let Some(session) = self.store.touch(&token.key(), touch).await? else { return Ok(None) };
        if let Some(auth) = &self.auth {
            let present = auth.auth_hash(&session.owner).await?;
            if !same(present, session.origin.auth_hash) {
                self.store.revoke(&session.owner, session.id, vec![]).await?;
                return Ok(None);
            }
        }
        let age = self.clock.now().since(session.token_issued_at);
        Ok(Some(Authenticated { renewal_due: self.policy.renewal_due(age), session }))
    }

    /// The session of a token, untouched. Says nothing about what authenticates the user: to look, not to let in.
    pub async fn find(&self, token: &Token) -> Result<Option<Session>> {
        self.store.find(&token.key()).await
    }

    /// Marks the session as seen now, whenever it was last seen.
    pub async fn touch(&self, token: &Token) -> Result<Option<Session>> {
        self.store.touch(&token.key(), Touch::default()).await
    }

    /// Replaces the data where the session still has this version. `Conflict` when it has another.
    pub async fn update(
        &self,
        token: &Token,
        expected: u64,
        data: Value,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        let (key, op) = (token.key(), OpId::random());
        let answer = self.store.update(&key, expected, data.clone(), op, effects.clone()).await;
        if lost(&answer) {
            return self.store.update(&key, expected, data, op, effects).await;
        }
        answer
    }

    /// Merges `patch` (RFC 7396) into the data. Concurrent merges all take effect, one after the other.
    pub async fn patch(&self, token: &Token, patch: &Value) -> Result<Option<Session>> {
        check_json("sessions.patch", patch)?;
        for _ in 0..PATCH_ATTEMPTS {
            let Some(session) = self.find(token).await? else { return Ok(None) };
            let data = merge_patch(session.data, patch);
            match self.update(token, session.version, data, vec![]).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                answer => return answer,
            }
        }
        let what =
            format!("others changed the session {PATCH_ATTEMPTS} times meanwhile; try again");
        Err(Error::conflict("sessions.patch", what).retry(hexmem_ports::Retry::Soon))
    }

    /// Gives the session a new token. `None` when the old one opens no live session.
    ///
    /// # Errors
    /// `Conflict` when the token was rotated before and is in its grace.
    pub async fn rotate(&self, token: &Token, why: Rotation) -> Result<Option<Issued>> {
        let grace = match why {
            Rotation::Renewal => self.policy.grace,
            Rotation::Privilege | Rotation::Credentials => self.policy.privilege_grace,
        };
        self.rotate_with_grace(token, why, grace).await
    }

    /// Like [`Self::rotate`], with a grace other than the policy's.
    pub async fn rotate_with_grace(
        &self,
        token: &Token,
        why: Rotation,
        grace: Option<Ttl>,
    ) -> Result<Option<Issued>> {
        let Some(session) = self.find(token).await? else { return Ok(None) };
        let auth_hash = match (&self.auth, why) {
            (Some(auth), Rotation::Credentials) => auth.auth_hash(&session.owner).await?,
            _ => None,
        };
        let new = Token::random(&session.owner)?;
        let rotate = Rotate {
            old: token.key(),
            new: new.key(),
            grace,
            auth_hash,
            ip: None,
            user_agent: None,
        };
        let mut answer = self.store.rotate(rotate.clone(), vec![]).await;
        if lost(&answer) {
            // The secret is only here: a lost answer would lock its user out.
            answer = self.store.rotate(rotate, vec![]).await;
        }
        let rotated = answer?;
        Ok(rotated.map(|session| Issued { token: new, session, evicted: vec![] }))
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
        self.store.revoke(owner, id, vec![]).await
    }

    /// Ends all sessions of an owner, but for one; returns how many.
    pub async fn revoke_all(&self, owner: &UserScope, except: Option<SessionId>) -> Result<u64> {
        self.store.revoke_all(owner, except, vec![]).await
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

/// A UUID of version 7 (RFC 9562) by our clock: listings come in the order of creation.
fn fresh_id(now: Timestamp) -> SessionId {
    let mut random = [0; 10];
    random.copy_from_slice(&Uuid::new_v4().as_bytes()[6..]);
    let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
    SessionId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// Whether the answer does not say if the change happened.
fn lost<T>(answer: &Result<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.effectiveness() == Effectiveness::Unknown)
}

/// Compares all bytes, whichever differ.
fn same(present: Option<Digest>, kept: Option<Digest>) -> bool {
    match (present, kept) {
        (None, None) => true,
        (Some(a), Some(b)) => a.0.iter().zip(b.0).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_and_in_the_order_of_time() {
        let at = |millis: i64| Timestamp::from_micros(millis * 1_000).unwrap();
        let ids: Vec<_> = (0..100).map(|n| fresh_id(at(1_767_225_600_000 + n))).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.0.get_version_num() == 7));
        let same: HashSet<_> = (0..1_000).map(|_| fresh_id(at(7))).collect();
        assert_eq!(same.len(), 1_000);
        assert!(fresh_id(Timestamp::MIN) < fresh_id(at(7)));
    }

    #[test]
    fn auth_hashes_are_compared_as_a_whole() {
        let hash = |text: &str| Some(Digest::of(text.as_bytes()));
        assert!(same(None, None) && same(hash("a"), hash("a")));
        assert!(!same(hash("a"), hash("b")) && !same(hash("a"), None) && !same(None, hash("a")));
    }
}
