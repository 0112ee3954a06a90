//! An index in the file.

use futures::TryStreamExt as _;
use hexmem_ports::Result;
use sqlx::Row as _;

use super::super::collection::Collection;
use super::super::{Turn, corrupt};
use super::code::Form;
use super::graph::Graph;
use crate::{Precision, WriteTx};

/// How an index stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    /// Which index of this name it is: drawn when it was made, so that no other is taken for it.
    pub(super) born: i64,
    pub(super) version: i64,
    /// Of ords below it those with the vector are in the graph.
    pub(super) up_to: u32,
    /// How many points below `up_to` were live then, and dead ones that the graph still had.
    pub(super) points: u64,
    pub(super) precision: Precision,
}

const PRECISIONS: [(&str, Precision); 3] =
    [("i8", Precision::I8), ("f16", Precision::F16), ("f32", Precision::F32)];

pub(super) async fn stand(
    turn: &mut impl Turn,
    collection: i64,
    channel: u16,
) -> Result<Option<Stand>> {
    let row: Option<(i64, i64, i64, i64, String)> =
        sqlx::query_as(include_str!("../../sql/vectors/near.sql"))
            .bind(collection)
            .bind(channel)
            .fetch_optional(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
    let Some((born, version, up_to, points, precision)) = row else { return Ok(None) };
    let read = (|| {
        Some(Stand {
            born,
            version,
            up_to: u32::try_from(up_to).ok()?,
            points: u64::try_from(points).ok()?,
            precision: PRECISIONS.iter().find(|(name, _)| *name == precision)?.1,
        })
    })();
    read.map(Some).ok_or_else(|| broken(turn))
}

/// An index that cannot be read. Nothing is lost with it.
fn broken(turn: &impl Turn) -> hexmem_ports::Error {
    hexmem_ports::Error::corrupt(
        turn.operation(),
        "an index of dense vectors is not what was written; SqliteVectors::build_indexes makes it anew, an exact \
         search does without",
    )
}

/// Reads what was written after `since`, or all, into `graph`.
pub(super) async fn read(
    turn: &mut impl Turn,
    collection: i64,
    channel: u16,
    since: Option<i64>,
    graph: &mut Graph,
) -> Result<()> {
    let query = match since {
        None => sqlx::query(include_str!("../../sql/vectors/near_pages.sql")),
        Some(_) => sqlx::query(include_str!("../../sql/vectors/near_pages_since.sql")),
    };
    let query = query.bind(collection).bind(channel);
    let query = if let Some(since) = since { query.bind(since) } else { query };
    let place = |row: &sqlx::sqlite::SqliteRow| -> sqlx::Result<(i64, i64)> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    };
    let mut whole = true;
    if since.is_none() {
        let mut rows = query.fetch(turn.connection());
        let mut failed = None;
        loop {
            match rows.try_next().await {
                Ok(None) => break,
                Ok(Some(row)) => match place(&row) {
                    Ok(at) => whole &= row.try_get(2).is_ok_and(|block| put(graph, at, block)),
                    Err(error) => failed = Some(error),
                },
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(rows);
        if let Some(error) = failed {
            return Err(turn.error(error));
        }
    } else {
        let rows = query.fetch_all(turn.connection()).await.map_err(|e| turn.error(e))?;
        let mut rows: Vec<((i64, i64), &sqlx::sqlite::SqliteRow)> = rows
            .iter()
            .map(|row| Ok((place(row)?, row)))
            .collect::<sqlx::Result<_>>()
            .map_err(|e| turn.error(e))?;
        rows.sort_unstable_by_key(|(place, _)| *place);
        for (at, row) in rows {
            whole &= row.try_get(2).is_ok_and(|block| put(graph, at, block));
        }
    }
    if whole && graph.is_whole() { Ok(()) } else { Err(broken(turn)) }
}

fn put(graph: &mut Graph, (part, page): (i64, i64), block: &[u8]) -> bool {
    let Some((part, page)) = usize::try_from(part).ok().zip(usize::try_from(page).ok()) else {
        return false;
    };
    let read = match part.checked_sub(1) {
        None => graph.codes.unpack(page, block),
        Some(level) => {
            if level == graph.layers.len() {
                graph.layers.push(Graph::layer(level));
            }
            graph.layers.get_mut(level).and_then(|layer| layer.unpack(page, block))
        }
    };
    read.is_some()
}

/// Writes what `graph` has other than `base`, and how it stands. `false`: another process was faster.
pub(super) async fn write(
    tx: &mut WriteTx,
    there: &Collection,
    channel: u16,
    stand: &Stand,
    graph: &Graph,
    base: Option<(Stand, &Graph)>,
) -> Result<bool> {
    let precision = PRECISIONS.iter().find(|(_, precision)| *precision == stand.precision);
    let written = sqlx::query(include_str!("../../sql/vectors/near_put.sql"))
        .bind(there.id)
        .bind(channel)
        .bind(stand.version)
        .bind(stand.up_to)
        .bind(i64::try_from(stand.points).unwrap_or(i64::MAX))
        .bind(precision.map_or("", |(name, _)| *name))
        .bind(stand.born)
        .bind(base.map(|(base, _)| base.version))
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    if written.rows_affected() == 0 {
        return Ok(false);
    }
    let base = base.map(|(_, graph)| graph);
    for page in 0..graph.codes.pages() {
        if !base.is_some_and(|base| graph.codes.shares(&base.codes, page)) {
            write_page(tx, there.id, channel, 0, page, stand.version, graph.codes.pack(page))
                .await?;
        }
    }
    for (level, layer) in graph.layers.iter().enumerate() {
        let base = base.and_then(|base| base.layers.get(level));
        for page in 0..layer.pages() {
            if !base.is_some_and(|base| layer.shares(base, page)) {
                let bytes = layer.pack(page);
                write_page(tx, there.id, channel, level + 1, page, stand.version, bytes).await?;
            }
        }
    }
    Ok(true)
}

async fn write_page(
    tx: &mut WriteTx,
    collection: i64,
    channel: u16,
    part: usize,
    page: usize,
    version: i64,
    bytes: Vec<u8>,
) -> Result<()> {
    sqlx::query(include_str!("../../sql/vectors/near_page_put.sql"))
        .bind(collection)
        .bind(channel)
        .bind(i64::try_from(part).unwrap_or(i64::MAX))
        .bind(i64::try_from(page).unwrap_or(i64::MAX))
        .bind(version)
        .bind(bytes)
        .execute(tx.connection())
        .await
        .map_err(|e| tx.error(e))?;
    Ok(())
}

/// Removes the indexes of a collection.
pub(in super::super) async fn clear(tx: &mut WriteTx, collection: i64) -> Result<()> {
    for sql in [
        include_str!("../../sql/vectors/clear_near.sql"),
        include_str!("../../sql/vectors/clear_near_pages.sql"),
    ] {
        sqlx::query(sql)
            .bind(collection)
            .execute(tx.connection())
            .await
            .map_err(|e| tx.error(e))?;
    }
    Ok(())
}

/// The vectors at `ords` as they were written, in no order.
pub(super) async fn vectors(
    turn: &mut impl Turn,
    collection: i64,
    channel: u16,
    form: Form,
    ords: &[u32],
) -> Result<Vec<(u32, Vec<f32>)>> {
    let rows: Vec<(i64, i64, Vec<u8>)> =
        sqlx::query_as(include_str!("../../sql/vectors/dense_blocks_of.sql"))
            .bind(collection)
            .bind(channel)
            .bind(super::super::number_list(ords.iter().copied().map(i64::from)))
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
    let bytes = form.dimension * 4;
    let mut cuts = Vec::with_capacity(rows.len());
    for (ord, first, steps) in rows {
        let at =
            place(&steps, ord - first).ok_or_else(|| corrupt(turn, "a block of dense vectors"))?;
        cuts.extend(at.map(|at| format!("[{ord},{first},{}]", at * bytes + 1)));
    }
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(include_str!("../../sql/vectors/dense_cut.sql"))
        .bind(collection)
        .bind(channel)
        .bind(format!("[{}]", cuts.join(",")))
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .fetch_all(turn.connection())
        .await
        .map_err(|e| turn.error(e))?;
    let read = |(ord, cut): (i64, Vec<u8>)| {
        let (floats, rest) = cut.as_chunks();
        let whole = rest.is_empty() && floats.len() == form.dimension;
        let ord = u32::try_from(ord).ok().filter(|_| whole)?;
        Some((ord, floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
    };
    let read: Option<Vec<(u32, Vec<f32>)>> = rows.into_iter().map(read).collect();
    read.ok_or_else(|| corrupt(turn, "a dense vector"))
}

/// Where in a block the ord lies that is `wanted` after its first, given its ords as differences. `None`: they
/// cannot be read; `Some(None)`: it is not there.
fn place(steps: &[u8], wanted: i64) -> Option<Option<usize>> {
    let (mut rest, mut ord, mut at) = (steps, 0i64, 0);
    while !rest.is_empty() {
        let (step, after) = super::super::varint::take_u32(rest)?;
        rest = after;
        ord += i64::from(step);
        if ord >= wanted {
            return Some((ord == wanted).then_some(at));
        }
        at += 1;
    }
    Some(None)
}
