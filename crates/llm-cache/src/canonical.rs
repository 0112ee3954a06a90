//! Canonical JSON: RFC 8785 (JCS), so that equal questions have equal bytes.
//!
//! Object keys are sorted by UTF-16 code units, numbers are written as ECMAScript writes them, nothing but
//! what must be escaped is escaped. One addition: an integer beyond 2^53, which JCS would round to its
//! neighbour, is written as a string tagged with NUL. No string of a question contains NUL, so that the text
//! of no other value is the same.

use serde_json::{Map, Number, Value};

/// The largest integer that every double around it tells apart, 2^53.
const EXACT: u64 = 1 << 53;

/// Appends the canonical text of `value`.
pub(crate) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => write_array(items, out),
        Value::Object(fields) => write_object(fields, out),
    }
}

/// Appends an array.
pub(crate) fn write_array(items: &[Value], out: &mut String) {
    out.push('[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_object(fields: &Map<String, Value>, out: &mut String) {
    write_fields(fields.iter().map(|(key, value)| (key.as_str(), value)), out);
}

/// Appends an object of these fields, in canonical order.
pub(crate) fn write_fields<'a>(
    fields: impl Iterator<Item = (&'a str, &'a Value)>,
    out: &mut String,
) {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (n, (key, value)) in fields.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

/// Appends a string in quotes (RFC 8785, 3.2.2.2).
pub(crate) fn write_string(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_number(number: &Number, out: &mut String) {
    let integer = number.as_i64().map(|n| n.unsigned_abs()).or_else(|| number.as_u64());
    match (integer, number.as_f64()) {
        (Some(size), _) if size <= EXACT => out.push_str(&number.to_string()),
        (Some(_), _) => write_string(&format!("\0integer:{number}"), out),
        (None, Some(double)) => out.push_str(&ecmascript(double)),
        // Not in JSON: serde_json holds no such number.
        (None, None) => out.push_str("null"),
    }
}

/// `Number::toString` of ECMAScript (ECMA-262, 6.1.6.1.20): the shortest digits that read back as the same
/// double, plain between 1e-6 and 1e21, with an exponent outside.
fn ecmascript(double: f64) -> String {
    if double == 0.0 {
        return "0".into(); // also for -0
    }
    let sign = if double < 0.0 { "-" } else { "" };
    // The shortest digits, the even one of two equally near (which `{:e}` of the standard library is not bound
    // to); only their arrangement differs from ECMAScript's.
    let shortest = Number::from_f64(double.abs()).map(|n| n.to_string()).unwrap_or_default();
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let digits = significant.trim_end_matches('0');
    let offset = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    // The decimal point stands behind `point` digits.
    let point = exponent.parse::<i32>().unwrap_or(0) + offset(whole.len()) - offset(leading);
    let exponent = point - 1;
    let places = usize::try_from(point).unwrap_or(0);
    let zeros = |count: usize| "0".repeat(count);
    match point {
        1..=21 if digits.len() <= places => {
            format!("{sign}{digits}{}", zeros(places - digits.len()))
        }
        1..=21 => format!("{sign}{}.{}", &digits[..places], &digits[places..]),
        -5..=0 => {
            format!("{sign}0.{}{digits}", zeros(usize::try_from(-point).unwrap_or(0)))
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let plus = if exponent > 0 { "+" } else { "" };
            format!("{sign}{first}{dot}{rest}e{plus}{exponent}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn canonical(value: &Value) -> String {
        let mut out = String::new();
        write(value, &mut out);
        out
    }

    /// RFC 8785, appendix B.
    #[test]
    fn numbers_are_written_as_the_rfc_samples_say() {
        for (bits, expected) in [
            (0x0000_0000_0000_0000u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(ecmascript(f64::from_bits(bits)), expected, "{bits:016x}");
        }
    }

    /// RFC 8785, 3.2.2 and 3.2.3.
    #[test]
    fn the_samples_of_the_rfc() {
        let sample = json!({
            "numbers": [333_333_333.333_333_3, 1e30, 4.50, 2e-3, 0.000_000_000_000_000_000_000_000_001],
            "string": "\u{20ac}$\u{f}\nA'B\"\\\\\"/",
            "literals": [null, true, false],
        });
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                        \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(&sample), expected);
        let keys = json!({
            "\u{20ac}": "Euro Sign",
            "\r": "Carriage Return",
            "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One",
            "\u{1f600}": "Emoji: Grinning Face",
            "\u{80}": "Control",
            "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let text = canonical(&keys);
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let places: Vec<_> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn integers_are_exact_beyond_what_a_double_tells_apart() {
        assert_eq!(canonical(&json!([1, 1.0, -0.0, 1e2])), "[1,1,0,100]");
        assert_eq!(canonical(&json!(1u64 << 53)), "9007199254740992");
        assert_eq!(canonical(&json!((1i64 << 53) + 1)), "\"\\u0000integer:9007199254740993\"");
        assert_eq!(canonical(&json!(i64::MIN)), "\"\\u0000integer:-9223372036854775808\"");
    }

    #[test]
    fn strings_escape_what_must_be_and_nothing_else() {
        assert_eq!(
            canonical(&json!("\u{8}\t\n\u{c}\r\u{1f}\u{7f}\u{2028}é/")),
            "\"\\b\\t\\n\\f\\r\\u001f\u{7f}\u{2028}é/\""
        );
    }
}
