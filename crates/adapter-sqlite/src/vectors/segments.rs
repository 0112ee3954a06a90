//! Segments: a batch is written as one, and segments of like size are merged when they are many.
//!
//! A segment's level is the logarithm of its postings to base 4. Four of one level become one of the next, so
//! that a posting is rewritten once a level and a search meets at most three segments a level; full ones stay.

use hexmem_ports::Result;

use super::batch::Batch;
use super::live::POINTS;
use super::postings::{self, Block, Posting, encode};
use super::write::Writer;
use super::{Turn, aside, corrupt};

/// How many of one level are merged.
const FAN: usize = 4;

/// From so many postings on, a segment is not merged with others: bounded work in one change.
const FULL: u64 = 1_000_000;

/// A run of ords.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Segment {
    first: u32,
    end: u32,
    points: u64,
    postings: u64,
}

impl Segment {
    fn level(&self) -> u32 {
        self.postings.max(1).ilog2() / 2
    }
}

async fn all(turn: &mut impl Turn, collection: i64) -> Result<Vec<Segment>> {
    let rows: Vec<(i64, i64, i64, i64)> =
        sqlx::query_as(include_str!("../sql/vectors/segments.sql"))
            .bind(collection)
            .fetch_all(turn.connection())
            .await
            .map_err(|e| turn.error(e))?;
    let read = |(first, end, points, postings)| {
        Some(Segment {
            first: u32::try_from(first).ok()?,
            end: u32::try_from(end).ok()?,
            points: u64::try_from(points).ok()?,
            postings: u64::try_from(postings).ok()?,
        })
    };
    let segments: Option<Vec<Segment>> = rows.into_iter().map(read).collect();
    segments.ok_or_else(|| corrupt(turn, "a segment"))
}

/// Where the latest segments that are to be merged start.
fn due(segments: &[Segment]) -> Option<usize> {
    let open = segments.iter().rposition(|s| s.postings >= FULL).map_or(0, |full| full + 1);
    let levels: Vec<u32> = segments[open..].iter().map(Segment::level).collect();
    for level in 0..=levels.iter().copied().max()? {
        let start = levels.iter().rposition(|other| *other > level).map_or(0, |at| at + 1);
        if levels[start..].iter().filter(|other| **other == level).count() >= FAN {
            return Some(open + start);
        }
    }
    None
}

/// Writes a batch, whose ords start at `base`.
pub(super) async fn append(writer: &mut Writer<'_>, batch: &Batch, base: u32) -> Result<()> {
    if batch.blocks.is_empty() {
        return Ok(());
    }
    let segment = Segment {
        first: base,
        end: writer.collection.next_ord,
        points: batch.ids.len() as u64,
        postings: batch.postings as u64,
    };
    insert(writer, segment, &batch.blocks).await?;
    let mut segments = all(writer.tx, writer.collection.id).await?;
    while let Some(start) = due(&segments) {
        let merged = merge(writer, &segments[start..]).await?;
        segments.truncate(start);
        segments.extend(merged);
    }
    Ok(())
}

/// Removes segments without a live point, and rewrites those that are mostly dead.
pub(super) async fn tidy(writer: &mut Writer<'_>) -> Result<()> {
    for segment in all(writer.tx, writer.collection.id).await? {
        let live = writer.live.count_within(POINTS, segment.first, segment.end);
        if live * 2 < segment.points {
            merge(writer, &[segment]).await?;
        }
    }
    Ok(())
}

/// Makes one segment of consecutive ones, without what is dead; none where nothing is left.
async fn merge(writer: &mut Writer<'_>, segments: &[Segment]) -> Result<Option<Segment>> {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return Ok(None) };
    let mut postings = Vec::new();
    for segment in segments {
        read(writer, *segment, segment.first - first.first, &mut postings).await?;
        remove(writer, *segment).await?;
    }
    let live = &writer.live;
    postings.retain(|posting| live.has(POINTS, first.first.saturating_add(posting.ord)));
    if postings.is_empty() {
        return Ok(None);
    }
    let count = postings.len() as u64;
    let blocks = aside(writer.tx.operation(), move || {
        // Stable: it finds the runs that each segment already has.
        postings.sort_by(Posting::order);
        encode(&postings)
    })
    .await?;
    let merged = Segment {
        first: first.first,
        end: last.end,
        points: writer.live.count_within(POINTS, first.first, last.end),
        postings: count,
    };
    insert(writer, merged, &blocks).await?;
    Ok(Some(merged))
}

/// The channels that have postings.
fn channels(writer: &Writer<'_>) -> Vec<u16> {
    let layout = &writer.collection.layout;
    let sparse = writer.collection.spec.sparse.keys().filter_map(|name| layout.sparse(name));
    sparse.chain(layout.fields().map(|(channel, ..)| channel)).collect()
}

async fn read(
    writer: &mut Writer<'_>,
    segment: Segment,
    shift: u32,
    postings: &mut Vec<Posting>,
) -> Result<()> {
    for channel in channels(writer) {
        let rows: Vec<(i64, i64, Vec<u8>)> =
            sqlx::query_as(include_str!("../sql/vectors/postings_all.sql"))
                .bind(writer.collection.id)
                .bind(channel)
                .bind(segment.first)
                .fetch_all(writer.tx.connection())
                .await
                .map_err(|e| writer.tx.error(e))?;
        for (_, first_term, block) in rows {
            let read = u32::try_from(first_term).ok().and_then(|first_term| {
                postings::lists(first_term, &block).try_for_each(|list| {
                    let (term, list) = list?;
                    postings::each(list, |ord, value| {
                        postings.push(Posting {
                            channel,
                            term,
                            ord: ord.saturating_add(shift),
                            value,
                        });
                    })
                })
            });
            read.ok_or_else(|| corrupt(writer.tx, "a posting list"))?;
        }
    }
    Ok(())
}

async fn remove(writer: &mut Writer<'_>, segment: Segment) -> Result<()> {
    for channel in channels(writer) {
        sqlx::query(include_str!("../sql/vectors/postings_remove.sql"))
            .bind(writer.collection.id)
            .bind(channel)
            .bind(segment.first)
            .execute(writer.tx.connection())
            .await
            .map_err(|e| writer.tx.error(e))?;
    }
    sqlx::query(include_str!("../sql/vectors/segment_remove.sql"))
        .bind(writer.collection.id)
        .bind(segment.first)
        .execute(writer.tx.connection())
        .await
        .map_err(|e| writer.tx.error(e))?;
    Ok(())
}

async fn insert(writer: &mut Writer<'_>, segment: Segment, blocks: &[Block]) -> Result<()> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query(include_str!("../sql/vectors/segment_insert.sql"))
        .bind(writer.collection.id)
        .bind(segment.first)
        .bind(segment.end)
        .bind(number(segment.points))
        .bind(number(segment.postings))
        .execute(writer.tx.connection())
        .await
        .map_err(|e| writer.tx.error(e))?;
    for block in blocks {
        sqlx::query(include_str!("../sql/vectors/postings_insert.sql"))
            .bind(writer.collection.id)
            .bind(block.channel)
            .bind(segment.first)
            .bind(block.first_term)
            .bind(block.bytes.as_slice())
            .execute(writer.tx.connection())
            .await
            .map_err(|e| writer.tx.error(e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sizes: &[u64]) -> Vec<Segment> {
        sizes.iter().map(|n| Segment { first: 0, end: 1, points: 1, postings: *n }).collect()
    }

    #[test]
    fn four_of_a_level_are_merged_with_what_follows_them() {
        assert_eq!(due(&of(&[])), None);
        assert_eq!(due(&of(&[70, 70, 70, 5, 5, 5])), None);
        assert_eq!(due(&of(&[70, 5, 5, 5, 5])), Some(1));
        assert_eq!(due(&of(&[70, 70, 70, 5, 70, 5])), Some(0));
        assert_eq!(due(&of(&[FULL, 70, 5, 5, 5, 5])), Some(2));
        assert_eq!(due(&of(&[FULL, FULL, FULL, FULL])), None);
    }

    #[test]
    fn many_small_writes_leave_few_segments() {
        let (mut segments, mut rewritten) = (Vec::new(), 0);
        for _ in 0..10_000 {
            segments.extend(of(&[60]));
            while let Some(start) = due(&segments) {
                let total = segments.drain(start..).map(|s| s.postings).sum();
                rewritten += total;
                segments.extend(of(&[total]));
            }
            assert!(segments.len() <= 3 * 8, "{segments:?}");
        }
        assert!(rewritten <= 600_000 * 8);
    }
}
