//! JSON as Qdrant's values, and back.

use std::collections::{BTreeMap, HashMap};

use hexmem_ports::Result;
use qdrant_client::qdrant::{ListValue, Struct, Value, value::Kind};
use serde_json::{Map, Number};

use crate::error::corrupt;

/// Deeper than this a payload is only kept as text: the wire format ends at 100 levels, of which one of JSON takes
/// three.
pub(super) const DEEPEST: usize = 20;

/// A value, cut below [`DEEPEST`] levels.
pub(super) fn to_qdrant(value: &serde_json::Value) -> Value {
    cut(value, DEEPEST)
}

fn cut(value: &serde_json::Value, levels: usize) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Kind::IntegerValue(whole),
            None => Kind::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(items) => Kind::ListValue(ListValue {
            values: match levels.checked_sub(1) {
                Some(levels) => items.iter().map(|item| cut(item, levels)).collect(),
                None => Vec::new(),
            },
        }),
        serde_json::Value::Object(fields) => Kind::StructValue(Struct {
            fields: match levels.checked_sub(1) {
                Some(levels) => {
                    fields.iter().map(|(key, item)| (key.clone(), cut(item, levels))).collect()
                }
                None => HashMap::new(),
            },
        }),
    };
    Value { kind: Some(kind) }
}

pub(super) fn text(text: impl Into<String>) -> Value {
    Value { kind: Some(Kind::StringValue(text.into())) }
}

pub(super) fn whole(number: i64) -> Value {
    Value { kind: Some(Kind::IntegerValue(number)) }
}

pub(super) fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

/// A value read back. `Corrupt` for a number that JSON has not.
pub(super) fn from_qdrant(operation: &'static str, value: Value) -> Result<serde_json::Value> {
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => serde_json::Value::Bool(value),
        Some(Kind::IntegerValue(whole)) => serde_json::Value::from(whole),
        Some(Kind::DoubleValue(number)) => Number::from_f64(number)
            .map(serde_json::Value::Number)
            .ok_or_else(|| corrupt(operation, "a number of a payload"))?,
        Some(Kind::StringValue(text)) => serde_json::Value::String(text),
        Some(Kind::ListValue(list)) => serde_json::Value::Array(
            list.values
                .into_iter()
                .map(|item| from_qdrant(operation, item))
                .collect::<Result<_>>()?,
        ),
        Some(Kind::StructValue(object)) => {
            let fields = object.fields.into_iter();
            let fields = fields.map(|(key, item)| Ok((key, from_qdrant(operation, item)?)));
            // In order of their names: Qdrant keeps none, and an answer should not change from one time to the next.
            let sorted = fields.collect::<Result<BTreeMap<_, _>>>()?;
            serde_json::Value::Object(sorted.into_iter().collect())
        }
    })
}

/// Whether Qdrant gives it back as it was: it keeps payloads as JSON text and reads numbers quickly, which is exact for up
/// to 15 digits and small exponents.
pub(super) fn reads_back(value: &serde_json::Value) -> bool {
    within(value, DEEPEST)
}

fn within(value: &serde_json::Value, levels: usize) -> bool {
    match value {
        serde_json::Value::Number(number) => {
            number.is_i64() || number.as_f64().is_some_and(reads_quickly)
        }
        serde_json::Value::Array(items) => {
            levels > 0 && items.iter().all(|item| within(item, levels - 1))
        }
        serde_json::Value::Object(fields) => {
            levels > 0 && fields.values().all(|item| within(item, levels - 1))
        }
        _ => true,
    }
}

fn reads_quickly(number: f64) -> bool {
    let text = format!("{:e}", number.abs());
    let Some((digits, exponent)) = text.split_once('e') else { return false };
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    let Ok(exponent) = exponent.parse::<i64>() else { return false };
    // The number is all digits as a whole, times ten to this.
    let shift = exponent - i64::try_from(count).unwrap_or(i64::MAX).saturating_sub(1);
    count <= 15 && (-22..=22).contains(&shift)
}

/// The paths of empty lists, as filters name fields: Qdrant takes an empty list for no value.
pub(super) fn empty_lists(payload: &serde_json::Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(fields) = payload.as_object() {
        walk(fields, &mut String::new(), &mut found);
    }
    found
}

fn walk(fields: &Map<String, serde_json::Value>, path: &mut String, found: &mut Vec<String>) {
    for (key, value) in fields {
        // No filter can name it.
        if key.is_empty() || key.contains('.') {
            continue;
        }
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(key);
        match value {
            serde_json::Value::Array(items) if items.is_empty() => found.push(path.clone()),
            serde_json::Value::Object(fields) => walk(fields, path, found),
            _ => {}
        }
        path.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_back() {
        let value = json!({"a": [1, -0.5, null, true, {"": []}], "b": {"c": i64::MIN}, "d": 1.0});
        assert!(reads_back(&value));
        assert_eq!(from_qdrant("t", to_qdrant(&value)).unwrap(), value);
    }

    #[test]
    fn what_does_not_read_back_is_known() {
        for number in [0.1, 1.5, -2.25e10, 0.0, -0.0, 1e22, 123_456.789] {
            assert!(reads_back(&json!(number)), "{number}");
        }
        for number in [1e300, 1e-300, 0.1 + 0.2, f64::MAX, std::f64::consts::PI] {
            assert!(!reads_back(&json!([number])), "{number}");
        }
        let deep = (0..40).fold(json!(1), |inner, _| json!({"a": inner}));
        assert!(!reads_back(&deep));
        let mut left = from_qdrant("t", to_qdrant(&deep)).unwrap();
        let mut levels = 0;
        while let Some(inner) = left.get_mut("a") {
            (left, levels) = (inner.take(), levels + 1);
        }
        assert_eq!((levels, left), (DEEPEST, json!({})));
    }

    #[test]
    fn empty_lists_are_found() {
        let value = json!({"a": [], "b": {"c": [], "d": [[]]}, "x.y": [], "": [], "e": [1]});
        assert_eq!(empty_lists(&value), ["a", "b.c"]);
        assert!(empty_lists(&json!([])).is_empty());
    }
}
