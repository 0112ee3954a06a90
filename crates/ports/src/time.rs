//! Time as a port: instants, durations that can expire, and the clock.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An instant in UTC, in microseconds since 1970-01-01. Prints as RFC 3339 with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0000-01-01T00:00:00Z, the earliest instant.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// 9999-12-31T23:59:59.999999Z, the latest instant.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// From microseconds since 1970, `None` outside years 0 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since 1970.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Later by `span`, at most [`Timestamp::MAX`]. Microsecond precision: parts below are cut.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }

    /// Earlier by `span`, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros).max(Self::MIN.0))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339 (`2026-11-21T10:00:00Z`, `...+09:00`, a space in place of `T`, up to nine
    /// fractional digits). A text without an offset is read as UTC; a date alone is its midnight.
    pub fn parse(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            Error::invalid("time.parse", "not an RFC 3339 time; write 2026-11-21T10:00:00Z")
                .with("time", text.chars().take(64).collect::<String>().escape_debug())
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400_000_000);
        let micros = self.0.rem_euclid(86_400_000_000);
        let (year, month, day) = civil_from_days(days);
        let seconds = micros / 1_000_000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60,
            micros % 1_000_000
        )
    }
}

impl std::str::FromStr for Timestamp {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }
            fn visit_str<E: serde::de::Error>(
                self,
                text: &str,
            ) -> std::result::Result<Timestamp, E> {
                Timestamp::parse(text).map_err(E::custom)
            }
        }
        d.deserialize_str(Text)
    }
}

/// Howard Hinnant's civil calendar algorithm (public domain), proleptic Gregorian.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Digits at `at..at+len`, nothing else.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<i64> {
    let part = bytes.get(at..at + len)?;
    part.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn parse(text: &str) -> Option<Timestamp> {
    let b = text.as_bytes();
    let (year, month, day) = (number(b, 0, 4)?, number(b, 5, 2)?, number(b, 8, 2)?);
    let dashes = b.get(4) == Some(&b'-') && b.get(7) == Some(&b'-');
    if !dashes || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let date = days_from_civil(year, month, day).checked_mul(86_400_000_000)?;
    if b.len() == 10 {
        return Timestamp::from_micros(date);
    }
    let (hour, minute, second) = (number(b, 11, 2)?, number(b, 14, 2)?, number(b, 17, 2)?);
    let marks = matches!(b[10], b'T' | b't' | b' ') && b[13] == b':' && b[16] == b':';
    // A leap second is read as the last microsecond before it, as PostgreSQL's neighbours do.
    if !marks || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = b.get(19..)?;
    let mut fraction = 0;
    if let Some(digits) = rest.strip_prefix(b".") {
        let len = digits.iter().take_while(|c| c.is_ascii_digit()).count();
        if len == 0 || len > 9 {
            return None;
        }
        let padded = digits[..len].iter().copied().chain(std::iter::repeat(b'0'));
        fraction = padded.take(6).fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
        rest = &digits[len..];
    }
    let offset = match rest {
        b"" | b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let hours = number(zone, 0, 2)?;
            let minutes = match zone.len() {
                2 => 0,
                4 => number(zone, 2, 2)?,
                5 if zone[2] == b':' => number(zone, 3, 2)?,
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -60 } else { 60 }
        }
        _ => return None,
    };
    let micros = if second == 60 { 59_999_999 } else { second * 1_000_000 + fraction };
    let clock = (hour * 60 + minute) * 60_000_000 + micros - offset * 1_000_000;
    Timestamp::from_micros(date.checked_add(clock)?)
}

/// The longest [`Ttl`]: 100 years of 365 days.
pub const TTL_LIMIT: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A time to live: at least one microsecond, at most [`TTL_LIMIT`]. Zero cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Ttl(Duration);

impl Ttl {
    /// `Invalid` for zero, for less than a microsecond, and beyond [`TTL_LIMIT`].
    pub fn new(span: Duration) -> Result<Self> {
        let whole = Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
        if whole.is_zero() {
            return Err(Error::invalid("ttl", "a time to live is zero; give a positive duration"));
        }
        if whole > TTL_LIMIT {
            return Err(Error::invalid("ttl", "a time to live is longer than 100 years")
                .with("seconds", whole.as_secs()));
        }
        Ok(Self(whole))
    }

    /// A time to live known when the program is built; out of range it is cut to the nearest end.
    pub const fn from_const(span: Duration) -> Self {
        if span.as_micros() == 0 {
            Self(Duration::from_micros(1))
        } else if span.as_secs() >= TTL_LIMIT.as_secs() {
            Self(TTL_LIMIT)
        } else {
            Self(span)
        }
    }

    /// Whole seconds; zero is `Invalid`.
    pub fn secs(seconds: u64) -> Result<Self> {
        Self::new(Duration::from_secs(seconds))
    }

    /// Whole milliseconds; zero is `Invalid`.
    pub fn millis(millis: u64) -> Result<Self> {
        Self::new(Duration::from_millis(millis))
    }

    /// The duration.
    pub fn get(self) -> Duration {
        self.0
    }

    /// Whole microseconds; always positive.
    pub fn as_micros(self) -> i64 {
        i64::try_from(self.0.as_micros()).unwrap_or(i64::MAX)
    }
}

impl TryFrom<u64> for Ttl {
    type Error = Error;
    fn try_from(micros: u64) -> Result<Self> {
        Self::new(Duration::from_micros(micros))
    }
}

impl From<Ttl> for u64 {
    fn from(ttl: Ttl) -> Self {
        u64::try_from(ttl.0.as_micros()).unwrap_or(u64::MAX)
    }
}

/// The clock and the way to wait. Embedded stores stamp with it; servers stamp with their own.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    ///
    /// # Behavior
    /// - `CLOCK-NOW-1`: two calls in order give instants in order unless the machine's clock was
    ///   set back.
    fn now(&self) -> Timestamp;

    /// Returns once `span` has passed on this clock. Cancellation-safe.
    ///
    /// # Behavior
    /// - `CLOCK-SLEEP-1`: does not return before `now` has grown by `span`.
    async fn sleep(&self, span: Duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip_and_zones_are_applied() {
        for text in ["2026-11-21T10:11:12.000013Z", "0000-01-01T00:00:00.000000Z"] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        let tokyo = Timestamp::parse("2024-02-29 09:00:00.5+09:00").unwrap();
        assert_eq!(tokyo.to_string(), "2024-02-29T00:00:00.500000Z");
        assert_eq!(Timestamp::parse("1970-01-02").unwrap().as_micros(), 86_400_000_000);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000000Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026",
            "2026-02-30",
            "2026-13-01",
            "2026-01-01T25:00:00Z",
            "é026-01-01",
            "2026-01-01T00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+9",
            "-001-01-01",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_ttl_is_positive_and_bounded() {
        assert!(Ttl::secs(0).is_err());
        assert!(Ttl::new(Duration::from_nanos(999)).is_err());
        assert!(Ttl::new(Duration::MAX).is_err());
        assert_eq!(Ttl::millis(3).unwrap().as_micros(), 3_000);
    }
}
