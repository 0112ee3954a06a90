//! Where the sessions of a cluster or of a correlation id lie.
//!
//! They lie under the tags of their owners, on other servers of a Cluster. So each is named in a set before it is written,
//! and a reader looks at every one that is named: it drops a name only where nothing was found behind it, and the name was
//! given more than a minute before the look.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use hexmem_ports::{
    Cursor, Digest, Error, Limit, Name, Page, Result, Session, SessionOrigin, Tenant, Timestamp,
};

use super::{PAGE_BYTES, RedisSessions, row};
use crate::key_value::bound;
use crate::keys::Tag;
use crate::script::Script;

static ADD: Script = Script::writes(&[include_str!("../lua/hints/add.lua")]);
static PAGE: Script = Script::reads(&[include_str!("../lua/hints/page.lua")]);
static DROP: Script = Script::frees(&[include_str!("../lua/hints/drop.lua")]);

/// A name given this long ago has no create outstanding: scripts refuse one of half this age.
pub(super) const SETTLED: Duration = Duration::from_secs(60);
/// How many calls are under way at once.
const ABREAST: usize = 64;

/// What a listing is of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listing<'a> {
    Cluster(&'a Tenant, &'a Name),
    Correlation(&'a Tenant, &'a Name),
}

impl Listing<'_> {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Cluster(..) => ("sessions.list_by_cluster", "c"),
            Self::Correlation(..) => ("sessions.list_by_correlation", "k"),
        }
    }

    fn tag(self, prefix: &str) -> Tag {
        let (kind, tenant, name) = match self {
            Self::Cluster(tenant, name) => ("cluster", tenant, name),
            Self::Correlation(tenant, name) => ("correlation", tenant, name),
        };
        let parts = [kind.as_bytes(), tenant.as_str().as_bytes(), name.as_str().as_bytes()];
        Tag::of_digest(prefix, 'h', &Digest::of_parts(parts))
    }

    /// Whether a session belongs here: a name may be of an earlier session with the same id.
    fn has(self, session: &Session) -> bool {
        let (tenant, origin) = (&session.owner.tenant, &session.origin);
        match self {
            Self::Cluster(of, name) => tenant == of && origin.cluster.as_ref() == Some(name),
            Self::Correlation(of, name) => {
                tenant == of && origin.correlation.as_ref() == Some(name)
            }
        }
    }
}

/// A place where a session is named.
#[derive(Debug)]
struct Hint {
    name: String,
    stamp: Timestamp,
}

impl RedisSessions {
    /// The sets that name a session of this origin.
    pub(super) fn hint_tags(&self, tenant: &Tenant, origin: &SessionOrigin) -> Vec<Tag> {
        let prefix = self.0.prefix();
        let cluster = origin.cluster.as_ref().map(|name| Listing::Cluster(tenant, name));
        let correlation =
            origin.correlation.as_ref().map(|name| Listing::Correlation(tenant, name));
        cluster.into_iter().chain(correlation).map(|of| of.tag(prefix)).collect()
    }

    /// Names the session at `address` of `bucket` in these sets; their stamps.
    pub(super) async fn give_hints(
        &self,
        operation: &'static str,
        tags: &[Tag],
        bucket: u16,
        address: &str,
    ) -> Result<Vec<String>> {
        let name = format!("{bucket} {address}");
        let given = tags.iter().map(async |tag| {
            let stamp = self.0.script(&ADD, tag).arg(&name).run_alone(operation).await;
            // Of the session itself nothing was sent yet.
            stamp.map_err(Error::not_applied)?.text()
        });
        futures::future::try_join_all(given).await
    }

    /// Drops names behind which nothing is, where they were given before `before`.
    pub(super) async fn drop_hints(
        &self,
        operation: &'static str,
        tag: &Tag,
        before: Timestamp,
        names: &[String],
    ) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let call = self.0.script(&DROP, tag).arg(before.as_micros()).list(names);
        call.run_alone(operation).await.map(drop)
    }

    /// A page of the live sessions of a listing.
    pub(super) async fn page_of(
        &self,
        of: Listing<'_>,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        let (operation, mark) = of.names();
        let mut after = cursor.map(|cursor| row::after(operation, mark, &cursor)).transpose()?;
        let tag = of.tag(self.0.prefix());
        let (mut page, mut bytes) = (Page::default(), 0);
        loop {
            let from =
                after.as_ref().map_or_else(|| vec![b'-'], |name| bound(b'(', name.as_bytes()));
            let left = limit.as_usize() - page.items.len();
            // One more than is needed, to tell whether it goes on.
            let call = self.0.script(&PAGE, &tag).bytes(from).arg(left + 1);
            let mut answer = call.run_alone(operation).await?.list()?;
            let before = answer.item()?.time()?.minus(SETTLED);
            let hints = answer
                .map(|hint| {
                    let mut hint = hint.list()?;
                    Ok(Hint { name: hint.item()?.text()?, stamp: hint.item()?.time()? })
                })
                .collect::<Result<Vec<_>>>()?;
            let more = hints.len() > left;
            let names: Vec<String> = hints.iter().map(|hint| hint.name.clone()).collect();
            let found: Vec<Option<Session>> = futures::stream::iter(names)
                .map(|name| self.behind(operation, name))
                .buffered(ABREAST)
                .try_collect()
                .await?;
            let mut nothing = Vec::new();
            let mut full = false;
            for (hint, session) in hints.into_iter().zip(found) {
                let session = session.filter(|session| of.has(session));
                full = page.items.len() >= limit.as_usize() || bytes >= PAGE_BYTES;
                match session {
                    Some(_) if full => break,
                    Some(session) => {
                        bytes += row::weight(&session);
                        page.items.push(session);
                    }
                    None if hint.stamp <= before => nothing.push(hint.name.clone()),
                    None => {}
                }
                after = Some(hint.name);
            }
            self.drop_hints(operation, &tag, before, &nothing).await?;
            if full || !more {
                page.next = after.filter(|_| full).map(|name| row::cursor(mark, &name));
                return Ok(page);
            }
        }
    }

    /// The live session behind a name.
    async fn behind(&self, operation: &'static str, name: String) -> Result<Option<Session>> {
        let place = name.split_once(' ').and_then(|(b, address)| Some((b.parse().ok()?, address)));
        let Some((bucket, address)) = place else { return Ok(None) };
        Ok(self.at(operation, bucket, &[address]).await?.pop().flatten())
    }
}
