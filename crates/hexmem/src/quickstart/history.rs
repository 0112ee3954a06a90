//! A git history as a temporal graph.
//!
//! ```text
//! author --wrote--> commit --touches--> file          valid from the commit on
//! repository --holds--> file                          valid from its addition until its removal
//! ```

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use hexmem_ports::{
    EdgeDraft, EdgeId, Expect, GraphChange, NAME_LIMIT, Name, NodeDraft, Result, Timestamp,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::git::{Change, Commit};

/// Names the ids of edges below apart from UUIDs made elsewhere.
const NAMESPACE: Uuid = Uuid::from_u128(0x68_65_78_6d_65_6d_2e_67_69_74_2e_65_64_67_65_73);

/// What the graph of a repository consists of, nodes first.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) nodes: Vec<GraphChange>,
    pub(crate) edges: Vec<GraphChange>,
    /// Files that could not be named in a graph (longer than 1,024 bytes).
    pub(crate) left_out: usize,
}

/// The node of a file.
pub(crate) fn file_id(path: &str) -> Result<Name> {
    Name::new(format!("file:{path}"))
}

/// Turns commits, oldest first, into nodes and edges. The same history gives the same ids, so that a second run
/// changes only what is new.
pub(crate) fn history(repository: &str, commits: &[Commit]) -> Result<History> {
    let mut nodes = BTreeMap::new();
    let mut edges = Vec::new();
    let mut spans: BTreeMap<&str, Span<'_>> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    let root = Name::new(format!("repository:{repository}"))?;
    node(
        &mut nodes,
        root.clone(),
        "repository",
        json!({ "name": repository }),
        commits.first().map(|c| c.at),
    )?;
    for commit in commits {
        let id = Name::new(format!("commit:{}", commit.short()))?;
        let author = Name::new(format!("author:{}", clipped(&commit.author)))?;
        let data = json!({ "subject": commit.subject, "at": commit.at });
        node(&mut nodes, id.clone(), "commit", data, Some(commit.at))?;
        node(
            &mut nodes,
            author.clone(),
            "author",
            json!({ "name": commit.author }),
            Some(commit.at),
        )?;
        edges.push(edge(&author, "wrote", &id, Some(commit.at), None, commit)?);
        for file in &commit.files {
            if file.path.len() + 5 > NAME_LIMIT {
                left_out.insert(&file.path);
                continue;
            }
            let target = file_id(&file.path)?;
            node(
                &mut nodes,
                target.clone(),
                "file",
                json!({ "path": file.path }),
                Some(commit.at),
            )?;
            edges.push(edge(&id, "touches", &target, Some(commit.at), None, commit)?);
            match (file.change, spans.get(file.path.as_str())) {
                (Change::Removed, Some(_)) => {
                    if let Some(span) = spans.remove(file.path.as_str()) {
                        edges.push(span.edge(&root, &target, Some(commit.at))?);
                    }
                }
                (Change::Removed, None) => {}
                (_, Some(_)) => {}
                // A file first seen changed was there before the part of the history that is read.
                (change, None) => {
                    let from = (change == Change::Added).then_some(commit.at);
                    spans.insert(&file.path, Span { from, opened: commit });
                }
            }
        }
    }
    for (path, span) in spans {
        edges.push(span.edge(&root, &file_id(path)?, None)?);
    }
    Ok(History { nodes: nodes.into_values().collect(), edges, left_out: left_out.len() })
}

/// A file between its addition and its removal.
struct Span<'a> {
    from: Option<Timestamp>,
    opened: &'a Commit,
}

impl Span<'_> {
    fn edge(&self, root: &Name, file: &Name, until: Option<Timestamp>) -> Result<GraphChange> {
        // Added and removed in one second, or by a clock set back: it never held.
        let until = until.map(|until| {
            self.from.map_or(until, |from| until.max(from.plus(std::time::Duration::from_secs(1))))
        });
        edge(root, "holds", file, self.from, until, self.opened)
    }
}

fn node(
    nodes: &mut BTreeMap<Name, GraphChange>,
    id: Name,
    kind: &str,
    data: Value,
    at: Option<Timestamp>,
) -> Result<()> {
    if let Entry::Vacant(place) = nodes.entry(id.clone()) {
        let draft =
            NodeDraft { id, kind: Name::new(kind)?, data, created_at: at, expect: Expect::Any };
        place.insert(GraphChange::PutNode(draft));
    }
    Ok(())
}

fn edge(
    src: &Name,
    relation: &str,
    dst: &Name,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    commit: &Commit,
) -> Result<GraphChange> {
    let key = format!("{}\n{relation}\n{}\n{}", src.as_str().len(), src, dst);
    let key = format!("{key}\n{}", commit.hash);
    Ok(GraphChange::PutEdge(EdgeDraft {
        id: EdgeId(Uuid::new_v5(&NAMESPACE, key.as_bytes())),
        src: src.clone(),
        relation: Name::new(relation)?,
        dst: dst.clone(),
        weight: 1.0,
        valid_from: from,
        valid_until: until,
        source: Some(Name::new(format!("git:{}", commit.short()))?),
        data: json!({}),
        created_at: from,
        expect: Expect::Any,
    }))
}

/// A name for people, short enough for an id, never empty.
fn clipped(text: &str) -> String {
    let text: String = text.chars().take(200).collect();
    if text.trim().is_empty() { "unknown".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::git::FileChange;
    use super::*;

    fn commit(n: u32, files: &[(&str, Change)]) -> Commit {
        Commit {
            hash: format!("{n:0<40}"),
            author: "Ann".into(),
            email: String::new(),
            at: Timestamp::from_micros(i64::from(n) * 1_000_000).unwrap(),
            subject: format!("commit {n}"),
            body: String::new(),
            files: files
                .iter()
                .map(|(path, change)| FileChange { path: (*path).into(), change: *change })
                .collect(),
        }
    }

    fn holds(history: &History) -> Vec<(String, Option<i64>, Option<i64>)> {
        let seconds = |t: Option<Timestamp>| t.map(|t| t.as_micros() / 1_000_000);
        let mut spans: Vec<_> = history
            .edges
            .iter()
            .filter_map(|change| match change {
                GraphChange::PutEdge(edge) if edge.relation.as_str() == "holds" => Some((
                    edge.dst.to_string(),
                    seconds(edge.valid_from),
                    seconds(edge.valid_until),
                )),
                _ => None,
            })
            .collect();
        spans.sort();
        spans
    }

    #[test]
    fn a_file_holds_from_its_addition_to_its_removal_and_again() {
        let commits = [
            commit(1, &[("a", Change::Added), ("old", Change::Modified)]),
            commit(2, &[("a", Change::Modified)]),
            commit(3, &[("a", Change::Removed)]),
            commit(4, &[("a", Change::Added)]),
        ];
        let history = history("r", &commits).unwrap();
        let expected = [
            ("file:a".into(), Some(1), Some(3)),
            ("file:a".into(), Some(4), None),
            ("file:old".into(), None, None),
        ];
        assert_eq!(holds(&history), expected);
        // repository, one author, four commits, two files
        assert_eq!(history.nodes.len(), 8);
    }

    #[test]
    fn the_same_history_gives_the_same_ids() {
        let commits = [commit(1, &[("a", Change::Added)]), commit(2, &[("a", Change::Removed)])];
        let (one, two) = (history("r", &commits).unwrap(), history("r", &commits).unwrap());
        assert_eq!(one.edges, two.edges);
        let ids: BTreeSet<_> = one
            .edges
            .iter()
            .map(|change| match change {
                GraphChange::PutEdge(edge) => edge.id,
                _ => unreachable!("only edges"),
            })
            .collect();
        assert_eq!(ids.len(), one.edges.len());
    }
}
