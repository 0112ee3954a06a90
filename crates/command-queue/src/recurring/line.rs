//! A cron line: which dates and times of day it names.

use hexmem_ports::{Error, Result};
use jiff::civil::Date;

/// The dates repeat after this many days: 400 years of the Gregorian calendar, a whole number of weeks.
pub(super) const CALENDAR_CYCLE: u32 = 146_097;

const OPERATION: &str = "queue.cron";
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// What a line names, as bits: bit n stands for n.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    minutes: u64,
    hours: u64,
    days: u64,
    /// `L` among the days of the month.
    last_day: bool,
    months: u64,
    weekdays: u64,
    /// `MON#2`: the bits of weekday * 8 + n.
    nth: u64,
    /// `FRIL`: the last one of the month.
    last_weekdays: u64,
    /// Both day fields say something: a date of either counts (POSIX, crontab).
    either: bool,
    /// The minute or hour field begins with `*`: it counts instants, not times of the wall clock (Vixie cron).
    pub(super) running: bool,
}

/// One field: its place in the line, its name for errors, its range, and the words it knows.
struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    words: &'static [&'static str],
    first_word: u8,
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, words: &[], first_word: 0 },
    Field { name: "hour", low: 0, high: 23, words: &[], first_word: 0 },
    Field { name: "day of month", low: 1, high: 31, words: &[], first_word: 0 },
    Field { name: "month", low: 1, high: 12, words: &MONTHS, first_word: 1 },
    // 7 is Sunday too.
    Field { name: "day of week", low: 0, high: 7, words: &DAYS, first_word: 0 },
];

fn invalid(why: String) -> Error {
    Error::invalid(OPERATION, why)
}

impl Field {
    fn number(&self, text: &str) -> Result<u8> {
        let word = self
            .words
            .iter()
            .zip(self.first_word..)
            .find(|(word, _)| text.eq_ignore_ascii_case(word));
        let number = match word {
            Some((_, number)) => Some(number),
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number.filter(|number| (self.low..=self.high).contains(number)).ok_or_else(|| {
            invalid(format!(
                "{} {text:?} is not {} to {}{}",
                self.name,
                self.low,
                self.high,
                if self.words.is_empty() { "" } else { " or a name of three letters" }
            ))
        })
    }

    /// The bits of `*`, `7`, `1-5`, `*/2`, `1-9/2` or `3/4`.
    fn range(&self, text: &str) -> Result<u64> {
        let (span, step) = match text.split_once('/') {
            None => (text, None),
            Some((span, step)) => {
                let step = step.parse::<u8>().ok().filter(|step| *step > 0);
                let wrong = || invalid(format!("{} {text:?}: a step is 1 to 255", self.name));
                (span, Some(step.ok_or_else(wrong)?))
            }
        };
        let (from, to) = if span == "*" {
            // Of the week each day once.
            (self.low, if self.high == 7 { 6 } else { self.high })
        } else if let Some((from, to)) = span.split_once('-') {
            (self.number(from)?, self.number(to)?)
        } else {
            let from = self.number(span)?;
            (from, if step.is_some() { self.high } else { from })
        };
        if from > to {
            return Err(invalid(format!(
                "{} {text:?} ends before it begins; write two ranges with a comma",
                self.name
            )));
        }
        let numbers = (from..=to).step_by(usize::from(step.unwrap_or(1)));
        Ok(numbers.fold(0, |bits, number| bits | 1 << number))
    }

    fn list(&self, text: &str) -> Result<u64> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.range(part)?))
    }
}

/// Whether bit `n` is set.
fn has(bits: u64, n: impl TryInto<u32>) -> bool {
    n.try_into().is_ok_and(|n| bits.checked_shr(n).unwrap_or(0) & 1 == 1)
}

/// The numbers whose bits are set.
fn numbers(bits: u64) -> impl Iterator<Item = i8> {
    (0..60_i8).filter(move |n| has(bits, *n))
}

/// What the usual names stand for.
fn named(text: &str) -> Option<&'static str> {
    Some(match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return None,
    })
}

impl Line {
    /// Reads a line. `Invalid` says which field is wrong, and refuses a line that names no date there is.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.len() > 1_024 {
            return Err(invalid("a cron line has at most 1024 bytes".to_owned()));
        }
        let text = named(text.trim()).unwrap_or(text);
        let parts: Vec<_> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            return Err(invalid(format!(
                "a cron line has five fields (minute, hour, day of month, month, day of week) or is one of \
                 @hourly, @daily, @weekly, @monthly, @yearly; this one has {}",
                parts.len()
            )));
        };
        let [minutes, hours, days, months, weekdays] = &FIELDS;
        let (last, day_numbers) = split(day, |part| part.eq_ignore_ascii_case("L"));
        let mut line = Self {
            minutes: minutes.list(minute)?,
            hours: hours.list(hour)?,
            days: if day_numbers.is_empty() { 0 } else { days.list(&day_numbers)? },
            last_day: !last.is_empty(),
            months: months.list(month)?,
            weekdays: 0,
            nth: 0,
            last_weekdays: 0,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
            running: minute.starts_with('*') || hour.starts_with('*'),
        };
        for part in weekday.split(',') {
            line.add_weekday(weekdays, part)?;
        }
        if line.days_within(Date::constant(2000, 1, 1), CALENDAR_CYCLE).next().is_none() {
            return Err(invalid(format!(
                "{text:?} can never fire: the calendar has no such date; correct the day or the month"
            )));
        }
        Ok(line)
    }

    fn add_weekday(&mut self, field: &Field, part: &str) -> Result<()> {
        let sunday = |day: u8| day % 7;
        if let Some((day, n)) = part.split_once('#') {
            let n: u8 = n.parse().ok().filter(|n| (1..=5).contains(n)).ok_or_else(|| {
                invalid(format!(
                    "day of week {part:?}: after # stands 1 to 5, the week of the month"
                ))
            })?;
            self.nth |= 1 << (sunday(field.number(day)?) * 8 + n);
        } else if let Some(day) = part.strip_suffix(['L', 'l']).filter(|day| !day.is_empty()) {
            self.last_weekdays |= 1 << sunday(field.number(day)?);
        } else {
            let bits = field.range(part)?;
            self.weekdays |= bits & 0x7f | bits >> 7;
        }
        Ok(())
    }

    /// Whether the line names this date.
    pub(super) fn names_date(&self, date: Date) -> bool {
        if !has(self.months, date.month()) {
            return false;
        }
        let day = has(self.days, date.day()) || self.last_day && date.day() == date.days_in_month();
        let weekday = self.names_weekday(date);
        if self.either { day || weekday } else { day && weekday }
    }

    fn names_weekday(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let nth = (date.day() - 1) / 7 + 1;
        has(self.weekdays, weekday)
            || has(self.nth, weekday * 8 + nth)
            || has(self.last_weekdays, weekday) && date.day() + 7 > date.days_in_month()
    }

    /// Up to `days` dates from `from` on, those that the line names.
    pub(super) fn days_within(&self, from: Date, days: u32) -> impl Iterator<Item = Date> + '_ {
        let days = usize::try_from(days).unwrap_or(usize::MAX);
        let all = std::iter::successors(Some(from), |date| date.tomorrow().ok()).take(days);
        all.filter(|date| self.names_date(*date))
    }

    /// Hours and minutes that the line names, in the order of the day.
    pub(super) fn times(&self) -> impl Iterator<Item = (i8, i8)> + '_ {
        numbers(self.hours).flat_map(|hour| numbers(self.minutes).map(move |minute| (hour, minute)))
    }
}

/// The parts of a list that fit, and the rest of the list.
fn split(list: &str, fits: impl Fn(&str) -> bool) -> (Vec<&str>, String) {
    let (fit, rest): (Vec<_>, Vec<_>) = list.split(',').partition(|part| fits(part));
    (fit, rest.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dates(text: &str, year: i16) -> Vec<(i8, i8)> {
        let line = Line::parse(text).unwrap();
        let days = line.days_within(Date::constant(year, 1, 1), 365);
        days.map(|date| (date.month(), date.day())).collect()
    }

    #[test]
    fn fields_name_what_crontab_says() {
        assert_eq!(dates("0 0 29 2 *", 2028), [(2, 29)]);
        assert_eq!(dates("0 0 L 2,4 *", 2027), [(2, 28), (4, 30)]);
        assert_eq!(dates("0 0 * jan MON#2", 2027), [(1, 11)]);
        assert_eq!(dates("0 0 * 1 friL", 2027), [(1, 29)]);
        assert_eq!(dates("0 0 * 2 SUN", 2027), dates("0 0 * 2 7", 2027));
        assert_eq!(dates("0 0 * 2 0,5-7/2", 2027).len(), 8);
        // Both day fields given: either counts. One of them with a star: both must hold.
        assert_eq!(dates("0 0 1 1 MON", 2027), [(1, 1), (1, 4), (1, 11), (1, 18), (1, 25)]);
        assert_eq!(dates("0 0 */10 1 MON", 2027), [(1, 11)]);
        let times = |text| Line::parse(text).unwrap().times().collect::<Vec<_>>();
        assert_eq!(
            times("30,0 9-17/4 * * *"),
            [(9, 0), (9, 30), (13, 0), (13, 30), (17, 0), (17, 30)]
        );
        assert_eq!(times("50/5 23 * * *"), [(23, 50), (23, 55)]);
        assert_eq!(times("@daily"), [(0, 0)]);
    }

    #[test]
    fn what_is_no_line_is_refused_by_field() {
        for (text, why) in [
            ("", "five fields"),
            ("* * * *", "five fields"),
            ("0 0 0 1 1 *", "five fields"),
            ("@reboot", "five fields"),
            ("60 * * * *", "minute"),
            ("-1 * * * *", "minute"),
            ("+1 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of month"),
            ("* * 32 * *", "day of month"),
            ("* * * 13 *", "month"),
            ("* * * FOO *", "month"),
            ("* * * * 8", "day of week"),
            ("* * * * MON#6", "day of week"),
            ("* * * * #1", "day of week"),
            ("*/0 * * * *", "step"),
            ("5-1 * * * *", "ends before it begins"),
            ("1, * * * *", "minute"),
            ("\u{0661} * * * *", "minute"),
            ("0 0 30 2 *", "can never fire"),
            ("0 0 31 4,6,9,11 *", "can never fire"),
        ] {
            let error = Line::parse(text).unwrap_err();
            assert_eq!(error.kind(), hexmem_ports::ErrorKind::Invalid, "{text}");
            assert!(error.message().contains(why), "{text}: {error}");
        }
        assert!(Line::parse(&"1,".repeat(2_000)).is_err());
        // Rare, but it comes: the fifth Monday of a February.
        assert!(Line::parse("0 0 * 2 MON#5").is_ok());
    }
}
