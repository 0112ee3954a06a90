//! Points in Qdrant's terms.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hexmem_ports::rules::narrow;
use hexmem_ports::{
    Distance, Error, ErrorKind, Name, Point, PointId, Result, SparseVector, Timestamp, Weighting,
};
use qdrant_client::qdrant;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vector::Vector as Stored;
use qdrant_client::qdrant::vector_output::Vector as Read;
use qdrant_client::qdrant::{
    DenseVector, NamedVectors, PointStruct, Value, Vectors, VectorsOutput, vectors, vectors_output,
};
use uuid::Uuid;

use super::life::{Channel, Life};
use super::payload;
use crate::error::corrupt;

/// The payload, cut where the wire format ends.
pub(super) const PAYLOAD: &str = "p";
/// The payload as text, where Qdrant would not give it back as it is.
pub(super) const TEXT: &str = "j";
/// The point's version.
pub(super) const VERSION: &str = "v";
/// When it changed, in microseconds.
pub(super) const MODIFIED: &str = "m";
/// The payload's lists of nothing.
pub(super) const EMPTY_LISTS: &str = "z";
/// Places of the sparse vectors that have no index at all: Qdrant keeps none.
pub(super) const EMPTY_SPARSE: &str = "e";
/// Dense vectors as they were given, where another of length 1 is in their place: by place, base64 of little-endian f32.
pub(super) const GIVEN: &str = "c";
/// In the terms of each point that has the vector: so they can be counted.
pub(super) const HAS: i64 = -1;

/// Fields that make a payload.
pub(super) const PAYLOAD_FIELDS: [&str; 2] = [PAYLOAD, TEXT];

/// The message of a failure that comes of an earlier life, or of another target of an alias.
pub(super) const REPLACED: &str = "the collection was replaced meanwhile; repeat the call";

/// The field of a sparse vector's terms.
pub(super) fn terms_field(place: usize) -> String {
    format!("t{place}")
}

/// A version and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
}

pub(super) fn id(id: PointId) -> qdrant::PointId {
    qdrant::PointId { point_id_options: Some(PointIdOptions::Uuid(id.0.to_string())) }
}

pub(super) fn id_of(operation: &'static str, id: Option<qdrant::PointId>) -> Result<PointId> {
    let text = match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(text)) => text,
        _ => return Err(corrupt(operation, "the id of a point")),
    };
    let id =
        Uuid::parse_str(&text).map_err(|e| corrupt(operation, "the id of a point").caused_by(e))?;
    Ok(PointId(id))
}

/// The vector of length 1 that has the direction of `values`, where theirs is not 1 already: Qdrant then compares by inner
/// product, which is the cosine. A zero vector stays.
pub(super) fn unit(values: &[f32]) -> Option<Vec<f32>> {
    let square: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    if square == 0.0 || (square - 1.0).abs() <= 1e-6 {
        return None;
    }
    let length = square.sqrt();
    Some(values.iter().map(|value| narrow(f64::from(*value) / length)).collect())
}

/// A dense vector as Qdrant compares it.
pub(super) fn compared(distance: Distance, values: &[f32]) -> Vec<f32> {
    match distance {
        Distance::Cosine => unit(values).unwrap_or_else(|| values.to_vec()),
        Distance::Dot | Distance::Euclid => values.to_vec(),
    }
}

/// A point that fits the collection, and about how many bytes it takes on the wire.
pub(super) fn encode(
    operation: &'static str,
    life: &Life,
    point: &Point,
    stamp: Stamp,
) -> Result<(PointStruct, usize)> {
    let mut fields = stamp_fields(stamp);
    let mut bytes = 128;
    let text = || {
        serde_json::to_string(&point.payload).map_err(|cause| {
            let what = "a payload cannot be written";
            Error::new(ErrorKind::Internal, operation, what).caused_by(cause)
        })
    };
    bytes += size(&point.payload);
    if !payload::reads_back(&point.payload) {
        let text = text()?;
        bytes += text.len();
        fields.insert(TEXT.to_owned(), payload::text(text));
    }
    fields.insert(PAYLOAD.to_owned(), payload::to_qdrant(&point.payload));
    let lists = payload::empty_lists(&point.payload);
    if !lists.is_empty() {
        let lists = lists.into_iter().map(payload::text).collect();
        fields.insert(EMPTY_LISTS.to_owned(), payload::list(lists));
    }
    let mut named = HashMap::with_capacity(point.dense.len() + point.sparse.len());
    let mut given = HashMap::new();
    for (name, values) in &point.dense {
        let (Some(vector), Some(spec)) = (life.dense(name), life.spec.dense.get(name)) else {
            continue;
        };
        bytes += values.len() * 4;
        let turned = if spec.distance == Distance::Cosine { unit(values) } else { None };
        if turned.is_some() {
            bytes += values.len() * 6;
            let place = vector.split('-').next().unwrap_or_default().to_owned();
            let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            given.insert(place, payload::text(BASE64.encode(raw)));
        }
        let data = turned.unwrap_or_else(|| values.clone());
        named.insert(vector, stored(Stored::Dense(DenseVector { data })));
    }
    if !given.is_empty() {
        let given = Value { kind: Some(Kind::StructValue(qdrant::Struct { fields: given })) };
        fields.insert(GIVEN.to_owned(), given);
    }
    let mut empty = Vec::new();
    for (name, values) in &point.sparse {
        let (Some(place), Some(vector)) = (life.sparse_place(name), life.sparse(name)) else {
            continue;
        };
        let spec = life.spec.sparse.get(name);
        if spec.is_some_and(|spec| spec.weighting == Weighting::Idf) {
            let terms = values.indices().iter().map(|index| i64::from(*index));
            let terms = std::iter::once(HAS).chain(terms).map(payload::whole).collect();
            fields.insert(terms_field(place), payload::list(terms));
            bytes += values.indices().len() * 8;
        }
        if values.indices().is_empty() {
            empty.push(payload::whole(i64::try_from(place).unwrap_or(i64::MAX)));
            continue;
        }
        bytes += values.indices().len() * 8;
        let (indices, values) = (values.indices().to_vec(), values.values().to_vec());
        named.insert(vector, stored(Stored::Sparse(qdrant::SparseVector { indices, values })));
    }
    if !empty.is_empty() {
        fields.insert(EMPTY_SPARSE.to_owned(), payload::list(empty));
    }
    let vectors = vectors::VectorsOptions::Vectors(NamedVectors { vectors: named });
    let vectors = Some(Vectors { vectors_options: Some(vectors) });
    Ok((PointStruct { id: Some(id(point.id)), payload: fields, vectors }, bytes))
}

fn stored(vector: Stored) -> qdrant::Vector {
    qdrant::Vector { vector: Some(vector), ..Default::default() }
}

/// About how many bytes a value takes.
fn size(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len() + 6,
        serde_json::Value::Array(items) => items.iter().map(size).sum::<usize>() + 6,
        serde_json::Value::Object(fields) => {
            fields.iter().map(|(key, item)| key.len() + size(item) + 8).sum::<usize>() + 6
        }
        _ => 12,
    }
}

/// The payload of what was read with [`PAYLOAD_FIELDS`].
pub(super) fn payload_of(
    operation: &'static str,
    fields: &mut HashMap<String, Value>,
) -> Result<serde_json::Value> {
    match fields.remove(TEXT).and_then(|value| value.kind) {
        Some(Kind::StringValue(text)) => serde_json::from_str(&text)
            .map_err(|cause| corrupt(operation, "a payload").caused_by(cause)),
        _ => match fields.remove(PAYLOAD) {
            Some(value) => payload::from_qdrant(operation, value),
            // Nothing below an empty object is told apart from nothing.
            None => Ok(serde_json::Value::Object(serde_json::Map::new())),
        },
    }
}

/// The stamp of what was read with [`VERSION`] and [`MODIFIED`].
pub(super) fn stamp_of(operation: &'static str, fields: &HashMap<String, Value>) -> Result<Stamp> {
    let number = |field: &str| match fields.get(field).and_then(|value| value.kind.as_ref()) {
        Some(Kind::IntegerValue(number)) => Some(*number),
        _ => None,
    };
    let version = number(VERSION).and_then(|version| u64::try_from(version).ok());
    let modified_at = number(MODIFIED).and_then(Timestamp::from_micros);
    let both = version.zip(modified_at);
    let (version, modified_at) = both.ok_or_else(|| corrupt(operation, "a point's stamp"))?;
    Ok(Stamp { version, modified_at })
}

/// The fields of a stamp.
pub(super) fn stamp_fields(stamp: Stamp) -> HashMap<String, Value> {
    let version = i64::try_from(stamp.version).unwrap_or(i64::MAX);
    HashMap::from([
        (VERSION.to_owned(), payload::whole(version)),
        (MODIFIED.to_owned(), payload::whole(stamp.modified_at.as_micros())),
    ])
}

/// Vectors by their names in Qdrant.
pub(super) fn named(vectors: Option<VectorsOutput>) -> HashMap<String, Read> {
    match vectors.and_then(|vectors| vectors.vectors_options) {
        Some(vectors_output::VectorsOptions::Vectors(named)) => {
            named.vectors.into_iter().map(|(name, vector)| (name, vector.into_vector())).collect()
        }
        _ => HashMap::new(),
    }
}

/// A dense vector as it was given.
pub(super) fn dense_of(
    operation: &'static str,
    vector: &str,
    stored: Read,
    fields: &HashMap<String, Value>,
) -> Result<Vec<f32>> {
    let place = vector.split('-').next().unwrap_or_default();
    let given = match fields.get(GIVEN).and_then(|value| value.kind.as_ref()) {
        Some(Kind::StructValue(given)) => given.fields.get(place),
        _ => None,
    };
    match (given.and_then(|value| value.kind.as_ref()), stored) {
        (Some(Kind::StringValue(text)), _) => {
            let wrong = || corrupt(operation, "a dense vector");
            let raw = BASE64.decode(text).map_err(|cause| wrong().caused_by(cause))?;
            let (numbers, rest) = raw.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(wrong());
            }
            Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        (_, Read::Dense(dense)) => Ok(dense.data),
        _ => Err(corrupt(operation, "a dense vector")),
    }
}

pub(super) fn sparse_of(operation: &'static str, stored: Read) -> Result<SparseVector> {
    match stored {
        Read::Sparse(sparse) => SparseVector::new(sparse.indices, sparse.values)
            .map_err(|cause| corrupt(operation, "a sparse vector").caused_by(cause)),
        _ => Err(corrupt(operation, "a sparse vector")),
    }
}

/// A point that was read with everything.
pub(super) fn decode(
    operation: &'static str,
    life: &Life,
    id: PointId,
    mut fields: HashMap<String, Value>,
    vectors: Option<VectorsOutput>,
) -> Result<Point> {
    let (mut dense, mut sparse) = (BTreeMap::new(), BTreeMap::<Name, SparseVector>::new());
    for (vector, stored) in named(vectors) {
        match life.vector(&vector) {
            Some(Channel::Dense(name)) => {
                dense.insert(name.clone(), dense_of(operation, &vector, stored, &fields)?);
            }
            Some(Channel::Sparse(name)) => {
                sparse.insert(name.clone(), sparse_of(operation, stored)?);
            }
            None => {
                return Err(Error::new(ErrorKind::Unavailable, operation, REPLACED).not_applied());
            }
        }
    }
    if let Some(Kind::ListValue(places)) = fields.remove(EMPTY_SPARSE).and_then(|value| value.kind)
    {
        for place in places.values {
            let Some(Kind::IntegerValue(place)) = place.kind else { continue };
            let place = usize::try_from(place).ok();
            if let Some(name) = place.and_then(|place| life.spec.sparse.keys().nth(place)) {
                sparse.insert(name.clone(), SparseVector::default());
            }
        }
    }
    let payload = payload_of(operation, &mut fields)?;
    Ok(Point { id, dense, sparse, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_of_length_one_or_zero_stays() {
        assert_eq!(unit(&[0.6, 0.8]), None);
        assert_eq!(unit(&[0.0, -0.0]), None);
        assert_eq!(unit(&[3.0, 4.0]).unwrap(), [0.6, 0.8]);
        let huge = unit(&[f32::MAX, f32::MAX]).unwrap();
        assert!((huge[0] - std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6);
        let tiny = unit(&[f32::MIN_POSITIVE, 0.0]).unwrap();
        assert_eq!(tiny, [1.0, 0.0]);
        assert_eq!(compared(Distance::Dot, &[3.0, 4.0]), [3.0, 4.0]);
    }
}
