//! Writing and removing points.

use std::collections::HashMap;

use futures::StreamExt as _;
use hexmem_ports::rules::check_points;
use hexmem_ports::{Error, ErrorKind, Filter, Point, PointId, Result, Timestamp};
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::{
    self, DeletePoints, HasIdCondition, PointStruct, PointsIdsList, PointsOperationResponse,
    PointsSelector, UpdateStatus, UpsertPoints,
};

use super::There;
use super::filter::{self, Plan};
use super::ledger::{self, About, Entry};
use super::point::{self, Stamp};
use super::read;
use crate::{Qdrant, WriteOrdering};

/// Points that are removed at once.
const AT_ONCE: usize = 1_000;

pub(super) fn ordering(qdrant: &Qdrant) -> qdrant::WriteOrdering {
    let kind = match qdrant.config().write_ordering {
        WriteOrdering::Weak => qdrant::WriteOrderingType::Weak,
        WriteOrdering::Medium => qdrant::WriteOrderingType::Medium,
        WriteOrdering::Strong => qdrant::WriteOrderingType::Strong,
    };
    qdrant::WriteOrdering { r#type: kind.into() }
}

/// The stamp of a change: later than `floor` and than every other of this handle, and as late as the clock says. Qdrant has
/// no counter that a write could take a number from, so versions are microseconds.
pub(super) fn stamp(qdrant: &Qdrant, floor: u64) -> Stamp {
    let modified_at: Timestamp = qdrant.clock().now();
    let micros = u64::try_from(modified_at.as_micros()).unwrap_or(0);
    let least = micros.max(floor.saturating_add(1));
    Stamp { version: qdrant.next_version(least), modified_at }
}

/// `wait` was asked for: what was not applied in time is open.
pub(super) fn applied(operation: &'static str, answer: &PointsOperationResponse) -> Result<()> {
    let status = answer.result.map_or(UpdateStatus::UnknownUpdateStatus, |r| r.status());
    match status {
        UpdateStatus::Completed => Ok(()),
        UpdateStatus::WaitTimeout | UpdateStatus::Acknowledged => {
            let what = "Qdrant has the write and had not applied it in time; repeat it";
            Err(Error::new(ErrorKind::Timeout, operation, what))
        }
        _ => {
            let what = format!("Qdrant says {status:?} of a write");
            Err(Error::new(ErrorKind::Internal, operation, what).outcome_unknown())
        }
    }
}

/// The last of each id.
fn distinct(points: &[Point]) -> Vec<&Point> {
    let mut last: HashMap<PointId, usize> = HashMap::with_capacity(points.len());
    for (at, point) in points.iter().enumerate() {
        last.insert(point.id, at);
    }
    points
        .iter()
        .enumerate()
        .filter(|(at, p)| last.get(&p.id) == Some(at))
        .map(|(_, p)| p)
        .collect()
}

pub(super) async fn upsert(qdrant: &Qdrant, there: &There, points: &[Point]) -> Result<()> {
    const OP: &str = "vectors.upsert";
    check_points(OP, &there.life.spec, points)?;
    let stamp = stamp(qdrant, there.life.version);
    let stamped: Vec<(&Point, Stamp)> =
        distinct(points).into_iter().map(|point| (point, stamp)).collect();
    send(qdrant, OP, there, &stamped).await
}

/// Sends points in messages of a bounded size, a few at a time.
pub(super) async fn send(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    points: &[(&Point, Stamp)],
) -> Result<()> {
    let config = qdrant.config();
    let most = usize::try_from(config.batch_points).unwrap_or(1);
    let most_bytes = usize::try_from(config.batch_bytes).unwrap_or(usize::MAX);
    let parallel = usize::try_from(config.batch_parallel).unwrap_or(1);
    // Messages are made as they are sent: no more than those under way are held.
    let mut rest = points.iter();
    let mut held: Option<(PointStruct, usize)> = None;
    let batches = std::iter::from_fn(move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most {
            let next = match held.take() {
                Some(next) => next,
                None => match rest.next() {
                    Some((point, stamp)) => {
                        match point::encode(operation, &there.life, point, *stamp) {
                            Ok(next) => next,
                            Err(error) => return Some(Err(error)),
                        }
                    }
                    None => break,
                },
            };
            if !batch.is_empty() && bytes + next.1 > most_bytes {
                held = Some(next);
                break;
            }
            bytes += next.1;
            batch.push(next.0);
        }
        (!batch.is_empty()).then_some(Ok(batch))
    });
    let mut sent = futures::stream::iter(batches)
        .map(|batch| async move { put(qdrant, operation, there, batch?).await })
        .buffer_unordered(parallel);
    let (mut written, mut failed) = (0usize, None);
    while let Some(done) = sent.next().await {
        match done {
            Ok(count) => written += count,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let Some(error) = failed else { return Ok(()) };
    // Those under way are given up: they may still be applied, as the error says.
    drop(sent);
    // Nothing of the list is there only where the first message was refused, alone.
    let alone = points.len() <= most && written == 0;
    Err(if alone {
        error
    } else {
        error.outcome_unknown().with("points written for certain", written)
    })
}

async fn put(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    points: Vec<PointStruct>,
) -> Result<usize> {
    let count = points.len();
    let request = &UpsertPoints {
        collection_name: there.name.clone(),
        wait: Some(true),
        points,
        ordering: Some(ordering(qdrant)),
        timeout: qdrant.server_timeout(),
        ..Default::default()
    };
    let answer = qdrant.write(operation, |client| {
        let request = request.clone();
        async move { client.upsert_points(request).await }
    });
    applied(operation, &answer.await?)?;
    Ok(count)
}

pub(super) async fn delete(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    ids: &[PointId],
) -> Result<u64> {
    let nothing = (read::fields::<&str>([]), read::vectors(Vec::new()));
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let found = read::by_id(qdrant, operation, there, &ids, &nothing.0, &nothing.1).await?;
    let found: Vec<PointId> = found.into_iter().map(|(id, _)| id).collect();
    remove(qdrant, operation, there, &found, &Filter::all()).await
}

pub(super) async fn delete_where(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    filter: &Filter,
) -> Result<u64> {
    let doomed = read::passing(qdrant, operation, there, filter).await?;
    remove(qdrant, operation, there, &doomed, filter).await
}

/// Removes those of `ids` that still pass, as far as Qdrant decides it; returns how many were asked for.
pub(super) async fn remove(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    ids: &[PointId],
    filter: &Filter,
) -> Result<u64> {
    if ids.is_empty() {
        return Ok(0);
    }
    let stamp = stamp(qdrant, there.life.version);
    let gone: Vec<Entry> = ids
        .iter()
        .map(|id| Entry { at: there.life.at.clone(), about: About::Gone(*id), stamp })
        .collect();
    ledger::put(qdrant, operation, &gone).await?;
    take(qdrant, operation, there, ids, filter).await?;
    Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
}

/// Takes points out, without telling of it.
pub(super) async fn take(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    ids: &[PointId],
    filter: &Filter,
) -> Result<()> {
    let plan = Plan::of(filter);
    for (done, ids) in ids.chunks(AT_ONCE).enumerate() {
        let ids: Vec<qdrant::PointId> = ids.iter().copied().map(point::id).collect();
        let selector = if plan.filter.is_none() {
            PointsSelectorOneOf::Points(PointsIdsList { ids })
        } else {
            let among = filter::of(ConditionOneOf::HasId(HasIdCondition { has_id: ids }));
            PointsSelectorOneOf::Filter(plan.and(among))
        };
        let request = &DeletePoints {
            collection_name: there.name.clone(),
            wait: Some(true),
            points: Some(PointsSelector { points_selector_one_of: Some(selector) }),
            ordering: Some(ordering(qdrant)),
            timeout: qdrant.server_timeout(),
            ..Default::default()
        };
        let answer = qdrant.write(operation, |client| {
            let request = request.clone();
            async move { client.delete_points(request).await }
        });
        let outcome = answer.await.and_then(|answer| applied(operation, &answer));
        outcome.map_err(|error| if done > 0 { error.outcome_unknown() } else { error })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_an_id_stays() {
        let point = |id: u128, n: u32| Point {
            id: PointId(uuid::Uuid::from_u128(id)),
            dense: [].into(),
            sparse: [].into(),
            payload: serde_json::json!(n),
        };
        let points = [point(1, 1), point(2, 2), point(1, 3)];
        let kept: Vec<_> = distinct(&points).into_iter().map(|p| p.payload.clone()).collect();
        assert_eq!(kept, [2, 3]);
    }
}
