//! What the rules read: the crates, the files, and each crate's place in the hexagon.

use std::fs;
use std::path::Path;

use crate::arch::source::Source;
use crate::outcome::{Result, Trying as _};
use crate::workspace::{Package, Workspace, slashes};

/// The workspace as the rules see it. Nothing else is read while they run.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// The members.
    pub(crate) crates: Vec<Package>,
    /// Every text file but what is built or generated.
    pub(crate) files: Vec<File>,
}

/// One text file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
    /// Its Rust text split up; empty for other files.
    pub(crate) source: Source,
}

impl File {
    /// A file of `text` at `path`.
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let source = if path.ends_with(".rs") {
            Source::of(&text, is_test_path(&path))
        } else {
            Source::default()
        };
        Self { path, text, source }
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// One broken rule.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    /// The crate, or `file:line`.
    pub(crate) place: String,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

impl Violation {
    /// `what` is wrong at `place`; `remedy` puts it right.
    pub(crate) fn new(
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { place: place.into(), what: what.into(), remedy: remedy.into() }
    }
}

/// A crate's place in the hexagon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The contracts.
    Ports,
    /// A domain: rules, no drivers.
    Domain,
    /// A store or service behind the ports.
    Adapter,
    /// The behaviour suites.
    Conformance,
    /// Sees both sides: wiring, migration, the program, benchmarks, tests across crates.
    Outer,
    /// Automation, apart from the product.
    Tool,
}

const DOMAINS: [&str; 10] = [
    "graph-memory",
    "sessions",
    "llm-cache",
    "command-queue",
    "rag",
    "memories",
    "conversations",
    "documents",
    "events",
    "access",
];
const OUTER: [&str; 5] = ["composition", "data-migration", "hexmem", "benches", "tests"];

impl Role {
    /// The place of the crate `name`; `None` for a crate that has none yet.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "ports" => Some(Self::Ports),
            "conformance" => Some(Self::Conformance),
            "xtask" => Some(Self::Tool),
            _ if DOMAINS.contains(&name) => Some(Self::Domain),
            _ if OUTER.contains(&name) => Some(Self::Outer),
            _ if name.starts_with("adapter-") => Some(Self::Adapter),
            _ => None,
        }
    }
}

impl Model {
    /// Reads the workspace and its text files.
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let mut files = Vec::new();
        walk(&workspace.root, &workspace.root, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { crates: workspace.crates.clone(), files })
    }

    /// The Rust files under the folder `prefix` (ending in a slash).
    pub(crate) fn rust<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.is_rust() && file.path.starts_with(prefix))
    }

    /// The folder of the crate that `path` belongs to, if any.
    pub(crate) fn crate_folder(&self, path: &str) -> Option<&str> {
        self.crates
            .iter()
            .map(|package| package.folder.as_str())
            .find(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
    }
}

const TEXT: [&str; 13] =
    ["rs", "md", "toml", "sql", "lua", "yml", "yaml", "sh", "txt", "json", "tf", "svg", "run"];
const SKIPPED: [&str; 5] = ["target", ".git", ".hexmem", "node_modules", "Cargo.lock"];

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result {
    for entry in fs::read_dir(folder).trying(format!("list {}", folder.display()))? {
        let entry = entry.trying(format!("list {}", folder.display()))?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type().trying(format!("look at {}", path.display()))?;
        if SKIPPED.contains(&name.as_ref()) {
            continue;
        }
        if kind.is_dir() {
            walk(root, &path, files)?;
        } else if kind.is_file() && is_text(&path, &name) {
            // A file that is not UTF-8 is a test's bad input, not text of ours.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            files.push(File::new(slashes(path.strip_prefix(root).unwrap_or(&path)), text));
        }
    }
    Ok(())
}

fn is_text(path: &Path, name: &str) -> bool {
    name == "run" || path.extension().is_some_and(|end| TEXT.iter().any(|known| end == *known))
}

fn is_test_path(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| matches!(part, "tests" | "benches"))
}
