//! Whether a computed answer may still be stored.

use uuid::Uuid;

use crate::{REPLAY_WINDOW, TagRef, Ticket, Timestamp};

/// Whether nothing that the answer depends on was invalidated since the ticket was given.
///
/// `key` is the generation of the key's last invalidation, where the store still knows one; `current` gives the
/// generation of a tag. The store calls it where no invalidation can come between the answer and the put.
/// - A ticket as old as [`REPLAY_WINDOW`] does not hold: an invalidation of the key may be forgotten.
/// - Where the key was invalidated within the window, the ticket must have its generation. Where it was not, a
///   younger ticket cannot have missed one.
/// - The namespace must be among the tags, and each tag must have its generation; a missing one is a mismatch.
pub fn ticket_holds(
    ticket: &Ticket,
    now: Timestamp,
    key: Option<Uuid>,
    current: impl Fn(&TagRef) -> Option<Uuid>,
) -> bool {
    now.since(ticket.issued_at) < REPLAY_WINDOW
        && key.is_none_or(|key| ticket.key == Some(key))
        && ticket.generations.iter().any(|(tag, _)| *tag == TagRef::Namespace)
        && ticket.generations.iter().all(|(tag, generation)| current(tag) == Some(*generation))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Name;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    fn tag(name: &str) -> TagRef {
        TagRef::Tag(Name::new(name).unwrap())
    }

    #[test]
    fn vectors() {
        let start = Timestamp::from_micros(0).unwrap();
        let holds = |generations: &[(TagRef, Uuid)], age: Duration, mine, key| {
            let ticket = Ticket { issued_at: start, key: mine, generations: generations.to_vec() };
            ticket_holds(&ticket, start.plus(age), key, |tag| match tag {
                TagRef::Namespace => Some(ONE),
                TagRef::Tag(name) if name.as_str() == "a" => Some(TWO),
                _ => None,
            })
        };
        let namespace = (TagRef::Namespace, ONE);
        let both = [namespace.clone(), (tag("a"), TWO)];
        let micro = Duration::from_micros(1);
        for (generations, age, mine, key, expected) in [
            (&both[..], Duration::ZERO, None, None, true),
            (&both, REPLAY_WINDOW - micro, None, None, true),
            (&both, REPLAY_WINDOW, None, None, false),
            (&both, micro, Some(ONE), Some(ONE), true),
            (&both, micro, Some(ONE), Some(TWO), false),
            (&both, micro, None, Some(TWO), false),
            (&both, micro, Some(ONE), None, true),
            (&[], micro, None, None, false),
            (&both[1..], micro, None, None, false),
            (&[namespace.clone(), (tag("a"), ONE)], micro, None, None, false),
            (&[namespace.clone(), (tag("b"), ONE)], micro, None, None, false),
            (&[(TagRef::Namespace, TWO)], micro, None, None, false),
        ] {
            assert_eq!(
                holds(generations, age, mine, key),
                expected,
                "{generations:?} {age:?} {mine:?} {key:?}"
            );
        }
    }
}
