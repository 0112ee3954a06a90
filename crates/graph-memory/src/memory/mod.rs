//! One graph of one tenant, worked on directly in its store.

mod assert;
mod end;
mod forget;
mod interactions;
mod path;
mod read;

use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::{
    Applied, AsOf, Clock, Effectiveness, ElementRef, Error, ErrorKind, Expect, GraphBatch,
    GraphChange, GraphId, GraphStore, Limit, Name, NodeDraft, Result, Retry, Timestamp, check_json,
};
use serde_json::Value;

pub use assert::{Asserted, Outcome};
pub use end::{Ended, Removed, Which};
pub use forget::{Forget, Forgotten, Kept, NAMED_LIMIT, Orphans};
pub use interactions::{Interaction, UserPattern, topic_node, user_node, user_nodes};
pub use path::{Path, PathQuery};
pub use read::Elements;

use crate::Vocabulary;

/// How often a change that lost a race reads again before it gives up.
const ATTEMPTS: u32 = 1_000;

/// How often a batch whose outcome is unknown is sent again (with the same id, so that it happens once).
const RESENDS: u32 = 3;

/// Between two sendings.
const RESEND_PAUSE: Duration = Duration::from_millis(50);

/// A temporal knowledge graph.
///
/// Every method is one or a few calls of the store, so graphs may be larger than memory; [`Mirror`](crate::Mirror)
/// holds a graph in memory for many reads. Cheap to clone. Changes from several processes meet in the store:
/// each element is written on condition of the version that was read, and who loses a race reads again.
#[derive(Clone)]
pub struct GraphMemory {
    pub(crate) store: Arc<dyn GraphStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) graph: GraphId,
    pub(crate) vocabulary: Arc<Vocabulary>,
}

impl std::fmt::Debug for GraphMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphMemory").field("graph", &self.graph).finish_non_exhaustive()
    }
}

impl GraphMemory {
    /// The graph `graph` of `store`; it comes to be with its first change. `clock` says from when a fact
    /// holds that is asserted without a start.
    pub fn new(store: Arc<dyn GraphStore>, clock: Arc<dyn Clock>, graph: GraphId) -> Self {
        Self { store, clock, graph, vocabulary: Arc::new(Vocabulary::open()) }
    }

    /// With this vocabulary in place of the open one.
    #[must_use]
    pub fn with_vocabulary(mut self, vocabulary: Vocabulary) -> Self {
        self.vocabulary = Arc::new(vocabulary);
        self
    }

    /// The graph's address.
    pub fn graph(&self) -> &GraphId {
        &self.graph
    }

    /// The store it lies in.
    pub fn store(&self) -> &Arc<dyn GraphStore> {
        &self.store
    }

    /// Its vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Creates a node or replaces its type and attributes. `created_at` of an existing node stays, and so does
    /// everything at it.
    pub async fn put_node(&self, id: Name, kind: Name, data: Value) -> Result<Applied> {
        self.vocabulary.check_kind(&kind)?;
        let draft = NodeDraft { id, kind, data, created_at: None, expect: Expect::Any };
        check_node(&draft)?;
        self.apply(GraphBatch::new(vec![GraphChange::PutNode(draft)])).await
    }

    /// Creates a node, or changes an existing one: `kind` replaces its type where given, `patch` is merged into
    /// its attributes as a JSON merge patch (RFC 7396: objects merge, null removes). Concurrent merges of one
    /// node all take effect. A new node without a `kind` is `Invalid`.
    pub async fn merge_node(&self, id: Name, kind: Option<Name>, patch: Value) -> Result<Applied> {
        if !patch.is_object() {
            return Err(not_an_object("graph.merge_node", &id));
        }
        let mut race = Race::new("graph.merge_node");
        loop {
            match self.merge_once(&id, kind.as_ref(), &patch).await {
                Err(error) if error.kind() == ErrorKind::Conflict => race.lost(&self.graph)?,
                answer => return answer,
            }
        }
    }

    async fn merge_once(&self, id: &Name, kind: Option<&Name>, patch: &Value) -> Result<Applied> {
        let current = self.node(id, AsOf::NOW).await?;
        let (mut data, held, expect) = match current {
            Some(node) => (node.data, Some(node.kind), Expect::Version(node.version)),
            None => (Value::Object(serde_json::Map::new()), None, Expect::Absent),
        };
        merge_patch(&mut data, patch);
        let kind = kind.cloned().or(held).ok_or_else(|| {
            Error::invalid("graph.merge_node", "a new node needs a type; give one").with("node", id)
        })?;
        self.vocabulary.check_kind(&kind)?;
        let draft = NodeDraft { id: id.clone(), kind, data, created_at: None, expect };
        check_node(&draft)?;
        self.apply(GraphBatch::new(vec![GraphChange::PutNode(draft)])).await
    }

    /// Applies a batch as it is, after the checks that every change of this graph gets (vocabulary, limits).
    /// A batch whose outcome is unknown is sent again with its id, so that it happens once.
    pub async fn apply(&self, batch: GraphBatch) -> Result<Applied> {
        for change in &batch.changes {
            match change {
                GraphChange::PutNode(node) => self.vocabulary.check_kind(&node.kind)?,
                GraphChange::PutEdge(edge) => self.vocabulary.check_relation(&edge.relation)?,
                _ => {}
            }
        }
        let mut sent = 1;
        loop {
            match self.store.apply(&self.graph, batch.clone()).await {
                Err(error)
                    if error.effectiveness() == Effectiveness::Unknown
                        && error.retry_hint() != Retry::Never
                        && sent < RESENDS =>
                {
                    sent += 1;
                    self.clock.sleep(RESEND_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// Whether there are versions of `element`, current or not. A store without history says no.
    pub(crate) async fn ever_was(&self, element: &ElementRef) -> Result<bool> {
        let one = Limit::new(1)?;
        match self.store.history(&self.graph, element, None, one).await {
            Ok(page) => Ok(!page.items.is_empty()),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Counts the races that a read-then-write lost.
pub(crate) struct Race {
    operation: &'static str,
    lost: u32,
}

impl Race {
    pub(crate) fn new(operation: &'static str) -> Self {
        Self { operation, lost: 0 }
    }

    /// One more: read again, unless it were too many.
    pub(crate) fn lost(&mut self, graph: &GraphId) -> Result<()> {
        self.lost += 1;
        if self.lost < ATTEMPTS {
            return Ok(());
        }
        Err(Error::conflict(
            self.operation,
            format!(
                "others changed the same elements {ATTEMPTS} times in between; try again later"
            ),
        )
        .with("graph", graph)
        .retry(Retry::Soon))
    }
}

fn not_an_object(operation: &'static str, id: &Name) -> Error {
    Error::invalid(operation, "attributes are a JSON object, for example {\"name\": \"Ada\"}")
        .with("node", id)
}

fn check_node(draft: &NodeDraft) -> Result<()> {
    if !draft.data.is_object() {
        return Err(not_an_object("graph.put_node", &draft.id));
    }
    check_json("graph.put_node", &draft.data).map_err(|error| error.with("node", &draft.id))
}

/// JSON merge patch, RFC 7396.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.shift_remove(key);
        } else {
            merge_patch(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patch_follows_the_examples_of_rfc_7396() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        ] {
            let mut merged = target.clone();
            merge_patch(&mut merged, &patch);
            assert_eq!(merged, result, "{target} with {patch}");
        }
    }
}
