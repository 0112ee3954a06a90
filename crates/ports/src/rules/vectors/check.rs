//! What a collection, a point and a search may be.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::{
    CollectionSpec, Error, ErrorKind, Name, PAGE_LIMIT, Point, Result, VectorQuery, VectorSearch,
    check_json,
};

/// The most numbers of a dense vector.
pub const DIMENSION_LIMIT: u32 = 65_536;

/// The most vectors and indexed fields of a collection, together.
pub const CHANNEL_LIMIT: usize = 256;

/// The most lists that one search fuses.
pub const FUSED_LIMIT: usize = 8;

/// `Invalid` unless a collection can be made of `spec`.
pub fn check_spec(operation: &'static str, spec: &CollectionSpec) -> Result<()> {
    if spec.dense.is_empty() && spec.sparse.is_empty() {
        return Err(Error::invalid(operation, "a collection has at least one vector"));
    }
    if spec.dense.len() + spec.sparse.len() + spec.indexed.len() > CHANNEL_LIMIT {
        return Err(Error::invalid(
            operation,
            format!("a collection has at most {CHANNEL_LIMIT} vectors and indexed fields"),
        ));
    }
    for (name, dense) in &spec.dense {
        if !(1..=DIMENSION_LIMIT).contains(&dense.space.dimension) {
            return Err(Error::invalid(
                operation,
                format!("a dimension is 1 to {DIMENSION_LIMIT}, not {}", dense.space.dimension),
            )
            .with("vector", name));
        }
        if dense.space.preprocessing.contains('\0') {
            return Err(Error::invalid(operation, "the preprocessing of a space contains NUL")
                .with("vector", name));
        }
    }
    check_json(operation, &spec.constants)
}

/// `Conflict`, naming the first difference on both sides, unless an existing stamp equals the wanted one.
pub fn check_stamp(
    operation: &'static str,
    existing: &CollectionSpec,
    wanted: &CollectionSpec,
) -> Result<()> {
    if existing == wanted {
        return Ok(());
    }
    let conflict = |what: &str, vector: Option<&Name>, sides: (String, String)| {
        let mut error = Error::conflict(
            operation,
            format!("the collection exists with {what}; use it as it is or take another name"),
        );
        if let Some(vector) = vector {
            error = error.with("vector", vector);
        }
        Err(error.with("existing", sides.0).with("wanted", sides.1))
    };
    for (name, there) in &existing.dense {
        let Some(here) = wanted.dense.get(name) else { continue };
        if there.space != here.space {
            let sides = (there.space.to_string(), here.space.to_string());
            return conflict("another embedding space", Some(name), sides);
        }
        if there.distance != here.distance {
            let sides = (format!("{:?}", there.distance), format!("{:?}", here.distance));
            return conflict("another distance", Some(name), sides);
        }
    }
    let names = |spec: &CollectionSpec| {
        let sparse =
            spec.sparse.iter().map(|(name, sparse)| format!("{name} {:?}", sparse.weighting));
        spec.dense.keys().map(ToString::to_string).chain(sparse).collect::<Vec<_>>().join(", ")
    };
    if names(existing) != names(wanted) {
        return conflict("other vectors", None, (names(existing), names(wanted)));
    }
    if existing.indexed != wanted.indexed {
        let fields = |spec: &CollectionSpec| {
            let list =
                spec.indexed.iter().map(|(path, kind)| format!("{} {kind:?}", path.as_str()));
            list.collect::<Vec<_>>().join(", ")
        };
        return conflict("other indexed fields", None, (fields(existing), fields(wanted)));
    }
    let short = |spec: &CollectionSpec| spec.constants.to_string().chars().take(200).collect();
    conflict("other constants", None, (short(existing), short(wanted)))
}

/// `Invalid`, naming the first wrong point, unless all fit `spec` and they are at most [`PAGE_LIMIT`].
pub fn check_points(
    operation: &'static str,
    spec: &CollectionSpec,
    points: &[Point],
) -> Result<()> {
    if points.len() > usize::try_from(PAGE_LIMIT).unwrap_or(usize::MAX) {
        return Err(Error::invalid(
            operation,
            format!("{} points at once; the limit is {PAGE_LIMIT}", points.len()),
        ));
    }
    points.iter().try_for_each(|point| check_point(operation, spec, point))
}

/// `Invalid`, naming the point, unless it fits `spec`.
pub fn check_point(operation: &'static str, spec: &CollectionSpec, point: &Point) -> Result<()> {
    let named = |error: Error| error.with("point", point.id);
    for (name, values) in &point.dense {
        check_dense(operation, spec, name, values).map_err(named)?;
    }
    for name in point.sparse.keys() {
        known(operation, &spec.sparse, name).map_err(named)?;
    }
    if !point.payload.is_object() {
        return Err(named(Error::invalid(operation, "a payload is a JSON object")));
    }
    check_json(operation, &point.payload).map_err(named)
}

/// `Invalid` unless `search` can be asked of a collection of `spec`.
pub fn check_search(
    operation: &'static str,
    spec: &CollectionSpec,
    search: &VectorSearch,
) -> Result<()> {
    if search.min_score.is_some_and(f32::is_nan) {
        return Err(Error::invalid(operation, "the least score is not a number"));
    }
    match &search.query {
        VectorQuery::Fused { parts, k, .. } => {
            if !(1..=FUSED_LIMIT).contains(&parts.len()) {
                return Err(Error::invalid(
                    operation,
                    format!("a fused search has 1 to {FUSED_LIMIT} parts, not {}", parts.len()),
                ));
            }
            if *k == 0 {
                return Err(Error::invalid(operation, "k of a fused search is at least 1"));
            }
            parts.iter().try_for_each(|part| check_part(operation, spec, part))
        }
        part => check_part(operation, spec, part),
    }
}

fn check_part(operation: &'static str, spec: &CollectionSpec, query: &VectorQuery) -> Result<()> {
    match query {
        VectorQuery::Dense { vector, values } => check_dense(operation, spec, vector, values),
        VectorQuery::Sparse { vector, .. } => known(operation, &spec.sparse, vector).map(|_| ()),
        VectorQuery::Fused { .. } => Err(Error::invalid(
            operation,
            "a part of a fused search is fused itself; list all its parts in one",
        )),
    }
}

fn check_dense(
    operation: &'static str,
    spec: &CollectionSpec,
    name: &Name,
    values: &[f32],
) -> Result<()> {
    let dimension = known(operation, &spec.dense, name)?.space.dimension;
    if u32::try_from(values.len()) != Ok(dimension) {
        return Err(Error::invalid(
            operation,
            format!("a vector has {} numbers; its space has {dimension} dimensions", values.len()),
        )
        .with("vector", name));
    }
    if !values.iter().all(|value| value.is_finite()) {
        return Err(Error::invalid(operation, "a vector has a number that is not finite")
            .with("vector", name));
    }
    Ok(())
}

fn known<'a, T>(
    operation: &'static str,
    named: &'a BTreeMap<Name, T>,
    name: &Name,
) -> Result<&'a T> {
    named.get(name).ok_or_else(|| {
        let there = named.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
        Error::invalid(operation, "the collection has no such vector; use one of its own")
            .with("vector", name)
            .with("its own", there)
    })
}

/// The error of a call on a collection that is not there.
pub fn no_collection(operation: &'static str, collection: impl Display) -> Error {
    Error::new(ErrorKind::NotFound, operation, "there is no such collection; create it first")
        .with("collection", collection)
}
