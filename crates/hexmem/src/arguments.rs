//! Arguments that several commands read the same way.

use std::time::Duration;

use hexmem_ports::{Limit, Ttl};
use serde_json::Value;

/// A span like `500ms`, `30s`, `5m`, `8h` or `7d`.
pub(crate) fn ttl(text: &str) -> Result<Ttl, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wrong = || "write a whole number and ms, s, m, h or d: 30s".to_owned();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let span = Duration::from_millis(number.saturating_mul(millis));
    Ttl::new(span).map_err(|error| error.message().to_owned())
}

/// How many at most: 1 to 10,000.
pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    let number: u32 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Limit::new(number).map_err(|error| error.message().to_owned())
}

/// JSON. Left to itself, clap would take any text as a JSON string.
pub(crate) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        let millis = |text| ttl(text).map(|ttl| ttl.get().as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("30s"), Ok(30_000));
        assert_eq!(millis("5m"), Ok(300_000));
        assert_eq!(millis("8h"), Ok(28_800_000));
        assert_eq!(millis("7d"), Ok(604_800_000));
        for wrong in ["", "s", "30", "0s", "-1s", "1.5s", "1 s", "30S", "99999999999999999999s"] {
            assert!(ttl(wrong).is_err(), "{wrong}");
        }
        assert!(ttl("18446744073709551615d").is_err());
    }
}
