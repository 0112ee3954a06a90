//! How nodes and edges lie in memory: about 130 bytes an edge, 90 a node and its texts.

use serde_json::{Map, Value};

use crate::{AsOf, EdgeId, Revision, Timestamp};

/// The place or number that none has.
pub(super) const NONE: u32 = u32::MAX;

/// A place as an index.
pub(super) fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// An instant or none, in eight bytes: no instant has the least number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Maybe(i64);

impl Maybe {
    pub(super) const NONE: Self = Self(i64::MIN);

    pub(super) fn of(at: Option<Timestamp>) -> Self {
        at.map_or(Self::NONE, |at| Self(at.as_micros()))
    }

    pub(super) fn get(self) -> Option<Timestamp> {
        Timestamp::from_micros(self.0)
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// Attributes as the JSON text of an object; an empty one takes nothing.
#[derive(Debug, Clone)]
pub(super) struct Data(Box<str>);

impl Data {
    pub(super) fn of(value: &Value) -> Self {
        if value.as_object().is_some_and(Map::is_empty) {
            return Self("".into());
        }
        Self(value.to_string().into())
    }

    pub(super) fn text(&self) -> &str {
        if self.0.is_empty() { "{}" } else { &self.0 }
    }

    pub(super) fn value(&self) -> Value {
        if self.0.is_empty() {
            return Value::Object(Map::new());
        }
        // It was a value, or parsed as one, when it came in.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

/// One version of a node, but for its id.
#[derive(Debug, Clone)]
pub(super) struct NodeVersion {
    pub(super) version: u64,
    /// The revision that made it: with the version unique, also over a purge.
    pub(super) revision: Revision,
    pub(super) created_at: Timestamp,
    pub(super) recorded_at: Timestamp,
    pub(super) superseded_at: Maybe,
    pub(super) data: Data,
    pub(super) kind: u32,
}

/// One version of an edge, but for its id, ends and relation.
#[derive(Debug, Clone)]
pub(super) struct EdgeVersion {
    pub(super) version: u64,
    pub(super) revision: Revision,
    pub(super) weight: f64,
    pub(super) valid_from: Maybe,
    pub(super) valid_until: Maybe,
    pub(super) created_at: Timestamp,
    pub(super) recorded_at: Timestamp,
    pub(super) superseded_at: Maybe,
    pub(super) data: Data,
    pub(super) source: u32,
}

/// What versions of nodes and edges have in common here.
pub(super) trait Kept {
    fn version(&self) -> u64;
    fn recorded(&self) -> (Timestamp, Option<Timestamp>);
    fn superseded_at(&mut self) -> &mut Maybe;

    /// Ends it, unless it has ended.
    fn end(&mut self, at: Timestamp) {
        let end = self.superseded_at();
        if end.is_none() {
            *end = Maybe::of(Some(at));
        }
    }

    fn seen(&self, as_of: AsOf) -> bool {
        let (from, until) = self.recorded();
        as_of.sees(from, until)
    }
}

macro_rules! kept {
    ($($version:ty),*) => {$(
        impl Kept for $version {
            fn version(&self) -> u64 {
                self.version
            }
            fn recorded(&self) -> (Timestamp, Option<Timestamp>) {
                (self.recorded_at, self.superseded_at.get())
            }
            fn superseded_at(&mut self) -> &mut Maybe {
                &mut self.superseded_at
            }
        }
    )*};
}

kept!(NodeVersion, EdgeVersion);

/// A node: its last version and the first edges of the chains of those ever at it.
#[derive(Debug, Clone)]
pub(super) struct NodeSlot {
    pub(super) id: Box<str>,
    /// `None` where only edges are known yet (a restore gives them in any order), and of a freed place.
    pub(super) last: Option<NodeVersion>,
    pub(super) out: u32,
    pub(super) into: u32,
}

/// An edge: its last version, its ends, and its neighbours in the chains of its ends.
#[derive(Debug, Clone)]
pub(super) struct EdgeSlot {
    pub(super) id: EdgeId,
    pub(super) src: u32,
    pub(super) dst: u32,
    pub(super) relation: u32,
    pub(super) out: Links,
    pub(super) into: Links,
    /// `None` of a freed place.
    pub(super) last: Option<EdgeVersion>,
}

/// A place in a chain: of the edges that leave a node, or of those that enter it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    pub(super) next: u32,
    pub(super) before: u32,
}

impl Links {
    pub(super) const NONE: Self = Self { next: NONE, before: NONE };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_as_small_as_they_are_said_to_be() {
        assert_eq!(size_of::<NodeSlot>(), 88);
        assert_eq!(size_of::<EdgeSlot>(), 136);
    }
}
