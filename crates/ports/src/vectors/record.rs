//! The record form of collections, aliases and points.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::rules::check_spec;
use crate::{
    CollectionId, CollectionSpec, Error, ErrorKind, Name, Point, PointId, Record, RecordKind,
    Result, SparseVector, Tenant, Timestamp,
};

/// The version of the form written here.
const FORM: u16 = 1;

const SCAN: &str = "vectors.scan";
const RESTORE: &str = "vectors.restore";

/// An entity of the vectors as a record. Addresses are `[tenant, name, "collection"]`,
/// `[tenant, name, "alias"]` and `[tenant, name, "point", id]`.
///
/// Versions of a collection and of its points come from one counter of the name, which outlives a drop: a point
/// of version at most its collection's is of an earlier life of it, and gone. A newer record of a collection
/// empties it; its points follow.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorRecord {
    /// The collection or alias, or the point's collection.
    pub collection: CollectionId,
    /// Grows with each change of the entity.
    pub version: u64,
    /// When it last changed; of a tombstone when it was deleted.
    pub modified_at: Timestamp,
    /// What it is.
    pub body: VectorBody,
}

/// What a record of the vectors is about. `None` is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub enum VectorBody {
    /// A collection: its stamp.
    Collection(Option<CollectionSpec>),
    /// An alias: its target.
    Alias(Option<Name>),
    /// A point.
    Point(PointId, Option<Point>),
}

impl VectorBody {
    /// Whether it is a tombstone.
    pub fn is_tombstone(&self) -> bool {
        matches!(self, Self::Collection(None) | Self::Alias(None) | Self::Point(_, None))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectionForm {
    spec: Option<CollectionSpec>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasForm {
    target: Option<Name>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PointForm {
    point: Option<VectorsForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorsForm {
    dense_b64: BTreeMap<Name, Packed>,
    sparse: BTreeMap<Name, SparseVector>,
    payload: Value,
}

/// Numbers as little-endian f32: a quarter of their text.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Packed(#[serde(with = "crate::b64")] Vec<u8>);

impl From<Vec<f32>> for Packed {
    fn from(values: Vec<f32>) -> Self {
        Self(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

impl Packed {
    fn values(&self) -> Result<Vec<f32>, String> {
        match self.0.as_chunks() {
            (chunks, []) => Ok(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
            _ => Err("a dense vector is not a whole count of numbers".into()),
        }
    }
}

impl VectorRecord {
    /// The record.
    pub fn into_record(self) -> Result<Record> {
        let deleted_at = self.body.is_tombstone().then_some(self.modified_at);
        let mut address =
            vec![self.collection.tenant.0.to_string(), self.collection.name.to_string()];
        let body = match self.body {
            VectorBody::Collection(spec) => {
                address.push("collection".into());
                serde_json::to_value(CollectionForm { spec })
            }
            VectorBody::Alias(target) => {
                address.push("alias".into());
                serde_json::to_value(AliasForm { target })
            }
            VectorBody::Point(id, point) => {
                address.extend(["point".into(), id.to_string()]);
                let point = point.map(|point| VectorsForm {
                    dense_b64: point.dense.into_iter().map(|(n, v)| (n, v.into())).collect(),
                    sparse: point.sparse,
                    payload: point.payload,
                });
                serde_json::to_value(PointForm { point })
            }
        };
        let body = body.map_err(|error| {
            Error::new(ErrorKind::Internal, SCAN, "a record cannot be written").caused_by(error)
        })?;
        Ok(Record {
            kind: RecordKind::Vector,
            form: FORM,
            address,
            version: self.version,
            modified_at: self.modified_at,
            expires_at: None,
            deleted_at,
            body,
        })
    }

    /// Reads a record. `Invalid`, naming the address, for another kind or form and for what cannot be an entity
    /// of the vectors.
    pub fn from_record(record: Record) -> Result<Self> {
        let address = record.address.join("/");
        Self::read(record)
            .map_err(|what| Error::invalid(RESTORE, what).with("address", address.escape_debug()))
    }

    fn read(record: Record) -> Result<Self, String> {
        if record.kind != RecordKind::Vector {
            return Err("not a record of vectors".into());
        }
        if record.form != FORM {
            return Err(format!("form {} of a record; this program reads {FORM}", record.form));
        }
        if i64::try_from(record.version).is_err() {
            return Err("a version beyond 63 bits".into());
        }
        let parts: Vec<&str> = record.address.iter().map(String::as_str).collect();
        let [tenant, collection, rest @ ..] = parts.as_slice() else {
            return Err("the address has no tenant and collection".into());
        };
        let name = |text: &str| Name::new(text).map_err(|error| error.to_string());
        let collection = CollectionId::new(Tenant(name(tenant)?), name(collection)?);
        let body = match *rest {
            ["collection"] => {
                let form: CollectionForm = parse(record.body, "spec")?;
                if let Some(spec) = &form.spec {
                    check_spec(RESTORE, spec).map_err(|error| error.to_string())?;
                }
                VectorBody::Collection(form.spec)
            }
            ["alias"] => VectorBody::Alias(parse::<AliasForm>(record.body, "target")?.target),
            ["point", id] => {
                let id = PointId(Uuid::parse_str(id).map_err(|_| "not the id of a point")?);
                let form: PointForm = parse(record.body, "point")?;
                VectorBody::Point(id, form.point.map(|form| point(id, form)).transpose()?)
            }
            _ => return Err("the address is not of a collection, an alias or a point".into()),
        };
        if body.is_tombstone() != record.deleted_at.is_some() {
            return Err("a tombstone has no body, and what has one is no tombstone".into());
        }
        let modified_at = record.deleted_at.unwrap_or(record.modified_at);
        Ok(Self { collection, version: record.version, modified_at, body })
    }
}

/// A missing field reads as null in an optional one; an empty body is nothing.
fn parse<T: for<'de> Deserialize<'de>>(body: Value, needs: &str) -> Result<T, String> {
    if !body.as_object().is_some_and(|body| body.contains_key(needs)) {
        return Err(format!("the body has no {needs}"));
    }
    serde_json::from_value(body).map_err(|error| format!("the body cannot be read: {error}"))
}

fn point(id: PointId, form: VectorsForm) -> Result<Point, String> {
    let mut dense = BTreeMap::new();
    for (name, packed) in form.dense_b64 {
        dense.insert(name, packed.values()?);
    }
    Ok(Point { id, dense, sparse: form.sparse, payload: form.payload })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{SparseSpec, Weighting};

    #[test]
    fn each_body_reads_as_written() {
        let name = |text: &str| Name::new(text).unwrap();
        let collection = CollectionId::new(Tenant(name("t")), name("c/\n"));
        let spec = CollectionSpec {
            sparse: [(name("s"), SparseSpec { weighting: Weighting::Idf })].into(),
            constants: json!({"average": 1.25}),
            ..CollectionSpec::default()
        };
        let id = PointId(Uuid::from_u128(7));
        let point = Point {
            id,
            dense: [(name("d"), vec![0.1, -3.4e38, f32::MIN_POSITIVE])].into(),
            sparse: [(name("s"), SparseVector::new(vec![0, u32::MAX], vec![0.1, -2.0]).unwrap())]
                .into(),
            payload: json!({"a": [1, 0.1]}),
        };
        for body in [
            VectorBody::Collection(Some(spec)),
            VectorBody::Collection(None),
            VectorBody::Alias(Some(name("x"))),
            VectorBody::Alias(None),
            VectorBody::Point(id, Some(point)),
            VectorBody::Point(id, None),
        ] {
            let modified_at = Timestamp::from_micros(5).unwrap();
            let record =
                VectorRecord { collection: collection.clone(), version: 3, modified_at, body };
            let text = serde_json::to_string(&record.clone().into_record().unwrap()).unwrap();
            let read = VectorRecord::from_record(serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(read, record);
        }
    }
}
