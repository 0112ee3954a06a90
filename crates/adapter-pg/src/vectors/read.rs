//! Reading points: by id, in order, and those that pass a filter.
//!
//! Filters are decided here, by the meaning that all stores share. The server sends only the fields that a filter
//! names, and where its fields are indexed only of the points that can pass.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hexmem_ports::rules::{FieldPlan, field_plan};
use hexmem_ports::{
    Cursor, Error, FieldPath, Filter, Limit, Page, Point, PointId, Result, Timestamp,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::collection::Collection;
use super::layout::list;
use super::ords::Ords;
use super::turn::Turn;
use super::{corrupt, pack};
use crate::value::At;

/// Rows of one statement, where all of a collection may be read.
const ROWS: usize = 2_000;

/// Up to so many candidates a page of a scroll is made from them; beyond, the order of ids is walked.
const FEW: usize = 10_000;

/// The blocks of some lists, and what belongs to them.
pub(super) struct Lists {
    /// By list, in no order within one.
    pub(super) blocks: HashMap<i64, Vec<Vec<u8>>>,
    /// Removed points that blocks still name.
    pub(super) dead: Ords,
    /// How many points have each sparse vector.
    pub(super) populations: Vec<i64>,
}

type Block = (Option<i64>, Option<Vec<u8>>, Option<Vec<i64>>);

/// All blocks of the lists within `ranges`, both ends among them. `None` when the collection has another life.
pub(super) async fn lists(
    turn: &mut Turn<'_>,
    there: &Collection,
    ranges: &[(i64, i64)],
) -> Result<Option<Lists>> {
    let (least, most): (Vec<i64>, Vec<i64>) = ranges.iter().copied().unzip();
    let rows: Vec<Block> = turn
        .query(include_str!("../sql/vectors/lists.sql"))
        .bind(there.id)
        .bind(there.version)
        .bind(least)
        .bind(most)
        .fetch_all()
        .await?;
    let (mut blocks, mut head): (HashMap<i64, Vec<Vec<u8>>>, _) = (HashMap::new(), None);
    for (list, block, populations) in rows {
        match (list, populations) {
            (Some(list), _) => blocks.entry(list).or_default().extend(block),
            (None, populations) => head = Some((block, populations)),
        }
    }
    let Some((dead, populations)) = head else { return Ok(None) };
    let mut buried = Ords::default();
    let (ords, rest) = dead.as_deref().unwrap_or_default().as_chunks();
    if !rest.is_empty() {
        return Err(corrupt(turn.operation(), "the list of removed points"));
    }
    ords.iter().for_each(|bytes| buried.add(u32::from_be_bytes(*bytes)));
    Ok(Some(Lists { blocks, dead: buried, populations: populations.unwrap_or_default() }))
}

/// The lists that tell which points can pass, if they do.
pub(super) struct Planned(FieldPlan);

impl Planned {
    pub(super) fn of(there: &Collection, filter: &Filter) -> Option<Self> {
        field_plan(&there.spec.indexed, filter).map(Self)
    }

    /// The ranges of lists to read.
    pub(super) fn ranges(&self, there: &Collection) -> Vec<(i64, i64)> {
        fn gather(plan: &FieldPlan, there: &Collection, into: &mut Vec<(i64, i64)>) {
            match plan {
                FieldPlan::Terms(place, terms) => {
                    let channel = there.layout.field(*place);
                    let lists = terms.iter().map(|term| list(channel, *term));
                    into.extend(lists.map(|list| (list, list)));
                }
                FieldPlan::Range(place, least, most) => {
                    let channel = there.layout.field(*place);
                    into.push((list(channel, *least), list(channel, *most)));
                }
                FieldPlan::And(parts) | FieldPlan::Or(parts) => {
                    parts.iter().for_each(|part| gather(part, there, into));
                }
            }
        }
        let mut ranges = Vec::new();
        gather(&self.0, there, &mut ranges);
        ranges.sort_unstable();
        ranges.dedup();
        // Ranges that overlap would give a block twice, which matters to none of those who read them.
        ranges
    }

    /// The points that can pass, removed ones left out.
    pub(super) fn follow(
        &self,
        operation: &'static str,
        there: &Collection,
        lists: &Lists,
    ) -> Result<Ords> {
        follow(&self.0, there, lists).ok_or_else(|| corrupt(operation, "the list of a field"))
    }
}

fn follow(plan: &FieldPlan, there: &Collection, lists: &Lists) -> Option<Ords> {
    let mut found = Ords::default();
    let mut gather = |list: &i64| {
        let blocks = lists.blocks.get(list).into_iter().flatten();
        let add = |ord| {
            if !lists.dead.has(ord) {
                found.add(ord);
            }
        };
        let mut add = add;
        blocks.map(|block| pack::members(block, &mut add)).collect::<Option<Vec<()>>>()
    };
    match plan {
        FieldPlan::Terms(place, terms) => {
            for term in terms {
                gather(&list(there.layout.field(*place), *term))?;
            }
        }
        FieldPlan::Range(place, least, most) => {
            let channel = there.layout.field(*place);
            let range = list(channel, *least)..=list(channel, *most);
            for list in lists.blocks.keys().filter(|list| range.contains(list)) {
                gather(list)?;
            }
        }
        FieldPlan::And(parts) => {
            for (i, part) in parts.iter().enumerate() {
                let part = follow(part, there, lists)?;
                if i == 0 {
                    found = part;
                } else {
                    found.intersect(&part);
                }
            }
        }
        FieldPlan::Or(parts) => {
            for part in parts {
                found.unite(&follow(part, there, lists)?);
            }
        }
    }
    Some(found)
}

/// The points that can pass `filter`; `None` where only reading them tells.
pub(super) async fn candidates(
    turn: &mut Turn<'_>,
    there: &Collection,
    filter: &Filter,
) -> Result<Option<Ords>> {
    let Some(planned) = Planned::of(there, filter) else { return Ok(None) };
    let lists = lists(turn, there, &planned.ranges(there)).await?;
    let lists = lists.ok_or_else(|| changed(turn.operation()))?;
    planned.follow(turn.operation(), there, &lists).map(Some)
}

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

type FieldsRow = (i32, Uuid, Vec<Option<String>>);

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
