//! Facts and the pure rules of asserting and ending them.

use hexmem_ports::{Edge, EdgeDraft, EdgeId, Expect, Name, Result, Timestamp};
use serde_json::{Map, Value};

/// From when an asserted fact holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Since {
    /// From the present on; a fact that holds already keeps its start.
    #[default]
    Now,
    /// Since ever, as far as anyone knows.
    Always,
    /// From this instant on.
    At(Timestamp),
}

/// How many values a relation may have at one instant for one source node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cardinality {
    /// Any number: `knows`.
    #[default]
    Many,
    /// One: `lives_in`. Asserting a new value ends the earlier one where the new one begins.
    One,
}

/// A fact to be asserted: `src relation dst`, from when until when, and says who.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// From: a node that exists.
    pub src: Name,
    /// The relation.
    pub relation: Name,
    /// To: a node that exists.
    pub dst: Name,
    /// Finite; 1 by default. Meaning is the caller's.
    pub weight: f64,
    /// From when it holds.
    pub since: Since,
    /// Until when; later than its start. `None`: still does.
    pub until: Option<Timestamp>,
    /// Where it comes from. The same statement from another source is a fact of its own.
    pub source: Option<Name>,
    /// Attributes: a JSON object.
    pub data: Value,
}

impl Fact {
    /// `src relation dst`, holding from now on, of weight 1.
    pub fn new(src: &str, relation: &str, dst: &str) -> Result<Self> {
        Ok(Self {
            src: Name::new(src)?,
            relation: Name::new(relation)?,
            dst: Name::new(dst)?,
            weight: 1.0,
            since: Since::Now,
            until: None,
            source: None,
            data: Value::Object(Map::new()),
        })
    }

    /// With this start.
    #[must_use]
    pub fn since(mut self, since: Since) -> Self {
        self.since = since;
        self
    }

    /// With this end.
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }

    /// According to this source.
    #[must_use]
    pub fn source(mut self, source: Name) -> Self {
        self.source = Some(source);
        self
    }

    /// With this weight.
    #[must_use]
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// With these attributes: a JSON object.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// The span it claims, for a reader at `now`.
    pub(crate) fn span(&self, now: Timestamp) -> Span {
        let from = match self.since {
            Since::Now => Some(now),
            Since::Always => None,
            Since::At(at) => Some(at),
        };
        Span { from, until: self.until }
    }

    /// A new edge for it.
    pub(crate) fn draft(&self, id: EdgeId, span: Span) -> EdgeDraft {
        EdgeDraft {
            id,
            src: self.src.clone(),
            relation: self.relation.clone(),
            dst: self.dst.clone(),
            weight: self.weight,
            valid_from: span.from,
            valid_until: span.until,
            source: self.source.clone(),
            data: self.data.clone(),
            created_at: None,
            expect: Expect::Absent,
        }
    }

    /// The next version of `edge`, which states the same fact: a start that is not given stays, unless it lies
    /// after `now`.
    pub(crate) fn restate(
        &self,
        edge: &Edge,
        now: Timestamp,
        until: Option<Timestamp>,
    ) -> EdgeDraft {
        let from = match self.since {
            Since::Now => edge.valid_from.map(|from| from.min(now)),
            Since::Always => None,
            Since::At(at) => Some(at),
        };
        EdgeDraft {
            expect: Expect::Version(edge.version),
            ..self.draft(edge.id, Span { from, until })
        }
    }
}

/// A half-open span of valid time; an absent bound is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

impl Span {
    pub(crate) fn of(edge: &Edge) -> Self {
        Self { from: edge.valid_from, until: edge.valid_until }
    }

    /// Whether some instant lies in both.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let starts_before_end =
            |from: Option<Timestamp>, until: Option<Timestamp>| match (from, until) {
                (Some(from), Some(until)) => from < until,
                _ => true,
            };
        starts_before_end(self.from, self.until)
            && starts_before_end(other.from, other.until)
            && starts_before_end(self.from, other.until)
            && starts_before_end(other.from, self.until)
    }
}

/// What a new value of a functional relation does to an earlier edge with another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Displaced {
    /// Nothing: they never meet.
    Stays,
    /// It ends where the new value begins.
    Ends(Timestamp),
    /// It began at the same instant: the new value corrects it.
    Corrected,
    /// It begins later: the new value ends there.
    Bounds(Timestamp),
}

/// The rule of functional relations, for one edge with another value.
pub(crate) fn displace(old: Span, new: Span) -> Displaced {
    if !old.overlaps(new) {
        return Displaced::Stays;
    }
    match (old.from, new.from) {
        (old, new) if old == new => Displaced::Corrected,
        (Some(old), None) => Displaced::Bounds(old),
        (Some(old), Some(new)) if old > new => Displaced::Bounds(old),
        (_, Some(new)) => Displaced::Ends(new),
        // Both open is equality, handled above.
        (None, None) => Displaced::Corrected,
    }
}

/// `edge` as a draft that expects exactly this version.
pub(crate) fn redraft(edge: &Edge) -> EdgeDraft {
    EdgeDraft {
        id: edge.id,
        src: edge.src.clone(),
        relation: edge.relation.clone(),
        dst: edge.dst.clone(),
        weight: edge.weight,
        valid_from: edge.valid_from,
        valid_until: edge.valid_until,
        source: edge.source.clone(),
        data: edge.data.clone(),
        created_at: None,
        expect: Expect::Version(edge.version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: Option<i64>, until: Option<i64>) -> Span {
        let at = |n: i64| Timestamp::from_micros(n).unwrap();
        Span { from: from.map(at), until: until.map(at) }
    }

    #[test]
    fn half_open_spans_that_touch_do_not_overlap() {
        assert!(!span(Some(1), Some(5)).overlaps(span(Some(5), None)));
        assert!(span(Some(1), Some(6)).overlaps(span(Some(5), None)));
        assert!(span(None, None).overlaps(span(Some(5), Some(6))));
        assert!(!span(Some(5), Some(5)).overlaps(span(None, None)), "an empty span meets nothing");
    }

    #[test]
    fn a_new_value_displaces_by_where_the_old_one_begins() {
        let at = |n| Timestamp::from_micros(n).unwrap();
        let new = span(Some(10), None);
        assert_eq!(displace(span(Some(1), None), new), Displaced::Ends(at(10)));
        assert_eq!(displace(span(None, None), new), Displaced::Ends(at(10)));
        assert_eq!(displace(span(Some(1), Some(10)), new), Displaced::Stays);
        assert_eq!(displace(span(Some(10), None), new), Displaced::Corrected);
        assert_eq!(displace(span(Some(20), None), new), Displaced::Bounds(at(20)));
        assert_eq!(displace(span(Some(20), None), span(None, None)), Displaced::Bounds(at(20)));
    }
}
