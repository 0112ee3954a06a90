//! Bytes to text.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use serde::{Serialize, Serializer};

/// The encoding that a file was read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-8 with bytes that are none: they became U+FFFD.
    Utf8Repaired,
    /// UTF-16, little end first: by its byte order mark, or by where its zeros stand. Unpaired surrogates became U+FFFD.
    Utf16Le,
    /// UTF-16, big end first, likewise.
    Utf16Be,
    /// One that was guessed from the bytes, by its name in the WHATWG Encoding Standard: text that is neither of the above.
    /// `windows-1252` holds ISO 8859-1.
    Legacy(&'static str),
    /// Not text of bytes: the file says itself what its characters are.
    Own,
}

impl Encoding {
    /// Its name: `utf-8`, `utf-8-repaired`, `utf-16le`, `utf-16be`, `windows-1252`, `shift_jis`, ...; `own`.
    pub fn name(self) -> String {
        match self {
            Self::Utf8 => "utf-8".into(),
            Self::Utf8Repaired => "utf-8-repaired".into(),
            Self::Utf16Le => "utf-16le".into(),
            Self::Utf16Be => "utf-16be".into(),
            Self::Legacy(name) => name.to_ascii_lowercase(),
            Self::Own => "own".into(),
        }
    }
}

impl Serialize for Encoding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// As many bytes as a guess looks at.
const LOOK: usize = 256 * 1024;

/// The text of a file without its byte order mark; `None` when it is not text: it holds a NUL, or
/// more than one control or unreadable character in twenty.
pub(super) fn decode(bytes: &[u8]) -> Option<(Encoding, String)> {
    let (encoding, text) = match bytes {
        [0xff, 0xfe, rest @ ..] => (Encoding::Utf16Le, utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => (Encoding::Utf16Be, utf16(rest, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => one_byte_units(rest),
        _ => match unmarked_utf16(bytes) {
            Some(Encoding::Utf16Be) => (Encoding::Utf16Be, utf16(bytes, u16::from_be_bytes)),
            Some(encoding) => (encoding, utf16(bytes, u16::from_le_bytes)),
            None => one_byte_units(bytes),
        },
    };
    (!text.contains('\0') && !is_noise(encoding, &text)).then_some((encoding, text))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let pairs = bytes.chunks(2).map(|pair| match *pair {
        [a, b] => unit([a, b]),
        _ => 0xfffd, // half a unit at the end
    });
    char::decode_utf16(pairs).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// UTF-16 without its mark: at least two in five units are below 256, so that one side is zero, and the other never is. Pairs of
/// surrogates must be whole, or it is something else with zeros.
fn unmarked_utf16(bytes: &[u8]) -> Option<Encoding> {
    let look = bytes.get(..LOOK).unwrap_or(bytes);
    let (units, odd) = look.as_chunks::<2>();
    if units.is_empty() || !odd.is_empty() {
        return None;
    }
    let zeros = |side: usize| units.iter().filter(|unit| unit[side] == 0).count();
    let (encoding, unit, share): (_, fn([u8; 2]) -> u16, _) = match (zeros(0), zeros(1)) {
        (0, high) => (Encoding::Utf16Le, u16::from_le_bytes, high),
        (high, 0) => (Encoding::Utf16Be, u16::from_be_bytes, high),
        _ => return None,
    };
    let mut numbers = units.iter().map(|pair| unit(*pair)).peekable();
    // A pair may be cut where the look ends.
    let whole = bytes.len() > LOOK || char::decode_utf16(&mut numbers).all(|c| c.is_ok());
    (whole && share * 5 >= units.len() * 2).then_some(encoding)
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
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let look = bytes.get(..LOOK).unwrap_or(bytes);
    detector.feed(look, look.len() == bytes.len());
    let guess = detector.guess(None, Utf8Detection::Deny);
    let (text, _) = guess.decode_without_bom_handling(bytes);
    // Of encodings that say the same, the usual one: a short text cannot tell them apart.
    let (usual, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes);
    let name = if usual == text { encoding_rs::WINDOWS_1252.name() } else { guess.name() };
    (Encoding::Legacy(name), text.into_owned())
}

fn is_noise(encoding: Encoding, text: &str) -> bool {
    let (mut all, mut noise) = (0_usize, 0_usize);
    let guessed = matches!(encoding, Encoding::Legacy(_));
    for c in text.chars() {
        all += 1;
        let layout = matches!(c, '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1b}' | '\u{8}');
        let unread = guessed && c == char::REPLACEMENT_CHARACTER;
        noise += usize::from((c.is_control() && !layout) || unread);
    }
    noise > all / 20
}
