//! Dense vectors in blocks: the last one grows until it is full.

use hexmem_ports::Result;

use super::live::POINTS;
use super::pack::DenseRun;
use super::write::Writer;
use super::{Turn, corrupt};

/// About how many bytes a full block has: few rows to scan, and little to rewrite while it grows.
const BLOCK: usize = 128 << 10;

fn capacity(dimension: usize) -> usize {
    (BLOCK / 4 / dimension.max(1)).max(1)
}

/// A stored block: its first ord, the ords' differences, the numbers.
type Row = (i64, Vec<u8>, Vec<u8>);

/// Reads a row's block into `run`, and gives the ord that it counts from.
pub(super) fn unpack(
    turn: &impl Turn,
    row: &Row,
    dimension: usize,
    run: &mut DenseRun,
) -> Result<u32> {
    let first = u32::try_from(row.0).ok();
    first
        .filter(|_| run.unpack(&row.1, &row.2, dimension).is_some())
        .ok_or_else(|| corrupt(turn, "a block of dense vectors"))
}

/// The block that would hold `ord`.
pub(super) async fn block_of(
    turn: &mut impl Turn,
    collection: i64,
    channel: u16,
    ord: u32,
) -> Result<Option<Row>> {
    sqlx::query_as(include_str!("../sql/vectors/dense_of.sql"))
        .bind(collection)
        .bind(channel)
        .bind(ord)
        .fetch_optional(turn.connection())
        .await
        .map_err(|e| turn.error(e))
}

/// At most `limit` blocks that start after `after`.
pub(super) async fn blocks_after(
    turn: &mut impl Turn,
    collection: i64,
    channel: u16,
    after: i64,
    limit: u32,
) -> Result<Vec<Row>> {
    sqlx::query_as(include_str!("../sql/vectors/dense_after.sql"))
        .bind(collection)
        .bind(channel)
        .bind(after)
        .bind(limit)
        .fetch_all(turn.connection())
        .await
        .map_err(|e| turn.error(e))
}

/// Adds the vectors of a batch, whose ords start at `base`.
pub(super) async fn append(
    writer: &mut Writer<'_>,
    channel: u16,
    dimension: usize,
    run: &DenseRun,
    base: u32,
) -> Result<()> {
    let full = capacity(dimension);
    let mut done = 0;
    let last: Option<(i64, i64)> = sqlx::query_as(include_str!("../sql/vectors/dense_last.sql"))
        .bind(writer.collection.id)
        .bind(channel)
        .fetch_optional(writer.tx.connection())
        .await
        .map_err(|e| writer.tx.error(e))?;
    if let Some((first, vectors)) = last
        && usize::try_from(vectors).is_ok_and(|vectors| vectors < full)
        && let Some(row) = block_of(
            writer.tx,
            writer.collection.id,
            channel,
            u32::try_from(first).unwrap_or(u32::MAX),
        )
        .await?
    {
        let mut grown = DenseRun::default();
        let first = unpack(writer.tx, &row, dimension, &mut grown)?;
        done = run.ords.len().min(full.saturating_sub(grown.ords.len()));
        grown.ords.extend(run.ords[..done].iter().map(|ord| base + ord - first));
        grown.values.extend_from_slice(&run.values[..done * dimension]);
        put(writer, channel, first, &grown).await?;
    }
    let rest = run.ords[done..].chunks(full);
    for (ords, values) in rest.zip(run.values[done * dimension..].chunks(full * dimension)) {
        let Some(first) = ords.first() else { continue };
        let block = DenseRun {
            ords: ords.iter().map(|ord| ord - first).collect(),
            values: values.to_vec(),
        };
        put(writer, channel, base + first, &block).await?;
    }
    Ok(())
}

async fn put(writer: &mut Writer<'_>, channel: u16, first: u32, run: &DenseRun) -> Result<()> {
    let (ords, block) = run.pack();
    sqlx::query(include_str!("../sql/vectors/dense_put.sql"))
        .bind(writer.collection.id)
        .bind(channel)
        .bind(first)
        .bind(i64::try_from(run.ords.len()).unwrap_or(i64::MAX))
        .bind(ords)
        .bind(block)
        .execute(writer.tx.connection())
        .await
        .map_err(|e| writer.tx.error(e))?;
    Ok(())
}

/// Removes blocks without a live vector, and rewrites those that are mostly dead.
pub(super) async fn tidy(writer: &mut Writer<'_>) -> Result<()> {
    let channels: Vec<(u16, usize)> =
        writer.collection.layout.denses().map(|(channel, _, dim)| (channel, dim)).collect();
    for (channel, dimension) in channels {
        let list: String = sqlx::query_scalar(include_str!("../sql/vectors/dense_blocks.sql"))
            .bind(writer.collection.id)
            .bind(channel)
            .fetch_one(writer.tx.connection())
            .await
            .map_err(|e| writer.tx.error(e))?;
        let blocks: Vec<(u32, u64)> = serde_json::from_str(&list)
            .map_err(|e| corrupt(writer.tx, "a list of blocks").caused_by(e))?;
        for (i, (first, vectors)) in blocks.iter().enumerate() {
            let end = blocks.get(i + 1).map_or(writer.collection.next_ord, |next| next.0);
            // Points without this vector count too: then the block is rewritten a little later.
            let live = writer.live.count_within(POINTS, *first, end);
            if live * 2 < *vectors {
                shrink(writer, channel, dimension, *first).await?;
            }
        }
    }
    Ok(())
}

async fn shrink(writer: &mut Writer<'_>, channel: u16, dimension: usize, first: u32) -> Result<()> {
    let row = block_of(writer.tx, writer.collection.id, channel, first).await?;
    let Some(row) = row else { return Ok(()) };
    let mut run = DenseRun::default();
    unpack(writer.tx, &row, dimension, &mut run)?;
    let mut left = DenseRun::default();
    for (ord, values) in run.ords.iter().zip(run.values.chunks_exact(dimension)) {
        if writer.live.has(POINTS, first + ord) {
            left.ords.push(*ord);
            left.values.extend_from_slice(values);
        }
    }
    if !left.ords.is_empty() {
        return put(writer, channel, first, &left).await;
    }
    sqlx::query(include_str!("../sql/vectors/dense_remove.sql"))
        .bind(writer.collection.id)
        .bind(channel)
        .bind(first)
        .execute(writer.tx.connection())
        .await
        .map_err(|e| writer.tx.error(e))?;
    Ok(())
}
