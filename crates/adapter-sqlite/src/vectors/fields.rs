//! Indexed fields: values as terms, and what a filter can be answered with from them.
//!
//! Terms are coarser than values (a hash, or the high half of a number), so what they give is a superset, and
//! the filter itself decides.

use hexmem_ports::{Bounds, FieldKind, FieldPath, Filter};
use serde_json::Value;

use super::layout::Layout;

/// The points that can pass, told by terms. What cannot be told so has no plan.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    /// Points with one of the terms.
    Terms(u16, Vec<u32>),
    /// Points with a term within these.
    Range(u16, u32, u32),
    /// Those of all.
    And(Vec<Plan>),
    /// Those of any.
    Or(Vec<Plan>),
}

/// The terms of a payload's value, with repeats.
pub(super) fn terms(kind: FieldKind, value: &Value) -> Vec<u32> {
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

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>): stored, so it must not change.
fn hash(kind: u8, bytes: &[u8]) -> u32 {
    [kind]
        .iter()
        .chain(bytes)
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// How the filter's points can be told, if they can.
pub(super) fn plan(layout: &Layout, filter: &Filter) -> Option<Plan> {
    match filter {
        Filter::Eq(path, value) => equal(layout, path, std::slice::from_ref(value)),
        Filter::In(path, values) => equal(layout, path, values),
        Filter::Range(path, bounds) => range(layout, path, bounds),
        Filter::And(parts) => {
            let mut plans: Vec<Plan> = parts.iter().filter_map(|p| plan(layout, p)).collect();
            match plans.len() {
                0 => None,
                1 => plans.pop(),
                _ => Some(Plan::And(plans)),
            }
        }
        Filter::Or(parts) => {
            let plans = parts.iter().map(|part| plan(layout, part)).collect::<Option<Vec<_>>>()?;
            Some(Plan::Or(plans))
        }
        Filter::Not(_) | Filter::Exists(..) => None,
    }
}

fn field(layout: &Layout, wanted: &FieldPath) -> Option<(u16, FieldKind)> {
    layout.fields().find(|(_, path, _)| *path == wanted).map(|(channel, _, kind)| (channel, kind))
}

fn equal(layout: &Layout, path: &FieldPath, values: &[Value]) -> Option<Plan> {
    let (channel, kind) = field(layout, path)?;
    let mut terms = values.iter().map(|v| term(kind, v)).collect::<Option<Vec<_>>>()?;
    terms.sort_unstable();
    terms.dedup();
    Some(Plan::Terms(channel, terms))
}

fn range(layout: &Layout, path: &FieldPath, bounds: &Bounds) -> Option<Plan> {
    let (channel, kind) = field(layout, path)?;
    if !matches!(kind, FieldKind::Integer | FieldKind::Float) {
        return None;
    }
    let least = [bounds.gt, bounds.gte].into_iter().flatten().map(ordered).max();
    let most = [bounds.lt, bounds.lte].into_iter().flatten().map(ordered).min();
    Some(Plan::Range(channel, least.unwrap_or(0), most.unwrap_or(u32::MAX)))
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
            assert_eq!(terms(kind, &json!(1)), terms(kind, &json!(1.0)));
            assert_eq!(terms(kind, &json!([0.0, {}, null])), terms(kind, &json!(-0.0)));
        }
        assert_eq!(terms(FieldKind::Keyword, &json!("a")).len(), 1);
        assert!(terms(FieldKind::Integer, &json!("a")).is_empty());
    }
}
