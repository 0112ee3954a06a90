//! What was counted, by namespace, model and tag.

use std::collections::HashMap;

use hexmem_ports::{
    ABSENT, COUNTED_NAMES, CacheCounts, CacheStats, Name, NamespaceId, Result, StatsRoom, TagRef,
    TagStats,
};

use super::{SqliteCache, rows};
use crate::WriteTx;

/// Reads what [`text`] wrote.
pub(super) fn read(operation: &'static str, text: Option<String>) -> Result<CacheCounts> {
    let counts = text.map(|text| rows::row(operation, serde_json::from_str(&text))).transpose()?;
    Ok(counts.unwrap_or_default())
}

/// The counts that are not 0, as JSON.
fn text(counts: &CacheCounts) -> String {
    let named = CacheCounts::NAMES.into_iter().zip(counts.values());
    let held = named.filter(|(_, count)| *count > 0).map(|(name, n)| format!("\"{name}\":{n}"));
    format!("{{{}}}", held.collect::<Vec<_>>().join(","))
}

impl SqliteCache {
    pub(super) async fn add_counts(
        &self,
        namespace: &NamespaceId,
        counts: Vec<(TagRef, CacheCounts)>,
    ) -> Result<()> {
        let mut tx = self.database.write("cache.count").await?;
        let room = rows::room(&mut tx, namespace).await?;
        // How many names of a room there are, as far as it was asked.
        let mut names: HashMap<&'static str, usize> = HashMap::new();
        for (tag, counts) in counts {
            let (kind, name) = (tag.kind(), tag.name());
            let mut known = find(&mut tx, room, kind, name).await?;
            let mut name = name;
            if known.is_none() && tag != TagRef::Namespace {
                let there = match names.get(kind) {
                    Some(there) => *there,
                    None => count_names(&mut tx, room, kind).await?,
                };
                if there < COUNTED_NAMES {
                    names.insert(kind, there + 1);
                } else {
                    names.insert(kind, there);
                    name = ABSENT;
                    known = find(&mut tx, room, kind, name).await?;
                }
            }
            let sum = read("cache.count", known)?.plus(counts);
            sqlx::query(include_str!("../sql/cache/counter_set.sql"))
                .bind(room)
                .bind(kind)
                .bind(name)
                .bind(text(&sum))
                .execute(tx.connection())
                .await
                .map_err(|e| tx.error(e))?;
        }
        tx.commit().await
    }

    pub(super) async fn names_counted(
        &self,
        namespace: &NamespaceId,
        of: StatsRoom,
    ) -> Result<Vec<TagStats>> {
        let mut read_tx = self.database.read("cache.breakdown").await?;
        let now = read_tx.now();
        let mut listed: Vec<(String, String)> =
            sqlx::query_as(include_str!("../sql/cache/counter_list.sql"))
                .bind(namespace.digest().0.as_slice())
                .bind(of.kind())
                .fetch_all(read_tx.connection())
                .await
                .map_err(|e| read_tx.error(e))?;
        // Those without a name come last.
        let rest = listed.first().is_some_and(|(name, _)| name == ABSENT).then(|| listed.remove(0));
        let mut all = Vec::with_capacity(listed.len() + 1);
        for (name, counts) in listed {
            let name = rows::row("cache.breakdown", Name::new(name))?;
            let counts = read("cache.breakdown", Some(counts))?;
            let stats = CacheStats { counts, exact: true, ..CacheStats::default() };
            all.push(TagStats { name: Some(name), stats });
        }
        let refs: Vec<TagRef> =
            all.iter().filter_map(|tag| tag.name.clone()).map(|name| of.tag(name)).collect();
        let held: Vec<(i64, i64, i64)> = sqlx::query_as(include_str!("../sql/cache/held_of.sql"))
            .bind(rows::tags_of(namespace, &refs))
            .bind(now.as_micros())
            .fetch_all(read_tx.connection())
            .await
            .map_err(|e| read_tx.error(e))?;
        for (place, entries, bytes) in held {
            if let Some(tag) = usize::try_from(place).ok().and_then(|place| all.get_mut(place)) {
                tag.stats.entries = rows::unsigned(entries);
                tag.stats.bytes = rows::unsigned(bytes);
            }
        }
        if let Some((_, counts)) = rest {
            let counts = read("cache.breakdown", Some(counts))?;
            let stats = CacheStats { counts, exact: true, ..CacheStats::default() };
            all.push(TagStats { name: None, stats });
        }
        Ok(all)
    }
}

async fn find(tx: &mut WriteTx, room: i64, kind: &str, name: &str) -> Result<Option<String>> {
    sqlx::query_scalar(include_str!("../sql/cache/counter_find.sql"))
        .bind(room)
        .bind(kind)
        .bind(name)
        .fetch_optional(tx.connection())
        .await
        .map_err(|e| tx.error(e))
}

async fn count_names(tx: &mut WriteTx, room: i64, kind: &str) -> Result<usize> {
    let names: i64 = sqlx::query_scalar(include_str!("../sql/cache/counter_names.sql"))
        .bind(room)
        .bind(kind)
        .fetch_one(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(usize::try_from(names).unwrap_or(0))
}
