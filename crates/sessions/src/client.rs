//! Who asks: what a request tells of its sender.

use core::net::IpAddr;

use hexmem_ports::{NAME_LIMIT, Name};

/// What a request tells of its sender. Kept with the session for its user to see; nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The address.
    pub ip: Option<IpAddr>,
    /// The user agent.
    pub user_agent: Option<Name>,
}

impl Client {
    /// A sender. Of the user agent, which may be any text of any length, at most 1,024 bytes are kept, without
    /// NUL; an empty one is none.
    pub fn new(ip: Option<IpAddr>, user_agent: Option<&str>) -> Self {
        Self { ip, user_agent: user_agent.and_then(shortened) }
    }
}

fn shortened(text: &str) -> Option<Name> {
    let mut kept = String::new();
    for character in text.chars().filter(|character| *character != '\0') {
        if kept.len() + character.len_utf8() > NAME_LIMIT {
            break;
        }
        kept.push(character);
    }
    Name::new(kept).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_user_agent_is_taken() {
        let kept = |text: &str| Client::new(None, Some(text)).user_agent;
        assert_eq!(kept(""), None);
        assert_eq!(kept("\0\0"), None);
        assert_eq!(kept("a\0b").unwrap().as_str(), "ab");
        assert_eq!(kept(&"x".repeat(1_000_000)).unwrap().as_str().len(), 1_024);
        assert_eq!(kept(&"\u{20ac}".repeat(1_000)).unwrap().as_str().len(), 1_023);
    }
}
