//! How long answers live, and how long callers wait for each other.

use std::time::Duration;

use hexmem_ports::{BYTES_LIMIT, Digest, Error, Result, Ttl};
use serde_json::Value;

use crate::answer::{Answer, Skip};
use crate::call::{Call, Mode};
use crate::question::Question;

/// What a cache decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long an answer is fresh, before jitter.
    pub ttl: Ttl,
    /// How long beyond that it is served stale while it is computed anew. `None`: not at all.
    pub stale: Option<Ttl>,
    /// Up to this share is taken off the time to live, in percent, 0 to 90: answers of one moment do not all
    /// end at one moment.
    pub jitter_percent: u8,
    /// How long one computation may keep others waiting: the lease that outlives a crashed owner. Longer
    /// computations are not stopped; another may then compute the same.
    pub flight: Ttl,
    /// The first and the longest wait between two looks at what another process computes.
    pub poll: (Duration, Duration),
    /// What happens while the store does not answer.
    pub on_outage: OnOutage,
    /// What happens to questions with a `temperature` above 0. A question without one counts as one of 0: what a
    /// provider takes for it then is not known here.
    pub random: WhenRandom,
    /// What happens where tools are on offer.
    pub tools: WhenTools,
    /// The largest answer that is kept, in bytes; at most [`BYTES_LIMIT`]. A larger one is given to its caller only.
    pub max_bytes: usize,
}

/// What a cache does with questions of a temperature above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenRandom {
    /// Keeps one answer for all, as for any other question.
    #[default]
    Keep,
    /// Keeps answers of calls that name a [`Call::sample`] only: an answer for each number.
    PerSample,
    /// Passes them by.
    Pass,
}

/// What a cache does where tools are on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenTools {
    /// Keeps all answers.
    #[default]
    Keep,
    /// Keeps answers that call no tool ([`Answer::calls_tools`](crate::Answer::calls_tools) marks the others).
    KeepWords,
    /// Passes by questions that offer tools.
    Pass,
}

/// What a cache does while its store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnOutage {
    /// Computes each answer, keeps none, and says so.
    #[default]
    Compute,
    /// Fails.
    Fail,
}

impl Policy {
    /// `Invalid` outside the stated ranges.
    pub fn check(&self) -> Result<()> {
        let (first, longest) = self.poll;
        let wrong = if self.jitter_percent > 90 {
            "jitter_percent is 0 to 90"
        } else if first.is_zero() || longest < first {
            "poll begins above zero and ends not below its beginning"
        } else if self.max_bytes > BYTES_LIMIT {
            "max_bytes is at most the 64 MiB of a stored value"
        } else {
            return Ok(());
        };
        Err(Error::invalid("llm_cache.policy", wrong))
    }

    /// Why a call passes by the cache; `None` where it does not.
    pub(crate) fn passes(&self, question: &Question, call: &Call) -> Option<Skip> {
        let temperature = question.parameters.get("temperature").and_then(Value::as_f64);
        let random = temperature.is_some_and(|temperature| temperature > 0.0);
        if call.mode == Mode::Bypass {
            return Some(Skip::Asked);
        }
        match self.random {
            WhenRandom::Pass if random => return Some(Skip::Temperature),
            WhenRandom::PerSample if random && call.sample.is_none() => {
                return Some(Skip::Temperature);
            }
            _ => {}
        }
        let tools = self.tools == WhenTools::Pass && !question.tools.is_empty();
        tools.then_some(Skip::Tools)
    }

    /// Why an answer is not kept; `None` where it is.
    pub(crate) fn refuses(&self, answer: &Answer) -> Option<Skip> {
        if self.tools != WhenTools::Keep && !answer.tool_calls.is_none() {
            return Some(Skip::ToolCall);
        }
        (answer.value.len() > self.max_bytes).then_some(Skip::TooLarge)
    }
}

impl Policy {
    /// Answers that are fresh for `ttl`; flights of at most a minute, looked at every 20 to 500 ms; 10 % jitter;
    /// nothing stale; all answers of up to 64 MiB.
    pub fn new(ttl: Ttl) -> Result<Self> {
        Ok(Self {
            ttl,
            stale: None,
            jitter_percent: 10,
            flight: Ttl::secs(60)?,
            poll: (Duration::from_millis(20), Duration::from_millis(500)),
            on_outage: OnOutage::Compute,
            random: WhenRandom::Keep,
            tools: WhenTools::Keep,
            max_bytes: BYTES_LIMIT,
        })
    }

    /// With a stale time.
    #[must_use]
    pub fn stale(mut self, stale: Ttl) -> Self {
        self.stale = Some(stale);
        self
    }
}

/// `ttl` less up to `percent` of it. The random part is the first 4 bytes of SHA-256(fingerprint, "ttl") as a
/// fraction of 2^32: the same for the same question, spread over different ones. Whole microseconds.
pub fn jittered(ttl: Ttl, percent: u8, fingerprint: &Digest) -> Ttl {
    let digest = Digest::of_parts([fingerprint.0.as_slice(), b"ttl"]);
    let random = u32::from_be_bytes([digest.0[0], digest.0[1], digest.0[2], digest.0[3]]);
    let spread = ttl.get().as_micros() * u128::from(percent.min(90)) / 100;
    let less = u64::try_from((spread * u128::from(random)) >> 32).unwrap_or(0);
    // At least a tenth is left, so that it stays a time to live.
    Ttl::new(ttl.get().saturating_sub(Duration::from_micros(less))).unwrap_or(ttl)
}

/// The wait before look number `look` (from 0): doubles from the first to the longest, and never beyond
/// what is `left` of the flight.
pub fn poll_wait((first, longest): (Duration, Duration), look: u32, left: Duration) -> Duration {
    let doubled = first.saturating_mul(1u32.checked_shl(look).unwrap_or(u32::MAX));
    doubled.min(longest).min(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_share_and_spreads() {
        let ttl = Ttl::secs(1_000).unwrap();
        let all: Vec<_> =
            (0u32..500).map(|n| jittered(ttl, 10, &Digest::of(&n.to_be_bytes()))).collect();
        assert!(all.iter().all(|t| *t <= ttl && t.get() >= Duration::from_secs(900)));
        let late = all.iter().filter(|t| t.get() > Duration::from_secs(950)).count();
        assert!((150..350).contains(&late), "{late} of 500 in the upper half");
        assert_eq!(jittered(ttl, 10, &Digest::of(b"a")), jittered(ttl, 10, &Digest::of(b"a")));
        assert_eq!(jittered(ttl, 0, &Digest::of(b"a")), ttl);
        let least = Ttl::new(Duration::from_micros(1)).unwrap();
        assert_eq!(jittered(least, 90, &Digest::of(b"a")), least);
    }

    #[test]
    fn looks_become_rarer_and_end_with_the_flight() {
        let poll = (Duration::from_millis(20), Duration::from_millis(500));
        let long = Duration::from_secs(60);
        let waits: Vec<_> =
            [0, 1, 4, 5, 31, 32, 1_000].map(|look| poll_wait(poll, look, long).as_millis()).into();
        assert_eq!(waits, [20, 40, 320, 500, 500, 500, 500]);
        assert_eq!(poll_wait(poll, 9, Duration::from_millis(7)), Duration::from_millis(7));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let good = Policy::new(Ttl::secs(1).unwrap()).unwrap();
        assert!(good.check().is_ok());
        assert!(Policy { jitter_percent: 91, ..good.clone() }.check().is_err());
        assert!(Policy { max_bytes: usize::MAX, ..good.clone() }.check().is_err());
        assert!(Policy { poll: (Duration::ZERO, Duration::MAX), ..good }.check().is_err());
    }

    #[test]
    fn what_passes_by_and_what_is_refused() {
        let name = |text: &str| hexmem_ports::Name::new(text).unwrap();
        let plain = Policy::new(Ttl::secs(1).unwrap()).unwrap();
        let per_sample = Policy { random: WhenRandom::PerSample, ..plain.clone() };
        let pass = Policy { random: WhenRandom::Pass, tools: WhenTools::Pass, ..plain.clone() };
        let question = || Question::new(name("p"), name("m"));
        let (hot, cold) =
            (question().parameter("temperature", 0.1), question().parameter("temperature", 0));
        let tools = question().tool("t");
        let call = Call::new();
        let random = Some(Skip::Temperature);
        for (policy, question, call, expected) in [
            (&plain, &hot, call.clone(), None),
            (&plain, &tools, call.clone(), None),
            (&plain, &cold, Call::new().mode(Mode::Bypass), Some(Skip::Asked)),
            (&per_sample, &hot, call.clone(), random),
            (&per_sample, &hot, Call::new().sample(0), None),
            (&per_sample, &cold, call.clone(), None),
            (&pass, &hot, Call::new().sample(0), random),
            (&pass, &cold, call.clone(), None),
            (&pass, &question(), call.clone(), None),
            (&pass, &tools, call.clone(), Some(Skip::Tools)),
            (&pass, &question().parameter("temperature", "hot"), call, None),
        ] {
            assert_eq!(policy.passes(question, &call), expected, "{question:?} {call:?}");
        }
        let small = Policy { max_bytes: 3, tools: WhenTools::KeepWords, ..plain.clone() };
        assert_eq!(small.refuses(&Answer::new("123")), None);
        assert_eq!(small.refuses(&Answer::new("1234")), Some(Skip::TooLarge));
        assert_eq!(small.refuses(&Answer::new("").calls_tools()), Some(Skip::ToolCall));
        assert_eq!(plain.refuses(&Answer::new("1234").calls_tools()), None);
    }
}
