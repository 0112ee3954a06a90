//! What JSON a store accepts.

use serde_json::Value;

use crate::{Error, Result};

/// The deepest nesting accepted.
pub const JSON_DEPTH_LIMIT: usize = 64;

/// The largest JSON document accepted, in bytes of its compact text.
pub const JSON_SIZE_LIMIT: usize = 16 * 1024 * 1024;

/// The largest opaque value (payload, cached answer, key-value entry), in bytes.
pub const BYTES_LIMIT: usize = 64 * 1024 * 1024;

/// Checks `value` against the limits that hold in every store: no NUL in strings or keys, integers
/// within i64, at most [`JSON_DEPTH_LIMIT`] levels and [`JSON_SIZE_LIMIT`] bytes. NaN cannot be written
/// in JSON at all. The error names the path.
pub fn check_json(operation: &'static str, value: &Value) -> Result<()> {
    let mut size = 0;
    walk(operation, value, &mut String::from("$"), 0, &mut size)
}

/// Checks the length of opaque bytes against [`BYTES_LIMIT`].
pub fn check_bytes(operation: &'static str, bytes: &[u8]) -> Result<()> {
    if bytes.len() > BYTES_LIMIT {
        return Err(Error::invalid(
            operation,
            format!("a value has {} bytes; the limit is {BYTES_LIMIT}", bytes.len()),
        ));
    }
    Ok(())
}

/// How deep a value is nested: 0 for one that holds none.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(depth).max().map_or(0, |deepest| deepest + 1),
        Value::Object(fields) => fields.values().map(depth).max().map_or(0, |deepest| deepest + 1),
        _ => 0,
    }
}

fn walk(
    operation: &'static str,
    value: &Value,
    path: &mut String,
    depth: usize,
    size: &mut usize,
) -> Result<()> {
    let refuse = |path: &str, what: String| Err(Error::invalid(operation, what).with("path", path));
    if depth > JSON_DEPTH_LIMIT {
        return refuse(path, format!("JSON is nested deeper than {JSON_DEPTH_LIMIT} levels"));
    }
    match value {
        Value::Null | Value::Bool(_) => *size += 4,
        Value::Number(number) => {
            *size += 8;
            if number.is_u64() && !number.is_i64() {
                return refuse(
                    path,
                    "an integer lies beyond 64 signed bits; write it as text".into(),
                );
            }
        }
        Value::String(text) => {
            *size += text.len() + 2;
            if text.contains('\0') {
                return refuse(path, "a JSON string contains NUL; remove it".into());
            }
        }
        Value::Array(items) => {
            *size += 2;
            for (i, item) in items.iter().enumerate() {
                let len = path.len();
                path.push_str(&format!("[{i}]"));
                walk(operation, item, path, depth + 1, size)?;
                path.truncate(len);
            }
        }
        Value::Object(fields) => {
            *size += 2;
            for (key, item) in fields {
                let len = path.len();
                path.push('.');
                path.push_str(&key.escape_debug().to_string());
                *size += key.len() + 4;
                if key.contains('\0') {
                    return refuse(path, "a JSON key contains NUL; remove it".into());
                }
                walk(operation, item, path, depth + 1, size)?;
                path.truncate(len);
            }
        }
    }
    if *size > JSON_SIZE_LIMIT {
        return refuse(path, format!("JSON is larger than {JSON_SIZE_LIMIT} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_error_names_the_path() {
        let error = check_json("doc.put", &json!({"a": [1, {"b": "x\u{0}"}]})).unwrap_err();
        assert!(error.to_string().contains("$.a[1].b"), "{error}");
    }

    #[test]
    fn integers_are_exact_over_i64_and_refused_beyond() {
        assert!(check_json("t", &json!([i64::MIN, i64::MAX, 1.5])).is_ok());
        assert!(check_json("t", &json!(u64::MAX)).is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = (0..80).fold(json!(1), |inner, _| json!([inner]));
        assert!(check_json("t", &deep).is_err());
    }
}
