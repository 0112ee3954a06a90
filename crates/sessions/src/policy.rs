//! When sessions end, and how often their tokens change.

use std::time::Duration;

use hexmem_ports::{Error, Result, SessionCap, Ttl};

use crate::Binding;

/// The longest grace of a replaced token: beyond it, it would be a second token.
pub const GRACE_LIMIT: Ttl = ttl(3_600);

/// What happens when a replaced token is presented after its grace. Somebody holds an old copy: the owner, whose
/// browser missed the new one, or a thief (RFC 9700, section 4.14.2, asks the same of refresh tokens). The token opens
/// nothing in any case, and a [`Watch`](crate::Watch) hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// The session lives on.
    Refuse,
    /// The session is ended, so that neither of the two holders has it, where the token ended longer than `after` ago.
    /// Requests that were under way at the rotation come sooner.
    Revoke {
        /// Longer than a request takes.
        after: Ttl,
    },
}

/// When sessions end, and how often their tokens change.
///
/// The numbers are those of OWASP's session management cheat sheet where it gives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A session unseen for this long ends. OWASP: 2 to 5 minutes for high-value, 15 to 30 for low-risk applications.
    pub idle: Ttl,
    /// A session ends this long after its creation, however busy. OWASP: 4 to 8 hours for an office day.
    pub absolute: Ttl,
    /// A token older than this is due for renewal: [`Authenticated`](crate::Authenticated) says so, and a rotation
    /// with [`Rotation::Renewal`](crate::Rotation::Renewal) renews it. `None`: tokens last as long as their session.
    pub renewal: Option<Ttl>,
    /// How long the old token stays valid after a renewal, so that requests under way are not refused. OWASP's
    /// safety interval.
    pub grace: Option<Ttl>,
    /// The same after a change of privileges or credentials. `None`, the default: the old token ends at once, so
    /// that whoever had it gains nothing by the change.
    pub privilege_grace: Option<Ttl>,
    /// What happens when a replaced token is presented after its grace. Noticed for at least an hour after its end.
    pub reuse: Reuse,
    /// What sessions are tied to besides their token.
    pub binding: Option<Binding>,
    /// How many live sessions a user may have.
    pub cap: Option<SessionCap>,
    /// A session seen within this span is not written again: a busy site does not write on each request. With it, a
    /// session ends no later than `idle` after the last request, and no earlier than `idle` less this span after it.
    /// [`Policy::coalesced`] gives a share of `idle`.
    pub coalesce: Option<Ttl>,
    /// How long the record stays after the end, for audit and migration.
    pub retention: Ttl,
}

const fn ttl(seconds: u64) -> Ttl {
    Ttl::from_const(Duration::from_secs(seconds))
}

impl Default for Policy {
    /// A low-risk web application: 30 minutes idle, 8 hours in all, a new token each hour.
    fn default() -> Self {
        Self {
            idle: ttl(30 * 60),
            absolute: ttl(8 * 3_600),
            renewal: Some(ttl(3_600)),
            grace: Some(ttl(30)),
            privilege_grace: None,
            reuse: Reuse::Revoke { after: ttl(60) },
            binding: None,
            cap: None,
            coalesce: Some(ttl(60)),
            retention: ttl(7 * 86_400),
        }
    }
}

impl Policy {
    /// A high-value application (money, health, administration): 5 minutes idle, 4 hours in all, a new token each
    /// quarter of an hour.
    pub fn high_value() -> Self {
        Self {
            idle: ttl(5 * 60),
            absolute: ttl(4 * 3_600),
            renewal: Some(ttl(15 * 60)),
            grace: Some(ttl(10)),
            coalesce: Some(ttl(10)),
            ..Self::default()
        }
    }

    /// An agent at work on a cluster: 5 minutes idle, a day in all, one token throughout.
    pub fn agent() -> Self {
        Self {
            idle: ttl(5 * 60),
            absolute: ttl(86_400),
            renewal: None,
            coalesce: Some(ttl(10)),
            ..Self::default()
        }
    }

    /// With touches coalesced within a share of the idle time: 30 writes at most 30 times per idle timeout. `Invalid`
    /// for a share below 2, where sessions in use would end, and for one that leaves less than a microsecond.
    pub fn coalesced(self, share: u32) -> Result<Self> {
        if share < 2 {
            let what = "sessions in use would end: coalesce within at most half of the idle time";
            return Err(Error::invalid("sessions.policy", what).with("share", share));
        }
        let coalesce = Some(Ttl::new(self.idle.get() / share)?);
        Ok(Self { coalesce, ..self })
    }

    /// `Invalid` when the spans contradict each other.
    pub fn check(&self) -> Result<()> {
        let within =
            |span: Option<Ttl>, limit: Ttl| span.is_none_or(|span| span.get() < limit.get());
        let wrong = if self.idle.get() > self.absolute.get() {
            "the idle timeout is longer than the absolute one"
        } else if !within(self.coalesce, self.idle) {
            "coalesce is not shorter than the idle timeout: sessions in use would end"
        } else if !within(self.renewal, self.absolute) {
            "renewal is not shorter than the absolute timeout: no token would be renewed"
        } else if !within(self.grace, self.renewal.unwrap_or(self.absolute)) {
            "grace is not shorter than the time between renewals: old tokens would pile up"
        } else if self.grace.max(self.privilege_grace).is_some_and(|grace| grace > GRACE_LIMIT) {
            "a grace beyond an hour: old tokens would be as good as new ones"
        } else if !within(self.privilege_grace, self.absolute) {
            "privilege_grace is not shorter than the absolute timeout"
        } else if self.cap.is_some_and(|cap| cap.max == 0) {
            "a cap of zero sessions lets nobody in"
        } else {
            return self.binding.map_or(Ok(()), |binding| binding.check());
        };
        Err(Error::invalid("sessions.policy", wrong))
    }

    /// Whether a token of this age is due for renewal.
    pub fn renewal_due(&self, age: Duration) -> bool {
        self.renewal.is_some_and(|renewal| age >= renewal.get())
    }
}

#[cfg(test)]
mod tests {
    use hexmem_ports::WhenFull;

    use super::*;

    #[test]
    fn the_presets_hold_and_keep_to_owasp() {
        for policy in [Policy::default(), Policy::high_value(), Policy::agent()] {
            policy.check().unwrap();
        }
        let minutes = |ttl: Ttl| ttl.get().as_secs() / 60;
        assert!((15..=30).contains(&minutes(Policy::default().idle)));
        assert!((240..=480).contains(&minutes(Policy::default().absolute)));
        assert!((2..=5).contains(&minutes(Policy::high_value().idle)));
        assert!((240..=480).contains(&minutes(Policy::high_value().absolute)));
    }

    #[test]
    fn contradictions_are_refused() {
        let good = Policy::default();
        let bad = [
            Policy { idle: ttl(86_400), ..good },
            Policy { coalesce: Some(good.idle), ..good },
            Policy { renewal: Some(good.absolute), ..good },
            Policy { grace: good.renewal, ..good },
            Policy { privilege_grace: Some(good.absolute), ..good },
            Policy { grace: Some(ttl(3_601)), renewal: Some(ttl(7_200)), ..good },
            Policy { privilege_grace: Some(ttl(3_601)), ..good },
            Policy {
                binding: Some(Binding {
                    network: None,
                    user_agent: false,
                    on_change: crate::OnChange::Refuse,
                }),
                ..good
            },
            Policy { cap: Some(SessionCap { max: 0, when_full: WhenFull::Refuse }), ..good },
        ];
        for policy in bad {
            assert!(policy.check().is_err(), "{policy:?}");
        }
        Policy { idle: good.absolute, ..good }.check().unwrap();
        assert!(good.coalesced(0).is_err() && good.coalesced(1).is_err());
        let half = good.coalesced(2).unwrap();
        half.check().unwrap();
        assert_eq!(half.coalesce, Some(ttl(15 * 60)));
        assert!(Policy { idle: Ttl::try_from(1).unwrap(), ..good }.coalesced(2).is_err());
    }

    #[test]
    fn a_token_is_due_at_its_renewal_and_never_without_one() {
        let policy = Policy::default();
        assert!(!policy.renewal_due(Duration::from_secs(3_599)));
        assert!(policy.renewal_due(Duration::from_secs(3_600)));
        assert!(!Policy::agent().renewal_due(Duration::MAX));
    }
}
