//! Bytes to text.

use serde::{Deserialize, Serialize};

/// The encoding that a file was read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-8 with bytes that are none: they became U+FFFD.
    #[serde(rename = "utf-8-repaired")]
    Utf8Repaired,
    /// UTF-16, little end first, by its byte order mark. Unpaired surrogates became U+FFFD.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, big end first, by its byte order mark. Unpaired surrogates became U+FFFD.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows-1252, which holds ISO 8859-1: text of one byte a character that is not UTF-8.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// The text of a file without its byte order mark; `None` when it is not text: it holds a NUL, or
/// more than one control character in twenty.
pub(super) fn decode(bytes: &[u8]) -> Option<(Encoding, String)> {
    let (encoding, text) = match bytes {
        [0xff, 0xfe, rest @ ..] => (Encoding::Utf16Le, utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => (Encoding::Utf16Be, utf16(rest, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => one_byte_units(rest),
        _ => one_byte_units(bytes),
    };
    (!text.contains('\0') && !is_noise(&text)).then_some((encoding, text))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let pairs = bytes.chunks(2).map(|pair| match *pair {
        [a, b] => unit([a, b]),
        _ => 0xfffd, // half a unit at the end
    });
    char::decode_utf16(pairs).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn one_byte_units(bytes: &[u8]) -> (Encoding, String) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (Encoding::Utf8, text.to_owned());
    }
    // Mostly whole sequences of several bytes: UTF-8 that was damaged or cut.
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for part in bytes.utf8_chunks() {
        whole += part.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!part.invalid().is_empty());
    }
    if whole > broken {
        return (Encoding::Utf8Repaired, String::from_utf8_lossy(bytes).into_owned());
    }
    (Encoding::Windows1252, bytes.iter().map(|&byte| windows_1252(byte)).collect())
}

/// The character of a byte, as the WHATWG Encoding Standard maps it.
fn windows_1252(byte: u8) -> char {
    const FROM_0X80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => FROM_0X80.get(usize::from(byte - 0x80)).copied().unwrap_or('\u{fffd}'),
        _ => char::from(byte),
    }
}

fn is_noise(text: &str) -> bool {
    let (mut all, mut control) = (0_usize, 0_usize);
    for c in text.chars() {
        all += 1;
        let layout = matches!(c, '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1b}' | '\u{8}');
        control += usize::from(c.is_control() && !layout);
    }
    control > all / 20
}
