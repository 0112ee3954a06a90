//! Indexed fields: values as terms, and what a filter can be answered with from them.
//!
//! For stores that keep lists of the points that have a term. Terms are coarser than values (a hash, or the high
//! half of a number), so what they give is a superset, and [`Filter::matches`] decides.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Bounds, FieldKind, FieldPath, Filter};

/// The points that can pass a filter, told by terms. Fields are named by their place among the indexed ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldPlan {
    /// Points with one of the terms, which grow.
    Terms(usize, Vec<u32>),
    /// Points with a term of at least the first and at most the second.
    Range(usize, u32, u32),
    /// Those of all.
    And(Vec<FieldPlan>),
    /// Those of any.
    Or(Vec<FieldPlan>),
}

type Indexed = BTreeMap<FieldPath, FieldKind>;

/// The terms of a payload's value, with repeats. Stores keep them: they must not change.
pub fn field_terms(kind: FieldKind, value: &Value) -> Vec<u32> {
    match value {
        Value::Array(items) => items.iter().filter_map(|item| term(kind, item)).collect(),
        value => term(kind, value).into_iter().collect(),
    }
}

/// Equal values have equal terms. `None` for values that the field does not index.
fn term(kind: FieldKind, value: &Value) -> Option<u32> {
    match (kind, value) {
        (FieldKind::Integer | FieldKind::Float, Value::Number(number)) => {
            Some(ordered(number.as_f64()?))
        }
        (FieldKind::Integer | FieldKind::Float, _) => None,
        (_, Value::String(text)) => Some(hash(1, text.as_bytes())),
        (_, Value::Bool(value)) => Some(u32::from(*value)),
        (_, Value::Number(number)) => {
            Some(hash(2, &(number.as_f64()? + 0.0).to_bits().to_le_bytes()))
        }
        _ => None,
    }
}

/// The high half of a number's bits, turned so that greater numbers have terms at least as great.
fn ordered(number: f64) -> u32 {
    let bits = (number + 0.0).to_bits();
    let turned = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    u32::try_from(turned >> 32).unwrap_or(u32::MAX)
}

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn hash(kind: u8, bytes: &[u8]) -> u32 {
    [kind]
        .iter()
        .chain(bytes)
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// How the filter's points can be told from the terms of `indexed` fields; `None` where only reading them tells.
pub fn field_plan(indexed: &BTreeMap<FieldPath, FieldKind>, filter: &Filter) -> Option<FieldPlan> {
    match filter {
        Filter::Eq(path, value) => equal(indexed, path, std::slice::from_ref(value)),
        Filter::In(path, values) => equal(indexed, path, values),
        Filter::Range(path, bounds) => range(indexed, path, bounds),
        Filter::And(parts) => {
            let mut plans: Vec<FieldPlan> =
                parts.iter().filter_map(|p| field_plan(indexed, p)).collect();
            match plans.len() {
                0 => None,
                1 => plans.pop(),
                _ => Some(FieldPlan::And(plans)),
            }
        }
        Filter::Or(parts) => {
            let plans =
                parts.iter().map(|part| field_plan(indexed, part)).collect::<Option<Vec<_>>>()?;
            Some(FieldPlan::Or(plans))
        }
        Filter::Not(_) | Filter::Exists(..) => None,
    }
}

fn field(indexed: &Indexed, wanted: &FieldPath) -> Option<(usize, FieldKind)> {
    let found = indexed.iter().enumerate().find(|(_, (path, _))| *path == wanted);
    found.map(|(place, (_, kind))| (place, *kind))
}

fn equal(indexed: &Indexed, path: &FieldPath, values: &[Value]) -> Option<FieldPlan> {
    let (place, kind) = field(indexed, path)?;
    let mut terms = values.iter().map(|v| term(kind, v)).collect::<Option<Vec<_>>>()?;
    terms.sort_unstable();
    terms.dedup();
    Some(FieldPlan::Terms(place, terms))
}

fn range(indexed: &Indexed, path: &FieldPath, bounds: &Bounds) -> Option<FieldPlan> {
    let (place, kind) = field(indexed, path)?;
    if !matches!(kind, FieldKind::Integer | FieldKind::Float) {
        return None;
    }
    let least = [bounds.gt, bounds.gte].into_iter().flatten().map(ordered).max();
    let most = [bounds.lt, bounds.lte].into_iter().flatten().map(ordered).min();
    Some(FieldPlan::Range(place, least.unwrap_or(0), most.unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terms_keep_order_and_equality() {
        let numbers =
            [f64::NEG_INFINITY, -1e300, -2.0, -1.0, -1e-300, 0.0, 1e-300, 1.0, 1.5, 2020.0, 1e300];
        assert!(numbers.windows(2).all(|pair| ordered(pair[0]) <= ordered(pair[1])));
        assert!(ordered(2020.0) < ordered(2021.0) && ordered(0.25) < ordered(0.5));
        for kind in [FieldKind::Keyword, FieldKind::Integer, FieldKind::Float, FieldKind::Bool] {
            assert_eq!(field_terms(kind, &json!(1)), field_terms(kind, &json!(1.0)));
            assert_eq!(field_terms(kind, &json!([0.0, {}, null])), field_terms(kind, &json!(-0.0)));
        }
        assert_eq!(field_terms(FieldKind::Keyword, &json!("a")).len(), 1);
        assert!(field_terms(FieldKind::Integer, &json!("a")).is_empty());
    }
}
