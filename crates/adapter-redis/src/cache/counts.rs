//! What was counted, and estimates of what is held.

use std::collections::HashMap;

use hexmem_ports::{
    COUNTED_NAMES, CacheCounts, CacheStats, Digest, Error, Name, NamespaceId, Result, StatsRoom,
    TagRef, TagStats,
};

use super::{RedisCache, form, scripts};
use crate::reply::{Fields, Reply};

/// Names of one script: 13 numbers each.
const COUNTS_A_CALL: usize = 500;
/// Answers that an estimate looks at. Where there are no more, it is the truth of the moment.
const SAMPLE: usize = 512;

/// The room of a tag as scripts know it.
fn room(tag: &TagRef) -> &'static str {
    match tag {
        TagRef::Namespace => "n",
        TagRef::Model(_) | TagRef::Tag(_) => tag.kind(),
    }
}

/// What one name was counted, as the script lists it.
type Counted = (String, CacheCounts);

/// Answers that were looked at, of how many.
struct Sample {
    total: u64,
    looked: u64,
    live: Vec<(u64, Vec<Digest>)>,
}

impl Sample {
    /// Entries and bytes of all, from those that were looked at: `seen` of them with `bytes`.
    fn estimate(&self, seen: u64, bytes: u64) -> (u64, u64) {
        if self.looked == 0 {
            return (0, 0);
        }
        let (total, looked) = (u128::from(self.total), u128::from(self.looked));
        let scaled =
            |part: u64| u64::try_from(u128::from(part) * total / looked).unwrap_or(u64::MAX);
        (scaled(seen), scaled(bytes))
    }
}

impl RedisCache {
    pub(super) async fn add_counts(
        &self,
        namespace: &NamespaceId,
        counts: &[(TagRef, CacheCounts)],
    ) -> Result<()> {
        let tag = self.tag(namespace);
        for some in counts.chunks(COUNTS_A_CALL) {
            let call = self.script(&scripts::COUNT, &tag);
            let mut call = call.arg(COUNTED_NAMES).arg(CacheCounts::NAMES.len());
            for (of, counts) in some {
                call = call.arg(room(of)).arg(of.name());
                for count in counts.values() {
                    call = call.arg(count);
                }
            }
            call.run("cache.count").await?;
        }
        Ok(())
    }

    pub(super) async fn stats_of(&self, namespace: &NamespaceId) -> Result<CacheStats> {
        let (mut counted, sample) = self.look(namespace, "n", "cache.stats").await?;
        let bytes = sample.live.iter().map(|(bytes, _)| *bytes).sum();
        let seen = u64::try_from(sample.live.len()).unwrap_or(u64::MAX);
        let (entries, bytes) = sample.estimate(seen, bytes);
        let counts = counted.pop().map(|(_, counts)| counts).unwrap_or_default();
        Ok(CacheStats { counts, entries, bytes, exact: false })
    }

    pub(super) async fn names_counted(
        &self,
        namespace: &NamespaceId,
        of: StatsRoom,
    ) -> Result<Vec<TagStats>> {
        const OPERATION: &str = "cache.breakdown";
        let (counted, sample) = self.look(namespace, of.kind(), OPERATION).await?;
        let mut held: HashMap<Digest, (u64, u64)> = HashMap::new();
        for (bytes, tags) in &sample.live {
            for tag in tags {
                let (seen, sum) = held.entry(*tag).or_default();
                *seen += 1;
                *sum += bytes;
            }
        }
        counted
            .into_iter()
            .map(|(name, counts)| {
                if name.is_empty() {
                    let stats = CacheStats { counts, ..CacheStats::default() };
                    return Ok(TagStats { name: None, stats });
                }
                let name = Name::new(name).map_err(|error| {
                    Error::corrupt(OPERATION, "a counted name is none").caused_by(error)
                })?;
                let digest = of.tag(name.clone()).digest(namespace);
                let (seen, bytes) = held.get(&digest).copied().unwrap_or_default();
                let (entries, bytes) = sample.estimate(seen, bytes);
                let stats = CacheStats { counts, entries, bytes, exact: false };
                Ok(TagStats { name: Some(name), stats })
            })
            .collect()
    }

    async fn look(
        &self,
        namespace: &NamespaceId,
        room: &str,
        operation: &'static str,
    ) -> Result<(Vec<Counted>, Sample)> {
        let tag = self.tag(namespace);
        let call = self.script(&scripts::STATS, &tag);
        let mut answer = call.arg(room).arg(SAMPLE).run(operation).await?.list()?;
        let counted = answer.item()?.list()?.map(counted).collect::<Result<_>>()?;
        let (total, looked) = (answer.item()?.uint()?, answer.item()?.uint()?);
        let outlines = answer.item()?.list()?;
        let live = outlines
            .map(|reply| form::outline(operation, &reply.bytes()?))
            .collect::<Result<_>>()?;
        Ok((counted, Sample { total, looked, live }))
    }
}

/// A name, and the numbers that are not 0 under their places from 1.
fn counted(reply: Reply) -> Result<Counted> {
    let mut parts = reply.list()?;
    let name = parts.item()?.text()?;
    let mut values = CacheCounts::default().values();
    let mut fields: Fields = parts.item()?.list()?;
    while fields.left() > 0 {
        let (place, count) = (fields.item()?.uint()?, fields.item()?.uint()?);
        let place = usize::try_from(place).unwrap_or(usize::MAX).wrapping_sub(1);
        // A count that a newer version knows is left out.
        if let Some(value) = values.get_mut(place) {
            *value = count;
        }
    }
    Ok((name, CacheCounts::from_values(values)))
}
