//! Starting sessions.

use hexmem_ports::{
    Effect, Error, ErrorKind, Name, NewSession, Result, SessionId, SessionOrigin, Tenant,
    Timestamp, UserScope,
};
use hexmem_ports::{Session, Ttl};
use serde_json::Value;
use uuid::Uuid;

use super::{Issued, Sessions, lost};
use crate::{Client, Event, Token};

/// What the user of an anonymous session is called: this, and random digits.
const ANONYMOUS: &str = "anonymous:";

/// Whether an owner is a visitor who has not logged in (see [`Start::anonymous`]).
pub fn is_anonymous(owner: &UserScope) -> bool {
    owner.user.as_str().starts_with(ANONYMOUS)
}

/// A session to be started.
#[derive(Debug, Clone)]
pub struct Start {
    pub(super) owner: UserScope,
    data: Value,
    origin: SessionOrigin,
    parent: Option<Parent>,
    anonymous: bool,
    effects: Vec<Effect>,
}

/// The session on whose behalf another one is started.
#[derive(Debug, Clone)]
struct Parent {
    owner: UserScope,
    id: SessionId,
    ends_at: Timestamp,
}

impl Start {
    /// A session of `owner` with no data. The name of a user must not begin with `anonymous:`.
    pub fn new(owner: UserScope) -> Self {
        let origin = SessionOrigin::default();
        Self { owner, data: Value::Null, origin, parent: None, anonymous: false, effects: vec![] }
    }

    /// A session of a visitor who has not logged in: a user of its own, so that visitors share neither a cap nor a
    /// bucket. Nothing authenticates them. At login start a session of the user and end this one: a token that
    /// somebody knew before the login opens nothing after it.
    pub fn anonymous(tenant: Tenant) -> Result<Self> {
        let user = Name::new(format!("{ANONYMOUS}{}", Uuid::new_v4().simple()))?;
        Ok(Self { anonymous: true, ..Self::new(UserScope { tenant, user }) })
    }

    /// A session on behalf of `parent`, whose cluster and correlation id it takes: a further agent at work on the same
    /// task. It ends no later than the parent would; its owner, of the same tenant, may be another.
    pub fn child_of(parent: &Session, owner: UserScope) -> Self {
        let origin = SessionOrigin {
            cluster: parent.origin.cluster.clone(),
            correlation: parent.origin.correlation.clone(),
            parent: Some(parent.id),
            ..SessionOrigin::default()
        };
        let (id, ends_at) = (parent.id, parent.absolute_expires_at);
        let parent = Some(Parent { owner: parent.owner.clone(), id, ends_at });
        Self { origin, parent, ..Self::new(owner) }
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

    /// The correlation id of the work it is part of. An agent's session without one takes its own id, so that it can
    /// have children.
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

impl Sessions {
    /// Starts a session and issues its token.
    ///
    /// # Errors
    /// `Conflict` when the user has as many sessions as allowed and the policy refuses more; `Denied` when the user may
    /// not log in (see [`AuthHash`](crate::AuthHash)); `Expired` when the parent is not live; `Invalid` for data that
    /// cannot be kept, for a parent that cannot have children, and when the policy ties sessions to something that is
    /// not told of the client.
    pub async fn create(&self, start: Start) -> Result<Issued> {
        const OPERATION: &str = "sessions.create";
        let Start { owner, data, mut origin, parent, anonymous, effects } = start;
        let missing = self.policy.binding.and_then(|binding| binding.missing(&origin));
        if let Some(missing) = missing {
            return Err(Error::invalid(OPERATION, missing).with("owner", &owner));
        }
        let now = self.clock.now();
        let absolute = match &parent {
            None => self.policy.absolute,
            Some(parent) => self.within(parent, &owner, &origin, now).await?,
        };
        if let Some(auth) = self.auth.as_ref().filter(|_| !anonymous) {
            let present = auth.auth_hash(&owner).await?;
            origin.auth_hash = Some(present.ok_or_else(|| denied(&owner))?);
        }
        let id = fresh_id(now);
        if origin.service.is_some() && origin.correlation.is_none() {
            origin.correlation = Some(Name::new(id.to_string())?);
        }
        let token = Token::random(&owner)?;
        let new = NewSession {
            id,
            token: token.key(),
            owner,
            data,
            origin,
            idle: self.policy.idle.min(absolute),
            absolute,
            cap: self.policy.cap,
            retention: self.policy.retention,
        };
        let mut answer = self.store.create(new.clone(), effects.clone()).await;
        if lost(&answer) {
            // The secret is only here: a lost answer would leave a session that nobody can use.
            answer = self.store.create(new, effects).await;
        }
        let created = answer?;
        self.tell(&Event::Started { session: &created.session, evicted: &created.evicted });
        Ok(Issued { token, session: created.session, evicted: created.evicted })
    }

    /// How long a child may last.
    async fn within(
        &self,
        parent: &Parent,
        owner: &UserScope,
        origin: &SessionOrigin,
        now: Timestamp,
    ) -> Result<Ttl> {
        const OPERATION: &str = "sessions.create";
        if parent.owner.tenant != owner.tenant {
            return Err(Error::invalid(OPERATION, "a child is of its parent's tenant")
                .with("parent", parent.id)
                .with("tenant", &owner.tenant));
        }
        if origin.correlation.is_none() {
            let what =
                "the parent has no correlation id, which a chain is listed by: start it with one";
            return Err(Error::invalid(OPERATION, what).with("parent", parent.id));
        }
        let live = self.store.get(&parent.owner, parent.id).await?.is_some();
        let left = parent.ends_at.since(now);
        if !live || left.is_zero() {
            let what = "the parent is not live any more";
            return Err(Error::new(ErrorKind::Expired, OPERATION, what).with("parent", parent.id));
        }
        Ok(self.policy.absolute.min(Ttl::new(left)?))
    }
}

pub(super) fn denied(owner: &UserScope) -> Error {
    let what = "the user may not log in: unknown or locked";
    Error::new(ErrorKind::Denied, "sessions.credentials", what).with("owner", owner)
}

/// A UUID of version 7 (RFC 9562) by our clock: listings come in the order of creation.
fn fresh_id(now: Timestamp) -> SessionId {
    let mut random = [0; 10];
    random.copy_from_slice(&Uuid::new_v4().as_bytes()[6..]);
    let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
    SessionId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
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
}
