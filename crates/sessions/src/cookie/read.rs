//! Reading the cookie of a request.

use super::CookieConfig;
use crate::Token;

/// What the cookies of a request hold for us.
#[derive(Debug, Clone)]
pub enum Presented {
    /// No cookie of our name, or an empty one.
    Nothing,
    /// One token, perhaps more than once.
    Token(Token),
    /// Cookies of our name, and none of them a token: forged, cut, or another program's.
    Foreign,
    /// Different tokens under our name. The order of cookies tells nothing (RFC 6265bis, section 4.2.2), and somebody
    /// may have planted one: neither is taken.
    Ambiguous,
}

impl CookieConfig {
    /// Reads the `Cookie` headers of a request: all of them, for HTTP/2 and HTTP/3 split them. Nothing is decoded: a
    /// token has no character that needs `%`, so a text with one is not ours; one pair of quotes around a value is
    /// taken off. Time grows with the bytes and nothing is copied: a megabyte of cookies costs a look at each byte.
    pub fn read<'a>(&self, headers: impl IntoIterator<Item = &'a [u8]>) -> Presented {
        let mut seen = Presented::Nothing;
        for value in headers.into_iter().flat_map(|header| self.values(header)) {
            let token = str::from_utf8(value).ok().and_then(Token::parse);
            seen = match (seen, token) {
                (Presented::Token(first), Some(token)) if token.key() != first.key() => {
                    return Presented::Ambiguous;
                }
                (Presented::Token(first), _) => Presented::Token(first),
                (_, Some(token)) => Presented::Token(token),
                (_, None) => Presented::Foreign,
            };
        }
        seen
    }

    /// The values under our name that are not empty.
    fn values<'a>(&self, header: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let pairs = header.split(|byte| *byte == b';');
        pairs.filter_map(move |pair| {
            let pair = pair.trim_ascii();
            let rest = pair.strip_prefix(self.name.as_bytes())?;
            let value = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
            let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            Some(bare.unwrap_or(value)).filter(|value| !value.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use hexmem_ports::{Name, Tenant, UserScope};

    use super::*;

    fn token() -> Token {
        let tenant = Tenant(Name::new("t").unwrap());
        Token::random(&UserScope { tenant, user: Name::new("u").unwrap() }).unwrap()
    }

    fn read(headers: &[&str]) -> Presented {
        CookieConfig::default().read(headers.iter().map(|header| header.as_bytes()))
    }

    fn is(presented: &Presented, token: &Token) -> bool {
        matches!(presented, Presented::Token(read) if read.key() == token.key())
    }

    #[test]
    fn what_is_set_is_read() {
        let token = token();
        let set = CookieConfig::default().set(&token, core::time::Duration::from_secs(60));
        let pair = set.split(';').next().unwrap();
        assert!(is(&read(&[pair]), &token));
        let text = token.expose();
        let ways = [
            format!("a=b; {pair}; c=d"),
            format!("a=b;{pair};c=d"),
            format!(";; ;{pair};;"),
            format!("\t {pair} \t"),
            format!("__Host-id = {text}"),
            format!("__Host-id=\"{text}\""),
            format!("{pair}; {pair}"),
            format!("__Host-id=; {pair}"),
            format!("{pair}; __Host-id=rubbish"),
            format!("__Host-id=rubbish; {pair}"),
            format!("=x; =; novalue; a==b; {pair}"),
        ];
        for way in ways {
            assert!(is(&read(&[&way]), &token), "{}", way.replace(&text, "TOKEN"));
        }
        assert!(is(&read(&["a=b", "c=d", pair]), &token), "split by HTTP/2");
    }

    #[test]
    fn nothing_is_nothing() {
        for header in [
            "",
            ";",
            "a=b",
            "__Host-id",
            "__Host-id=",
            "__Host-id=\"\"",
            "__host-id=x",
            "x__Host-id=x",
            "__Host-idx=x",
            "\0",
            "__Host-id; =x",
        ] {
            assert!(matches!(read(&[header]), Presented::Nothing), "{header:?}");
        }
        assert!(matches!(read(&[]), Presented::Nothing));
    }

    #[test]
    fn what_is_no_token_is_foreign() {
        let text = token().expose();
        let quoted = format!("\"{text}");
        let percent = text.replace('.', "%2E");
        let cut = &text[..text.len() - 1];
        let comma = format!("{text},{text}");
        for value in
            ["x", "\"", "'", &quoted, &percent, cut, &comma, "hxs1.0001.", "%00", "\u{1f980}"]
        {
            let header = format!("__Host-id={value}");
            assert!(matches!(read(&[&header]), Presented::Foreign), "{header}");
        }
        let bytes: &[u8] = b"__Host-id=\xff\xfe";
        assert!(matches!(CookieConfig::default().read([bytes]), Presented::Foreign));
    }

    #[test]
    fn two_tokens_are_neither() {
        let (one, other) = (token().expose(), token().expose());
        let header = format!("__Host-id={one}; __Host-id={other}");
        assert!(matches!(read(&[&header]), Presented::Ambiguous));
        let (one, other) = (format!("__Host-id={one}"), format!("__Host-id={other}"));
        assert!(matches!(read(&[&one, &other]), Presented::Ambiguous));
    }

    #[test]
    fn a_megabyte_is_read_like_any_other() {
        let token = token();
        let pair = format!("__Host-id={}", token.expose());
        let many = format!("{}{pair}", "__Host-id=rubbish; ".repeat(60_000));
        assert!(many.len() > 1_000_000 && is(&read(&[&many]), &token));
        let long = format!("a={}; {pair}", "x".repeat(1_000_000));
        assert!(is(&read(&[&long]), &token));
        let value = format!("__Host-id={}", "x".repeat(1_000_000));
        assert!(matches!(read(&[&value]), Presented::Foreign));
        let semicolons = ";".repeat(1_000_000);
        assert!(matches!(read(&[&semicolons]), Presented::Nothing));
        let same = format!("{pair}; ").repeat(10_000);
        assert!(is(&read(&[&same]), &token));
    }

    #[test]
    fn no_bytes_make_a_token_that_was_not_there() {
        let text = token().expose();
        let pair = format!("a=b; __Host-id={text}; c=d");
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        let given = Token::parse(&text).unwrap().key();
        for _ in 0..20_000 {
            let mut bytes = pair.clone().into_bytes();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                bytes[at] = u8::try_from(random(256)).unwrap();
            }
            if let Presented::Token(read) = CookieConfig::default().read([bytes.as_slice()]) {
                let shown = read.expose();
                let there = bytes.windows(shown.len()).any(|window| window == shown.as_bytes());
                assert!(read.key() == given || there, "{bytes:?}");
            }
        }
    }
}
