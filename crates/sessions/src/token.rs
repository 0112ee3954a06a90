//! The token: a secret of 256 random bits, and where its session lies.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hexmem_ports::{BUCKETS, Digest, Error, ErrorKind, Result, Retry, TokenKey, UserScope};

/// The length of every token's text, in bytes.
pub const TOKEN_BYTES: usize = MARK.len() + BUCKET_DIGITS + 1 + SECRET_DIGITS;

/// What a token begins with: scanners for leaked secrets know it by this, and a later form begins with another.
const MARK: &str = "hxs1.";
const BUCKET_DIGITS: usize = 4;
const SECRET_BYTES: usize = 32;
const SECRET_DIGITS: usize = 43;

/// A session token: `hxs1.`, the bucket as four hex digits, a dot, and 256 random bits in base64url (OWASP asks
/// for at least 64 bits of entropy). Made of letters, digits, `.`, `-` and `_`: fit for cookies and headers.
///
/// It is a secret: `Debug` and `Display` do not print it, [`Token::expose`] does. Only the SHA-256 of the
/// random bits reaches a store.
#[derive(Clone)]
pub struct Token {
    bucket: u16,
    secret: [u8; SECRET_BYTES],
}

impl Token {
    /// A fresh token for a session of `owner`, from the operating system's generator.
    pub fn random(owner: &UserScope) -> Result<Self> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| {
            let what = "the operating system gives no random bytes; try again";
            Error::new(ErrorKind::Unavailable, "sessions.token", what)
                .retry(Retry::Soon)
                .caused_by(error)
        })?;
        Ok(Self { bucket: owner.bucket(), secret })
    }

    /// Reads a token. `None` for everything that [`Token::expose`] did not print: another length (known without
    /// reading the text, so that a megabyte costs nothing), another alphabet or case, padding, a bucket that
    /// does not exist. Whether it was ever issued only a store knows.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TOKEN_BYTES {
            return None;
        }
        let (bucket, secret) = text.strip_prefix(MARK)?.split_once('.')?;
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if bucket.len() != BUCKET_DIGITS || !bucket.bytes().all(lower) {
            return None;
        }
        let bucket = u16::from_str_radix(bucket, 16).ok().filter(|bucket| *bucket < BUCKETS)?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        Some(Self { bucket, secret })
    }

    /// The text to give to the user: show it once, keep it nowhere.
    pub fn expose(&self) -> String {
        format!("{MARK}{:04x}.{}", self.bucket, URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// What a store knows it by.
    pub fn key(&self) -> TokenKey {
        TokenKey { bucket: self.bucket, hash: Digest::of(&self.secret) }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{:04x}.[secret]", self.bucket)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

#[cfg(test)]
mod tests {
    use hexmem_ports::{Name, Tenant};

    use super::*;

    fn owner(user: &str) -> UserScope {
        UserScope { tenant: Tenant(Name::new("t").unwrap()), user: Name::new(user).unwrap() }
    }

    #[test]
    fn what_is_printed_is_read_and_gives_the_same_key() {
        for n in 0..200 {
            let owner = owner(&format!("u{n}"));
            let token = Token::random(&owner).unwrap();
            let text = token.expose();
            assert_eq!(text.len(), TOKEN_BYTES);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)));
            assert_eq!(Token::parse(&text).unwrap().key(), token.key());
            assert_eq!(token.key().bucket, owner.bucket());
        }
    }

    #[test]
    fn neither_display_nor_debug_tells_the_secret() {
        let token = Token::random(&owner("u")).unwrap();
        let secret = &token.expose()[MARK.len() + BUCKET_DIGITS + 1..];
        let hash = token.key().hash.to_hex();
        for told in [token.to_string(), format!("{token:?}"), format!("{token:#?}")] {
            assert!(!told.contains(secret) && !told.contains(&hash), "{told}");
        }
    }

    #[test]
    fn tokens_differ() {
        let tokens: std::collections::HashSet<_> =
            (0..1_000).map(|_| Token::random(&owner("u")).unwrap().expose()).collect();
        assert_eq!(tokens.len(), 1_000);
    }

    #[test]
    fn what_is_no_token_is_none() {
        let good = Token::random(&owner("u")).unwrap().expose();
        let secret = &good[10..];
        let foreign = [
            String::new(),
            "\0".into(),
            good.to_uppercase(),
            format!("{good} "),
            format!(" {good}"),
            format!("{good}\n"),
            good.replace("hxs1", "hxs2"),
            good.replace('.', ":"),
            format!("hxs1.0400.{secret}"),
            format!("hxs1.ffff.{secret}"),
            format!("hxs1.+3ff.{secret}"),
            format!("hxs1.00F0.{secret}"),
            format!("hxs1.3ff.{secret}x"),
            format!("hxs1.0001.{}=", &secret[1..]),
            format!("hxs1.0001.{}+", &secret[1..]),
            format!("hxs1.0001.{}/", &secret[1..]),
            format!("hxs1.0001.{}\u{e9}", &secret[2..]),
            format!("hxs1.0001.{}", "\u{1f980}".repeat(10) + "abc"),
            // Bits beyond the 256: another text for the same secret.
            format!("hxs1.0001.{}B", "A".repeat(42)),
            "a".repeat(TOKEN_BYTES),
            ".".repeat(TOKEN_BYTES),
            "9".repeat(1_000_000),
            "6e3b5a3c-7d1c-4b8e-9a52-6c3f4e9d1a70".into(),
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl".into(),
        ];
        for text in foreign {
            assert!(Token::parse(&text).is_none(), "{}", text.chars().take(80).collect::<String>());
        }
        for end in 0..good.len() {
            assert!(Token::parse(&good[..end]).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn one_changed_character_is_another_token_or_none() {
        let good = Token::random(&owner("u")).unwrap();
        let text = good.expose();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'Q' } else { b'A' };
            let changed = Token::parse(std::str::from_utf8(&bytes).unwrap());
            assert!(changed.is_none_or(|changed| changed.key() != good.key()), "at {at}");
        }
    }
}
