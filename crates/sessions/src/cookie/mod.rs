//! The cookie: how a token travels (RFC 6265bis).

mod read;

use core::fmt::Write as _;
use core::time::Duration;

use hexmem_ports::{Error, Result};

use crate::{TOKEN_BYTES, Token};

pub use read::Presented;

/// What browsers keep of a cookie, in bytes of name and value (RFC 6265bis, section 5.6).
const PAIR_LIMIT: usize = 4_096;
/// What browsers keep of an attribute, in bytes (the same section).
const ATTRIBUTE_LIMIT: usize = 1_024;
/// The longest that browsers keep a cookie (section 5.5): 400 days.
const AGE_LIMIT: u64 = 400 * 86_400;

/// Which requests of other sites carry the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// None. A link from elsewhere arrives without it.
    Strict,
    /// Only a visit by a link or the address bar: no form, image or script of another site.
    #[default]
    Lax,
    /// All of them: embedding sites. Needs `secure` and a defence of your own against forged requests.
    None,
}

/// How long a browser keeps the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Until the session ends in any case: `Max-Age` is what is left of its absolute time.
    #[default]
    Session,
    /// Until the browser is closed: no `Max-Age`. OWASP prefers it; browsers that restore their windows keep it anyway.
    Browser,
}

/// The cookie that carries the token. The default is the strictest that suits a web site:
/// `__Host-id=...; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieConfig {
    /// The name. `__Host-id` by default: browsers take a cookie with that prefix only from this host, over TLS, for every
    /// path, so that no subdomain can plant one; `id` tells nothing of the program (OWASP).
    pub name: String,
    /// The path. `/` by default.
    pub path: String,
    /// The domain whose subdomains get the cookie too. `None`, the default: this host only.
    pub domain: Option<String>,
    /// Only over TLS. On by default; browsers treat `http://localhost` as secure, `curl` does not.
    pub secure: bool,
    /// Hidden from scripts. On by default.
    pub http_only: bool,
    /// Which requests of other sites carry it. `Lax` by default.
    pub same_site: SameSite,
    /// How long a browser keeps it.
    pub keep: Keep,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: String::from("__Host-id"),
            path: String::from("/"),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            keep: Keep::Session,
        }
    }
}

impl CookieConfig {
    /// For a server without TLS on a developer's machine: named `id`, without `Secure`. Never in production.
    pub fn insecure_for_development() -> Self {
        Self { name: String::from("id"), secure: false, ..Self::default() }
    }

    /// `Invalid` for what browsers would refuse or cut, naming the rule (RFC 6265bis, sections 4.1.1 to 4.1.3).
    pub fn check(&self) -> Result<()> {
        let host = self.begins_with("__Host-") || self.begins_with("__Host-Http-");
        let secured = host || self.begins_with("__Secure-") || self.begins_with("__Http-");
        let hidden = self.begins_with("__Http-") || self.begins_with("__Host-Http-");
        let wrong = if self.name.is_empty() || !self.name.bytes().all(is_token) {
            "the name is not letters, digits and !#$%&'*+-.^_`|~"
        } else if self.name.len() + TOKEN_BYTES > PAIR_LIMIT {
            "name and token together are longer than the 4,096 bytes that browsers keep"
        } else if !self.path.starts_with('/') || !is_attribute(&self.path) {
            "the path does not begin with / or holds a semicolon, a control or a character beyond ASCII"
        } else if self.domain.as_deref().is_some_and(|domain| !is_domain(domain)) {
            "the domain is not a host name such as example.com"
        } else if secured && !self.secure {
            "a name that begins with __Host-, __Secure- or __Http- needs `secure`"
        } else if host && (self.path != "/" || self.domain.is_some()) {
            "a name that begins with __Host- needs the path / and no domain"
        } else if hidden && !self.http_only {
            "a name that begins with __Http- needs `http_only`"
        } else if self.same_site == SameSite::None && !self.secure {
            "SameSite=None needs `secure`"
        } else {
            return Ok(());
        };
        Err(Error::invalid("sessions.cookie", wrong).with("name", self.name.escape_debug()))
    }

    /// Browsers compare the prefixes of names without regard to case.
    fn begins_with(&self, prefix: &str) -> bool {
        let head = self.name.as_bytes().get(..prefix.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
    }

    /// The value of a `Set-Cookie` header that gives the browser a token. `left` is what is left of the session's
    /// absolute time; browsers keep no cookie longer than 400 days. ASCII, without line breaks.
    pub fn set(&self, token: &Token, left: Duration) -> String {
        let mut header = self.pair(&token.expose());
        if self.keep == Keep::Session {
            // Less than a second is a second: 0 would delete it. Writing to a String cannot fail.
            let _ = write!(header, "; Max-Age={}", left.as_secs().clamp(1, AGE_LIMIT));
        }
        header
    }

    /// The value of a `Set-Cookie` header that makes the browser forget the token. Name, path and domain must be those
    /// of the cookie that was set.
    pub fn clear(&self) -> String {
        let mut header = self.pair("");
        header.push_str("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        header
    }

    fn pair(&self, value: &str) -> String {
        let same_site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        let mut header = format!("{}={value}; Path={}", self.name, self.path);
        if let Some(domain) = &self.domain {
            let _ = write!(header, "; Domain={domain}");
        }
        if self.secure {
            header.push_str("; Secure");
        }
        if self.http_only {
            header.push_str("; HttpOnly");
        }
        let _ = write!(header, "; SameSite={same_site}");
        header
    }
}

/// A character of a token of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_attribute(text: &str) -> bool {
    text.len() <= ATTRIBUTE_LIMIT
        && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b';')
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use hexmem_ports::{Name, Tenant, UserScope};

    use super::*;

    fn token() -> Token {
        let tenant = Tenant(Name::new("t").unwrap());
        Token::random(&UserScope { tenant, user: Name::new("u").unwrap() }).unwrap()
    }

    fn named(name: &str) -> CookieConfig {
        CookieConfig { name: name.into(), ..CookieConfig::default() }
    }

    #[test]
    fn the_default_is_the_strictest() {
        let token = token();
        let header = CookieConfig::default().set(&token, Duration::from_millis(28_800_900));
        let text = token.expose();
        let rest = header.strip_prefix(&format!("__Host-id={text}; ")).unwrap();
        assert_eq!(rest, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=28800");
        assert_eq!(
            CookieConfig::default().clear(),
            "__Host-id=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
        CookieConfig::default().check().unwrap();
        CookieConfig::insecure_for_development().check().unwrap();
    }

    #[test]
    fn the_age_is_what_browsers_keep() {
        let age = |left: Duration| {
            let header = CookieConfig::default().set(&token(), left);
            header.rsplit('=').next().unwrap().parse::<u64>().unwrap()
        };
        assert_eq!(age(Duration::ZERO), 1, "0 would delete what was just set");
        assert_eq!(age(Duration::from_millis(1_999)), 1);
        assert_eq!(age(Duration::MAX), 34_560_000);
        let browser = CookieConfig { keep: Keep::Browser, ..CookieConfig::default() };
        assert!(!browser.set(&token(), Duration::from_secs(60)).contains("Max-Age"));
    }

    #[test]
    fn what_browsers_would_refuse_is_refused() {
        let good = CookieConfig::default();
        let plain = named("id");
        let bad = [
            named(""),
            named("a b"),
            named("a;b"),
            named("a=b"),
            named("a\r\nSet-Cookie: x"),
            named("\u{e9}"),
            named(&"n".repeat(4_096)),
            CookieConfig { secure: false, ..good.clone() },
            CookieConfig { secure: false, ..named("__host-id") },
            CookieConfig { secure: false, ..named("__Secure-id") },
            CookieConfig { path: "/app".into(), ..good.clone() },
            CookieConfig { domain: Some("example.com".into()), ..good },
            CookieConfig { http_only: false, ..named("__Host-Http-id") },
            CookieConfig { http_only: false, ..named("__HTTP-id") },
            CookieConfig { path: String::new(), ..plain.clone() },
            CookieConfig { path: "app".into(), ..plain.clone() },
            CookieConfig { path: "/a; Domain=evil".into(), ..plain.clone() },
            CookieConfig { path: "/\r\n".into(), ..plain.clone() },
            CookieConfig { path: format!("/{}", "x".repeat(1_024)), ..plain.clone() },
            CookieConfig { domain: Some(String::new()), ..plain.clone() },
            CookieConfig { domain: Some(".example.com".into()), ..plain.clone() },
            CookieConfig { domain: Some("a;b".into()), ..plain.clone() },
            CookieConfig { domain: Some("-a.b".into()), ..plain.clone() },
            CookieConfig { same_site: SameSite::None, secure: false, ..plain.clone() },
        ];
        for config in bad {
            let error = config.check().unwrap_err();
            assert_eq!(error.kind(), hexmem_ports::ErrorKind::Invalid, "{config:?}");
        }
        for config in [
            CookieConfig { path: "/app".into(), domain: Some("a.example-1.com".into()), ..plain },
            CookieConfig { same_site: SameSite::None, ..named("__Secure-id") },
            named("__Host-Http-id"),
        ] {
            config.check().unwrap();
        }
    }
}
