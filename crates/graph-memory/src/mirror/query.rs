//! What searches of a loaded graph follow and enter.

use hexmem_ports::{Direction, Filter, Name};
use petgraph::Direction as Way;
use petgraph::stable_graph::NodeIndex;

use super::Mirror;
use super::slots::{EdgeSlot, NodeSlot};

/// Which edges a search follows, with names as numbers.
pub(super) struct Follow {
    at: Option<i64>,
    /// `None`: any. A name that no edge has is in no list.
    relations: Option<Vec<u32>>,
    min_weight: Option<f64>,
    sources: Vec<Name>,
    data: Option<Filter>,
    /// Whether time alone decides, as it mostly does.
    by_time: bool,
}

impl Follow {
    pub(super) fn allows(&self, slot: &EdgeSlot) -> bool {
        slot.holds(self.at) && (self.by_time || self.passes(slot))
    }

    fn passes(&self, slot: &EdgeSlot) -> bool {
        self.min_weight.is_none_or(|floor| slot.weight >= floor)
            && self.relations.as_ref().is_none_or(|list| list.contains(&slot.relation))
            && (self.sources.is_empty()
                || slot
                    .source()
                    .is_some_and(|by| self.sources.iter().any(|name| name.as_str() == by)))
            && self.data.as_ref().is_none_or(|filter| slot.passes(filter))
    }
}

/// Which nodes a search enters, with names as numbers.
pub(super) struct Enter {
    /// `None`: of any type.
    kinds: Option<Vec<u32>>,
    data: Option<Filter>,
}

impl Enter {
    /// Whether it admits every node.
    pub(super) fn is_open(&self) -> bool {
        self.kinds.is_none() && self.data.is_none()
    }

    pub(super) fn admits(&self, slot: &NodeSlot) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&slot.kind))
            && self.data.as_ref().is_none_or(|filter| slot.passes(filter))
    }
}

/// petgraph's directions for ours.
pub(super) fn ways(direction: Direction) -> &'static [Way] {
    match direction {
        Direction::Out => &[Way::Outgoing],
        Direction::In => &[Way::Incoming],
        Direction::Both => &[Way::Outgoing, Way::Incoming],
    }
}

impl Mirror {
    pub(super) fn follow_rule(
        &self,
        at: Option<i64>,
        relations: &[Name],
        min_weight: Option<f64>,
        sources: &[Name],
        data: Option<&Filter>,
    ) -> Follow {
        let numbers = relations.iter().filter_map(|name| self.relations.known(name.as_str()));
        let relations = (!relations.is_empty()).then(|| numbers.collect());
        let by_time =
            relations.is_none() && min_weight.is_none() && sources.is_empty() && data.is_none();
        let (sources, data) = (sources.to_vec(), data.cloned());
        Follow { at, relations, min_weight, sources, data, by_time }
    }

    pub(super) fn enter_rule(&self, kinds: &[Name], data: Option<&Filter>) -> Enter {
        let numbers = kinds.iter().filter_map(|kind| self.kinds.known(kind.as_str()));
        Enter { kinds: (!kinds.is_empty()).then(|| numbers.collect()), data: data.cloned() }
    }

    pub(super) fn id_of(&self, index: NodeIndex) -> &str {
        self.graph.node_weight(index).map_or("", |slot| slot.id.as_str())
    }
}
