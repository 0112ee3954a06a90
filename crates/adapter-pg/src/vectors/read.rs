//! Reading the points that pass a filter, a few fields of each.
//!
//! Filters are decided here, by the meaning that all stores share. The server sends only the fields that a filter
//! names, and where its fields are indexed only of the points that can pass.

use std::collections::BTreeSet;

use hexmem_ports::{Error, FieldPath, Filter, PointId, Result};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::collection::Collection;
use super::corrupt;
use super::lists::candidates;
use super::turn::Turn;

/// Rows of one statement, where all of a collection may be read.
pub(super) const ROWS: usize = 2_000;

/// The collection was dropped, and maybe made again, in the middle of a call.
pub(super) fn changed(operation: &'static str) -> Error {
    Error::conflict(
        operation,
        "the collection was dropped or made anew in the middle of the call; repeat it",
    )
}

/// The fields at the top of payloads that a filter looks into, and one more.
pub(super) fn fields_of(filter: &Filter, more: Option<&FieldPath>) -> Vec<String> {
    fn gather<'a>(filter: &'a Filter, into: &mut BTreeSet<&'a str>) {
        match filter {
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().for_each(|part| gather(part, into));
            }
            Filter::Not(part) => gather(part, into),
            Filter::Eq(path, _)
            | Filter::In(path, _)
            | Filter::Range(path, _)
            | Filter::Exists(path, _) => into.extend(path.parts().next()),
        }
    }
    let mut fields = BTreeSet::new();
    gather(filter, &mut fields);
    fields.extend(more.and_then(|path| path.parts().next()));
    fields.into_iter().map(str::to_owned).collect()
}

/// A point with its payload or some fields of it.
pub(super) struct Light {
    pub(super) ord: u32,
    pub(super) id: PointId,
    pub(super) payload: Value,
}

pub(super) type FieldsRow = (i32, Uuid, Vec<Option<String>>);

pub(super) fn light(operation: &'static str, names: &[String], row: FieldsRow) -> Result<Light> {
    let (ord, id, fields) = row;
    let mut payload = Map::new();
    for (name, text) in names.iter().zip(fields) {
        let Some(text) = text else { continue };
        let value = serde_json::from_str(&text)
            .map_err(|cause| corrupt(operation, "a payload").caused_by(cause))?;
        payload.insert(name.clone(), value);
    }
    Ok(Light { ord: place(operation, ord)?, id: PointId(id), payload: Value::Object(payload) })
}

/// A point with its whole payload.
pub(super) fn heavy(operation: &'static str, ord: i32, id: Uuid, payload: &str) -> Result<Light> {
    let payload = serde_json::from_str(payload)
        .map_err(|cause| corrupt(operation, "a payload").with("point", id).caused_by(cause))?;
    Ok(Light { ord: place(operation, ord)?, id: PointId(id), payload })
}

pub(super) fn place(operation: &'static str, ord: i32) -> Result<u32> {
    u32::try_from(ord).map_err(|_| corrupt(operation, "the place of a point"))
}

/// As columns have them.
pub(super) fn places(ords: impl IntoIterator<Item = u32>) -> Vec<i32> {
    ords.into_iter().map(|ord| i32::try_from(ord).unwrap_or(i32::MAX)).collect()
}

/// Some fields of the points at `ords` that are there, in no order.
pub(super) async fn fields_at(
    turn: &mut Turn<'_>,
    there: &Collection,
    names: &[String],
    ords: Vec<i32>,
) -> Result<Vec<Light>> {
    let rows: Vec<FieldsRow> = turn
        .query(include_str!("../sql/vectors/fields_by_ords.sql"))
        .bind(there.id)
        .bind(ords)
        .bind(names)
        .fetch_all()
        .await?;
    let operation = turn.operation();
    rows.into_iter().map(|row| light(operation, names, row)).collect()
}

/// Calls `each` with every point that passes `filter`, its payload cut to the fields that the filter and `more`
/// name; in no order.
pub(super) async fn each(
    turn: &mut Turn<'_>,
    there: &Collection,
    filter: &Filter,
    more: Option<&FieldPath>,
    mut each: impl FnMut(&Light) + Send,
) -> Result<()> {
    let names = fields_of(filter, more);
    let mut seen = |points: &[Light]| {
        points.iter().filter(|point| filter.matches(&point.payload)).for_each(&mut each);
    };
    if let Some(ords) = candidates(turn, there, filter).await? {
        for ords in ords.iter().collect::<Vec<_>>().chunks(ROWS) {
            let ords = places(ords.iter().copied());
            seen(&fields_at(turn, there, &names, ords).await?);
        }
        return Ok(());
    }
    let mut after = -1;
    loop {
        let rows: Vec<FieldsRow> = turn
            .query(include_str!("../sql/vectors/fields_after_ord.sql"))
            .bind(there.id)
            .bind(after)
            .bind(names.as_slice())
            .bind(rows(ROWS))
            .fetch_all()
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.0;
        let operation = turn.operation();
        let points: Result<Vec<Light>> =
            rows.into_iter().map(|row| light(operation, &names, row)).collect();
        seen(&points?);
    }
}

pub(super) fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
