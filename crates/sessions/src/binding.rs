//! What a session is tied to besides its token.

use core::net::IpAddr;

use hexmem_ports::{Error, Result, SessionOrigin};

use crate::Client;

/// What a session is tied to besides its token: a stolen token is of less use elsewhere.
///
/// It is a trap, not a wall: who shares the victim's network and copies their user agent passes (OWASP, "Binding the
/// Session ID to Other User Properties"). With a binding the address and user agent kept with a session are those it
/// is tied to, not those last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The network that requests must come from. `None`: any.
    pub network: Option<Network>,
    /// Whether the user agent must stay the same. Browsers change theirs with each update, every few weeks.
    pub user_agent: bool,
    /// What happens when they do not match.
    pub on_change: OnChange,
}

/// How many leading bits of an address must stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Of IPv4, and of IPv4 written as IPv6: at most 32.
    pub v4: u8,
    /// Of IPv6: at most 128.
    pub v6: u8,
}

impl Default for Network {
    /// /24 and /64: what one household or office usually has.
    fn default() -> Self {
        Self { v4: 24, v6: 64 }
    }
}

/// What happens to a request that comes from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// It is nobody's. The session lives on where it was: nobody ends it from afar.
    Refuse,
    /// It gets a new token and ties the session to where it comes from; the old token ends after the policy's grace.
    /// Where the owner and a thief both hold the old token, the second of them to come presents a replaced one, which
    /// is noticed (see [`Reuse`](crate::Reuse)). For users whose network changes: phones.
    Rotate,
}

impl Binding {
    /// `Invalid` when it is longer than an address, or ties to nothing.
    pub fn check(&self) -> Result<()> {
        let wrong = if self.network.is_some_and(|network| network.v4 > 32 || network.v6 > 128) {
            "a network of more than 32 bits of IPv4 or 128 of IPv6"
        } else if self.network.is_none() && !self.user_agent {
            "a binding to nothing; leave it out"
        } else {
            return Ok(());
        };
        Err(Error::invalid("sessions.policy", wrong))
    }

    /// Whether `client` is where a session of this origin is tied to. What is not known does not match: neither a
    /// request without an address nor a session that was started without one.
    pub fn holds(&self, origin: &SessionOrigin, client: &Client) -> bool {
        let network = self.network.is_none_or(|network| match (origin.ip, client.ip) {
            (Some(kept), Some(present)) => network.same(kept, present),
            _ => false,
        });
        let agent = !self.user_agent
            || (client.user_agent.is_some() && origin.user_agent == client.user_agent);
        network && agent
    }

    /// What a session cannot be started without.
    pub(crate) fn missing(&self, origin: &SessionOrigin) -> Option<&'static str> {
        if self.network.is_some() && origin.ip.is_none() {
            return Some("the policy ties sessions to the client's network: give its address");
        }
        let agent = self.user_agent && origin.user_agent.is_none();
        agent.then_some("the policy ties sessions to the user agent: give it")
    }
}

impl Network {
    /// Whether two addresses share the leading bits. An IPv4 address and its IPv6 form (`::ffff:192.0.2.1`) are one.
    pub fn same(&self, one: IpAddr, other: IpAddr) -> bool {
        match (one.to_canonical(), other.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                let differing = one.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= u32::from(self.v4)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                let differing = one.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= u32::from(self.v6)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_one_network_match() {
        let usual = Network::default();
        let vectors = [
            ("192.0.2.1", "192.0.2.255", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("::ffff:192.0.2.1", "192.0.2.9", true),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("192.0.2.1", "2001:db8::1", false),
            // The long way to write an IPv4 address that is no mapped one.
            ("::192.0.2.1", "192.0.2.1", false),
        ];
        for (one, other, same) in vectors {
            assert_eq!(usual.same(ip(one), ip(other)), same, "{one} {other}");
            assert_eq!(usual.same(ip(other), ip(one)), same, "{other} {one}");
        }
        let any = Network { v4: 0, v6: 0 };
        assert!(any.same(ip("0.0.0.0"), ip("255.255.255.255")));
        assert!(any.same(ip("::"), ip("ff::")) && !any.same(ip("::2"), ip("1.2.3.4")));
        let whole = Network { v4: 32, v6: 128 };
        assert!(whole.same(ip("192.0.2.1"), ip("192.0.2.1")));
        assert!(!whole.same(ip("192.0.2.1"), ip("192.0.2.0")));
        assert!(!whole.same(ip("2001:db8::"), ip("2001:db8::1")));
    }

    #[test]
    fn what_is_not_known_does_not_match() {
        let network = Some(Network::default());
        let both = Binding { network, user_agent: true, on_change: OnChange::Refuse };
        let client = Client::new(Some(ip("192.0.2.1")), Some("x"));
        let origin = |client: &Client| SessionOrigin {
            ip: client.ip,
            user_agent: client.user_agent.clone(),
            ..SessionOrigin::default()
        };
        assert!(both.holds(&origin(&client), &client));
        for unknown in
            [Client::new(client.ip, None), Client::new(None, Some("x")), Client::default()]
        {
            assert!(!both.holds(&origin(&client), &unknown));
            assert!(!both.holds(&origin(&unknown), &client));
            assert!(!both.holds(&origin(&unknown), &unknown));
            assert!(both.missing(&origin(&unknown)).is_some());
        }
        assert!(!both.holds(&origin(&client), &Client::new(client.ip, Some("y"))));
        assert!(both.missing(&origin(&client)).is_none());
        let agent = Binding { network: None, ..both };
        assert!(agent.holds(&origin(&client), &Client::new(None, Some("x"))));
    }

    #[test]
    fn bindings_that_cannot_be_are_refused() {
        let of = |network, user_agent| Binding { network, user_agent, on_change: OnChange::Rotate };
        of(Some(Network { v4: 32, v6: 128 }), false).check().unwrap();
        of(None, true).check().unwrap();
        for bad in [
            of(None, false),
            of(Some(Network { v4: 33, v6: 0 }), true),
            of(Some(Network { v4: 0, v6: 129 }), false),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
