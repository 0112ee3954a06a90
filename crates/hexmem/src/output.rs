//! Where words go: results to stdout, everything else to stderr.

use std::error::Error as _;
use std::io::{ErrorKind as IoKind, IsTerminal as _, Write as _};
use std::time::Duration;

use hexmem_ports::{Effectiveness, Error, ErrorKind, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes to stdout. A closed pipe (`| head`) is the reader's good right and no error.
pub(crate) fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// Likewise, bytes of any kind.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == IoKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(Error::new(ErrorKind::Unavailable, "output", "cannot write to standard output")
                .caused_by(error))
        }
        Ok(()) => Ok(()),
    }
}

/// Says on stderr what failed, its causes, and whether anything may have changed.
pub(crate) fn report(error: &Error) {
    let mut notes = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        notes.push(format!("because: {inner}"));
        cause = inner.source();
    }
    if error.effectiveness() == Effectiveness::Unknown {
        notes.push("the change may have happened; look before you repeat it".to_owned());
    }
    complain(&error.to_string(), &notes);
}

/// Says on stderr what failed.
pub(crate) fn complain(what: &str, notes: &[String]) {
    let mut err = std::io::stderr().lock();
    // Nothing is left to do when stderr is closed too.
    let _ = writeln!(err, "error: {}", shown(what));
    for note in notes {
        let _ = writeln!(err, "  {}", shown(note));
    }
}

/// Says something on stderr that is not the result.
pub(crate) fn remark(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(what));
}

/// A message whose long lines lack their middle, where it has any: one that quotes a megabyte says nothing.
pub(crate) fn without_long_lines(text: &str) -> Option<String> {
    const LONGEST: usize = 1_000;
    const KEPT: usize = 200;
    let long = |line: &str| line.chars().count() > LONGEST;
    if !text.lines().any(long) {
        return None;
    }
    let cut = text.lines().map(|line| {
        if !long(line) {
            return line.to_owned();
        }
        let start: String = line.chars().take(KEPT).collect();
        let end: String = line.chars().skip(line.chars().count() - KEPT).collect();
        format!("{start} ... {} in all ... {end}", counted(line.len(), "byte"))
    });
    Some(cut.collect::<Vec<_>>().join("\n"))
}

/// A number of things: `1 edge`, `2 edges`, `0 communities`.
pub(crate) fn counted(count: impl std::fmt::Display, thing: &str) -> String {
    let count = count.to_string();
    if count == "1" {
        return format!("1 {thing}");
    }
    match thing.strip_suffix('y') {
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {thing}s"),
    }
}

/// The progress of long work.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(what: &'static str, total: Option<u64>) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = match total {
            Some(_) => "{msg:32} {bar:30} {pos}/{len} {elapsed}",
            None => "{msg:32} {spinner} {pos} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// One step more.
    pub(crate) fn step(&self, by: u64) {
        self.0.inc(by);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Stored text must not steer a terminal: control characters but tab and the end of a line are shown as escapes.
pub(crate) fn shown(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if steers(c) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn things_are_counted() {
        let counted = |count: u64, thing| super::counted(count, thing);
        assert_eq!(counted(0, "edge"), "0 edges");
        assert_eq!(counted(1, "community"), "1 community");
        assert_eq!(counted(2, "community"), "2 communities");
    }

    #[test]
    fn a_long_line_lacks_its_middle() {
        assert_eq!(super::without_long_lines("short\nlines\n"), None);
        let text = format!("invalid {} wrong\nsee --help", "\u{e9}".repeat(100_000));
        let cut = super::without_long_lines(&text).unwrap_or_default();
        assert!(cut.chars().count() < 600);
        assert!(cut.starts_with("invalid ") && cut.ends_with(" wrong\nsee --help"), "{cut}");
        assert!(cut.contains("200014 bytes in all"), "{cut}");
    }

    #[test]
    fn control_characters_are_shown_and_do_nothing() {
        assert_eq!(super::shown("a\u{1b}]0;x\u{7}\tb\n"), "a\\u{1b}]0;x\\u{7}\tb\n");
    }
}
