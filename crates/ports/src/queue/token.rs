//! The id of a command and the fencing token of one delivery.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Result};

/// A command's id: the key of idempotence of its enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The fencing token of one delivery: command, attempt, and 128 random bits, compared for equality.
/// Prints and parses as `COMMAND.ATTEMPT.HEX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    /// The command it is a lease of.
    pub command: CommandId,
    /// Which delivery it is, from 1.
    pub attempt: u32,
    /// Random.
    pub secret: u128,
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:032x}", self.command, self.attempt, self.secret)
    }
}

impl FromStr for LeaseToken {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let mut parts = text.split('.');
            let command = CommandId(parts.next()?.parse().ok()?);
            let attempt = parts.next()?.parse().ok()?;
            let hex = parts.next().filter(|hex| hex.len() == 32)?;
            let secret = u128::from_str_radix(hex, 16).ok()?;
            parts.next().is_none().then_some(Self { command, attempt, secret })
        };
        parse().ok_or_else(|| {
            Error::invalid(
                "queue.lease_token",
                "not a lease; give the `lease` that the lease command printed",
            )
        })
    }
}

impl Serialize for LeaseToken {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseToken {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_round_trips_and_foreign_text_is_refused() {
        let lease = LeaseToken { command: CommandId(Uuid::from_u128(7)), attempt: 3, secret: 0xab };
        assert_eq!(lease.to_string().parse::<LeaseToken>().unwrap(), lease);
        for text in ["", "x", "..", "a.b.c", &format!("{lease}.1"), &lease.to_string()[..40]] {
            assert!(text.parse::<LeaseToken>().is_err(), "{text}");
        }
    }
}
