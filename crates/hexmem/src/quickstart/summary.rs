//! The work that the quickstart's worker does: a summary of one part of the repository.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A command for the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summarise {
    /// A folder of the repository; empty for files at its root.
    pub(crate) part: String,
}

/// What the worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) part: String,
    pub(crate) files: usize,
    pub(crate) lines: usize,
    /// Files by extension, most first.
    pub(crate) kinds: Vec<(String, usize)>,
    /// The first sentence of its README or of its crate's or module's documentation.
    pub(crate) says: Option<String>,
}

/// The parts of a repository: each folder of `crates`, `packages`, `libs` or `apps`, each other top folder.
pub(crate) fn parts(files: &[String]) -> Vec<String> {
    let mut parts: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let mut folders = file.split('/');
        let (first, second, third) = (folders.next(), folders.next(), folders.next());
        let part = match (first, second, third) {
            (Some(top @ ("crates" | "packages" | "libs" | "apps")), Some(name), Some(_)) => {
                format!("{top}/{name}")
            }
            (Some(top), Some(_), _) => top.to_owned(),
            _ => continue,
        };
        *parts.entry(part).or_default() += 1;
    }
    parts.into_keys().collect()
}

/// Reads the files of a part. Files that cannot be read, and large ones, count as files without lines.
pub(crate) fn summarise(root: &Path, files: &[String], part: &str) -> Summary {
    let inside = |file: &&String| file.strip_prefix(part).is_some_and(|rest| rest.starts_with('/'));
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let (mut count, mut lines, mut says) = (0, 0, None);
    for file in files.iter().filter(inside) {
        count += 1;
        let name = file.rsplit('/').next().unwrap_or(file);
        let kind = name.rsplit_once('.').map_or("no extension", |(_, extension)| extension);
        *kinds.entry(kind.to_owned()).or_default() += 1;
        let path = root.join(file);
        let small = path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() < 1_000_000);
        let Some(text) = small.then(|| std::fs::read_to_string(&path).ok()).flatten() else {
            continue;
        };
        lines += text.lines().count();
        let telling = name.eq_ignore_ascii_case("readme.md")
            || name == "lib.rs"
            || name == "main.rs"
            || name == "__init__.py";
        if says.is_none() && telling {
            says = first_sentence(&text);
        }
    }
    let mut kinds: Vec<(String, usize)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    kinds.truncate(4);
    Summary { part: part.to_owned(), files: count, lines, kinds, says }
}

/// The first sentence of documentation: of a Rust module, a Python docstring, or Markdown prose.
fn first_sentence(text: &str) -> Option<String> {
    let prose: Vec<&str> = text
        .lines()
        .map(|line| line.trim().trim_start_matches("//!").trim_start_matches("\"\"\"").trim())
        .skip_while(|line| line.is_empty() || line.starts_with(['#', '!', '[', '<', '=', '-', '|']))
        .take_while(|line| !line.is_empty())
        .take(5)
        .collect();
    let joined = prose.join(" ");
    let end = joined.find(". ").map_or(joined.len(), |at| at + 1);
    let sentence: String = joined.get(..end)?.chars().take(160).collect();
    (sentence.contains(' ')).then_some(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_folders_that_hold_something() {
        let files =
            ["crates/a/src/lib.rs", "crates/a/Cargo.toml", "docs/x.md", "README.md", "src/main.rs"];
        let files: Vec<String> = files.map(String::from).into();
        assert_eq!(parts(&files), ["crates/a", "docs", "src"]);
    }

    #[test]
    fn the_first_sentence_skips_headings_and_badges() {
        let readme = "# Name\n\n[![badge](x)](y)\n\nStores things. And more.\n";
        assert_eq!(first_sentence(readme).as_deref(), Some("Stores things."));
        assert_eq!(
            first_sentence("//! The clock\n//! of all. Yes.\n\nuse x;").as_deref(),
            Some("The clock of all.")
        );
        assert_eq!(first_sentence(""), None);
    }
}
