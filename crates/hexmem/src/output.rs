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
    fn control_characters_are_shown_and_do_nothing() {
        assert_eq!(super::shown("a\u{1b}]0;x\u{7}\tb\n"), "a\\u{1b}]0;x\\u{7}\tb\n");
    }
}
