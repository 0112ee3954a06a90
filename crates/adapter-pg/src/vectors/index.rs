//! Approximate indexes of dense vectors, by the extension pgvector.
//!
//! An index is derived from what `vector_dense` holds and lies in a table of its own. Without the extension there is
//! none, and searches compare every vector.

use hexmem_ports::{CollectionSpec, Distance, Result};

use super::batch::Indexed;
use super::collection::Collection;
use super::layout::Layout;
use super::turn::Turn;
use crate::Tx;

/// The most dimensions that pgvector indexes: of half-precision numbers, and of whole ones.
const HALF_LIMIT: usize = 4_000;
const WHOLE_LIMIT: usize = 2_000;

/// The indexes that a collection of `spec` can have: channels, distances, dimensions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) channels: Vec<i16>,
    pub(super) distances: Vec<&'static str>,
    pub(super) dimensions: Vec<i32>,
}

pub(super) fn wishes(spec: &CollectionSpec, layout: &Layout) -> Wishes {
    let mut wishes = Wishes::default();
    for (channel, name, dimension) in layout.denses() {
        let (distance, most) = match spec.dense.get(name).map(|dense| dense.distance) {
            // Half of the bytes; what that rounds off is made good by exact scores.
            Some(Distance::Cosine) => ("cosine", HALF_LIMIT),
            // Unbounded numbers do not fit half precision.
            Some(Distance::Dot) => ("dot", WHOLE_LIMIT),
            Some(Distance::Euclid) => ("euclid", WHOLE_LIMIT),
            None => continue,
        };
        if dimension <= most {
            wishes.channels.push(channel);
            wishes.distances.push(distance);
            wishes.dimensions.push(i32::try_from(dimension).unwrap_or(i32::MAX));
        }
    }
    wishes
}

/// How many neighbours an index looks at: the more, the more of the nearest are found. pgvector allows 1,000.
fn breadth(wanted: usize) -> i32 {
    i32::try_from(wanted * 2).unwrap_or(i32::MAX).clamp(200, 1_000)
}

/// The places of about the `wanted` nearest by the index of `channel`, nearest first.
pub(super) async fn near(
    turn: &mut Turn<'_>,
    there: &Collection,
    channel: i16,
    query: &[f32],
    wanted: usize,
) -> Result<Vec<i32>> {
    let (found,): (Option<Vec<i32>>,) = turn
        .query(include_str!("../sql/vectors/index_near.sql"))
        .bind(there.id)
        .bind(channel)
        .bind(query)
        .bind(i32::try_from(wanted).unwrap_or(i32::MAX))
        .bind(breadth(wanted))
        .fetch_one()
        .await?;
    Ok(found.unwrap_or_default())
}

/// Puts vectors into their index.
pub(super) async fn add(tx: &mut Tx, there: &Collection, batch: &Indexed) -> Result<()> {
    if batch.ords.is_empty() {
        return Ok(());
    }
    tx.query(include_str!("../sql/vectors/index_add.sql"))
        .bind(there.id)
        .bind(batch.channel)
        .bind(batch.ords.as_slice())
        .bind(batch.values.as_slice())
        .execute()
        .await?;
    Ok(())
}
