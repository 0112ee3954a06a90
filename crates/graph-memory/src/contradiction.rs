//! Facts that cannot all be true, by a pure rule.

use std::collections::BTreeMap;

use hexmem_ports::{AsOf, Edge, Name, Timestamp};
use serde::Serialize;

use crate::fact::Span;
use crate::{Cardinality, Vocabulary};

/// What is wrong between two facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clash {
    /// A functional relation has two values at once.
    TwoValues,
    /// One source says that the fact ended (or never held), another that it goes on.
    Disputed,
    /// One source states one fact twice for the same time.
    Duplicate,
}

/// Two facts that clash, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contradiction {
    /// What is wrong.
    pub clash: Clash,
    /// From when; `None`: since ever.
    pub from: Option<Timestamp>,
    /// Until when; `None`: it goes on.
    pub until: Option<Timestamp>,
    /// The fact that begins first; in a dispute the one that ends.
    pub first: Edge,
    /// The other.
    pub second: Edge,
}

impl Contradiction {
    /// Whether the clash is there at the valid time of a read at `now`.
    pub fn holds(&self, as_of: AsOf, now: Timestamp) -> bool {
        as_of.holds(self.from, self.until, now)
    }
}

/// The contradictions among `edges`, which are all edges with their source nodes. In order of source node, relation,
/// and begin. Each fact with a clash is named at least once; of k values at once, k - 1 clashes are given, not all
/// pairs. Costs a sort; disputes and duplicates compare the statements of one fact pairwise.
pub fn contradictions(edges: &[Edge], vocabulary: &Vocabulary) -> Vec<Contradiction> {
    let mut groups: BTreeMap<(&Name, &Name), Vec<&Edge>> = BTreeMap::new();
    for edge in edges {
        groups.entry((&edge.src, &edge.relation)).or_default().push(edge);
    }
    let mut found = Vec::new();
    for ((_, relation), mut group) in groups {
        group.sort_by_key(|edge| (edge.valid_from, edge.id));
        let first = found.len();
        if vocabulary.cardinality(relation) == Cardinality::One {
            two_values(&group, &mut found);
        }
        let mut statements: BTreeMap<&Name, Vec<&Edge>> = BTreeMap::new();
        for edge in group {
            statements.entry(&edge.dst).or_default().push(edge);
        }
        for group in statements.values() {
            for (place, one) in group.iter().enumerate() {
                for other in &group[place + 1..] {
                    found.extend(statement_clash(one, other));
                }
            }
        }
        found[first..].sort_by_key(|clash| (clash.from, clash.clash, clash.first.id));
    }
    found
}

/// Values that overlap, by a sweep in order of begin.
fn two_values(group: &[&Edge], found: &mut Vec<Contradiction>) {
    // Of all values so far the one that ends last, and the one that ends last of another value.
    let mut reach: Option<&Edge> = None;
    let mut other: Option<&Edge> = None;
    let later = |a: &Edge, b: &Edge| match (a.valid_until, b.valid_until) {
        (None, _) => true,
        (_, None) => false,
        (a, b) => a >= b,
    };
    for edge in group
        .iter()
        .copied()
        .filter(|edge| edge.valid_from != edge.valid_until || edge.valid_from.is_none())
    {
        let before = [reach, other].into_iter().flatten().find(|held| held.dst != edge.dst);
        if let Some(before) = before
            && let Some((from, until)) = overlap(Span::of(before), Span::of(edge))
        {
            found.push(clash(Clash::TwoValues, from, until, before, edge));
        }
        match reach {
            Some(held) if held.dst == edge.dst => {
                if later(edge, held) {
                    reach = Some(edge);
                }
            }
            Some(held) if later(edge, held) => {
                other = Some(held);
                reach = Some(edge);
            }
            Some(_) => {
                if other.is_none_or(|held| later(edge, held)) {
                    other = Some(edge);
                }
            }
            None => reach = Some(edge),
        }
    }
}

/// What is wrong between two statements of one fact; `one` begins no later than `other`.
fn statement_clash(one: &Edge, other: &Edge) -> Option<Contradiction> {
    if one.source == other.source {
        let (from, until) = overlap(Span::of(one), Span::of(other))?;
        return Some(clash(Clash::Duplicate, from, until, one, other));
    }
    let (ends, goes_on) = match (one.valid_until, other.valid_until) {
        (Some(a), Some(b)) if a == b => return None,
        (Some(a), Some(b)) if a > b => (other, one),
        (None, None) => return None,
        (None, _) => (other, one),
        _ => (one, other),
    };
    let at = ends.valid_until?;
    let held_before = goes_on.valid_from.is_none_or(|from| from < at);
    let never_held = ends.valid_from == ends.valid_until;
    if !held_before {
        return None;
    }
    let from = if never_held { goes_on.valid_from } else { Some(at) };
    Some(clash(Clash::Disputed, from, goes_on.valid_until, ends, goes_on))
}

fn clash(
    clash: Clash,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    first: &Edge,
    second: &Edge,
) -> Contradiction {
    Contradiction { clash, from, until, first: first.clone(), second: second.clone() }
}

type Bounds = (Option<Timestamp>, Option<Timestamp>);

/// What two spans share.
fn overlap(a: Span, b: Span) -> Option<Bounds> {
    let until = match (a.until, b.until) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    a.overlaps(b).then(|| (a.from.max(b.from), until))
}

#[cfg(test)]
mod tests {
    use hexmem_ports::EdgeId;
    use serde_json::json;

    use super::*;

    fn at(n: i64) -> Timestamp {
        Timestamp::from_micros(n).unwrap()
    }

    /// `a lives_in DST`, from when until when, says SOURCE.
    fn fact(id: u128, dst: &str, span: (i64, i64), source: &str) -> Edge {
        let bound = |n: i64| (n >= 0).then(|| at(n));
        Edge {
            id: EdgeId(uuid::Uuid::from_u128(id)),
            src: Name::new("a").unwrap(),
            relation: Name::new("lives_in").unwrap(),
            dst: Name::new(dst).unwrap(),
            weight: 1.0,
            valid_from: bound(span.0),
            valid_until: bound(span.1),
            source: (!source.is_empty()).then(|| Name::new(source).unwrap()),
            data: json!({}),
            created_at: at(0),
            recorded_at: at(0),
            superseded_at: None,
            version: 1,
        }
    }

    type Found = Vec<(Clash, u128, u128, Option<i64>, Option<i64>)>;

    fn found(edges: &[Edge], functional: bool) -> Found {
        let vocabulary = Vocabulary::open().functional(functional.then_some("lives_in"));
        let micros = |at: Option<Timestamp>| at.map(Timestamp::as_micros);
        contradictions(edges, &vocabulary)
            .into_iter()
            .map(|c| {
                let ids = (c.first.id.0.as_u128(), c.second.id.0.as_u128());
                (c.clash, ids.0, ids.1, micros(c.from), micros(c.until))
            })
            .collect()
    }

    #[test]
    fn a_functional_relation_has_one_value_at_a_time() {
        let moves =
            [fact(1, "x", (0, 10), ""), fact(2, "y", (10, 20), ""), fact(3, "z", (20, -1), "")];
        assert_eq!(found(&moves, true), [], "spans that touch do not overlap");
        let two =
            [fact(1, "x", (0, 15), ""), fact(2, "y", (10, 20), ""), fact(3, "z", (12, 14), "")];
        let clashes = [
            (Clash::TwoValues, 1, 2, Some(10), Some(15)),
            (Clash::TwoValues, 2, 3, Some(12), Some(14)),
        ];
        assert_eq!(found(&two, true), clashes);
        assert_eq!(found(&two, false), [], "many values are fine where the relation has many");
        // A long value is found behind a short one in between, and behind one of the same value.
        let long = [
            fact(1, "x", (0, 100), ""),
            fact(2, "y", (1, 2), ""),
            fact(3, "x", (3, 4), "s"),
            fact(4, "z", (50, -1), ""),
        ];
        let pairs: Vec<_> = found(&long, true)
            .into_iter()
            .filter(|c| c.0 == Clash::TwoValues)
            .map(|c| (c.1, c.2))
            .collect();
        assert_eq!(pairs, [(1, 2), (1, 4)]);
        let open =
            [fact(1, "x", (-1, -1), ""), fact(2, "y", (-1, 5), ""), fact(3, "z", (7, 7), "")];
        assert_eq!(
            found(&open, true),
            [(Clash::TwoValues, 1, 2, None, Some(5))],
            "an empty span is nothing"
        );
    }

    #[test]
    fn what_one_source_ended_and_another_goes_on_with_is_disputed() {
        let says = [fact(1, "x", (0, -1), "a"), fact(2, "x", (3, 9), "b")];
        assert_eq!(found(&says, false), [(Clash::Disputed, 2, 1, Some(9), None)]);
        let never = [fact(1, "x", (0, 20), "a"), fact(2, "x", (5, 5), "b")];
        assert_eq!(found(&never, false), [(Clash::Disputed, 2, 1, Some(0), Some(20))]);
        let apart = [fact(1, "x", (0, 5), "a"), fact(2, "x", (5, 9), "b")];
        assert_eq!(found(&apart, false), [], "one goes on where the other ends");
        let agree =
            [fact(1, "x", (0, 9), "a"), fact(2, "x", (3, 9), "b"), fact(3, "y", (0, -1), "c")];
        assert_eq!(found(&agree, false), []);
    }

    #[test]
    fn one_source_that_states_a_fact_twice_is_a_duplicate() {
        let twice =
            [fact(1, "x", (0, 9), "a"), fact(2, "x", (5, -1), "a"), fact(3, "x", (9, 12), "b")];
        let expected =
            [(Clash::Duplicate, 1, 2, Some(5), Some(9)), (Clash::Disputed, 3, 2, Some(12), None)];
        assert_eq!(found(&twice, false), expected);
        assert_eq!(found(&[], true), []);
    }
}
