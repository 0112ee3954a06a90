//! How a collection and its indexes are made.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _};
use hexmem_ports::{Distance, ErrorKind, FieldKind, Result, Weighting};
use qdrant_client::qdrant;
use qdrant_client::qdrant::payload_index_params::IndexParams;
use qdrant_client::qdrant::quantization_config::Quantization as Packed;
use qdrant_client::qdrant::{
    BinaryQuantization, BoolIndexParams, CreateCollection, CreateFieldIndexCollection, FieldType,
    FloatIndexParams, HnswConfigDiff, IntegerIndexParams, KeywordIndexParams, OptimizersConfigDiff,
    PayloadIndexParams, QuantizationConfig, QuantizationType, ScalarQuantization,
    SparseIndexConfig, SparseVectorConfig, SparseVectorParams, VectorParams, VectorParamsMap,
    VectorsConfig, vectors_config,
};

use super::life::Life;
use super::{filter, point};
use crate::{Qdrant, QdrantConfig, Quantization};

/// Indexes that are made together.
const TOGETHER: usize = 8;

/// The collection as Qdrant makes it.
#[allow(deprecated, reason = "servers before 1.20 know no other names of these settings")]
pub(super) fn wish(
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
pub(super) async fn add_indexes(
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
                // Terms are counted, never a filter: links for each frequent one would only widen every dense search.
                enable_hnsw: Some(false),
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
