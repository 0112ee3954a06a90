//! A double that breaks one clause and keeps the others.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use hexmem_ports::{
    Capabilities, Count, Created, Cursor, Digest, Effect, ErrorKind, Limit, Name, NewSession, OpId,
    Page, Result, Rotate, Session, SessionId, SessionStore, Spent, Tenant, TokenKey, Touch, Ttl,
    UserScope, WhenFull,
};
use serde_json::{Value, json};

use super::{SessionRig, rows};
use crate::{outbox, records};

/// The clauses that the double can break.
const CLAUSES: [&str; 47] = [
    "SESS-CREATE-1",
    "SESS-CREATE-2",
    "SESS-CREATE-3",
    "SESS-CREATE-4",
    "SESS-CREATE-5",
    "SESS-CREATE-6",
    "SESS-CREATE-7",
    "SESS-FIND-1",
    "SESS-FIND-2",
    "SESS-FIND-3",
    "SESS-FIND-4",
    "SESS-TOUCH-1",
    "SESS-TOUCH-2",
    "SESS-TOUCH-3",
    "SESS-TOUCH-4",
    "SESS-TOUCH-5",
    "SESS-TOUCH-6",
    "SESS-UPDATE-1",
    "SESS-UPDATE-2",
    "SESS-UPDATE-3",
    "SESS-UPDATE-4",
    "SESS-UPDATE-5",
    "SESS-UPDATE-6",
    "SESS-ROTATE-1",
    "SESS-ROTATE-2",
    "SESS-ROTATE-3",
    "SESS-ROTATE-4",
    "SESS-ROTATE-5",
    "SESS-ROTATE-6",
    "SESS-ROTATE-7",
    "SESS-ROTATE-8",
    "SESS-SPENT-1",
    "SESS-SPENT-2",
    "SESS-SPENT-3",
    "SESS-GET-1",
    "SESS-LIST-1",
    "SESS-LIST-2",
    "SESS-LIST-3",
    "SESS-CLUSTER-1",
    "SESS-CORR-1",
    "SESS-REVOKE-1",
    "SESS-REVOKE-2",
    "SESS-REVOKE-3",
    "SESS-REVOKEALL-1",
    "SESS-REVOKEALL-2",
    "SESS-COUNT-1",
    "SESS-SWEEP-1",
];

/// The rig with stores that break `clause`. Panics on a clause that is not known.
pub fn broken(clause: &str, rig: SessionRig) -> SessionRig {
    if let Some(rig) = outbox::broken(clause, rig.clone()) {
        return rig;
    }
    if let Some(rig) = records::broken(clause, rig.clone()) {
        return rig;
    }
    let Some(clause) = CLAUSES.into_iter().find(|known| *known == clause) else {
        panic!("{clause} has no breaking double in conformance/src/sessions/broken.rs");
    };
    let seen = Arc::new(Mutex::new(Seen::default()));
    let hour = rig.ttl(1_000);
    rig.wrapped(|inner| {
        Arc::new(Broken { inner, clause, hour, seen: Arc::clone(&seen) }) as Arc<dyn SessionStore>
    })
}

/// What went through the double.
#[derive(Default)]
struct Seen {
    sessions: Vec<(TokenKey, Session)>,
    rotated_to: HashSet<Digest>,
    rotations: Vec<(TokenKey, TokenKey)>,
    revived: Vec<(TokenKey, Session)>,
}

struct Broken {
    inner: Arc<dyn SessionStore>,
    clause: &'static str,
    hour: Ttl,
    seen: Arc<Mutex<Seen>>,
}

impl Broken {
    fn breaks(&self, clause: &str) -> bool {
        self.clause == clause
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Drops the effects when `clause` is the broken one.
    fn effects(&self, clause: &str, effects: Vec<Effect>) -> Vec<Effect> {
        if self.breaks(clause) { vec![] } else { effects }
    }

    /// The session that once had this token.
    fn once(&self, token: &TokenKey) -> Option<Session> {
        let seen = self.seen();
        seen.sessions.iter().find(|(known, _)| known == token).map(|(_, session)| session.clone())
    }

    fn all(&self, of: impl Fn(&Session) -> bool) -> Vec<Session> {
        let seen = self.seen();
        seen.sessions.iter().map(|(_, session)| session).filter(|s| of(s)).cloned().collect()
    }

    async fn live(&self, owner: &UserScope) -> Vec<Session> {
        self.inner.list(owner, None, rows(10_000)).await.unwrap().items
    }

    /// A page with sessions added that do not belong there.
    fn added(&self, mut page: Page<Session>, more: Vec<Session>) -> Page<Session> {
        if page.next.is_none() {
            let more = more.into_iter().filter(|s| page.items.iter().all(|i| i.id != s.id));
            page.items.extend(more.collect::<Vec<_>>());
        }
        page
    }

    /// Counts, waits, and inserts without the cap.
    async fn create_unguarded(&self, new: NewSession, effects: Vec<Effect>) -> Result<Created> {
        let cap = new.cap.unwrap();
        let mut live = self.live(&new.owner).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        live.sort_by_key(|session| session.last_seen_at);
        if live.len() >= cap.max as usize {
            if cap.when_full == WhenFull::Refuse {
                return self.inner.create(new, effects).await;
            }
            self.inner.revoke(&new.owner, live[0].id, vec![]).await?;
        }
        self.inner.create(NewSession { cap: None, ..new }, effects).await
    }

    /// Evicts those that were seen last.
    async fn create_evicting_newest(&self, new: NewSession) -> Result<Created> {
        let mut live = self.live(&new.owner).await;
        live.sort_by_key(|session| std::cmp::Reverse((session.last_seen_at, session.id)));
        let over = (live.len() + 1).saturating_sub(new.cap.unwrap().max as usize);
        let evicted: Vec<_> = live.into_iter().take(over).map(|session| session.id).collect();
        for id in &evicted {
            self.inner.revoke(&new.owner, *id, vec![]).await?;
        }
        let created = self.inner.create(NewSession { cap: None, ..new }, vec![]).await?;
        Ok(Created { evicted, ..created })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl SessionStore for Broken {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, new: NewSession, effects: Vec<Effect>) -> Result<Created> {
        let mut request = new.clone();
        let effects = self.effects("SESS-CREATE-7", effects);
        let answer = match (self.clause, new.cap.map(|cap| cap.when_full)) {
            ("SESS-CREATE-1", _) => {
                request.origin.service = None;
                self.inner.create(request, effects).await
            }
            ("SESS-CREATE-3", Some(WhenFull::EvictOldest)) => {
                self.create_evicting_newest(request).await
            }
            ("SESS-CREATE-4", Some(WhenFull::Refuse)) => {
                self.inner.create(NewSession { cap: None, ..request }, effects).await
            }
            ("SESS-CREATE-5", Some(_)) => self.create_unguarded(request, effects).await,
            _ => self.inner.create(request, effects).await,
        };
        let forgiven = match self.clause {
            "SESS-CREATE-2" => Some(ErrorKind::AlreadyExists),
            "SESS-CREATE-6" => Some(ErrorKind::Invalid),
            _ => None,
        };
        let created = match answer {
            Err(error) if Some(error.kind()) == forgiven => {
                let now = hexmem_ports::Timestamp::MIN;
                Created { session: new.clone().session(now), evicted: vec![] }
            }
            answer => answer?,
        };
        self.seen().sessions.push((new.token, created.session.clone()));
        Ok(created)
    }

    async fn find(&self, token: &TokenKey) -> Result<Option<Session>> {
        if self.breaks("SESS-FIND-3") {
            return self.inner.touch(token, Touch::default()).await;
        }
        let found = self.inner.find(token).await?;
        if found.is_some() {
            return Ok(found);
        }
        let seen = self.seen();
        let wrong = match self.clause {
            "SESS-FIND-1" => seen.sessions.last(),
            "SESS-FIND-2" => seen.sessions.iter().find(|(known, _)| known == token),
            "SESS-FIND-4" => seen.sessions.iter().find(|(known, _)| known.hash == token.hash),
            "SESS-TOUCH-5" => seen.revived.iter().find(|(known, _)| known == token),
            _ => None,
        };
        Ok(wrong.map(|(_, session)| session.clone()))
    }

    async fn touch(&self, token: &TokenKey, mut touch: Touch) -> Result<Option<Session>> {
        match self.clause {
            "SESS-TOUCH-1" => return self.inner.find(token).await,
            "SESS-TOUCH-4" => touch.coalesce = None,
            "SESS-TOUCH-6" => (touch.ip, touch.user_agent) = (None, None),
            _ => {}
        }
        let before = match self.clause {
            "SESS-TOUCH-5" => {
                let before = self.inner.find(token).await?;
                tokio::time::sleep(Duration::from_millis(2)).await;
                before
            }
            _ => None,
        };
        let touched = self.inner.touch(token, touch).await?;
        Ok(match (self.clause, touched) {
            ("SESS-TOUCH-2", Some(mut session)) => {
                session.idle_expires_at = session.absolute_expires_at.plus(self.hour.get());
                Some(session)
            }
            ("SESS-TOUCH-3", None) => self.once(token),
            ("SESS-TOUCH-5", None) => {
                // It writes back what it has read before.
                self.seen().revived.extend(before.clone().map(|session| (*token, session)));
                before
            }
            (_, touched) => touched,
        })
    }

    async fn update(
        &self,
        token: &TokenKey,
        expected: u64,
        data: Value,
        op: OpId,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        let effects = self.effects("SESS-UPDATE-6", effects);
        let data = if self.breaks("SESS-UPDATE-1") { json!("lost") } else { data };
        let op = if self.breaks("SESS-UPDATE-3") { OpId::random() } else { op };
        let mut answer =
            self.inner.update(token, expected, data.clone(), op, effects.clone()).await;
        if self.breaks("SESS-UPDATE-2") {
            while answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
                let Some(kept) = self.inner.find(token).await? else { return Ok(None) };
                let (data, effects) = (data.clone(), effects.clone());
                answer = self.inner.update(token, kept.version, data, op, effects).await;
            }
        }
        match (self.clause, answer) {
            ("SESS-UPDATE-4", Err(_)) => self.inner.find(token).await,
            ("SESS-UPDATE-5", Ok(None)) => Ok(self.once(token)),
            (_, answer) => answer,
        }
    }

    async fn rotate(&self, mut rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>> {
        let effects = self.effects("SESS-ROTATE-7", effects);
        match self.clause {
            "SESS-ROTATE-1" if rotate.grace.is_none() => rotate.grace = Some(self.hour),
            "SESS-ROTATE-2" => rotate.grace = None,
            "SESS-ROTATE-6" => rotate.auth_hash = None,
            _ => {}
        }
        if self.breaks("SESS-ROTATE-3") && !self.seen().rotated_to.insert(rotate.new.hash) {
            return Ok(None);
        }
        if self.breaks("SESS-ROTATE-8") {
            (rotate.ip, rotate.user_agent) = (None, None);
        }
        let old = rotate.old;
        self.seen().rotations.push((old, rotate.new));
        match (self.clause, self.inner.rotate(rotate, effects).await) {
            ("SESS-ROTATE-4", Err(_)) => self.inner.find(&old).await,
            ("SESS-ROTATE-5", Err(error)) if error.kind() == ErrorKind::Conflict => {
                self.inner.find(&old).await
            }
            (_, answer) => answer,
        }
    }

    async fn spent(&self, token: &TokenKey) -> Result<Option<Spent>> {
        let spent = self.inner.spent(token).await?;
        match (self.clause, spent) {
            ("SESS-SPENT-1", _) => Ok(None),
            ("SESS-SPENT-2", None) => {
                let ended_at = hexmem_ports::Timestamp::MIN;
                Ok(self.once(token).map(|session| Spent { session, ended_at }))
            }
            ("SESS-SPENT-3", Some(spent)) => {
                let current =
                    self.seen().rotations.iter().rev().find(|(old, _)| old == token).copied();
                if let Some((_, new)) = current {
                    self.inner.touch(&new, Touch::default()).await?;
                }
                Ok(Some(spent))
            }
            (_, spent) => Ok(spent),
        }
    }

    async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>> {
        if self.breaks("SESS-GET-1") {
            return Ok(self.all(|session| session.id == id).pop());
        }
        self.inner.get(owner, id).await
    }

    async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        if self.breaks("SESS-LIST-1") {
            // Counts rows instead of remembering the last one.
            let offset = cursor.map_or(0, |cursor| cursor.0.parse().unwrap_or(0));
            let (all, size) = (self.live(owner).await, limit.as_usize());
            let more = all.len() > offset + size;
            let items = all.into_iter().skip(offset).take(size).collect();
            return Ok(Page { items, next: more.then(|| Cursor((offset + size).to_string())) });
        }
        let answer = self.inner.list(owner, cursor, limit).await;
        match self.clause {
            "SESS-LIST-2" => Ok(self.added(answer?, self.all(|_| true))),
            "SESS-LIST-3" => Ok(answer.unwrap_or_default()),
            _ => answer,
        }
    }

    async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        let page = self.inner.list_by_cluster(tenant, cluster, cursor, limit).await?;
        if self.breaks("SESS-CLUSTER-1") {
            let of = |session: &Session| session.origin.cluster.as_ref() == Some(cluster);
            return Ok(self.added(page, self.all(of)));
        }
        Ok(page)
    }

    async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        let page = self.inner.list_by_correlation(tenant, correlation, cursor, limit).await?;
        if self.breaks("SESS-CORR-1") {
            let of = |session: &Session| session.origin.correlation.as_ref() == Some(correlation);
            return Ok(self.added(page, self.all(of)));
        }
        Ok(page)
    }

    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool> {
        let effects = self.effects("SESS-REVOKE-3", effects);
        match self.clause {
            "SESS-REVOKE-1" => Ok(self.inner.get(owner, id).await?.is_some()),
            "SESS-REVOKE-2" => {
                let known = self.all(|session| session.id == id).pop();
                let owner = known.map_or(owner.clone(), |session| session.owner);
                self.inner.revoke(&owner, id, effects).await
            }
            _ => self.inner.revoke(owner, id, effects).await,
        }
    }

    async fn revoke_all(
        &self,
        owner: &UserScope,
        except: Option<SessionId>,
        effects: Vec<Effect>,
    ) -> Result<u64> {
        let effects = self.effects("SESS-REVOKEALL-2", effects);
        let except = except.filter(|_| !self.breaks("SESS-REVOKEALL-1"));
        self.inner.revoke_all(owner, except, effects).await
    }

    async fn active_count(&self, tenant: &Tenant) -> Result<Count> {
        if self.breaks("SESS-COUNT-1") {
            let all = self.all(|session| session.owner.tenant == *tenant).len();
            return Ok(Count { value: all as u64, exact: true });
        }
        self.inner.active_count(tenant).await
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        let limit = if self.breaks("SESS-SWEEP-1") { rows(10_000) } else { limit };
        self.inner.sweep(limit).await
    }
}
