//! The filter language over payloads.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// Which payloads. As JSON: `{"field": "lang", "eq": "en"}`, `{"field": "year", "gte": 2020, "lt": 2025}`,
/// `{"field": "tag", "in": ["a", "b"]}`, `{"field": "x.y", "exists": true}`, `{"and": [...]}`,
/// `{"or": [...]}`, `{"not": {...}}`.
///
/// A field is a dotted path into objects. Where the value is an array, a condition holds when it holds for one
/// of its elements. A condition on an absent field does not hold (so `not` over it does).
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these; none: everything.
    And(Vec<Filter>),
    /// One of these; none: nothing.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// Equal to a string, number or boolean.
    Eq(FieldPath, Value),
    /// Equal to one of these.
    In(FieldPath, Vec<Value>),
    /// A number within bounds.
    Range(FieldPath, Bounds),
    /// Present and not null (true), or absent or null (false).
    Exists(FieldPath, Presence),
}

/// Whether a field must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Present and not null.
    Present,
    /// Absent or null.
    Absent,
}

/// Bounds of a number; each given one holds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// Greater than.
    pub gt: Option<f64>,
    /// At least.
    pub gte: Option<f64>,
    /// Less than.
    pub lt: Option<f64>,
    /// At most.
    pub lte: Option<f64>,
}

impl Bounds {
    fn hold(&self, number: f64) -> bool {
        self.gt.is_none_or(|bound| number > bound)
            && self.gte.is_none_or(|bound| number >= bound)
            && self.lt.is_none_or(|bound| number < bound)
            && self.lte.is_none_or(|bound| number <= bound)
    }
}

/// A dotted path, 1 to 256 bytes, no empty parts, no NUL, no brackets, quotes or backslash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath(String);

impl FieldPath {
    /// Checks the form.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let odd = |c: char| matches!(c, '\0' | '[' | ']' | '"' | '\'' | '\\');
        if text.is_empty()
            || text.len() > 256
            || text.contains(odd)
            || text.split('.').any(str::is_empty)
        {
            return Err(Error::invalid(
                "filter",
                "a field is a dotted path such as `meta.lang`, at most 256 bytes",
            )
            .with("field", text.chars().take(64).collect::<String>().escape_debug()));
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// The value at this path.
    pub fn of<'a>(&self, payload: &'a Value) -> Option<&'a Value> {
        self.parts().try_fold(payload, |value, part| value.as_object()?.get(part))
    }
}

impl TryFrom<String> for FieldPath {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.0
    }
}

/// The deepest nesting and the most conditions of one filter.
const DEPTH_LIMIT: usize = 16;
const SIZE_LIMIT: usize = 1_024;

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self::And(Vec::new())
    }

    /// Whether `payload` passes: the meaning of the language, that every store agrees with.
    pub fn matches(&self, payload: &Value) -> bool {
        let any = |path: &FieldPath, test: &dyn Fn(&Value) -> bool| match path.of(payload) {
            Some(Value::Array(items)) => items.iter().any(test),
            Some(value) => test(value),
            None => false,
        };
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(payload)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(payload)),
            Self::Not(part) => !part.matches(payload),
            Self::Eq(path, wanted) => any(path, &|value| equal(value, wanted)),
            Self::In(path, wanted) => any(path, &|value| wanted.iter().any(|w| equal(value, w))),
            Self::Range(path, bounds) => {
                any(path, &|value| value.as_f64().is_some_and(|n| bounds.hold(n)))
            }
            Self::Exists(path, presence) => {
                let there = path.of(payload).is_some_and(|value| !value.is_null());
                there == (*presence == Presence::Present)
            }
        }
    }

    /// Reads the JSON form. `Invalid` names the part that is wrong.
    pub fn parse(value: &Value) -> Result<Self> {
        parse(value, 0, &mut 0)
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        let list = |parts: &[Self]| parts.iter().map(Self::to_json).collect::<Vec<_>>();
        match self {
            Self::And(parts) => json!({ "and": list(parts) }),
            Self::Or(parts) => json!({ "or": list(parts) }),
            Self::Not(part) => json!({ "not": part.to_json() }),
            Self::Eq(path, value) => json!({ "field": path, "eq": value }),
            Self::In(path, values) => json!({ "field": path, "in": values }),
            Self::Range(path, bounds) => {
                let mut object = Map::from_iter([("field".to_owned(), json!(path))]);
                let named = [
                    ("gt", bounds.gt),
                    ("gte", bounds.gte),
                    ("lt", bounds.lt),
                    ("lte", bounds.lte),
                ];
                object
                    .extend(named.into_iter().filter_map(|(k, v)| Some((k.to_owned(), json!(v?)))));
                Value::Object(object)
            }
            Self::Exists(path, presence) => {
                json!({ "field": path, "exists": *presence == Presence::Present })
            }
        }
    }
}

impl Serialize for Filter {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        self.to_json().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        Self::parse(&Value::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// Equal by value: 1 equals 1.0, a string never equals a number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => x.as_f64() == y.as_f64(),
        },
        _ => a == b,
    }
}

fn refuse<T>(what: &str, value: &Value) -> Result<T> {
    let text: String = value.to_string().chars().take(120).collect();
    Err(Error::invalid("filter", what).with("part", text))
}

fn parse(value: &Value, depth: usize, size: &mut usize) -> Result<Filter> {
    *size += 1;
    if depth > DEPTH_LIMIT || *size > SIZE_LIMIT {
        return refuse(
            "the filter is nested deeper than 16 or has more than 1024 parts",
            &Value::Null,
        );
    }
    let Some(object) = value.as_object() else {
        return refuse(
            "a filter is an object such as {\"field\": \"lang\", \"eq\": \"en\"}",
            value,
        );
    };
    if let Some(field) = object.get("field") {
        let Some(field) = field.as_str() else { return refuse("`field` is text", value) };
        return condition(FieldPath::new(field)?, object, value);
    }
    let mut list = |parts: &Value| match parts.as_array() {
        Some(parts) => {
            parts.iter().map(|part| parse(part, depth + 1, size)).collect::<Result<Vec<_>>>()
        }
        None => refuse("`and` and `or` take a list of filters", value),
    };
    match object.iter().next() {
        Some((key, parts)) if object.len() == 1 => match key.as_str() {
            "and" => Ok(Filter::And(list(parts)?)),
            "or" => Ok(Filter::Or(list(parts)?)),
            "not" => Ok(Filter::Not(Box::new(parse(parts, depth + 1, size)?))),
            _ => refuse("unknown key; use `field`, `and`, `or` or `not`", value),
        },
        None => Ok(Filter::all()),
        _ => refuse("one of `field`, `and`, `or`, `not` at a time", value),
    }
}

fn condition(path: FieldPath, object: &Map<String, Value>, whole: &Value) -> Result<Filter> {
    let scalar = |value: &Value| match value {
        Value::String(text) => !text.contains('\0'),
        Value::Bool(_) => true,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        _ => false,
    };
    let mut bounds = Bounds::default();
    let mut bounded = false;
    for (key, value) in object.iter().filter(|(key, _)| *key != "field") {
        let bound = match key.as_str() {
            "gt" => &mut bounds.gt,
            "gte" => &mut bounds.gte,
            "lt" => &mut bounds.lt,
            "lte" => &mut bounds.lte,
            _ if object.len() != 2 => {
                return refuse("one condition a field; join several with `and`", whole);
            }
            "eq" if scalar(value) => return Ok(Filter::Eq(path, value.clone())),
            "eq" => return refuse("`eq` takes text, a number or a boolean", whole),
            "in" => {
                return match value.as_array() {
                    Some(values) if values.len() <= SIZE_LIMIT && values.iter().all(scalar) => {
                        Ok(Filter::In(path, values.clone()))
                    }
                    _ => refuse(
                        "`in` takes a list of at most 1024 texts, numbers or booleans",
                        whole,
                    ),
                };
            }
            "exists" => {
                return match value.as_bool() {
                    Some(true) => Ok(Filter::Exists(path, Presence::Present)),
                    Some(false) => Ok(Filter::Exists(path, Presence::Absent)),
                    None => refuse("`exists` takes true or false", whole),
                };
            }
            _ => return refuse("unknown condition; use eq, in, gt, gte, lt, lte or exists", whole),
        };
        let Some(number) = value.as_f64() else { return refuse("a bound is a number", whole) };
        *bound = Some(number);
        bounded = true;
    }
    if bounded {
        Ok(Filter::Range(path, bounds))
    } else {
        refuse("`field` needs a condition such as `eq`", whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_by_the_stated_meaning() {
        let payload =
            json!({"lang": "en", "year": 2021, "tags": ["a", "b"], "m": {"x": 1.0}, "none": null});
        let yes = [
            json!({}),
            json!({"field": "lang", "eq": "en"}),
            json!({"field": "m.x", "eq": 1}),
            json!({"field": "tags", "eq": "b"}),
            json!({"field": "tags", "in": ["z", "a"]}),
            json!({"field": "year", "gte": 2021, "lt": 2022}),
            json!({"field": "none", "exists": false}),
            json!({"not": {"field": "absent", "eq": 1}}),
            json!({"or": [{"field": "lang", "eq": "de"}, {"and": []}]}),
        ];
        for filter in yes {
            let parsed = Filter::parse(&filter).unwrap();
            assert!(parsed.matches(&payload), "{filter}");
            assert_eq!(Filter::parse(&parsed.to_json()).unwrap(), parsed);
        }
        let no = [
            json!({"field": "year", "eq": "2021"}),
            json!({"field": "absent", "gt": 0}),
            json!({"field": "lang", "gt": 0}),
            json!({"or": []}),
        ];
        for filter in no {
            assert!(!Filter::parse(&filter).unwrap().matches(&payload), "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_named() {
        let deep = (0..40).fold(json!({}), |inner, _| json!({"not": inner}));
        for filter in [
            json!(1),
            json!({"feld": "x"}),
            json!({"field": "a..b", "eq": 1}),
            json!({"field": "a"}),
            json!({"field": "a", "eq": null}),
            json!({"field": "a", "eq": 1, "in": []}),
            json!({"and": 1}),
            deep,
        ] {
            assert!(Filter::parse(&filter).is_err(), "{filter}");
        }
    }
}
