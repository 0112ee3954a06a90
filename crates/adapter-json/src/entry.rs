//! What a graph's journal says.

use hexmem_ports::rules::graph::{GraphRecord, GraphState};
use hexmem_ports::{
    Applied, Compact, ElementRef, Error, GraphBatch, GraphChange, OpId, Record, Result, Revision,
    Timestamp,
};
use serde::{Deserialize, Serialize};

/// One line: what was done. Replaying the lines on the snapshot gives the state, by the same rules that made it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Whether the graph exists after it: a listing reads the last line only.
    pub(crate) exists: bool,
    /// The operation, where it has effects: with it the outbox finds out whether they were committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) effects: Option<OpId>,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Batch { id: OpId, at: Timestamp, revision: Revision, changes: Vec<GraphChange> },
    Delete { at: Timestamp },
    Compact { log_upto: Option<Revision>, history_before: Option<Timestamp> },
    Restore { records: Vec<Record> },
}

/// Does what an entry says again. `before` sees the state and each element of a batch before it is changed; it is told
/// `None` where all may change.
pub(crate) fn replay(
    state: &mut GraphState,
    what: What,
    mut before: impl FnMut(&GraphState, Option<&ElementRef>) -> Result<()>,
) -> Result<()> {
    if !matches!(what, What::Batch { .. }) {
        before(state, None)?;
    }
    match what {
        What::Batch { id, at, revision, changes } => {
            let expected = Applied { revision, recorded_at: at };
            let batch = GraphBatch { id, changes, effects: Vec::new() };
            let applied = match state.replay(batch.id) {
                Some(first) => first,
                None => {
                    let planned = state.plan(&batch, at)?;
                    for step in &planned.steps {
                        before(state, Some(&step.element()))?;
                    }
                    state.commit(&planned)
                }
            };
            if applied != expected {
                return Err(Error::corrupt(
                    "json.replay",
                    "a batch gives another revision than it gave",
                )
                .with("batch", id.0));
            }
        }
        What::Delete { at } => {
            state.delete(at);
        }
        What::Compact { log_upto, history_before } => {
            state.compact(Compact { log_upto, history_before });
        }
        What::Restore { records } => {
            let records = records.iter().map(|record| Ok(GraphRecord::decode(record)?.1));
            let records = records.collect::<Result<Vec<_>>>()?;
            state.restore(records);
        }
    }
    Ok(())
}
