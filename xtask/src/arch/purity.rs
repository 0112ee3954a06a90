//! A domain crate names neither the environment, nor files, nor the wall clock.

use crate::arch::model::{Model, Role, Violation};

/// What a domain's code may not say, and what it says instead.
const IMPURE: [(&str, &str); 16] = [
    ("std::env", "take the value as an argument; composition reads the environment"),
    ("std::fs", "put a port before it; adapters touch files"),
    ("std::net", "put a port before it; adapters talk to servers"),
    ("std::process", "leave processes to the program"),
    ("tokio::fs", "put a port before it; adapters touch files"),
    ("tokio::net", "put a port before it; adapters talk to servers"),
    ("tokio::time", "sleeping is a port: Clock::sleep"),
    ("tokio::spawn", "return a future that the caller drives"),
    ("thread::sleep", "sleeping is a port: Clock::sleep"),
    ("SystemTime::now", "time is a port: take an Arc<dyn Clock>"),
    ("Instant::now", "time is a port: take an Arc<dyn Clock>"),
    ("Utc::now", "time is a port: take an Arc<dyn Clock>"),
    ("Zoned::now", "time is a port: take an Arc<dyn Clock>"),
    ("Timestamp::now", "time is a port: take an Arc<dyn Clock>"),
    ("now_utc", "time is a port: take an Arc<dyn Clock>"),
    ("now_v7", "it reads the wall clock: build the id from the Clock's time"),
];

/// No environment, files, sockets, processes or clock in the code of a domain (its tests may).
pub(crate) fn pure_domains(model: &Model) -> Vec<Violation> {
    let mut found = Vec::new();
    let domains = model.crates.iter().filter(|one| Role::of(&one.name) == Some(Role::Domain));
    for package in domains {
        for file in model.rust(&format!("{}/src/", package.folder)) {
            let mut group: Option<String> = None;
            for (line, code) in file.source.shipped() {
                let mut report = |what: &str, remedy: &str| {
                    found.push(Violation::new(
                        format!("{}:{line}", file.path),
                        format!("a domain names {what}"),
                        remedy,
                    ));
                };
                for (word, remedy) in IMPURE {
                    if mentions(code, word) {
                        report(word, remedy);
                    }
                }
                // `use std::{env, fs::File}`, over one line or several
                if let Some(at) = code.find("use std::{") {
                    group = Some(code.get(at + 10..).unwrap_or_default().to_owned());
                } else if let Some(open) = &mut group {
                    code.clone_into(open);
                }
                if let Some(open) = &group {
                    for (word, remedy) in IMPURE {
                        let inner = word.strip_prefix("std::");
                        if inner.is_some_and(|inner| mentions(open, inner)) {
                            report(word, remedy);
                        }
                    }
                }
                if code.contains(';') {
                    group = None;
                }
            }
        }
    }
    found
}

/// Whether `code` has `word` with no identifier character around it.
fn mentions(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(super::source::is_word) && !after.is_some_and(super::source::is_word)
    })
}
