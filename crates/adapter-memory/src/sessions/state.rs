//! The maps behind the port, and the one place that keeps them in step.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hexmem_ports::{
    Cursor, Limit, Name, Page, Result, Session, SessionId, Spent, StoredSession, Tenant, Timestamp,
    TokenKey, UserScope,
};

/// What a listing is of.
#[derive(Clone, Copy)]
pub(super) enum Listing<'a> {
    Owner(&'a UserScope),
    Cluster(&'a Tenant, &'a Name),
    Correlation(&'a Tenant, &'a Name),
}

/// Keys by (tenant, name) of the sets that listings walk.
type Index = HashMap<(Tenant, Name), BTreeSet<u64>>;

#[derive(Default)]
pub(super) struct State {
    last: u64,
    sessions: BTreeMap<u64, StoredSession>,
    ids: HashMap<(UserScope, SessionId), u64>,
    tokens: HashMap<TokenKey, u64>,
    owners: Index,
    clusters: Index,
    correlations: Index,
    tenants: HashMap<Tenant, BTreeSet<u64>>,
    // When to look at a session next for sweeping: a lower bound, so that a touch need not move it.
    due: BTreeSet<(Timestamp, u64)>,
}

/// A live session in the order of eviction: last seen, created, id; then its number.
pub(super) type Live = (Timestamp, Timestamp, SessionId, u64);

impl State {
    pub(super) fn by_id(&self, owner: &UserScope, id: SessionId) -> Option<&StoredSession> {
        self.sessions.get(self.ids.get(&(owner.clone(), id))?)
    }

    pub(super) fn holds_token(&self, token: &TokenKey) -> bool {
        self.tokens.contains_key(token)
    }

    /// Whether a token is free, or held by the session with this address.
    pub(super) fn may_hold(&self, token: &TokenKey, owner: &UserScope, id: SessionId) -> bool {
        let holder = self.tokens.get(token).and_then(|seq| self.sessions.get(seq));
        holder.is_none_or(|kept| kept.session.owner == *owner && kept.session.id == id)
    }

    pub(super) fn live_by_token(
        &self,
        token: &TokenKey,
        now: Timestamp,
    ) -> Option<(u64, &StoredSession)> {
        let seq = *self.tokens.get(token)?;
        let kept = self.sessions.get(&seq)?;
        let valid = kept.is_live(now) && kept.token(&token.hash)?.is_valid(now);
        valid.then_some((seq, kept))
    }

    /// A token that has ended, of a session that has not.
    pub(super) fn spent(&self, token: &TokenKey, now: Timestamp) -> Option<Spent> {
        let kept = self.sessions.get(self.tokens.get(token)?)?;
        let ended_at = kept.token(&token.hash)?.valid_until.filter(|end| *end <= now)?;
        kept.is_live(now).then(|| Spent { session: kept.session.clone(), ended_at })
    }

    pub(super) fn live_of(&self, owner: &UserScope, now: Timestamp) -> Vec<Live> {
        let numbers = self.owners.get(&(owner.tenant.clone(), owner.user.clone()));
        let kept = numbers.into_iter().flatten().filter_map(|seq| {
            let kept = self.sessions.get(seq).filter(|kept| kept.is_live(now))?;
            let session = &kept.session;
            Some((session.last_seen_at, session.created_at, session.id, *seq))
        });
        kept.collect()
    }

    pub(super) fn session(&self, seq: u64) -> Option<Session> {
        self.sessions.get(&seq).map(|kept| kept.session.clone())
    }

    pub(super) fn count(&self, tenant: &Tenant, now: Timestamp) -> u64 {
        let numbers = self.tenants.get(tenant).into_iter().flatten();
        let live = numbers.filter(|seq| self.sessions.get(seq).is_some_and(|s| s.is_live(now)));
        u64::try_from(live.count()).unwrap_or(u64::MAX)
    }

    /// A page of the live sessions of a listing, in the order of their creation.
    pub(super) fn page(
        &self,
        listing: &Listing<'_>,
        cursor: Option<Cursor>,
        limit: Limit,
        now: Timestamp,
    ) -> Result<Page<Session>> {
        let (mark, operation, numbers) = match *listing {
            Listing::Owner(owner) => {
                let key = (owner.tenant.clone(), owner.user.clone());
                ("owner-", "sessions.list", self.owners.get(&key))
            }
            Listing::Cluster(tenant, cluster) => {
                let key = (tenant.clone(), cluster.clone());
                ("cluster-", "sessions.list_by_cluster", self.clusters.get(&key))
            }
            Listing::Correlation(tenant, correlation) => {
                let key = (tenant.clone(), correlation.clone());
                ("correlation-", "sessions.list_by_correlation", self.correlations.get(&key))
            }
        };
        let from = after(operation, mark, cursor)?;
        let (mut page, mut last) = (Page::default(), 0);
        for seq in numbers.into_iter().flat_map(|set| set.range(from..)) {
            let Some(kept) = self.sessions.get(seq).filter(|kept| kept.is_live(now)) else {
                continue;
            };
            if page.items.len() == limit.as_usize() {
                page.next = Some(Cursor(format!("{mark}{last}")));
                break;
            }
            page.items.push(kept.session.clone());
            last = *seq;
        }
        Ok(page)
    }

    /// All sessions after a cursor, for the records.
    pub(super) fn all(
        &self,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<(Vec<&StoredSession>, Option<Cursor>)> {
        const MARK: &str = "record-";
        let from = after("sessions.scan", MARK, cursor)?;
        let mut rows = self.sessions.range(from..);
        let page: Vec<_> = rows.by_ref().take(limit.as_usize()).collect();
        let last = page.last().filter(|_| rows.next().is_some());
        let next = last.map(|(seq, _)| Cursor(format!("{MARK}{seq}")));
        Ok((page.into_iter().map(|(_, kept)| kept).collect(), next))
    }

    pub(super) fn insert(&mut self, kept: StoredSession) {
        self.last += 1;
        let seq = self.last;
        self.put(seq, kept);
    }

    fn put(&mut self, seq: u64, kept: StoredSession) {
        let Session { id, owner, origin, .. } = &kept.session;
        let of = |name: &Name| (owner.tenant.clone(), name.clone());
        self.ids.insert((owner.clone(), *id), seq);
        self.tokens.extend(kept.token_keys().map(|token| (token, seq)));
        self.owners.entry(of(&owner.user)).or_default().insert(seq);
        if let Some(cluster) = &origin.cluster {
            self.clusters.entry(of(cluster)).or_default().insert(seq);
        }
        if let Some(correlation) = &origin.correlation {
            self.correlations.entry(of(correlation)).or_default().insert(seq);
        }
        self.tenants.entry(owner.tenant.clone()).or_default().insert(seq);
        self.due.insert((kept.purge_at(), seq));
        self.sessions.insert(seq, kept);
    }

    fn take(&mut self, seq: u64) -> Option<StoredSession> {
        let kept = self.sessions.remove(&seq)?;
        let Session { id, owner, origin, .. } = &kept.session;
        let of = |name: &Name| (owner.tenant.clone(), name.clone());
        self.ids.remove(&(owner.clone(), *id));
        for token in kept.token_keys() {
            self.tokens.remove(&token);
        }
        remove(&mut self.owners, &of(&owner.user), seq);
        if let Some(cluster) = &origin.cluster {
            remove(&mut self.clusters, &of(cluster), seq);
        }
        if let Some(correlation) = &origin.correlation {
            remove(&mut self.correlations, &of(correlation), seq);
        }
        remove(&mut self.tenants, &owner.tenant, seq);
        Some(kept)
    }

    /// Changes a session in place, all but its tokens.
    pub(super) fn change<T>(&mut self, seq: u64, change: impl FnOnce(&mut StoredSession) -> T) {
        let Some(kept) = self.sessions.get_mut(&seq) else { return };
        let before = kept.purge_at();
        change(kept);
        if kept.purge_at() < before {
            self.due.insert((kept.purge_at(), seq));
        }
    }

    /// Changes a session and its tokens in place.
    pub(super) fn change_tokens(&mut self, seq: u64, change: impl FnOnce(&mut StoredSession)) {
        let Some(kept) = self.sessions.get_mut(&seq) else { return };
        for token in kept.token_keys() {
            self.tokens.remove(&token);
        }
        change(kept);
        self.tokens.extend(kept.token_keys().map(|token| (token, seq)));
    }

    /// Puts `kept` in place of the session with its address, or adds it.
    pub(super) fn replace(&mut self, kept: StoredSession) {
        let address = (kept.session.owner.clone(), kept.session.id);
        match self.ids.get(&address).copied() {
            Some(seq) => {
                self.take(seq);
                self.put(seq, kept);
            }
            None => self.insert(kept),
        }
    }

    pub(super) fn sweep(&mut self, limit: Limit, now: Timestamp) -> u64 {
        let mut swept = 0;
        while swept < u64::from(limit.get()) {
            let Some(&(at, seq)) = self.due.first().filter(|(at, _)| *at <= now) else { break };
            self.due.remove(&(at, seq));
            match self.sessions.get(&seq).map(StoredSession::purge_at) {
                Some(purge_at) if purge_at <= now => {
                    self.take(seq);
                    swept += 1;
                }
                Some(purge_at) => {
                    self.due.insert((purge_at, seq));
                }
                None => {}
            }
        }
        swept
    }
}

fn remove<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<u64>>, key: &K, seq: u64) {
    if let Some(set) = index.get_mut(key) {
        set.remove(&seq);
        if set.is_empty() {
            index.remove(key);
        }
    }
}

/// The first number after a cursor with this mark.
fn after(operation: &'static str, mark: &str, cursor: Option<Cursor>) -> Result<u64> {
    let Some(cursor) = cursor else { return Ok(0) };
    let number = cursor.0.strip_prefix(mark).and_then(|digits| digits.parse::<u64>().ok());
    number.and_then(|last| last.checked_add(1)).ok_or_else(|| cursor.refused(operation))
}
