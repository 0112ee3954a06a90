//! Reading points: by id, in order, and those that pass a filter.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;

use hexmem_ports::rules::{FieldPlan, field_plan};
use hexmem_ports::{Cursor, Filter, Limit, Name, Page, Point, PointId, Result};
use serde_json::Value;
use uuid::Uuid;

use super::collection::Collection;
use super::pack::{self, DenseRun};
use super::{Turn, corrupt, dense, id_list, number_list, postings};

/// Rows of one statement, where all of a collection may be read.
const ROWS: usize = 512;

/// Up to so many candidates a page of a scroll is made from them; beyond, the order of ids is walked.
const FEW: usize = 10_000;

/// Ords of a collection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ords(Vec<u64>);

impl Ords {
    fn none(collection: &Collection) -> Self {
        Self(vec![0; collection.next_ord as usize / 64 + 1])
    }

    fn add(&mut self, ord: u32) {
        if let Some(word) = self.0.get_mut(ord as usize / 64) {
            *word |= 1 << (ord % 64);
        }
    }

    pub(super) fn has(&self, ord: u32) -> bool {
        self.0.get(ord as usize / 64).is_some_and(|word| word >> (ord % 64) & 1 == 1)
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.0).flat_map(|(at, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit)
        })
    }

    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a = with(*a, *b));
    }
}

/// The points that can pass `filter`, dead ones among them; `None` where only reading them tells.
pub(super) async fn candidates(
    turn: &mut impl Turn,
    collection: &Collection,
    filter: &Filter,
) -> Result<Option<Ords>> {
    match field_plan(&collection.spec.indexed, filter) {
        Some(plan) => follow(turn, collection, &plan).await.map(Some),
        None => Ok(None),
    }
}

fn follow<'a, T: Turn>(
    turn: &'a mut T,
    collection: &'a Collection,
    plan: &'a FieldPlan,
) -> Pin<Box<dyn Future<Output = Result<Ords>> + Send + 'a>> {
    Box::pin(async move {
        let mut found = Ords::none(collection);
        match plan {
            FieldPlan::Terms(place, terms) => {
                let channel = collection.layout.field(*place);
                for (_, segment, list) in lists(turn, collection, channel, terms).await? {
                    gather(turn, segment, &list, &mut found)?;
                }
            }
            FieldPlan::Range(place, least, most) => {
                let blocks: Vec<(i64, i64, Vec<u8>)> =
                    sqlx::query_as(include_str!("../sql/vectors/postings_range.sql"))
                        .bind(collection.id)
                        .bind(collection.layout.field(*place))
                        .bind(least)
                        .bind(most)
                        .fetch_all(turn.connection())
                        .await
                        .map_err(|e| turn.error(e))?;
                for (segment, first_term, block) in blocks {
                    let segment = u32::try_from(segment).unwrap_or(u32::MAX);
                    let first_term = u32::try_from(first_term).unwrap_or(u32::MAX);
                    for list in postings::lists(first_term, &block) {
                        let (term, list) = list.ok_or_else(|| corrupt(turn, "a posting list"))?;
                        if (*least..=*most).contains(&term) {
                            gather(turn, segment, list, &mut found)?;
                        }
                    }
                }
            }
            FieldPlan::And(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    let part = follow(turn, collection, part).await?;
                    found.combine(&part, |a, b| if i == 0 { b } else { a & b });
                }
            }
            FieldPlan::Or(parts) => {
                for part in parts {
                    found.combine(&follow(turn, collection, part).await?, |a, b| a | b);
                }
            }
        }
        Ok(found)
    })
}

fn gather(turn: &impl Turn, segment: u32, list: &[u8], found: &mut Ords) -> Result<()> {
    postings::each(list, |ord, _| found.add(segment.saturating_add(ord)))
        .ok_or_else(|| corrupt(turn, "a posting list"))
}

/// The posting lists of `terms`: term, the ord that the list counts from, and the list; by term, then ord.
pub(super) async fn lists(
    turn: &mut impl Turn,
    collection: &Collection,
    channel: u16,
    terms: &[u32],
) -> Result<Vec<(u32, u32, Vec<u8>)>> {
    let blocks: Vec<(i64, i64, i64, Vec<u8>)> =
        sqlx::query_as(include_str!("../sql/vectors/postings_find.sql"))
            .bind(collection.id)
            .bind(channel)
            .bind(number_list(terms.iter().copied().map(i64::from)))
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
    let mut found = Vec::with_capacity(blocks.len());
    for (term, segment, first_term, mut block) in blocks {
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let (term, segment) = (number(term), number(segment));
        let mut place = None;
        for list in postings::lists(number(first_term), &block) {
            let (at, list) = list.ok_or_else(|| corrupt(turn, "a block of posting lists"))?;
            if at >= term {
                let start = list.as_ptr() as usize - block.as_ptr() as usize;
                place = (at == term).then_some(start..start + list.len());
                break;
            }
        }
        if let Some(place) = place {
            block.truncate(place.end);
            block.drain(..place.start);
            found.push((term, segment, block));
        }
    }
    found.sort_unstable_by_key(|(term, segment, _)| (*term, *segment));
    Ok(found)
}

/// A point as a search needs it.
pub(super) struct Light {
    pub(super) ord: u32,
    pub(super) id: PointId,
    pub(super) payload: Value,
}

fn light(turn: &impl Turn, (at, id, payload): (i64, Vec<u8>, String)) -> Result<Light> {
    let read = (|| {
        Some(Light {
            ord: Collection::ord(at),
            id: PointId(Uuid::from_slice(&id).ok()?),
            payload: serde_json::from_str(&payload).ok()?,
        })
    })();
    read.ok_or_else(|| corrupt(turn, "a point"))
}

/// The points at `ords` that are there, in no order.
pub(super) async fn by_ords(
    turn: &mut impl Turn,
    collection: &Collection,
    ords: impl Iterator<Item = u32>,
) -> Result<Vec<Light>> {
    let rows: Vec<_> = sqlx::query_as(include_str!("../sql/vectors/points_by_at.sql"))
        .bind(number_list(ords.map(|ord| collection.at(ord))))
        .fetch_all(turn.connection())
        .await
        .map_err(|e| turn.error(e))?;
    rows.into_iter().map(|row| light(turn, row)).collect()
}

/// Calls `each` with id and payload of every point that passes `filter`, in no order.
pub(super) async fn each(
    turn: &mut impl Turn,
    collection: &Collection,
    filter: &Filter,
    mut each: impl FnMut(PointId, &Value) + Send,
) -> Result<()> {
    let mut seen = |points: Vec<Light>| {
        let passing = points.iter().filter(|point| filter.matches(&point.payload));
        passing.for_each(|point| each(point.id, &point.payload));
    };
    if let Some(ords) = candidates(turn, collection, filter).await? {
        let ords: Vec<u32> = ords.iter().collect();
        for ords in ords.chunks(ROWS) {
            seen(by_ords(turn, collection, ords.iter().copied()).await?);
        }
        return Ok(());
    }
    let (mut after, end) = (collection.at(0) - 1, collection.at(0) + (1 << 32));
    loop {
        let rows: Vec<(i64, Vec<u8>, String)> =
            sqlx::query_as(include_str!("../sql/vectors/points_after.sql"))
                .bind(after)
                .bind(end)
                .bind(i64::try_from(ROWS).unwrap_or(i64::MAX))
                .fetch_all(turn.connection())
                .await
                .map_err(|e| turn.error(e))?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.0;
        seen(rows.into_iter().map(|row| light(turn, row)).collect::<Result<_>>()?);
    }
}

/// A whole point as its row has it.
pub(super) type Row = (i64, Vec<u8>, i64, i64, String, Vec<u8>);

/// A whole point with its version and time.
pub(super) struct Whole {
    pub(super) point: Point,
    pub(super) version: i64,
    pub(super) modified_at: i64,
}

/// The rows' points with their vectors, in their order.
pub(super) async fn whole(
    turn: &mut impl Turn,
    collection: &Collection,
    rows: Vec<Row>,
) -> Result<Vec<Whole>> {
    let mut ords: Vec<u32> = rows.iter().map(|row| Collection::ord(row.0)).collect();
    ords.sort_unstable();
    let mut dense = dense_of(turn, collection, &ords).await?;
    let mut points = Vec::with_capacity(rows.len());
    for (at, id, version, modified_at, payload, sparse) in rows {
        let read = (|| {
            let point = Point {
                id: PointId(Uuid::from_slice(&id).ok()?),
                dense: dense.remove(&Collection::ord(at)).unwrap_or_default(),
                sparse: pack::unpack_sparse(&collection.layout, &sparse)?,
                payload: serde_json::from_str(&payload).ok()?,
            };
            Some(Whole { point, version, modified_at })
        })();
        points.push(read.ok_or_else(|| corrupt(turn, "a point"))?);
    }
    Ok(points)
}

/// The dense vectors at `ords`, which grow: each block is read once.
async fn dense_of(
    turn: &mut impl Turn,
    collection: &Collection,
    ords: &[u32],
) -> Result<HashMap<u32, BTreeMap<Name, Vec<f32>>>> {
    let mut found: HashMap<u32, BTreeMap<Name, Vec<f32>>> = HashMap::new();
    let mut run = DenseRun::default();
    for (channel, name, dimension) in collection.layout.denses() {
        // The block at hand: its first ord and its last.
        let mut at_hand: Option<(u32, u32)> = None;
        for ord in ords {
            if at_hand.is_none_or(|(_, last)| *ord > last) {
                let row = dense::block_of(turn, collection.id, channel, *ord).await?;
                let Some(row) = row else { continue };
                let first = dense::unpack(turn, &row, dimension, &mut run)?;
                let last = run.ords.last().map_or(first, |last| first.saturating_add(*last));
                at_hand = Some((first, last));
            }
            let Some((first, _)) = at_hand else { continue };
            let within = ord.checked_sub(first).and_then(|ord| run.ords.binary_search(&ord).ok());
            if let Some(at) = within {
                let values = run.values[at * dimension..(at + 1) * dimension].to_vec();
                found.entry(*ord).or_default().insert(name.clone(), values);
            }
        }
    }
    Ok(found)
}

pub(super) async fn get(
    turn: &mut impl Turn,
    collection: &Collection,
    ids: &[PointId],
) -> Result<Vec<Option<Point>>> {
    let rows: Vec<Row> = sqlx::query_as(include_str!("../sql/vectors/points_by_id.sql"))
        .bind(collection.id)
        .bind(id_list(ids))
        .fetch_all(turn.connection())
        .await
        .map_err(|e| turn.error(e))?;
    // An id that was asked for twice has two rows.
    let rows: BTreeMap<i64, Row> = rows.into_iter().map(|row| (row.0, row)).collect();
    let points = whole(turn, collection, rows.into_values().collect()).await?;
    let points: HashMap<PointId, Point> =
        points.into_iter().map(|whole| (whole.point.id, whole.point)).collect();
    Ok(ids.iter().map(|id| points.get(id).cloned()).collect())
}

/// Rows of whole points after `after`, in order of id.
pub(super) async fn rows_after(
    turn: &mut impl Turn,
    collection: i64,
    after: Option<PointId>,
    limit: usize,
) -> Result<Vec<Row>> {
    let after = after.map_or(Vec::new(), |id| id.0.as_bytes().to_vec());
    sqlx::query_as(include_str!("../sql/vectors/points_scroll.sql"))
        .bind(collection)
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(turn.connection())
        .await
        .map_err(|e| turn.error(e))
}

fn row_id(row: &Row) -> Option<PointId> {
    Uuid::from_slice(&row.1).ok().map(PointId)
}

pub(super) async fn scroll(
    turn: &mut impl Turn,
    collection: &Collection,
    filter: &Filter,
    after: Option<PointId>,
    limit: Limit,
) -> Result<Page<Point>> {
    let wanted = limit.as_usize() + 1;
    let passes = |row: &Row| {
        *filter == Filter::all()
            || serde_json::from_str(&row.4).is_ok_and(|payload| filter.matches(&payload))
    };
    let mut rows: Vec<Row> = Vec::new();
    let planned = candidates(turn, collection, filter).await?;
    let few = planned.map(|ords| ords.iter().take(FEW + 1).collect::<Vec<_>>());
    if let Some(few) = few.filter(|ords| ords.len() <= FEW) {
        let found: Vec<Row> = sqlx::query_as(include_str!("../sql/vectors/points_whole.sql"))
            .bind(number_list(few.into_iter().map(|ord| collection.at(ord))))
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
        rows = found.into_iter().filter(|row| row_id(row) > after && passes(row)).collect();
        rows.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        rows.truncate(wanted);
    } else {
        let mut after = after;
        while rows.len() < wanted {
            let page =
                rows_after(turn, collection.id, after, wanted.max(ROWS.min(wanted * 4))).await?;
            let Some(last) = page.last() else { break };
            after = row_id(last);
            let room = wanted - rows.len();
            rows.extend(page.into_iter().filter(passes).take(room));
        }
    }
    let more = rows.len() == wanted;
    rows.truncate(limit.as_usize());
    let points = whole(turn, collection, rows).await?;
    let items: Vec<Point> = points.into_iter().map(|whole| whole.point).collect();
    let next = items.last().filter(|_| more).map(|point| Cursor(point.id.to_string()));
    Ok(Page { items, next })
}
