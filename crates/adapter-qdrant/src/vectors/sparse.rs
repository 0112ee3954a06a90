//! The weights of sparse queries.
//!
//! Qdrant's own IDF counts each shard for itself, and points that were replaced or removed until the optimizer has passed; so
//! here it multiplies plain values, and the weights come from an index of the terms.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _};
use hexmem_ports::rules::SparseQuery;
use hexmem_ports::{Accuracy, Name, Result, SparseVector, Weighting};
use qdrant_client::qdrant;
use qdrant_client::qdrant::r#match::MatchValue;

use super::There;
use super::filter::matching;
use super::point::{HAS, terms_field};
use super::read::tally;
use crate::Qdrant;

/// Terms that are counted together.
const TOGETHER: usize = 16;

/// The query with its weights.
pub(super) async fn weigh(
    qdrant: &Qdrant,
    operation: &'static str,
    there: &There,
    vector: &Name,
    values: &SparseVector,
    accuracy: Accuracy,
) -> Result<SparseQuery> {
    let weighting = there.life.spec.sparse.get(vector).map(|spec| spec.weighting);
    let place = there.life.sparse_place(vector).unwrap_or_default();
    if weighting != Some(Weighting::Idf) {
        return Ok(SparseQuery::new(values, Weighting::Plain, 0, |_| 0));
    }
    let exact = accuracy == Accuracy::Exact;
    let field = &terms_field(place);
    let mut wanted = vec![HAS];
    wanted.extend(values.indices().iter().map(|index| i64::from(*index)));
    let counts: HashMap<i64, u64> = futures::stream::iter(wanted)
        .map(|term| async move {
            let condition = matching(field.as_str(), MatchValue::Integer(term));
            let filter = qdrant::Filter { must: vec![condition], ..Default::default() };
            let count = tally(qdrant, operation, there, Some(filter), exact).await?;
            Ok::<_, hexmem_ports::Error>((term, count))
        })
        .buffer_unordered(TOGETHER)
        .try_collect()
        .await?;
    let count = |term: i64| counts.get(&term).copied().unwrap_or(0);
    Ok(SparseQuery::new(values, Weighting::Idf, count(HAS), |index| count(i64::from(index))))
}
