//! Questions to the graph of a repository.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::{
    AsOf, Direction, Edge, EdgeFilter, GraphId, GraphStore, Limit, Name, PAGE_LIMIT, Result,
    Timestamp, ValidAt,
};
use serde::Serialize;

use super::git::{Change, Commit};
use super::history::file_id;

/// A commit that touches more files than this says little about any two of them.
const WIDE_COMMIT: usize = 50;

/// A name and how often it was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Counted {
    pub(crate) name: String,
    pub(crate) count: usize,
}

/// What the graph says about a file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AboutFile {
    pub(crate) file: String,
    /// Commits that touch it.
    pub(crate) commits: usize,
    /// Files that change in the same commits, most often first.
    pub(crate) together: Vec<Counted>,
    /// Who wrote these commits.
    pub(crate) authors: Vec<Counted>,
}

/// The size of the graph at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct At {
    pub(crate) at: Timestamp,
    pub(crate) commits: u64,
    pub(crate) files: u64,
}

/// Which files change together with `path`, and who changes them: two steps through the graph.
pub(crate) async fn about_file(
    store: &dyn GraphStore,
    graph: &GraphId,
    path: &str,
    most: usize,
) -> Result<AboutFile> {
    let file = file_id(path)?;
    let touching = edges(store, graph, vec![file.clone()], Direction::In, "touches").await?;
    let commits: Vec<Name> = touching.iter().map(|edge| edge.src.clone()).collect();
    let mut by_commit: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    for part in commits.chunks(500) {
        for edge in edges(store, graph, part.to_vec(), Direction::Out, "touches").await? {
            by_commit.entry(edge.src).or_default().insert(edge.dst);
        }
    }
    let mut together: BTreeMap<String, usize> = BTreeMap::new();
    for files in by_commit.values().filter(|files| files.len() <= WIDE_COMMIT) {
        for other in files.iter().filter(|other| **other != file) {
            *together.entry(plain(other)).or_default() += 1;
        }
    }
    let mut authors: BTreeMap<String, usize> = BTreeMap::new();
    for part in commits.chunks(500) {
        for edge in edges(store, graph, part.to_vec(), Direction::In, "wrote").await? {
            *authors.entry(plain(&edge.src)).or_default() += 1;
        }
    }
    Ok(AboutFile {
        file: path.to_owned(),
        commits: commits.len(),
        together: top(together, most),
        authors: top(authors, most),
    })
}

/// How many commits and files the graph holds as of an instant.
pub(crate) async fn size_at(store: &dyn GraphStore, graph: &GraphId, at: Timestamp) -> Result<At> {
    let stats = store.stats(graph, AsOf { valid: ValidAt::At(at), known: None }).await?;
    let count = |relation: &str| stats.edge_types.get(relation).copied().unwrap_or(0);
    Ok(At { at, commits: count("wrote"), files: count("holds") })
}

/// The file to ask about: the one most commits touch, among those that are there now and written by hand.
pub(crate) fn busiest_file(commits: &[Commit]) -> Option<String> {
    let mut touched: BTreeMap<&str, usize> = BTreeMap::new();
    for commit in commits {
        for file in &commit.files {
            match file.change {
                Change::Removed => {
                    touched.remove(file.path.as_str());
                }
                _ => *touched.entry(&file.path).or_default() += 1,
            }
        }
    }
    let by_hand = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
        const MADE: &[&str] =
            &["lock", "changelog", "cargo.toml", "package.json", "go.sum", ".snap", ".min.js"];
        !MADE.iter().any(|part| name.contains(part))
    };
    let best = |paths: &mut dyn Iterator<Item = (&&str, &usize)>| {
        paths
            .max_by_key(|(path, count)| (**count, std::cmp::Reverse(path.len())))
            .map(|(path, _)| (*path).to_owned())
    };
    best(&mut touched.iter().filter(|(path, _)| by_hand(path)))
        .or_else(|| best(&mut touched.iter()))
}

/// Two words to search for: the most frequent pair of neighbours in the subjects of the newest commits.
pub(crate) fn topic(commits: &[Commit]) -> Option<String> {
    let mut pairs: BTreeMap<String, usize> = BTreeMap::new();
    for commit in commits.iter().rev().take(1_000) {
        let words: Vec<String> = commit
            .subject
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| {
                word.chars().count() > 3 && word.chars().all(|c| c.is_alphabetic() || c == '_')
            })
            .map(str::to_lowercase)
            .filter(|word| {
                !matches!(
                    word.as_str(),
                    "merge"
                        | "from"
                        | "with"
                        | "into"
                        | "pull"
                        | "request"
                        | "branch"
                        | "this"
                        | "that"
                        | "when"
                        | "update"
                        | "bump"
                        | "release"
                )
            })
            .collect();
        let mut seen = BTreeSet::new();
        for pair in words.windows(2).filter(|pair| pair[0] != pair[1]) {
            if seen.insert((pair[0].clone(), pair[1].clone())) {
                *pairs.entry(format!("{} {}", pair[0], pair[1])).or_default() += 1;
            }
        }
    }
    top(pairs, 1).pop().map(|counted| counted.name)
}

async fn edges(
    store: &dyn GraphStore,
    graph: &GraphId,
    at: Vec<Name>,
    way: Direction,
    relation: &str,
) -> Result<Vec<Edge>> {
    let filter = EdgeFilter {
        at: Some((at, way)),
        relations: vec![Name::new(relation)?],
        ..EdgeFilter::default()
    };
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page =
            store.find_edges(graph, &filter, AsOf::ALL, cursor, Limit::new(PAGE_LIMIT)?).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(all),
        }
    }
}

/// The id without its kind.
fn plain(id: &Name) -> String {
    id.as_str().split_once(':').map_or(id.as_str(), |(_, rest)| rest).to_owned()
}

fn top(counts: BTreeMap<String, usize>, most: usize) -> Vec<Counted> {
    let mut counts: Vec<Counted> =
        counts.into_iter().map(|(name, count)| Counted { name, count }).collect();
    // Stable: equal counts stay in order of name.
    counts.sort_by_key(|counted| std::cmp::Reverse(counted.count));
    counts.truncate(most);
    counts
}

#[cfg(test)]
mod tests {
    use super::super::git::FileChange;
    use super::*;

    fn commit(subject: &str, files: &[(&str, Change)]) -> Commit {
        Commit {
            hash: "0".repeat(40),
            author: "Ann".into(),
            email: String::new(),
            at: Timestamp::from_micros(0).unwrap(),
            subject: subject.into(),
            body: String::new(),
            files: files
                .iter()
                .map(|(path, change)| FileChange { path: (*path).into(), change: *change })
                .collect(),
        }
    }

    #[test]
    fn the_busiest_file_is_there_and_written_by_hand() {
        let many = [
            ("Cargo.lock", Change::Modified),
            ("gone.rs", Change::Modified),
            ("a.rs", Change::Modified),
        ];
        let commits =
            [commit("x", &many), commit("y", &many), commit("z", &[("gone.rs", Change::Removed)])];
        assert_eq!(busiest_file(&commits).as_deref(), Some("a.rs"));
        assert_eq!(busiest_file(&[]), None);
    }

    #[test]
    fn the_topic_is_a_frequent_pair_of_words() {
        let commits = [
            commit("Fix lease token check", &[]),
            commit("Check the lease token", &[]),
            commit("Other work", &[]),
        ];
        assert_eq!(topic(&commits).as_deref(), Some("lease token"));
        assert_eq!(topic(&[]), None);
    }
}
