//! A look at the server, for whoever asks whether all is well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _};
use hexmem_ports::{ErrorKind, Result};
use qdrant_client::qdrant::{CollectionStatus, ReplicaState};
use serde::Serialize;

use crate::Qdrant;
use crate::vectors::{Life, ledger_name};

const OPERATION: &str = "qdrant.inspect";

/// Collections that are looked at together.
const TOGETHER: usize = 8;

/// What the server and the collections of this prefix look like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The URL.
    pub server: String,
    /// Qdrant's version.
    pub version: String,
    /// One round trip on an open connection, in microseconds.
    pub latency_micros: u64,
    /// The collections of this prefix, by their names in Qdrant.
    pub collections: Vec<CollectionState>,
    /// Their points, about.
    pub points: u64,
    /// The part of their vectors that lies in an index, 0 to 1; `None` where there are no vectors. Small segments are
    /// searched without one: below 1 is no fault by itself.
    pub indexed_share: Option<f64>,
    /// The peers of the cluster that hold shards of these collections, by id; one where there is no cluster.
    pub peers: Vec<u64>,
    /// What keeps it from working, and the way out. Empty when all is well.
    pub findings: Vec<String>,
    /// What deserves a look.
    pub warnings: Vec<String>,
}

/// A collection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollectionState {
    /// Its name in Qdrant.
    pub qdrant_name: String,
    /// `tenant/name`; `None` where something else made it.
    pub collection: Option<String>,
    /// Names in Qdrant of the aliases that lead to it.
    pub aliases: Vec<String>,
    /// Points, about.
    pub points: u64,
    /// Vectors in an index, about, over all names of vectors.
    pub indexed_vectors: u64,
    /// The part of its vectors that lies in an index, 0 to 1; `None` where there are no vectors.
    pub indexed_share: Option<f64>,
    /// Segments.
    pub segments: u64,
    /// What it does.
    pub status: CollectionHealth,
    /// What the optimizer failed with; `None` while it does not.
    pub optimizer_error: Option<String>,
    /// Writes that wait to be applied.
    pub queued: u64,
    /// Shards.
    pub shards: u64,
    /// Replicas of shards that do not serve reads.
    pub inactive_replicas: u64,
}

/// What a collection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectionHealth {
    /// Ready; all optimizations are done.
    Green,
    /// Ready; the optimizer works.
    Yellow,
    /// Ready; optimizations wait for the next write: the server was started anew meanwhile.
    Grey,
    /// Something has failed.
    Red,
    /// What this program does not know.
    Unknown,
}

impl Qdrant {
    /// Looks at the server and at the collections of this prefix: two calls, and two for each collection.
    pub async fn inspect(&self) -> Result<Inspection> {
        let start = Instant::now();
        let health =
            self.read(OPERATION, |client| async move { client.health_check().await }).await?;
        let latency = start.elapsed();
        let all =
            self.read(OPERATION, |client| async move { client.list_collections().await }).await?;
        let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let listed =
            self.read(OPERATION, |client| async move { client.list_aliases().await }).await?;
        for alias in listed.aliases {
            aliases.entry(alias.collection_name).or_default().push(alias.alias_name);
        }
        let begins = format!("{}.", self.config().prefix);
        let ledger = ledger_name(&self.config().prefix);
        let names: BTreeSet<String> = all
            .collections
            .into_iter()
            .map(|collection| collection.name)
            .filter(|name| name.starts_with(&begins) && *name != ledger)
            .collect();
        let seen: Vec<Option<(CollectionState, BTreeSet<u64>, u64)>> = futures::stream::iter(names)
            .map(|name| {
                let mut aliases = aliases.remove(&name).unwrap_or_default();
                aliases.sort_unstable();
                self.inspect_collection(name, aliases)
            })
            .buffered(TOGETHER)
            .try_collect()
            .await?;
        let (mut collections, mut peers) = (Vec::new(), BTreeSet::new());
        let (mut points, mut indexed, mut vectors) = (0u64, 0u64, 0u64);
        for (state, holders, held) in seen.into_iter().flatten() {
            points = points.saturating_add(state.points);
            indexed = indexed.saturating_add(state.indexed_vectors);
            vectors = vectors.saturating_add(held);
            peers.extend(holders);
            collections.push(state);
        }
        let (findings, warnings) = judge(&collections);
        Ok(Inspection {
            server: self.config().shown_url(),
            version: health.version,
            latency_micros: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            points,
            indexed_share: share(indexed, vectors),
            collections,
            peers: peers.into_iter().collect(),
            findings,
            warnings,
        })
    }

    /// A collection, the peers that hold it, and about how many vectors it has. `None` where it is gone.
    async fn inspect_collection(
        &self,
        name: String,
        aliases: Vec<String>,
    ) -> Result<Option<(CollectionState, BTreeSet<u64>, u64)>> {
        let wanted = &name;
        let both = async {
            let info = self.read(OPERATION, |client| {
                let name = wanted.clone();
                async move { client.collection_info(name).await }
            });
            let cluster = self.read(OPERATION, |client| {
                let name = wanted.clone();
                async move { client.collection_cluster_info(name).await }
            });
            Ok::<_, hexmem_ports::Error>((info.await?.result.unwrap_or_default(), cluster.await?))
        };
        let (info, cluster) = match both.await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            both => both?,
        };
        let life = Life::of(OPERATION, &info).ok();
        let points = info.points_count.unwrap_or(0);
        let channels = life.as_ref().map_or(1, Life::channels);
        let vectors = points.saturating_mul(channels);
        let indexed_vectors = info.indexed_vectors_count.unwrap_or(0);
        let local = cluster.local_shards.iter().map(|shard| shard.state);
        let remote = cluster.remote_shards.iter().map(|shard| shard.state);
        let active = i32::from(ReplicaState::Active);
        let inactive = local.chain(remote).filter(|state| *state != active).count();
        let mut peers: BTreeSet<u64> = cluster.remote_shards.iter().map(|s| s.peer_id).collect();
        peers.insert(cluster.peer_id);
        let state = CollectionState {
            collection: life.as_ref().map(Life::address),
            qdrant_name: name,
            aliases,
            points,
            indexed_vectors,
            indexed_share: share(indexed_vectors, vectors),
            segments: info.segments_count,
            status: match info.status() {
                CollectionStatus::Green => CollectionHealth::Green,
                CollectionStatus::Yellow => CollectionHealth::Yellow,
                CollectionStatus::Grey => CollectionHealth::Grey,
                CollectionStatus::Red => CollectionHealth::Red,
                CollectionStatus::UnknownCollectionStatus => CollectionHealth::Unknown,
            },
            optimizer_error: info.optimizer_status.filter(|status| !status.ok).map(|s| s.error),
            queued: info.update_queue.map_or(0, |queue| queue.length),
            shards: cluster.shard_count,
            inactive_replicas: u64::try_from(inactive).unwrap_or(u64::MAX),
        };
        Ok(Some((state, peers, vectors)))
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "a share of counts that are estimates")]
    (whole > 0).then(|| (part as f64 / whole as f64).min(1.0))
}

fn judge(collections: &[CollectionState]) -> (Vec<String>, Vec<String>) {
    let (mut findings, mut warnings) = (Vec::new(), Vec::new());
    for state in collections {
        let name = &state.qdrant_name;
        if let Some(error) = &state.optimizer_error {
            findings.push(format!("the optimizer of {name} failed: {error}; see the server's log"));
        } else if state.status == CollectionHealth::Red {
            findings.push(format!("{name} is red: an operation failed; see the server's log"));
        }
        if state.inactive_replicas > 0 {
            warnings.push(format!(
                "{name}: {} replicas of shards are not active; see whether all peers are up",
                state.inactive_replicas
            ));
        }
        if state.collection.is_none() {
            warnings.push(format!(
                "{name} has the prefix of this program and no stamp; give qdrant.prefix another value, or drop it"
            ));
        }
        if state.status == CollectionHealth::Grey {
            warnings.push(format!("{name} is not optimized until the next write"));
        }
    }
    (findings, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found() {
        let good = CollectionState {
            qdrant_name: "hexmem.t.c".into(),
            collection: Some("t/c".into()),
            aliases: Vec::new(),
            points: 1,
            indexed_vectors: 0,
            indexed_share: Some(0.0),
            segments: 1,
            status: CollectionHealth::Green,
            optimizer_error: None,
            queued: 0,
            shards: 1,
            inactive_replicas: 0,
        };
        assert_eq!(judge(std::slice::from_ref(&good)), (vec![], vec![]));
        let broken = CollectionState { optimizer_error: Some("full".into()), ..good.clone() };
        assert!(judge(&[broken]).0[0].contains("full"));
        let alone = CollectionState { inactive_replicas: 1, collection: None, ..good };
        assert_eq!(judge(&[alone]).1.len(), 2);
        assert_eq!((share(1, 0), share(3, 2)), (None, Some(1.0)));
    }
}
