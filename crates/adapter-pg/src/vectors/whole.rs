//! Whole points: by id, and in the order of ids.

use std::collections::{BTreeMap, HashMap};

use hexmem_ports::{Cursor, Filter, Limit, Page, Point, PointId, Result, Timestamp};
use uuid::Uuid;

use super::collection::Collection;
use super::lists::candidates;
use super::read::{FieldsRow, ROWS, fields_at, fields_of, light, places, rows};
use super::turn::Turn;
use super::{corrupt, pack};
use crate::value::At;

/// Up to so many candidates a page of a scroll is made from them; beyond, the order of ids is walked.
const FEW: usize = 10_000;

/// A whole point as its row has it: place, id, version, time, payload, sparse vectors, channels and dense vectors.
type WholeRow =
    (i32, Uuid, i64, At, String, Option<Vec<u8>>, Option<Vec<i16>>, Option<Vec<Vec<u8>>>);

/// A whole point with its version and time.
pub(super) struct Whole {
    pub(super) point: Point,
    pub(super) version: i64,
    pub(super) modified_at: Timestamp,
}

fn whole(operation: &'static str, there: &Collection, row: WholeRow) -> Result<Whole> {
    let (_, id, version, At(modified_at), payload, sparse, channels, embeddings) = row;
    let read = || {
        let mut dense = BTreeMap::new();
        for (channel, bytes) in
            channels.unwrap_or_default().iter().zip(embeddings.unwrap_or_default())
        {
            let (name, dimension) = there.layout.dense_name(*channel)?;
            let mut values = Vec::with_capacity(dimension);
            pack::read_floats(&bytes, dimension, &mut values)?;
            dense.insert(name.clone(), values);
        }
        let sparse = pack::read_sparse(&there.layout, &sparse.unwrap_or_default())?;
        let payload = serde_json::from_str(&payload).ok()?;
        Some(Point { id: PointId(id), dense, sparse, payload })
    };
    let point = read().ok_or_else(|| corrupt(operation, "a point").with("point", id))?;
    Ok(Whole { point, version, modified_at })
}

pub(super) async fn get(
    turn: &mut Turn<'_>,
    there: &Collection,
    ids: &[PointId],
) -> Result<Vec<Option<Point>>> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<WholeRow> = turn
        .query(include_str!("../sql/vectors/whole_by_id.sql"))
        .bind(there.id)
        .bind(there.layout.dense_count())
        .bind(wanted)
        .fetch_all()
        .await?;
    let mut points: HashMap<PointId, Point> = HashMap::with_capacity(rows.len());
    for row in rows {
        let point = whole(turn.operation(), there, row)?.point;
        points.insert(point.id, point);
    }
    Ok(ids.iter().map(|id| points.get(id).cloned()).collect())
}

/// The least id after `after`; `None` after the last there can be.
pub(super) fn next_id(after: Option<PointId>) -> Option<Uuid> {
    match after {
        None => Some(Uuid::nil()),
        Some(after) => after.0.as_u128().checked_add(1).map(Uuid::from_u128),
    }
}

/// At most `limit` whole points after `after`, in order of id.
pub(super) async fn whole_after(
    turn: &mut Turn<'_>,
    there: &Collection,
    after: Option<PointId>,
    limit: usize,
) -> Result<Vec<Whole>> {
    let Some(from) = next_id(after) else { return Ok(Vec::new()) };
    let found: Vec<WholeRow> = turn
        .query(include_str!("../sql/vectors/whole_after.sql"))
        .bind(there.id)
        .bind(there.layout.dense_count())
        .bind(from)
        .bind(rows(limit))
        .fetch_all()
        .await?;
    let operation = turn.operation();
    found.into_iter().map(|row| whole(operation, there, row)).collect()
}

/// A page of the points that pass `filter`. `turn` is a snapshot, unless the filter lets all pass.
pub(super) async fn scroll(
    turn: &mut Turn<'_>,
    there: &Collection,
    filter: &Filter,
    after: Option<PointId>,
    limit: Limit,
) -> Result<Page<Point>> {
    let wanted = limit.as_usize() + 1;
    let mut found = if *filter == Filter::all() {
        whole_after(turn, there, after, wanted).await?
    } else {
        let ords = passing(turn, there, filter, after, wanted).await?;
        let rows: Vec<WholeRow> = turn
            .query(include_str!("../sql/vectors/whole_by_ord.sql"))
            .bind(there.id)
            .bind(there.layout.dense_count())
            .bind(places(ords))
            .fetch_all()
            .await?;
        let operation = turn.operation();
        let points: Result<Vec<Whole>> =
            rows.into_iter().map(|row| whole(operation, there, row)).collect();
        let mut points = points?;
        points.sort_unstable_by_key(|whole| whole.point.id);
        points
    };
    let more = found.len() == wanted;
    found.truncate(limit.as_usize());
    let items: Vec<Point> = found.into_iter().map(|whole| whole.point).collect();
    let next = items.last().filter(|_| more).map(|point| Cursor(point.id.to_string()));
    Ok(Page { items, next })
}

/// The first `wanted` points after `after` in order of id that pass.
async fn passing(
    turn: &mut Turn<'_>,
    there: &Collection,
    filter: &Filter,
    after: Option<PointId>,
    wanted: usize,
) -> Result<Vec<u32>> {
    let names = fields_of(filter, None);
    let planned = candidates(turn, there, filter).await?;
    if let Some(few) = planned.filter(|ords| ords.len() <= FEW) {
        let mut points = fields_at(turn, there, &names, places(few.iter())).await?;
        points.retain(|point| Some(point.id) > after && filter.matches(&point.payload));
        points.sort_unstable_by_key(|point| point.id);
        points.truncate(wanted);
        return Ok(points.into_iter().map(|point| point.ord).collect());
    }
    let (mut found, mut after) = (Vec::new(), after);
    while found.len() < wanted {
        let Some(from) = next_id(after) else { break };
        let page: Vec<FieldsRow> = turn
            .query(include_str!("../sql/vectors/fields_after_id.sql"))
            .bind(there.id)
            .bind(from)
            .bind(names.as_slice())
            .bind(rows(wanted.max(ROWS.min(wanted * 4))))
            .fetch_all()
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(PointId(last.1));
        let operation = turn.operation();
        for row in page {
            let point = light(operation, &names, row)?;
            if found.len() < wanted && filter.matches(&point.payload) {
                found.push(point.ord);
            }
        }
    }
    Ok(found)
}
