//! What no file of the project may hold.

use crate::arch::model::{File, Model, Violation};
use crate::arch::source::line_of;

/// A Rust file with more lines of code than this is two files. Comments and blank lines do not count.
const LONGEST: usize = 500;

/// No unfinished code.
pub(crate) fn no_unfinished_code(model: &Model) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in model.files.iter().filter(|file| file.is_rust()) {
        for (index, line) in file.source.code.lines().enumerate() {
            for word in ["todo!", "unimplemented!"] {
                if line.contains(word) {
                    found.push(Violation::new(
                        format!("{}:{}", file.path, index + 1),
                        format!("{word} stands for code that is not there"),
                        "write it, or return an error that says Unsupported",
                    ));
                }
            }
        }
    }
    found
}

/// No `#[allow]` or `#[expect]` without a reason.
pub(crate) fn reasons(model: &Model) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in model.files.iter().filter(|file| file.is_rust()) {
        let code = &file.source.code;
        for marker in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in code.match_indices(marker) {
                let rest = code.get(at..).unwrap_or_default();
                let attribute = rest.get(..rest.find(")]").unwrap_or(rest.len()));
                if !attribute.is_some_and(|text| text.contains("reason")) {
                    found.push(Violation::new(
                        format!("{}:{}", file.path, line_of(code, at)),
                        "a lint is switched off without a reason",
                        "add reason = \"...\", or mend what the lint found",
                    ));
                }
            }
        }
    }
    found
}

/// No white space at the end of a line, no tabs in Rust, a newline at the end.
pub(crate) fn white_space(model: &Model) -> Vec<Violation> {
    let ours = model.files.iter().filter(|file| !is_data(file));
    let mut found = Vec::new();
    for file in ours {
        for (index, line) in file.text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                found.push(Violation::new(
                    format!("{}:{}", file.path, index + 1),
                    "white space at the end of the line",
                    "remove it",
                ));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            found.push(Violation::new(&file.path, "no newline at the end", "end the last line"));
        }
    }
    found
}

/// Rust files are short enough to read at a sitting.
pub(crate) fn file_length(model: &Model) -> Vec<Violation> {
    let long = model.files.iter().filter(|file| file.is_rust());
    long.filter_map(|file| {
        let lines = file.source.code.lines().filter(|line| !line.trim().is_empty()).count();
        (lines > LONGEST).then(|| {
            let what = format!("{lines} lines of code, more than {LONGEST}");
            Violation::new(&file.path, what, "give what does not belong together files of its own")
        })
    })
    .collect()
}

/// The project names no package registry and no path of somebody's machine.
pub(crate) fn own_words(model: &Model) -> Vec<Violation> {
    // Written in two parts, so that this file does not name them.
    let hosts = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("npmjs", ".com"),
        concat!("proxy.golang", ".org"),
    ];
    let paths = [
        concat!("/work", "/"),
        concat!("../", "shared"),
        concat!("/root", "/"),
        concat!("/Users", "/"),
    ];
    let mut found = Vec::new();
    for file in &model.files {
        for (index, line) in file.text.lines().enumerate() {
            let place = || format!("{}:{}", file.path, index + 1);
            for host in hosts.into_iter().filter(|host| line.contains(host)) {
                let what = format!("names the package registry {host}");
                found.push(Violation::new(place(), what, "say it without the host"));
            }
            for path in paths.into_iter().filter(|path| starts_path(line, path)) {
                let what = format!("names {path}, a path of somebody's machine");
                found.push(Violation::new(place(), what, "say it relative to the repository"));
            }
        }
    }
    found
}

/// Whether `path` stands in `line` at the start of a path, not inside a longer one.
fn starts_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|ch| ch.is_alphanumeric() || matches!(ch, '/' | '_' | '-' | '.' | '}'))
    })
}

/// Files of test data are as their makers left them.
fn is_data(file: &File) -> bool {
    file.path.split('/').any(|part| matches!(part, "fixtures" | "testdata"))
}
