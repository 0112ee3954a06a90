//! What a request has changed and not yet saved.

use std::collections::BTreeMap;

use hexmem_ports::{Error, Result};
use serde_json::{Map, Value};

/// Changes by key, in place of what the data holds when they are applied.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whether everything goes first.
    cleared: bool,
    /// `None` removes the key.
    keys: BTreeMap<String, Option<Value>>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        !self.cleared && self.keys.is_empty()
    }

    /// Whether they leave anything behind where nothing was.
    pub(super) fn add_something(&self) -> bool {
        self.keys.values().any(Option::is_some)
    }

    pub(super) fn set(&mut self, key: &str, value: Option<Value>) {
        self.keys.insert(key.to_owned(), value);
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.cleared = true;
    }

    /// What a key holds after them; the outer `None` where they leave it as it is.
    pub(super) fn get(&self, key: &str) -> Option<Option<&Value>> {
        match self.keys.get(key) {
            Some(value) => Some(value.as_ref()),
            None => self.cleared.then_some(None),
        }
    }

    /// These, and then newer ones.
    pub(super) fn then(mut self, newer: Self) -> Self {
        if newer.cleared {
            return newer;
        }
        self.keys.extend(newer.keys);
        self
    }

    pub(super) fn apply(&self, data: Value) -> Result<Value> {
        let mut fields = if self.cleared { Map::new() } else { object(data)? };
        for (key, value) in &self.keys {
            match value {
                Some(value) => fields.insert(key.clone(), value.clone()),
                None => fields.shift_remove(key),
            };
        }
        Ok(Value::Object(fields))
    }
}

/// The data as an object; no data is an empty one.
pub(super) fn object(data: Value) -> Result<Map<String, Value>> {
    match data {
        Value::Null => Ok(Map::new()),
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::invalid(
            "sessions.web",
            "the session's data is no object, so it has no keys; clear it first",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(keys: &[(&str, Option<i64>)]) -> Changes {
        let mut changes = Changes::default();
        for (key, value) in keys {
            changes.set(key, value.map(|value| json!(value)));
        }
        changes
    }

    #[test]
    fn changes_stand_over_what_is_there() {
        let changes = of(&[("a", Some(2)), ("b", None)]);
        let data = json!({ "a": { "deep": 1 }, "b": 1, "c": 3 });
        assert_eq!(changes.apply(data).unwrap(), json!({ "a": 2, "c": 3 }), "replaced, not merged");
        assert_eq!(changes.apply(Value::Null).unwrap(), json!({ "a": 2 }));
        assert!(changes.apply(json!(7)).is_err());
        assert_eq!(changes.get("a"), Some(Some(&json!(2))));
        assert_eq!((changes.get("b"), changes.get("c")), (Some(None), None));
        assert!(changes.add_something() && !of(&[("b", None)]).add_something());
    }

    #[test]
    fn clearing_leaves_only_what_came_after() {
        let mut changes = of(&[("a", Some(1))]);
        changes.clear();
        assert!(!changes.is_empty() && !changes.add_something());
        changes.set("b", Some(json!(2)));
        assert_eq!((changes.get("a"), changes.get("b")), (Some(None), Some(Some(&json!(2)))));
        assert_eq!(changes.apply(json!({ "c": 1 })).unwrap(), json!({ "b": 2 }));
        assert_eq!(changes.apply(json!(7)).unwrap(), json!({ "b": 2 }));
    }

    #[test]
    fn later_changes_stand_over_earlier_ones() {
        let both = of(&[("a", Some(1)), ("b", Some(1))]).then(of(&[("b", None), ("c", Some(2))]));
        assert_eq!(both.apply(json!({ "b": 0 })).unwrap(), json!({ "a": 1, "c": 2 }));
        let mut cleared = Changes::default();
        cleared.clear();
        assert_eq!(
            of(&[("a", Some(1))]).then(cleared).apply(json!({ "x": 1 })).unwrap(),
            json!({})
        );
    }
}
