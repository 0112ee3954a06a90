//! Points as the rows and blocks that they become: made before any lock is taken.

use std::collections::HashSet;

use hexmem_ports::rules::field_terms;
use hexmem_ports::{Distance, Point, PointId, Timestamp};
use uuid::Uuid;

use super::collection::Collection;
use super::layout::list;
use super::pack;
use crate::value::At;

/// The most points of a call.
pub(super) const MOST: usize = 10_000;

/// About the most bytes of payloads and vectors in one statement.
const STATEMENT: usize = 16 << 20;

/// A block of so many bytes is full: its row stays well within a page.
pub(super) const FULL: usize = 2_000;

/// The block that grows is closed beyond so many bytes: the less of it, the less is written for each new entry.
pub(super) const CLOSED: i32 = 1_600;

/// Points of one statement.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The ord of the first.
    pub(super) base: i32,
    pub(super) ids: Vec<Uuid>,
    pub(super) payloads: Vec<String>,
    pub(super) sparse: Vec<Option<Vec<u8>>>,
    /// Places of the sparse vectors that each has, as PostgreSQL writes a list.
    pub(super) members: Vec<String>,
    pub(super) dense_channels: Vec<i16>,
    pub(super) dense_ords: Vec<i32>,
    pub(super) embeddings: Vec<Vec<u8>>,
    pub(super) lists: Vec<i64>,
    pub(super) chunks: Vec<i32>,
    pub(super) blocks: Vec<Vec<u8>>,
    /// What the indexes of dense vectors get.
    pub(super) indexed: Vec<Indexed>,
}

/// The vectors of one channel, for its index.
#[derive(Debug, Default)]
pub(super) struct Indexed {
    pub(super) channel: i16,
    pub(super) dimension: usize,
    pub(super) ords: Vec<i32>,
    /// One vector after the other.
    pub(super) values: Vec<f32>,
}

/// Version and time of a point that comes from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) version: i64,
    pub(super) modified_at: Timestamp,
}

impl Stamp {
    /// As columns of a statement.
    pub(super) fn columns(stamps: &[Self]) -> (Vec<i64>, Vec<At>) {
        stamps.iter().map(|stamp| (stamp.version, At(stamp.modified_at))).unzip()
    }
}

/// The last point of each id.
pub(super) fn distinct(mut points: Vec<Point>) -> Vec<Point> {
    let mut seen = HashSet::<PointId>::with_capacity(points.len());
    points.reverse();
    points.retain(|point| seen.insert(point.id));
    points.reverse();
    points
}

/// `points`, whose ids differ, in batches; the first has the ord `base`.
pub(super) fn all(there: &Collection, base: i32, points: &[Point]) -> Vec<Batch> {
    let mut batches = Vec::new();
    let (mut rest, mut base) = (points, base);
    while !rest.is_empty() {
        let batch = Batch::of(there, base, rest);
        rest = &rest[batch.ids.len()..];
        base = base.saturating_add(i32::try_from(batch.ids.len()).unwrap_or(i32::MAX));
        batches.push(batch);
    }
    batches
}

impl Batch {
    /// As many of the first points as fit, one at least.
    fn of(there: &Collection, base: i32, points: &[Point]) -> Self {
        let mut batch = Self { base, ..Self::default() };
        batch.indexed = there
            .layout
            .denses()
            .filter(|(channel, ..)| there.indexes.contains(channel))
            .map(|(channel, _, dimension)| Indexed { channel, dimension, ..Indexed::default() })
            .collect();
        let mut entries = Vec::new();
        let mut bytes = 0;
        for (ord, point) in (base..).zip(points) {
            if bytes >= STATEMENT {
                break;
            }
            bytes += batch.add(there, ord, point, &mut entries);
        }
        batch.close(&mut entries);
        batch
    }

    /// Adds a point; its bytes.
    fn add(
        &mut self,
        there: &Collection,
        ord: i32,
        point: &Point,
        entries: &mut Vec<(i64, i32, Option<f32>)>,
    ) -> usize {
        let layout = &there.layout;
        let payload = point.payload.to_string();
        let sparse = pack::sparse(layout, &point.sparse);
        let mut bytes = payload.len() + sparse.len() * 2;
        self.ids.push(point.id.0);
        self.payloads.push(payload);
        self.sparse.push((!sparse.is_empty()).then_some(sparse));
        let mut members = Vec::new();
        for (name, vector) in &point.sparse {
            let Some((place, channel)) = layout.sparse(name) else { continue };
            members.push((place + 1).to_string());
            let own = vector.iter().map(|(term, value)| (list(channel, term), ord, Some(value)));
            entries.extend(own);
        }
        self.members.push(format!("{{{}}}", members.join(",")));
        for (channel, name, _) in layout.denses() {
            let Some(values) = point.dense.get(name) else { continue };
            bytes += values.len() * 4;
            self.dense_channels.push(channel);
            self.dense_ords.push(ord);
            self.embeddings.push(pack::floats(values));
            let index = self.indexed.iter_mut().find(|index| index.channel == channel);
            if let Some((index, spec)) = index.zip(there.spec.dense.get(name))
                && let Some(values) = indexable(spec.distance, values)
            {
                index.ords.push(ord);
                index.values.extend(values);
            }
        }
        for (channel, path, kind) in layout.fields() {
            let Some(value) = path.of(&point.payload) else { continue };
            let terms = field_terms(kind, value).into_iter();
            entries.extend(terms.map(|term| (list(channel, term), ord, None)));
        }
        bytes
    }

    /// Makes blocks of the entries: full ones, and what goes to the end of each list's growing one.
    fn close(&mut self, entries: &mut Vec<(i64, i32, Option<f32>)>) {
        entries.sort_unstable_by_key(|(list, ord, _)| (*list, *ord));
        entries.dedup_by_key(|(list, ord, _)| (*list, *ord));
        for run in entries.chunk_by(|a, b| a.0 == b.0) {
            let Some((list, _, value)) = run.first() else { continue };
            let most = FULL / if value.is_some() { 8 } else { 4 };
            for (chunk, part) in (self.base..).zip(run.chunks(most)) {
                self.lists.push(*list);
                // Numbers within the batch's ords, which are more than its blocks of one list.
                let full = part.len() == most;
                self.chunks.push(if full { chunk.saturating_add(1) } else { 0 });
                let mut block = Vec::with_capacity(part.len() * 8);
                for (_, ord, value) in part {
                    block.extend(ord.to_le_bytes());
                    block.extend(value.iter().flat_map(|value| value.to_le_bytes()));
                }
                self.blocks.push(block);
            }
        }
    }
}

/// A vector as its index holds it; `None` for one that an index cannot hold and an exact search finds.
pub(super) fn indexable(distance: Distance, values: &[f32]) -> Option<Vec<f32>> {
    match distance {
        // The index compares by inner product, which is the cosine of normalised vectors.
        Distance::Cosine => {
            let square: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
            let length = square.sqrt();
            #[allow(clippy::cast_possible_truncation, reason = "within -1 to 1")]
            let unit = |value: &f32| (f64::from(*value) / length) as f32;
            (length > 0.0).then(|| values.iter().map(unit).collect())
        }
        // Beyond this squares leave f32, and what is near cannot be told.
        Distance::Dot | Distance::Euclid => {
            let most = values.iter().fold(0f32, |most, value| most.max(value.abs()));
            (most < 1e15).then(|| values.to_vec())
        }
    }
}
