//! Collections and aliases.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use hexmem_ports::rules::{check_spec, check_stamp, no_collection};
use hexmem_ports::{
    CollectionId, CollectionSpec, Cursor, Error, ErrorKind, Limit, Name, Page, Prefix, Result,
    Tenant, Timestamp,
};
use qdrant_client::qdrant::{CreateAlias, DeleteAlias};
use qdrant_client::{Qdrant as Client, qdrant};

use super::ledger::{self, About, Entry, Which};
use super::life::Life;
use super::names::{name_of, qdrant_name, tenant_prefix};
use super::point::Stamp;
use super::wish::{add_indexes, wish};
use super::write;
use crate::Qdrant;

/// Collections that are looked at together.
const TOGETHER: usize = 8;

/// How often a creation begins anew because somebody created or dropped meanwhile.
const TRIES: u32 = 5;

/// What Qdrant holds under a name, whether a collection's or an alias's.
pub(super) async fn look(
    qdrant: &Qdrant,
    operation: &'static str,
    name: &str,
) -> Result<Option<Arc<Life>>> {
    let info = qdrant.read(operation, async |client| client.collection_info(name).await).await;
    match info {
        Ok(info) => {
            let info = info.result.unwrap_or_default();
            let life = Arc::new(
                Life::of(operation, &info).map_err(|error| error.with("in Qdrant", name))?,
            );
            qdrant.lives().put(name, &life);
            Ok(Some(life))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            qdrant.lives().forget(name);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn create(
    qdrant: &Qdrant,
    at: &CollectionId,
    spec: CollectionSpec,
) -> Result<bool> {
    const OP: &str = "vectors.create";
    check_spec(OP, &spec)?;
    let name = qdrant_name(&qdrant.config().prefix, at);
    if let Some(there) = look(qdrant, OP, &name).await? {
        let mine = Life::new(at.clone(), spec, 0, Timestamp::MIN);
        return settle(qdrant, OP, at, &name, &there, &mine).await;
    }
    // Later than the life before.
    let dropped = ledger::get(qdrant, OP, at, About::Dropped).await?;
    let stamp = write::stamp(qdrant, dropped.map_or(0, |entry| entry.stamp.version));
    make(qdrant, OP, at, Life::new(at.clone(), spec, stamp.version, stamp.modified_at)).await
}

/// Makes a collection, or finds that it is there.
pub(super) async fn make(
    qdrant: &Qdrant,
    operation: &'static str,
    at: &CollectionId,
    life: Life,
) -> Result<bool> {
    let name = qdrant_name(&qdrant.config().prefix, at);
    let mine = Arc::new(life);
    for _ in 0..TRIES {
        let request = &wish(qdrant, operation, &name, &mine)?;
        match qdrant
            .write(operation, async |client| client.create_collection(request.clone()).await)
            .await
        {
            Ok(_) => {
                qdrant.lives().put(&name, &mine);
                add_indexes(qdrant, operation, &name, &mine).await?;
                tracing::debug!(collection = %at, qdrant = name, "created");
                return Ok(true);
            }
            // Somebody was faster, or an attempt of ours that was not answered: look who.
            Err(error) => {
                if let Some(there) = look(qdrant, operation, &name).await? {
                    return settle(qdrant, operation, at, &name, &there, &mine).await;
                }
                if error.kind() != ErrorKind::AlreadyExists {
                    return Err(error.with("collection", at));
                }
            }
        }
    }
    let what = "the collection is created and dropped again and again; repeat the call";
    Err(Error::new(ErrorKind::Unavailable, operation, what).with("collection", at))
}

/// The answer of a creation that found something.
async fn settle(
    qdrant: &Qdrant,
    operation: &'static str,
    at: &CollectionId,
    name: &str,
    there: &Life,
    mine: &Life,
) -> Result<bool> {
    if there.at != *at {
        return Err(Error::new(ErrorKind::AlreadyExists, operation, "an alias has this name")
            .with("collection", at));
    }
    check_stamp(operation, &there.spec, &mine.spec).map_err(|e| e.with("collection", at))?;
    // Who created it may have ended before its indexes were there. Those that are there are left as they are.
    add_indexes(qdrant, operation, name, there).await?;
    Ok(there.life == mine.life)
}

pub(super) async fn list(
    qdrant: &Qdrant,
    tenant: &Tenant,
    prefix: &Prefix,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Name>> {
    const OP: &str = "vectors.list";
    let begins = tenant_prefix(&qdrant.config().prefix, tenant);
    let after = cursor.map(|cursor| cursor.0).unwrap_or_default();
    let all = qdrant.read(OP, async |client| client.list_collections().await).await?;
    // In order of their names in Qdrant: those of a page are found again wherever it was cut.
    let all: BTreeSet<String> = all
        .collections
        .into_iter()
        .map(|collection| collection.name)
        .filter(|name| name.starts_with(&begins) && *name > after)
        .collect();
    let named = futures::stream::iter(all).map(|name| {
        let written = name_of(&name[begins.len()..]);
        async move {
            match written {
                Some(written) => Ok::<_, Error>(Some((name, written))),
                // Too long to be written out: the stamp has it.
                None => {
                    let life = match qdrant.lives().get(&name) {
                        Some(life) => Some(life),
                        None => look(qdrant, OP, &name).await?,
                    };
                    Ok(life.map(|life| (name, life.at.name.clone())))
                }
            }
        }
    });
    let mut named = named.buffered(TOGETHER);
    let (mut items, mut last) = (Vec::new(), None);
    while let Some(found) = named.try_next().await? {
        let Some((written, name)) = found.filter(|(_, name)| prefix.matches(name.as_str())) else {
            continue;
        };
        if items.len() == limit.as_usize() {
            return Ok(Page { items, next: last.map(Cursor) });
        }
        items.push(name);
        last = Some(written);
    }
    Ok(Page { items, next: None })
}

/// The collection of exactly this name, no alias.
pub(super) async fn exactly(
    qdrant: &Qdrant,
    operation: &'static str,
    at: &CollectionId,
) -> Result<Option<Arc<Life>>> {
    let name = qdrant_name(&qdrant.config().prefix, at);
    Ok(look(qdrant, operation, &name).await?.filter(|life| life.at == *at))
}

pub(super) async fn drop_collection(qdrant: &Qdrant, at: &CollectionId) -> Result<bool> {
    const OP: &str = "vectors.drop_collection";
    let Some(there) = exactly(qdrant, OP, at).await? else { return Ok(false) };
    drop_life(qdrant, OP, &there, write::stamp(qdrant, there.version)).await
}

/// Drops a collection as of `stamp`, and its aliases.
pub(super) async fn drop_life(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &Life,
    stamp: Stamp,
) -> Result<bool> {
    let at = &there.at;
    let name = &qdrant_name(&qdrant.config().prefix, at);
    let mut entries = vec![Entry { at: at.clone(), about: About::Dropped, stamp }];
    let mut from = None;
    loop {
        let page = ledger::scroll(qdrant, operation, Which::Aliases, from, 1_000).await?;
        let mine = |entry: &Entry| {
            entry.at.tenant == at.tenant && entry.about == About::Alias(Some(at.name.clone()))
        };
        entries.extend(page.0.into_iter().filter(mine).map(|entry| {
            let stamp = write::stamp(qdrant, entry.stamp.version);
            Entry { about: About::Alias(None), stamp, ..entry }
        }));
        from = page.1;
        if from.is_none() {
            break;
        }
    }
    ledger::put(qdrant, operation, &entries).await?;
    let timeout = qdrant.server_timeout();
    let request = &qdrant::DeleteCollection { collection_name: name.clone(), timeout };
    let dropped = qdrant
        .write(operation, async |client| client.delete_collection(request.clone()).await)
        .await;
    qdrant.lives().forget(name);
    let dropped = dropped?.result;
    ledger::seen_everywhere(qdrant, operation).await?;
    ledger::forget_gone(qdrant, operation, at).await?;
    Ok(dropped)
}

pub(super) async fn set_alias(
    qdrant: &Qdrant,
    alias: &CollectionId,
    target: Option<Name>,
) -> Result<()> {
    const OP: &str = "vectors.set_alias";
    if exactly(qdrant, OP, alias).await?.is_some() {
        return Err(taken(OP, alias));
    }
    match &target {
        None => {
            let name = qdrant_name(&qdrant.config().prefix, alias);
            if look(qdrant, OP, &name).await?.is_none() {
                return Ok(());
            }
        }
        Some(target) => {
            let at = CollectionId::new(alias.tenant.clone(), target.clone());
            if exactly(qdrant, OP, &at).await?.is_none() {
                return Err(no_collection(OP, target).with("alias", alias));
            }
        }
    }
    point_alias(qdrant, OP, alias, target.as_ref(), None).await
}

/// Points an alias at its target, as of a stamp; without one as of now.
pub(super) async fn point_alias(
    qdrant: &Qdrant,
    operation: &'static str,
    alias: &CollectionId,
    target: Option<&Name>,
    stamp: Option<Stamp>,
) -> Result<()> {
    let prefix = &qdrant.config().prefix;
    let alias_name = qdrant_name(prefix, alias);
    let stamp = match stamp {
        Some(stamp) => stamp,
        None => {
            let earlier = ledger::get(qdrant, operation, alias, About::Alias(None)).await?;
            write::stamp(qdrant, earlier.map_or(0, |entry| entry.stamp.version))
        }
    };
    let about = About::Alias(target.cloned());
    ledger::put(qdrant, operation, &[Entry { at: alias.clone(), about, stamp }]).await?;
    let done = match target {
        None => {
            let request = &DeleteAlias { alias_name: alias_name.clone() };
            let delete = async |client: Client| client.delete_alias(request.clone()).await;
            match qdrant.write(operation, delete).await {
                Ok(_) => ledger::seen_everywhere(qdrant, operation).await,
                Err(error) => Err(error),
            }
        }
        Some(target) => {
            let target = CollectionId::new(alias.tenant.clone(), target.clone());
            let collection_name = qdrant_name(prefix, &target);
            // Where the alias is there already this is the switch, under Qdrant's lock of all collections.
            let request = &CreateAlias { collection_name, alias_name: alias_name.clone() };
            let create = async |client: Client| client.create_alias(request.clone()).await;
            qdrant.write(operation, create).await.map(drop)
        }
    };
    qdrant.lives().forget(&alias_name);
    match (done, target) {
        (Ok(()), _) => Ok(()),
        (Err(error), Some(target)) if error.kind() == ErrorKind::NotFound => {
            Err(no_collection(operation, target).with("alias", alias))
        }
        (Err(error), _) if error.kind() == ErrorKind::AlreadyExists => Err(taken(operation, alias)),
        (Err(error), _) => Err(error.with("alias", alias)),
    }
}

fn taken(operation: &'static str, alias: &CollectionId) -> Error {
    Error::new(ErrorKind::AlreadyExists, operation, "a collection has this name")
        .with("alias", alias)
}
