//! Sessions.

mod addresses;
mod buckets;
mod hints;
mod records;
mod row;

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::{
    Capabilities, Capability, Count, Created, Cursor, Effect, Error, ErrorKind, Limit, Name,
    NewSession, OpId, Page, Result, Rotate, Session, SessionId, SessionStore, Spent, Tenant,
    TokenKey, Touch, UserScope, WhenFull, check_effects, check_json, rules,
};
use serde_json::Value;

use crate::Redis;
use crate::key_value::bound;
use crate::keys::Tag;
use crate::reply::{Fields, Reply};
use crate::script::Script;
use addresses::Addresses;
use hints::Listing;

const SESSION: &str = include_str!("../lua/sessions/session.lua");
static CREATE: Script =
    Script::writes(&[SESSION, include_str!("../lua/sessions/create.lua")]).with_effects();
static FIND: Script = Script::reads(&[SESSION, include_str!("../lua/sessions/find.lua")]);
static TOUCH: Script = Script::writes(&[SESSION, include_str!("../lua/sessions/touch.lua")]);
static UPDATE: Script =
    Script::writes(&[SESSION, include_str!("../lua/sessions/update.lua")]).with_effects();
static ROTATE: Script =
    Script::writes(&[SESSION, include_str!("../lua/sessions/rotate.lua")]).with_effects();
static SPENT: Script = Script::reads(&[SESSION, include_str!("../lua/sessions/spent.lua")]);
static GET: Script = Script::reads(&[SESSION, include_str!("../lua/sessions/get.lua")]);
static LIST: Script = Script::reads(&[SESSION, include_str!("../lua/sessions/list.lua")]);
static REVOKE: Script =
    Script::frees(&[SESSION, include_str!("../lua/sessions/revoke.lua")]).with_effects();
static SWEEP: Script = Script::frees(&[SESSION, include_str!("../lua/sessions/sweep.lua")]);

/// The most bytes of sessions on one page; one session may exceed it.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// Sessions in Redis. A user's sessions, their tokens, index, cap and effects lie under one tag.
#[derive(Debug, Clone)]
pub struct RedisSessions(Redis, Arc<Addresses>);

impl Redis {
    /// The sessions under this prefix.
    pub fn sessions(&self) -> RedisSessions {
        RedisSessions(self.clone(), Arc::default())
    }
}

fn taken(operation: &'static str, what: &'static str, id: SessionId) -> Error {
    Error::new(ErrorKind::AlreadyExists, operation, what).with("id", id)
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A name of what a script says, and the rest of its answer.
fn verdict(answer: Reply) -> Result<(String, Fields)> {
    let mut answer = answer.list()?;
    Ok((answer.item()?.text()?, answer))
}

impl RedisSessions {
    fn tag(&self, bucket: u16) -> Tag {
        Tag::of_number(self.0.prefix(), 's', bucket)
    }

    /// The live sessions at some addresses of a bucket, in their order.
    async fn at(
        &self,
        operation: &'static str,
        bucket: u16,
        addresses: &[&str],
    ) -> Result<Vec<Option<Session>>> {
        let tag = self.tag(bucket);
        let call = self.0.script(&GET, &tag).arg(addresses.len());
        let call = addresses.iter().fold(call, |call, address| call.arg(*address));
        let rows = call.run(operation).await?.list()?;
        rows.map(|row| row.some().map(|row| row::session(operation, row)).transpose()).collect()
    }

    /// Drops the names of sessions that a script has freed: when it did, then pairs of a set and an address.
    async fn drop_loose(&self, operation: &'static str, bucket: u16, loose: Reply) -> Result<()> {
        let mut loose = loose.list()?;
        let before = loose.item()?.time()?.minus(hints::SETTLED);
        for pair in loose {
            let mut pair = pair.list()?;
            let tag = Tag::known(pair.item()?.text()?);
            let name = format!("{bucket} {}", pair.item()?.text()?);
            self.drop_hints(operation, &tag, before, &[name]).await?;
        }
        Ok(())
    }

    async fn end(
        &self,
        operation: &'static str,
        owner: &UserScope,
        one: Option<SessionId>,
        except: Option<SessionId>,
        effects: &[Effect],
    ) -> Result<u64> {
        check_effects(operation, effects)?;
        let tag = self.tag(owner.bucket());
        self.0
            .script(&REVOKE, &tag)
            .effects(effects)
            .arg(row::owner_key(owner))
            .arg(one.map(row::id_key).unwrap_or_default())
            .arg(except.map(row::id_key).unwrap_or_default())
            .run(operation)
            .await?
            .uint()
    }
}

#[async_trait]
impl SessionStore for RedisSessions {
    fn capabilities(&self) -> Capabilities {
        let always = [Capability::MultiProcess, Capability::Effects, Capability::Records];
        // The slots of a Cluster cannot be counted at one instant.
        let exact = (!self.0.is_cluster()).then_some(Capability::ExactCounts);
        Capabilities::of(always.into_iter().chain(exact))
    }

    async fn create(&self, new: NewSession, effects: Vec<Effect>) -> Result<Created> {
        const OPERATION: &str = "sessions.create";
        new.check()?;
        check_effects(OPERATION, &effects)?;
        let (id, bucket) = (new.id, new.token.bucket);
        let hints = self.hint_tags(&new.owner.tenant, &new.origin);
        let address = row::address(&new.owner, id);
        let stamps = self.give_hints(OPERATION, &hints, bucket, &address).await?;
        let when_full = match new.cap.map(|cap| cap.when_full) {
            Some(WhenFull::Refuse) => "refuse",
            Some(WhenFull::EvictOldest) | None => "evict",
        };
        let tag = self.tag(bucket);
        let answer = self
            .0
            .script(&CREATE, &tag)
            .effects(&effects)
            .arg(row::owner_key(&new.owner))
            .arg(row::id_key(id))
            .arg(new.token.hash.to_hex())
            .arg(row::tenant_key(&new.owner.tenant))
            .arg(row::fixed(OPERATION, id, &new.owner, &new.origin)?)
            .arg(new.data.to_string())
            .ttl(Some(new.idle))
            .ttl(Some(new.absolute))
            .ttl(Some(new.retention))
            .arg(text(new.cap.map(|cap| cap.max)))
            .arg(when_full)
            .arg(text(new.origin.ip))
            .arg(text(new.origin.user_agent.as_ref()))
            .arg(text(new.origin.auth_hash))
            .arg(hints.iter().map(Tag::as_str).collect::<Vec<_>>().join(" "))
            .list(&stamps)
            .run(OPERATION)
            .await?;
        let (what, mut rest) = verdict(answer)?;
        match what.as_str() {
            "done" => {
                let created_at = rest.item()?.time()?;
                let evicted = row::ids(OPERATION, &rest.item()?.text()?)?;
                self.drop_loose(OPERATION, bucket, rest.item()?).await?;
                Ok(Created { session: new.session(created_at), evicted })
            }
            "full" => {
                let max = new.cap.map_or(0, |cap| cap.max);
                Err(Error::conflict(OPERATION, "the user has as many sessions as allowed")
                    .with("owner", &new.owner)
                    .with("cap", max))
            }
            "id taken" => Err(taken(OPERATION, "the id is taken by another session", id)),
            _ => Err(taken(OPERATION, "the token is taken by another session", id)),
        }
    }

    async fn find(&self, token: &TokenKey) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.find";
        if let Some(address) = self.1.address(token)
            && let Some(told) = self.find_at(token, &address).await?
        {
            return Ok(told.session);
        }
        let tag = self.tag(token.bucket);
        let found = self.0.script(&FIND, &tag).arg(token.hash.to_hex()).run(OPERATION).await?;
        let session = found.some().map(|row| row::session(OPERATION, row)).transpose()?;
        if let Some(session) = &session {
            self.1.learn(token, row::address(&session.owner, session.id));
        }
        Ok(session)
    }

    async fn touch(&self, token: &TokenKey, touch: Touch) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.touch";
        // Most touches come within the span of the last one, and read only.
        if touch.coalesce.is_some()
            && let Some(address) = self.1.address(token)
            && let Some(told) = self.find_at(token, &address).await?
        {
            let Some(session) = told.session else { return Ok(None) };
            if rules::seen(session.last_seen_at, told.at, touch.coalesce).is_none() {
                return Ok(Some(session));
            }
        }
        let tag = self.tag(token.bucket);
        let found = self
            .0
            .script(&TOUCH, &tag)
            .arg(token.hash.to_hex())
            .arg(text(touch.ip))
            .arg(text(touch.user_agent))
            .ttl(touch.coalesce)
            .run(OPERATION)
            .await?;
        found.some().map(|row| row::session(OPERATION, row)).transpose()
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
        let tag = self.tag(token.bucket);
        let answer = self
            .0
            .script(&UPDATE, &tag)
            .effects(&effects)
            .arg(token.hash.to_hex())
            .arg(expected.to_string())
            .arg(data.to_string())
            .arg(op.0.simple().to_string())
            .run(OPERATION)
            .await?;
        let (what, mut rest) = verdict(answer)?;
        if what == "absent" {
            return Ok(None);
        }
        let session = row::session(OPERATION, rest.item()?)?;
        if what == "done" {
            return Ok(Some(session));
        }
        Err(Error::conflict(OPERATION, "the session was changed; read it again")
            .with("id", session.id)
            .with("expected", expected)
            .with("version", session.version))
    }

    async fn rotate(&self, rotate: Rotate, effects: Vec<Effect>) -> Result<Option<Session>> {
        const OPERATION: &str = "sessions.rotate";
        rotate.check()?;
        check_effects(OPERATION, &effects)?;
        let tag = self.tag(rotate.old.bucket);
        let answer = self
            .0
            .script(&ROTATE, &tag)
            .effects(&effects)
            .arg(rotate.old.hash.to_hex())
            .arg(rotate.new.hash.to_hex())
            .ttl(rotate.grace)
            .arg(text(rotate.auth_hash))
            .arg(text(rotate.ip))
            .arg(text(rotate.user_agent))
            .run(OPERATION)
            .await?;
        let (what, mut rest) = verdict(answer)?;
        if what == "absent" {
            return Ok(None);
        }
        let session = row::session(OPERATION, rest.item()?)?;
        match what.as_str() {
            "done" => Ok(Some(session)),
            "rotated" => {
                let what = "the token was rotated before; use the newer one";
                Err(Error::conflict(OPERATION, what).with("id", session.id))
            }
            _ => {
                let what = "the new token is in use; draw a fresh one";
                Err(taken(OPERATION, what, session.id))
            }
        }
    }

    async fn spent(&self, token: &TokenKey) -> Result<Option<Spent>> {
        const OPERATION: &str = "sessions.spent";
        let tag = self.tag(token.bucket);
        let found = self.0.script(&SPENT, &tag).arg(token.hash.to_hex()).run(OPERATION).await?;
        let Some(found) = found.some() else { return Ok(None) };
        let mut found = found.list()?;
        let ended_at = found.item()?.time()?;
        Ok(Some(Spent { session: row::session(OPERATION, found.item()?)?, ended_at }))
    }

    async fn get(&self, owner: &UserScope, id: SessionId) -> Result<Option<Session>> {
        let address = row::address(owner, id);
        Ok(self.at("sessions.get", owner.bucket(), &[&address]).await?.pop().flatten())
    }

    async fn list(
        &self,
        owner: &UserScope,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        const OPERATION: &str = "sessions.list";
        const MARK: &str = "o";
        let after = cursor.map(|cursor| row::after(OPERATION, MARK, &cursor)).transpose()?;
        let mut from = after.map_or_else(|| vec![b'-'], |id| bound(b'(', id.as_bytes()));
        let tag = self.tag(owner.bucket());
        let (mut page, mut bytes) = (Page::default(), 0);
        loop {
            let call = self
                .0
                .script(&LIST, &tag)
                .arg(row::owner_key(owner))
                .bytes(from)
                .arg(limit.as_usize() - page.items.len())
                .arg(PAGE_BYTES.saturating_sub(bytes));
            let mut answer = call.run(OPERATION).await?.list()?;
            let done = answer.item()?.int()? == 1;
            let last = answer.optional()?.map(Reply::text).transpose()?;
            for row in answer.item()?.list()? {
                let session = row::session(OPERATION, row)?;
                bytes += row::weight(&session);
                page.items.push(session);
            }
            let full = page.items.len() >= limit.as_usize() || bytes >= PAGE_BYTES;
            match last {
                Some(last) if !done && !full => from = bound(b'(', last.as_bytes()),
                _ => {
                    let last = page.items.last().filter(|_| !done);
                    page.next = last.map(|session| row::cursor(MARK, &row::id_key(session.id)));
                    return Ok(page);
                }
            }
        }
    }

    async fn list_by_cluster(
        &self,
        tenant: &Tenant,
        cluster: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.page_of(Listing::Cluster(tenant, cluster), cursor, limit).await
    }

    async fn list_by_correlation(
        &self,
        tenant: &Tenant,
        correlation: &Name,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Session>> {
        self.page_of(Listing::Correlation(tenant, correlation), cursor, limit).await
    }

    async fn revoke(&self, owner: &UserScope, id: SessionId, effects: Vec<Effect>) -> Result<bool> {
        Ok(self.end("sessions.revoke", owner, Some(id), None, &effects).await? > 0)
    }

    async fn revoke_all(
        &self,
        owner: &UserScope,
        except: Option<SessionId>,
        effects: Vec<Effect>,
    ) -> Result<u64> {
        self.end("sessions.revoke_all", owner, None, except, &effects).await
    }

    async fn active_count(&self, tenant: &Tenant) -> Result<Count> {
        let key = row::tenant_key(tenant);
        let counts = self.tally("sessions.active_count", &buckets::LIVE, &key).await?;
        Ok(Count { value: counts.iter().sum(), exact: !self.0.is_cluster() })
    }

    async fn sweep(&self, limit: Limit) -> Result<u64> {
        const OPERATION: &str = "sessions.sweep";
        let mut left = u64::from(limit.get());
        let due = self.tally(OPERATION, &buckets::TO_SWEEP, "").await?;
        for (bucket, waiting) in (0u16..).zip(due) {
            // Those whose end was moved meanwhile are put off, and count for nothing.
            let mut waiting = waiting;
            while waiting > 0 && left > 0 {
                let some = waiting.min(left).min(100);
                let tag = self.tag(bucket);
                let mut answer =
                    self.0.script(&SWEEP, &tag).arg(some).run(OPERATION).await?.list()?;
                left = left.saturating_sub(answer.item()?.uint()?);
                self.drop_loose(OPERATION, bucket, answer.item()?).await?;
                waiting -= some;
            }
            if left == 0 {
                break;
            }
        }
        Ok(u64::from(limit.get()) - left)
    }
}
