//! What a batch or a query may contain.

use serde_json::Value;

use crate::{
    EdgeDraft, Error, GraphBatch, GraphChange, NeighbourQuery, PAGE_LIMIT, Result, check_effects,
    check_json,
};

/// The most hops that a neighbourhood query may ask for.
pub const HOPS_LIMIT: u32 = 32;

/// Checks a batch (`GRAPH-APPLY-9`) before anything is looked up. The error names the change by its
/// place in the batch, from 0.
pub fn check_batch(batch: &GraphBatch) -> Result<()> {
    const OP: &str = "graph.apply";
    if u32::try_from(batch.changes.len()).map_or(true, |count| count > PAGE_LIMIT) {
        return Err(Error::invalid(
            OP,
            format!(
                "a batch has {} changes; the limit is {PAGE_LIMIT}: split it",
                batch.changes.len()
            ),
        ));
    }
    for (place, change) in batch.changes.iter().enumerate() {
        match change {
            GraphChange::PutNode(draft) => check_data(OP, &draft.data)
                .map_err(|e| e.with("change", place).with("node", draft.id.as_str())),
            GraphChange::PutEdge(draft) => {
                check_edge(OP, draft).map_err(|e| e.with("change", place).with("edge", draft.id))
            }
            _ => Ok(()),
        }?;
    }
    check_effects(OP, &batch.effects)
}

/// Checks a neighbourhood query (`GRAPH-NEAR-2`).
pub fn check_neighbours(query: &NeighbourQuery) -> Result<()> {
    if query.hops > HOPS_LIMIT {
        return Err(Error::invalid(
            "graph.neighbourhood",
            format!("{} hops; the limit is {HOPS_LIMIT}", query.hops),
        ));
    }
    Ok(())
}

fn check_data(operation: &'static str, data: &Value) -> Result<()> {
    if !data.is_object() {
        return Err(Error::invalid(operation, "the data is not a JSON object"));
    }
    check_json(operation, data)
}

fn check_edge(operation: &'static str, draft: &EdgeDraft) -> Result<()> {
    if !draft.weight.is_finite() {
        return Err(Error::invalid(operation, "the weight is not a finite number"));
    }
    if let (Some(from), Some(until)) = (draft.valid_from, draft.valid_until)
        && until < from
    {
        return Err(Error::invalid(operation, "valid_until is earlier than valid_from")
            .with("valid_from", from)
            .with("valid_until", until));
    }
    check_data(operation, &draft.data)
}
