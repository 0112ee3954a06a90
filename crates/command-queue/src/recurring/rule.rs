//! When a recurring command is due.

use std::time::Duration;

use hexmem_ports::{Error, ErrorKind, Result, Timestamp, Ttl};
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::line::{CALENDAR_CYCLE, Line};

const OPERATION: &str = "queue.cron";

/// When a recurring command is due.
///
/// A cron line has five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday), with lists,
/// ranges, steps, names of three letters, `L` for the last day of a month, `MON#2` for the second Monday and `FRIL`
/// for the last Friday of a month; or it is `@hourly`, `@daily`, `@weekly`, `@monthly` or `@yearly`. With both day
/// fields given, either counts (POSIX); a field that begins with `*` counts as not given.
///
/// Where clocks are put forward or back, a line is read as Vixie's cron and RFC 5545 (3.3.5) do:
/// - A line whose minute or hour field begins with `*` goes by instants: local times that are skipped do not
///   exist, and those that come twice fire twice. `0 * * * *` fires each 60 minutes, always.
/// - Any other line goes by the wall clock, and fires once on each of its days for each of its times: a time that
///   is skipped is moved on by the length of the gap (02:30 becomes 03:30), one that comes twice counts the first
///   time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence(Rule);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Cron { text: String, line: Box<Line>, zone: TimeZone },
    Every { span: Ttl, from: Timestamp },
}

/// The form in which a rule is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kept {
    Cron { line: String, zone: String },
    Every { micros: Ttl, from: Timestamp },
}

impl Recurrence {
    /// By a cron line in a time zone of the IANA database (`Europe/Berlin`, `UTC`). The database is the one that was
    /// current when the program was built.
    ///
    /// # Errors
    /// `Invalid` for a line that is none or that can never fire (30 February), and for an unknown zone.
    pub fn cron(line: &str, zone: &str) -> Result<Self> {
        let known = TimeZone::get(zone).map_err(|error| {
            Error::invalid(
                OPERATION,
                "not a time zone of the IANA database; write Europe/Berlin, or UTC",
            )
            .with("zone", zone.chars().take(64).collect::<String>().escape_debug())
            .caused_by(error)
        })?;
        let text = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self(Rule::Cron { line: Box::new(Line::parse(&text)?), text, zone: known }))
    }

    /// Each `span`, counted from `from`.
    pub fn every(span: Ttl, from: Timestamp) -> Self {
        Self(Rule::Every { span, from })
    }

    /// The first time after `after`. `None` where the calendar ends (the year 9999).
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Rule::Cron { line, zone, .. } => next_by_line(line, zone, after),
            Rule::Every { span, from } => next_by_span(*span, *from, after),
        }
    }

    /// The times after `after`, in order.
    pub fn times_after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |at| self.next_after(*at))
    }

    /// The latest `most` of the times within `from..=to`, in order.
    pub(super) fn latest(&self, most: usize, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let before = from.minus(Duration::from_micros(1));
        let mut span = Duration::from_secs(60);
        loop {
            // Looks back twice as far each time, so that a long stop costs no walk through all of it.
            let start = to.minus(span).max(before);
            let times = self.times_after(start).take_while(|at| *at <= to);
            let mut latest: Vec<_> = times.collect();
            if latest.len() >= most || start == before {
                latest.drain(..latest.len().saturating_sub(most));
                return latest;
            }
            span = span.saturating_mul(2);
        }
    }

    /// The form in which it is kept: `{"cron": {"line", "zone"}}` or `{"every": {"micros", "from"}}`.
    pub fn to_value(&self) -> Result<Value> {
        let kept = match &self.0 {
            Rule::Cron { text, zone, .. } => Kept::Cron {
                line: text.clone(),
                zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            },
            Rule::Every { span, from } => Kept::Every { micros: *span, from: *from },
        };
        serde_json::to_value(kept).map_err(|error| {
            Error::new(ErrorKind::Internal, OPERATION, "a rule cannot be written").caused_by(error)
        })
    }

    /// A rule from the form in which it is kept.
    ///
    /// # Errors
    /// `Invalid` for any other value.
    pub fn from_value(value: &Value) -> Result<Self> {
        match Kept::deserialize(value) {
            Ok(Kept::Cron { line, zone }) => Self::cron(&line, &zone),
            Ok(Kept::Every { micros, from }) => Ok(Self::every(micros, from)),
            Err(error) => {
                Err(Error::invalid(OPERATION, "not a rule of this version").caused_by(error))
            }
        }
    }
}

impl std::fmt::Display for Recurrence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Rule::Cron { text, zone, .. } => {
                write!(f, "{text} {}", zone.iana_name().unwrap_or("UTC"))
            }
            Rule::Every { span, .. } => write!(f, "every {:?}", span.get()),
        }
    }
}

fn next_by_span(span: Ttl, from: Timestamp, after: Timestamp) -> Option<Timestamp> {
    if after < from {
        return Some(from);
    }
    let step = span.as_micros();
    let passed = after.as_micros().checked_sub(from.as_micros())?.checked_div(step)?;
    let ahead = passed.checked_add(1)?.checked_mul(step)?;
    Timestamp::from_micros(from.as_micros().checked_add(ahead)?)
}

fn next_by_line(line: &Line, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let local = zone.to_datetime(jiff::Timestamp::from_microsecond(after.as_micros()).ok()?);
    // A time of the day before may have been moved into this one.
    let first = local.date().yesterday().unwrap_or(local.date());
    for date in line.days_within(first, CALENDAR_CYCLE + 2) {
        let Some(found) = first_of_day(line, zone, date, after) else { continue };
        // And a time of this day may have been moved behind one of the next.
        let tomorrow = date.tomorrow().ok().filter(|date| line.names_date(*date));
        let rival = tomorrow.and_then(|date| first_of_day(line, zone, date, after));
        return Some(rival.map_or(found, |rival| found.min(rival)));
    }
    None
}

/// The earliest instant after `after` at which the line fires on a local date.
fn first_of_day(line: &Line, zone: &TimeZone, date: Date, after: Timestamp) -> Option<Timestamp> {
    let later = |at: &Timestamp| *at > after;
    line.times()
        .filter_map(|(hour, minute)| {
            let at = date.at(hour, minute, 0, 0);
            let [first, second] = instants(line.running, zone, at);
            first.filter(later).or(second.filter(later))
        })
        .min()
}

/// When a local time comes: never, once or twice.
fn instants(running: bool, zone: &TimeZone, at: DateTime) -> [Option<Timestamp>; 2] {
    let by = |offset: jiff::tz::Offset| {
        let micros = offset.to_timestamp(at).ok()?.as_microsecond();
        Timestamp::from_micros(micros)
    };
    match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => [by(offset), None],
        AmbiguousOffset::Fold { before, after } if running => [by(before), by(after)],
        AmbiguousOffset::Gap { .. } if running => [None, None],
        // By the offset before the change: that moves a skipped time on, and is the first of two.
        AmbiguousOffset::Fold { before, .. } | AmbiguousOffset::Gap { before, .. } => {
            [by(before), None]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The next `count` times, as local time and offset.
    fn local(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let rule = Recurrence::cron(line, zone).unwrap();
        let known = TimeZone::get(zone).unwrap();
        let show = |at: Timestamp| {
            let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap();
            let zoned = at.to_zoned(known.clone());
            format!("{} {}", zoned.strftime("%m-%d %H:%M"), zoned.offset())
        };
        rule.times_after(at(after)).take(count).map(show).collect()
    }

    #[test]
    fn a_skipped_hour_moves_wall_clock_lines_on_and_is_not_there_for_running_ones() {
        // Berlin: 02:00 becomes 03:00 on 29 March 2026.
        let after = "2026-03-28T12:00:00Z";
        let wall = local("30 2 * * *", "Europe/Berlin", after, 2);
        assert_eq!(wall, ["03-29 03:30 +02", "03-30 02:30 +02"]);
        let twice = local("30 2,3 * * *", "Europe/Berlin", after, 3);
        assert_eq!(twice, ["03-29 03:30 +02", "03-30 02:30 +02", "03-30 03:30 +02"], "one instant");
        let hourly = local("0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
        assert_eq!(hourly, ["03-29 03:00 +02", "03-29 04:00 +02", "03-29 05:00 +02"]);
        let early = local("*/30 2 * * *", "Europe/Berlin", after, 1);
        assert_eq!(early, ["03-30 02:00 +02"], "by instants: 2 o'clock does not come");
        // Beirut: the gap is at midnight, so that the moved time is behind one of the next day.
        let midnight = local("30 0,23 * * *", "Asia/Beirut", "2026-03-28T21:00:00Z", 3);
        assert_eq!(midnight, ["03-28 23:30 +02", "03-29 01:30 +03", "03-29 23:30 +03"]);
    }

    #[test]
    fn a_repeated_hour_fires_wall_clock_lines_once_and_running_ones_twice() {
        // Berlin: 03:00 becomes 02:00 on 25 October 2026.
        let after = "2026-10-24T23:59:00Z";
        let wall = local("30 2 * * *", "Europe/Berlin", after, 2);
        assert_eq!(wall, ["10-25 02:30 +02", "10-26 02:30 +01"]);
        let hourly = local("0 * * * *", "Europe/Berlin", after, 3);
        assert_eq!(hourly, ["10-25 02:00 +02", "10-25 02:00 +01", "10-25 03:00 +01"]);
        let every_half = local("*/30 2 * * *", "Europe/Berlin", after, 5);
        let expected =
            ["02:00 +02", "02:30 +02", "02:00 +01", "02:30 +01"].map(|t| format!("10-25 {t}"));
        assert_eq!(every_half[..4], expected);
        assert_eq!(every_half[4], "10-26 02:00 +01");
        // Between the two: the second 02:30 is no time of the wall-clock line.
        let between = local("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", 1);
        assert_eq!(between, ["10-26 02:30 +01"]);
        // A change of half an hour (Lord Howe), and a zone without any.
        let half = local("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", 2);
        assert_eq!(half, ["04-05 01:45 +11", "04-06 01:45 +10:30"]);
        assert_eq!(
            local("0 9 * * 1-5", "Asia/Tokyo", "2026-11-20T12:00:00Z", 1),
            ["11-23 09:00 +09"]
        );
    }

    /// Every minute of some weeks around changes of the clock, against the definition read word by word.
    #[test]
    fn agrees_with_a_walk_over_all_minutes() {
        let lines = [
            "*/7 * * * *",
            "0 */2 * * *",
            "30 2 * * *",
            "15 0-3 29 3 0",
            "0 2,3 L * *",
            "1-59/29 1 * * SUN",
        ];
        for (zone, start) in [
            ("Europe/Berlin", "2026-03-27T00:00:00Z"),
            ("Europe/Berlin", "2026-10-23T00:00:00Z"),
            ("America/New_York", "2026-10-30T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-02T00:00:00Z"),
            ("Pacific/Apia", "2011-12-28T00:00:00Z"),
            ("UTC", "2028-02-27T00:00:00Z"),
        ] {
            let (start, known) = (at(start), TimeZone::get(zone).unwrap());
            let end = start.plus(Duration::from_secs(5 * 86_400));
            for text in lines {
                let rule = Recurrence::cron(text, zone).unwrap();
                let line = Line::parse(text).unwrap();
                let named = |at: DateTime| {
                    let time = (at.hour(), at.minute());
                    line.names_date(at.date()) && line.times().any(|named| named == time)
                };
                let minutes = (1..5 * 1_440).map(|n| start.plus(Duration::from_secs(60 * n)));
                let mut walked: Vec<_> = minutes
                    .filter(|at| {
                        let instant = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap();
                        let wall = known.to_datetime(instant);
                        let first = known.to_timestamp(wall).unwrap() == instant;
                        named(wall) && (line.running || first)
                    })
                    .collect();
                if !line.running {
                    // What no minute shows: local times that were skipped.
                    let wall_start = known
                        .to_datetime(jiff::Timestamp::from_microsecond(start.as_micros()).unwrap());
                    for n in 0..6 * 1_440_i64 {
                        let wall = wall_start.checked_add(jiff::Span::new().minutes(n)).unwrap();
                        let gap = matches!(
                            known.to_ambiguous_timestamp(wall).offset(),
                            AmbiguousOffset::Gap { .. }
                        );
                        if gap && named(wall) {
                            let moved = known.to_timestamp(wall).unwrap().as_microsecond();
                            walked.push(Timestamp::from_micros(moved).unwrap());
                        }
                    }
                }
                walked.retain(|at| *at > start && *at < end);
                walked.sort_unstable();
                walked.dedup();
                let found: Vec<_> = rule.times_after(start).take_while(|at| *at < end).collect();
                assert_eq!(found, walked, "{text} in {zone}");
            }
        }
    }

    #[test]
    fn spans_count_from_their_start() {
        let from = at("2026-01-01T00:00:00Z");
        let rule = Recurrence::every(Ttl::secs(90).unwrap(), from);
        let after = |seconds| from.plus(Duration::from_secs(seconds));
        assert_eq!(rule.next_after(from.minus(Duration::from_secs(5))), Some(from));
        assert_eq!(rule.next_after(from), Some(after(90)));
        assert_eq!(rule.next_after(after(179)), Some(after(180)));
        assert_eq!(rule.next_after(Timestamp::MAX), None);
    }

    #[test]
    fn the_latest_times_of_a_long_stop_are_found_without_a_walk() {
        let minutely = Recurrence::cron("* * * * *", "UTC").unwrap();
        let (from, to) = (at("2000-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"));
        let latest = minutely.latest(3, from, to);
        let expected = ["2025-12-31T23:58:00Z", "2025-12-31T23:59:00Z", "2026-01-01T00:00:00Z"];
        assert_eq!(latest, expected.map(at));
        let yearly = Recurrence::cron("@yearly", "UTC").unwrap();
        assert_eq!(
            yearly.latest(2, from, to),
            [at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")]
        );
        assert_eq!(yearly.latest(99, from, to).len(), 27, "the first one too");
        assert_eq!(yearly.latest(9, to, to), []);
    }

    #[test]
    fn rules_are_kept_and_read_back() {
        let from = at("2026-01-01T00:00:00Z");
        for rule in [
            Recurrence::cron(" 0  9 * * 1-5 ", "europe/berlin").unwrap(),
            Recurrence::cron("@hourly", "UTC").unwrap(),
            Recurrence::every(Ttl::secs(90).unwrap(), from),
        ] {
            let kept = rule.to_value().unwrap();
            assert_eq!(Recurrence::from_value(&kept).unwrap(), rule, "{kept}");
        }
        for wrong in ["null", "{}", r#"{"cron":{"line":"* * * * *"}}"#, r#"{"at":1}"#] {
            let value = serde_json::from_str(wrong).unwrap();
            assert_eq!(Recurrence::from_value(&value).unwrap_err().kind(), ErrorKind::Invalid);
        }
        for zone in ["", "Mars/Olympus", "../etc/passwd", "Local"] {
            assert_eq!(Recurrence::cron("@daily", zone).unwrap_err().kind(), ErrorKind::Invalid);
        }
        let last = Recurrence::cron("@yearly", "UTC").unwrap();
        assert_eq!(last.next_after(at("9999-06-01T00:00:00Z")), None);
    }
}
