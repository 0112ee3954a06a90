//! From an element's text to its fields, with faults named where they stand.

use hexmem_ports::Name;
use serde_json::{Map, Value};

use super::problem::Fault;

/// The fields of an element's object.
pub(super) fn fields(text: Option<&[u8]>) -> Result<Map<String, Value>, Fault> {
    let text = text.ok_or("it has more than 64 MiB of text")?;
    match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(fields)) => match big_integer(text) {
            Some((at, digits)) => Err(Fault {
                what: format!("the integer {digits} lies beyond 64 signed bits; write it as text"),
                at: Some(at),
            }),
            None => Ok(fields),
        },
        Ok(other) => Err(format!("it is {}, not an object", kind_of(&other)).into()),
        Err(error) => Err(no_json(text, &error)),
    }
}

fn no_json(text: &[u8], error: &serde_json::Error) -> Fault {
    if let Err(bad) = std::str::from_utf8(text) {
        return Fault {
            what: "a byte here is not UTF-8; save the file as UTF-8".to_owned(),
            at: Some(bad.valid_up_to()),
        };
    }
    if let Some((at, key, word)) = bare_word(text) {
        let what =
            format!("`{key}` is {word}, which JSON does not have; write a number, or leave it out");
        return Fault { what, at: Some(at) };
    }
    // The parser counts lines from the element's start: they would be taken for the file's.
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
    let said = match said {
        "recursion limit exceeded" => "lists and objects lie more than 127 deep",
        "EOF while parsing a string"
        | "EOF while parsing an object"
        | "EOF while parsing a list"
        | "EOF while parsing a value" => "it ends in the middle: it was cut short",
        other => other,
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let at = (before + error.column().saturating_sub(1)).min(text.len());
    Fault { what: format!("it is no JSON: {said}"), at: Some(at) }
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A node's id: a text, or an integer's digits.
pub(super) fn identity(key: &str, value: Value) -> Result<Name, String> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) if number.is_i64() => number.to_string(),
        other => return Err(format!("`{key}` is {}, not a text", kind_of(&other))),
    };
    Name::new(text).map_err(|error| format!("`{key}`: {}", error.message()))
}

/// A name, where there is one.
pub(super) fn text_name(key: &str, value: Option<Value>) -> Result<Option<Name>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            Name::new(text).map(Some).map_err(|error| format!("`{key}`: {}", error.message()))
        }
        Some(other) => Err(format!("`{key}` is {}, not a text", kind_of(&other))),
    }
}

/// The parts of a JSON text outside strings: where each begins, the string before it, the part.
fn outside_strings(text: &[u8]) -> impl Iterator<Item = (usize, &[u8], &[u8])> {
    let mut at = 0;
    let mut before: &[u8] = b"";
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let plain = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
        let (key, part_at) = (before, at);
        let start = (at + plain + 1).min(text.len());
        let mut end = start;
        while let Some(byte) = text.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let end = end.min(text.len());
        before = &text[start..end];
        at = end + 1;
        Some((part_at, key, &rest[..plain]))
    })
}

/// The first `NaN` or `Infinity` outside strings, as Python writes them: where, the key before it, the word.
fn bare_word(text: &[u8]) -> Option<(usize, String, &'static str)> {
    outside_strings(text).find_map(|(at, key, part)| {
        ["NaN", "-Infinity", "Infinity"].into_iter().find_map(|word| {
            let found = part.windows(word.len()).position(|window| window == word.as_bytes())?;
            Some((at + found, String::from_utf8_lossy(key).into_owned(), word))
        })
    })
}

/// The first integer outside strings that 64 signed bits do not hold (a parser would make it a fraction).
fn big_integer(text: &[u8]) -> Option<(usize, String)> {
    outside_strings(text).find_map(|(at, _, part)| {
        // Most parts are too short to hold such a number.
        if part.len() < 19 {
            return None;
        }
        let mut start = 0;
        part.split(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .map(|number| {
                let here = start;
                start += number.len() + 1;
                (here, number)
            })
            .filter(|(_, number)| {
                number.len() > 18 && number.iter().all(|b| b.is_ascii_digit() || *b == b'-')
            })
            .filter_map(|(here, number)| Some((here, std::str::from_utf8(number).ok()?)))
            .find(|(_, number)| number.parse::<i64>().is_err())
            .map(|(here, number)| (at + here, number.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_and_big_integers_are_found_outside_strings_only() {
        let text = br#"{"a": "NaN", "weight": NaN}"#;
        assert_eq!(bare_word(text), Some((23, "weight".into(), "NaN")));
        assert_eq!(bare_word(br#"{"a\"NaN": "Infinity"}"#), None);
        assert_eq!(bare_word(br#"{"x": [-Infinity]}"#), Some((7, "x".into(), "-Infinity")));
        assert_eq!(
            big_integer(br#"{"n": 9223372036854775807, "s": "99999999999999999999"}"#),
            None
        );
        let big = big_integer(br#"{"n": 9223372036854775808}"#);
        assert_eq!(big, Some((6, "9223372036854775808".to_owned())));
        let later = big_integer(br#"{"n": [1, -99999999999999999999]}"#);
        assert_eq!(later, Some((10, "-99999999999999999999".to_owned())));
        assert_eq!(big_integer(br#"{"n": 99999999999999999999.5e3}"#), None);
    }

    #[test]
    fn a_fault_is_named_where_it_stands() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for (text, says, at) in [
            (&b"{\"a\":\n \"b\xff\"}"[..], "not UTF-8", 9),
            (b"{\"a\":\n nope}", "expected ident", 8),
            (b"{\"a\": \"b", "cut short", 7),
            (b"{\"a\": {\"w\": NaN}}", "`w` is NaN", 12),
            (deep.as_bytes(), "127 deep", 131),
        ] {
            let fault = fields(Some(text)).unwrap_err();
            assert!(fault.what.contains(says), "{fault:?}");
            assert_eq!(fault.at, Some(at), "{fault:?}");
        }
        assert!(fields(None).unwrap_err().what.contains("64 MiB"));
        assert!(fields(Some(b"[1]")).unwrap_err().what.contains("it is a list"));
    }
}
