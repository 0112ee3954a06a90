//! Collections and aliases.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use hexmem_ports::rules::{check_spec, check_stamp, no_collection};
use hexmem_ports::{
    CollectionId, CollectionSpec, Cursor, Distance, Error, ErrorKind, FieldKind, Limit, Name, Page,
    Prefix, Result, Tenant, Timestamp, Weighting,
};
use qdrant_client::qdrant;
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::quantization_config::Quantization as Packed;
use qdrant_client::qdrant::{
    BinaryQuantization, BoolIndexParams, CreateAlias, CreateCollection, CreateFieldIndexCollection,
    DeleteAlias, FieldType, FloatIndexParams, HnswConfigDiff, IntegerIndexParams,
    KeywordIndexParams, OptimizersConfigDiff, PayloadIndexParams, QuantizationConfig,
    QuantizationType, ScalarQuantization, SparseIndexConfig, SparseVectorConfig,
    SparseVectorParams, VectorParams, VectorParamsMap, VectorsConfig, vectors_config,
};

use super::ledger::{self, About, Entry, Which};
use super::life::Life;
use super::names::{name_of, qdrant_name, tenant_prefix};
use super::point::{self, Stamp};
use super::{filter, write};
use crate::{Qdrant, QdrantConfig, Quantization};

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

/// The collection as Qdrant makes it.
#[allow(deprecated, reason = "servers before 1.20 know no other names of these settings")]
fn wish(
    qdrant: &Qdrant,
    operation: &'static str,
    name: &str,
    life: &Life,
) -> Result<CreateCollection> {
    let config = qdrant.config();
    let dense: HashMap<String, VectorParams> = life
        .spec
        .dense
        .iter()
        .filter_map(|(vector, spec)| {
            let distance = match spec.distance {
                // Vectors have length 1: see `point::unit`. Qdrant's own cosine would write another vector.
                Distance::Cosine | Distance::Dot => qdrant::Distance::Dot,
                Distance::Euclid => qdrant::Distance::Euclid,
            };
            let params = VectorParams {
                size: spec.space.dimension.into(),
                distance: distance.into(),
                on_disk: config.vectors.on_disk(),
                ..Default::default()
            };
            Some((life.dense(vector)?, params))
        })
        .collect();
    let index = SparseIndexConfig { on_disk: config.sparse.on_disk(), ..Default::default() };
    let sparse: HashMap<String, SparseVectorParams> = life
        .spec
        .sparse
        .keys()
        .filter_map(|vector| {
            Some((life.sparse(vector)?, SparseVectorParams { index: Some(index), modifier: None }))
        })
        .collect();
    let map = vectors_config::Config::ParamsMap(VectorParamsMap { map: dense });
    Ok(CreateCollection {
        collection_name: name.to_owned(),
        vectors_config: Some(VectorsConfig { config: Some(map) }),
        sparse_vectors_config: (!sparse.is_empty()).then_some(SparseVectorConfig { map: sparse }),
        hnsw_config: hnsw(config),
        optimizers_config: config.segments.map(|segments| OptimizersConfigDiff {
            default_segment_number: Some(segments.into()),
            ..Default::default()
        }),
        quantization_config: quantization(config.quantization),
        on_disk_payload: config.payload.on_disk(),
        shard_number: config.shard_number,
        replication_factor: config.replication_factor,
        write_consistency_factor: config.write_consistency_factor,
        metadata: life.metadata(operation)?,
        timeout: qdrant.server_timeout(),
        ..Default::default()
    })
}

#[allow(deprecated, reason = "servers before 1.20 know no other names of these settings")]
fn hnsw(config: &QdrantConfig) -> Option<HnswConfigDiff> {
    let wished = HnswConfigDiff {
        m: config.hnsw_m.map(u64::from),
        ef_construct: config.hnsw_ef_construct.map(u64::from),
        on_disk: config.hnsw.on_disk(),
        ..Default::default()
    };
    (wished != HnswConfigDiff::default()).then_some(wished)
}

#[allow(deprecated, reason = "servers before 1.20 know no other names of these settings")]
fn quantization(wished: Quantization) -> Option<QuantizationConfig> {
    let packed = match wished {
        Quantization::None => return None,
        Quantization::Scalar => Packed::Scalar(ScalarQuantization {
            r#type: QuantizationType::Int8.into(),
            always_ram: Some(true),
            ..Default::default()
        }),
        Quantization::Binary => {
            Packed::Binary(BinaryQuantization { always_ram: Some(true), ..Default::default() })
        }
    };
    Some(QuantizationConfig { quantization: Some(packed) })
}

/// Creates the payload's indexes; those that are there stay.
#[allow(deprecated, reason = "servers before 1.20 know no other names of these settings")]
async fn add_indexes(
    qdrant: &Qdrant,
    operation: &'static str,
    name: &str,
    life: &Life,
) -> Result<()> {
    let on_disk = qdrant.config().payload_index.on_disk();
    let mut wishes: Vec<(String, FieldType, IndexParams)> = Vec::new();
    for (path, kind) in &life.spec.indexed {
        let (kind, params) = match kind {
            FieldKind::Keyword => {
                let params = KeywordIndexParams { on_disk, ..Default::default() };
                (FieldType::Keyword, IndexParams::KeywordIndexParams(params))
            }
            // Of whole numbers too: 2 and 2.0 are one value, and an index of integers would not have 2.5.
            FieldKind::Integer | FieldKind::Float => {
                let params = FloatIndexParams { on_disk, ..Default::default() };
                (FieldType::Float, IndexParams::FloatIndexParams(params))
            }
            FieldKind::Bool => {
                let params = BoolIndexParams { on_disk, ..Default::default() };
                (FieldType::Bool, IndexParams::BoolIndexParams(params))
            }
        };
        wishes.push((filter::field(path), kind, params));
    }
    for (place, spec) in life.spec.sparse.values().enumerate() {
        if spec.weighting == Weighting::Idf {
            let params = IntegerIndexParams {
                lookup: Some(true),
                range: Some(false),
                on_disk,
                ..Default::default()
            };
            let params = IndexParams::IntegerIndexParams(params);
            wishes.push((point::terms_field(place), FieldType::Integer, params));
        }
    }
    // Together: each waits until Qdrant has built it.
    let made = wishes.into_iter().map(|(field, kind, params)| {
        let request = CreateFieldIndexCollection {
            collection_name: name.to_owned(),
            wait: Some(true),
            field_name: field,
            field_type: Some(kind.into()),
            field_index_params: Some(PayloadIndexParams { index_params: Some(params) }),
            timeout: qdrant.server_timeout(),
            ..Default::default()
        };
        add_index(qdrant, operation, request)
    });
    futures::stream::iter(made).buffer_unordered(TOGETHER).try_collect().await
}

/// An index of texts.
pub(super) async fn add_keyword_index(
    qdrant: &Qdrant,
    operation: &'static str,
    name: &str,
    field: &str,
) -> Result<()> {
    let params = IndexParams::KeywordIndexParams(KeywordIndexParams::default());
    let request = CreateFieldIndexCollection {
        collection_name: name.to_owned(),
        wait: Some(true),
        field_name: field.to_owned(),
        field_type: Some(FieldType::Keyword.into()),
        field_index_params: Some(PayloadIndexParams { index_params: Some(params) }),
        timeout: qdrant.server_timeout(),
        ..Default::default()
    };
    add_index(qdrant, operation, request).await
}

async fn add_index(
    qdrant: &Qdrant,
    operation: &'static str,
    request: CreateFieldIndexCollection,
) -> Result<()> {
    let made = qdrant.write(operation, |client| {
        let request = request.clone();
        async move { client.create_field_index(request).await }
    });
    match made.await {
        // Dropped meanwhile: the next call tells.
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
            qdrant.write(operation, async |client| client.delete_alias(request.clone()).await).await
        }
        Some(target) => {
            let target = CollectionId::new(alias.tenant.clone(), target.clone());
            let collection_name = qdrant_name(prefix, &target);
            // Where the alias is there already this is the switch, under Qdrant's lock of all collections.
            let request = &CreateAlias { collection_name, alias_name: alias_name.clone() };
            qdrant.write(operation, async |client| client.create_alias(request.clone()).await).await
        }
    };
    qdrant.lives().forget(&alias_name);
    match (done, target) {
        (Ok(_), _) => Ok(()),
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
