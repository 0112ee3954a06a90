//! Counting in a value.

use crate::{Error, Result};

/// The sum of the integer that `value` is (absent counts as 0) and `by`. The value must be the decimal text of
/// an i64 as this rule writes it: no sign `+`, no leading zeros, no space, no `-0`. `Invalid` when it
/// is not, and for a sum beyond i64.
pub fn add(operation: &'static str, value: Option<&[u8]>, by: i64) -> Result<i64> {
    let present = value.map_or(Some(0), integer).ok_or_else(|| {
        Error::invalid(
            operation,
            "the value is no decimal integer of 64 bits; set one, or delete the key",
        )
    })?;
    present.checked_add(by).ok_or_else(|| {
        Error::invalid(operation, "the sum lies beyond 64 signed bits")
            .with("value", present)
            .with("by", by)
    })
}

fn integer(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        for (value, by, expected) in [
            (None, 5, Some(5)),
            (Some("0"), -1, Some(-1)),
            (Some("-9223372036854775808"), 1, Some(i64::MIN + 1)),
            (Some("9223372036854775807"), 1, None),
            (Some("-9223372036854775808"), -1, None),
            (Some("9223372036854775808"), 0, None),
            (Some(""), 0, None),
            (Some("+1"), 0, None),
            (Some("01"), 0, None),
            (Some("-0"), 0, None),
            (Some(" 1"), 0, None),
            (Some("1.0"), 0, None),
        ] {
            assert_eq!(add("t", value.map(str::as_bytes), by).ok(), expected, "{value:?} + {by}");
        }
        assert!(add("t", Some(&[0xff]), 0).is_err());
    }
}
