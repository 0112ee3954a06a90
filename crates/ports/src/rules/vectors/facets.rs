//! Counts of values.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{FieldPath, Limit};

/// Counts the values under a field, point by point. Of an array each distinct element counts once; texts,
/// numbers and booleans count, objects, arrays in arrays and null do not.
#[derive(Debug, Default)]
pub struct Facets(BTreeMap<Scalar, u64>);

/// Booleans, then numbers, then texts; 1 and 1.0 are one value, as filters have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Scalar {
    Bool(bool),
    Number(Number),
    Text(String),
}

/// Whole numbers as integers.
#[derive(Debug, Clone)]
enum Number {
    Whole(i64),
    Broken(f64),
}

impl Number {
    /// Whole floats beyond 2^53 stay floats: they stand for no one integer.
    fn of(number: &serde_json::Number) -> Self {
        let float = number.as_f64().unwrap_or(0.0);
        match number.as_i64() {
            Some(whole) => Self::Whole(whole),
            None if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 => {
                #[allow(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
                let whole = float as i64;
                Self::Whole(whole)
            }
            None => Self::Broken(float),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "only the order between whole and broken ones")]
    fn wide(&self) -> f64 {
        match self {
            Self::Whole(whole) => *whole as f64,
            Self::Broken(float) => *float,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Whole(_) => 0,
            Self::Broken(_) => 1,
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            _ => self.wide().total_cmp(&other.wide()).then(self.kind().cmp(&other.kind())),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl Scalar {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Number(number) => Some(Self::Number(Number::of(number))),
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Number(Number::Whole(whole)) => Value::from(whole),
            Self::Number(Number::Broken(float)) => Value::from(float),
            Self::Text(text) => Value::String(text),
        }
    }
}

impl Facets {
    /// Counts what one point has.
    pub fn add(&mut self, field: &FieldPath, payload: &Value) {
        match field.of(payload) {
            Some(Value::Array(items)) => {
                let distinct: BTreeSet<_> = items.iter().filter_map(Scalar::of).collect();
                distinct.into_iter().for_each(|value| self.count(value));
            }
            Some(value) => {
                if let Some(value) = Scalar::of(value) {
                    self.count(value);
                }
            }
            None => {}
        }
    }

    fn count(&mut self, value: Scalar) {
        *self.0.entry(value).or_default() += 1;
    }

    /// The most frequent values, equal counts in order of value.
    pub fn top(self, limit: Limit) -> Vec<(Value, u64)> {
        let mut all: Vec<_> = self.0.into_iter().collect();
        // Stable: the map gives values in their order.
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all.truncate(limit.as_usize());
        all.into_iter().map(|(value, count)| (value.into_value(), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn vectors() {
        let field = FieldPath::new("a.b").unwrap();
        let mut facets = Facets::default();
        for value in [
            json!("x"),
            json!(["x", "x", 1, 1.0, null, {"c": 1}]),
            json!(1),
            json!(true),
            json!(null),
            json!({}),
            json!("w"),
        ] {
            facets.add(&field, &json!({"a": {"b": value}}));
        }
        facets.add(&field, &json!({"a": 1}));
        let top = facets.top(Limit::new(3).unwrap());
        assert_eq!(top, [(json!(1), 2), (json!("x"), 2), (json!(true), 1)]);
    }
}
