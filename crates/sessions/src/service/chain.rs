//! Chains: the sessions that agents started on behalf of others, under one correlation id.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::{Limit, Result, Session, SessionId};

use super::Sessions;

/// A live session of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The session.
    pub session: Session,
    /// How many live sessions stand above it: 0 for the root, and for one whose parent has ended.
    pub depth: u32,
}

impl Sessions {
    /// The live sessions under the correlation id of `session`, of all owners: each parent before its children,
    /// otherwise by age. Only itself when it has none.
    pub async fn chain(&self, session: &Session) -> Result<Vec<Link>> {
        let Some(correlation) = &session.origin.correlation else {
            return Ok(vec![Link { session: session.clone(), depth: 0 }]);
        };
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let tenant = &session.owner.tenant;
            let page =
                self.store.list_by_correlation(tenant, correlation, cursor, Limit::new(1_000)?);
            let page = page.await?;
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(arranged(all));
            }
        }
    }

    /// Ends a session and the live ones that were started on its behalf, directly or not, top down; returns how many.
    /// One started meanwhile by a session not yet ended is found in a further round. One whose parent has ended
    /// before hangs on nothing and stays, unless `session` is the root that gave the chain its correlation id: that
    /// ends all under it. None outlives its root's absolute end in any case.
    pub async fn revoke_chain(&self, session: &Session) -> Result<u64> {
        let mut ended = u64::from(self.revoke(&session.owner, session.id).await?);
        let mut above = BTreeSet::from([session.id]);
        let own = session.id.to_string();
        let root = session.origin.correlation.as_ref().is_some_and(|name| name.as_str() == own);
        loop {
            let mut found = 0;
            for link in self.chain(session).await? {
                let Session { id, owner, origin, .. } = &link.session;
                let below = root || origin.parent.is_some_and(|parent| above.contains(&parent));
                if below && above.insert(*id) {
                    found += 1;
                    ended += u64::from(self.revoke(owner, *id).await?);
                }
            }
            if found == 0 {
                return Ok(ended);
            }
        }
    }
}

/// Parents before children. Links that cannot be, such as circles in restored records, stand as roots.
fn arranged(all: Vec<Session>) -> Vec<Link> {
    let mut sessions: BTreeMap<_, _> =
        all.into_iter().map(|session| ((session.created_at, session.id), session)).collect();
    let ids: BTreeSet<SessionId> = sessions.values().map(|session| session.id).collect();
    let mut children = BTreeMap::<Option<SessionId>, Vec<_>>::new();
    for (key, session) in &sessions {
        let parent = session.origin.parent.filter(|parent| ids.contains(parent));
        children.entry(parent).or_default().push(*key);
    }
    let mut links = Vec::with_capacity(sessions.len());
    let mut next: Vec<_> =
        children.remove(&None).unwrap_or_default().into_iter().map(|key| (key, 0)).collect();
    next.reverse();
    while let Some((key, depth)) = next.pop() {
        let below = children.remove(&Some(key.1)).unwrap_or_default();
        next.extend(below.into_iter().rev().map(|key| (key, depth + 1)));
        links.extend(sessions.remove(&key).map(|session| Link { session, depth }));
    }
    links.extend(sessions.into_values().map(|session| Link { session, depth: 0 }));
    links
}
