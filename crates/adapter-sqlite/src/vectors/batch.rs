//! Points as the rows and blocks that they become: made before the lock is taken.

use std::collections::HashSet;

use hexmem_ports::rules::field_terms;
use hexmem_ports::{Point, PointId};

use super::layout::Layout;
use super::pack::{self, DenseRun};
use super::postings::{Block, Posting, encode};

/// The most bytes of payload in one statement.
const PAYLOAD: usize = 8 << 20;

/// Points of one statement, numbered from 0.
pub(super) struct Batch {
    pub(super) ids: Vec<PointId>,
    pub(super) payloads: Vec<u8>,
    pub(super) sparse: Vec<u8>,
    /// Of each point: where its payload and its sparse vectors start, and their lengths.
    pub(super) cuts: Vec<[usize; 4]>,
    /// For each sparse vector the points that have it.
    pub(super) members: Vec<(u16, u32)>,
    /// For each dense vector of the collection its dimension and its vectors.
    pub(super) dense: Vec<(u16, usize, DenseRun)>,
    pub(super) blocks: Vec<Block>,
    pub(super) postings: usize,
}

/// The last point of each id.
pub(super) fn distinct(mut points: Vec<Point>) -> Vec<Point> {
    let mut seen = HashSet::with_capacity(points.len());
    points.reverse();
    points.retain(|point| seen.insert(point.id));
    points.reverse();
    points
}

/// `points` in batches. Their ids differ.
pub(super) fn all(layout: &Layout, points: &[Point]) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut rest = points;
    while !rest.is_empty() {
        let batch = Batch::of(layout, rest);
        rest = &rest[batch.ids.len()..];
        batches.push(batch);
    }
    batches
}

impl Batch {
    /// As many of the first points as fit, one at least.
    fn of(layout: &Layout, points: &[Point]) -> Self {
        let mut batch = Self {
            ids: Vec::new(),
            payloads: Vec::new(),
            sparse: Vec::new(),
            cuts: Vec::new(),
            members: Vec::new(),
            dense: layout.denses().map(|(c, _, dim)| (c, dim, DenseRun::default())).collect(),
            blocks: Vec::new(),
            postings: 0,
        };
        let mut postings = Vec::new();
        for (ord, point) in (0u32..).zip(points) {
            if batch.payloads.len() >= PAYLOAD {
                break;
            }
            batch.add(layout, ord, point, &mut postings);
        }
        postings.sort_unstable_by(Posting::order);
        postings.dedup_by(|a, b| a.order(b).is_eq());
        batch.postings = postings.len();
        batch.blocks = encode(&postings);
        batch
    }

    fn add(&mut self, layout: &Layout, ord: u32, point: &Point, postings: &mut Vec<Posting>) {
        let payload = point.payload.to_string();
        let sparse = pack::sparse(layout, &point.sparse);
        self.cuts.push([self.payloads.len(), payload.len(), self.sparse.len(), sparse.len()]);
        self.payloads.extend_from_slice(payload.as_bytes());
        self.sparse.extend_from_slice(&sparse);
        self.ids.push(point.id);
        for (name, vector) in &point.sparse {
            let Some(channel) = layout.sparse(name) else { continue };
            self.members.push((channel, ord));
            postings.extend(vector.iter().map(|(term, value)| Posting {
                channel,
                term,
                ord,
                value,
            }));
        }
        for (at, (_, name, _)) in layout.denses().enumerate() {
            if let Some(values) = point.dense.get(name) {
                self.dense[at].2.ords.push(ord);
                self.dense[at].2.values.extend_from_slice(values);
            }
        }
        for (channel, path, kind) in layout.fields() {
            let Some(value) = path.of(&point.payload) else { continue };
            let terms = field_terms(kind, value).into_iter();
            postings.extend(terms.map(|term| Posting { channel, term, ord, value: f32::NAN }));
        }
    }
}
