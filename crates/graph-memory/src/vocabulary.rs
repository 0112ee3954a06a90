//! Which types and relations a graph takes, and which relations are functional.

use std::collections::BTreeSet;

use hexmem_ports::{Error, Name, Result};

use crate::Cardinality;

/// Node types that [`Vocabulary::kagura`] takes.
pub const KAGURA_NODE_TYPES: [&str; 11] = [
    "memory",
    "user",
    "topic",
    "interaction",
    "file",
    "error",
    "decision",
    "session",
    "solution",
    "github_issue",
    "github_pr",
];

/// Relations that [`Vocabulary::kagura`] takes.
pub const KAGURA_RELATIONS: [&str; 18] = [
    "related_to",
    "depends_on",
    "learned_from",
    "influences",
    "works_on",
    "solved_by",
    "similar_to",
    "caused_by",
    "implements",
    "imports",
    "affects",
    "blocks",
    "includes",
    "encountered",
    "made",
    "addresses",
    "closes",
    "mentioned_in",
];

/// Open by default: every type and relation is taken. A closed one refuses what it does not list, on import
/// too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    kinds: Option<BTreeSet<String>>,
    relations: Option<BTreeSet<String>>,
    functional: BTreeSet<String>,
}

impl Vocabulary {
    /// Takes everything.
    pub fn open() -> Self {
        Self::default()
    }

    /// Kagura's closed lists of 11 node types and 18 relations.
    pub fn kagura() -> Self {
        Self::closed(KAGURA_NODE_TYPES, KAGURA_RELATIONS)
    }

    /// The profile of this name: `open` or `kagura`. `Invalid` for another.
    pub fn profile(name: &str) -> Result<Self> {
        match name {
            "open" => Ok(Self::open()),
            "kagura" => Ok(Self::kagura()),
            _ => Err(Error::invalid(
                "graph.vocabulary",
                format!("there is no profile `{}`; use open or kagura", name.escape_debug()),
            )),
        }
    }

    /// Takes the listed node types and relations only.
    pub fn closed<'a>(
        kinds: impl IntoIterator<Item = &'a str>,
        relations: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            kinds: Some(kinds.into_iter().map(String::from).collect()),
            relations: Some(relations.into_iter().map(String::from).collect()),
            functional: BTreeSet::new(),
        }
    }

    /// With these relations having one value at a time ([`Cardinality::One`]).
    #[must_use]
    pub fn functional<'a>(mut self, relations: impl IntoIterator<Item = &'a str>) -> Self {
        self.functional.extend(relations.into_iter().map(String::from));
        self
    }

    /// How many values `relation` may have at one instant.
    pub fn cardinality(&self, relation: &Name) -> Cardinality {
        if self.functional.contains(relation.as_str()) {
            Cardinality::One
        } else {
            Cardinality::Many
        }
    }

    /// `Invalid` when the list is closed and does not have `kind`.
    pub fn check_kind(&self, kind: &Name) -> Result<()> {
        check("node type", kind, self.kinds.as_ref())
    }

    /// `Invalid` when the list is closed and does not have `relation`.
    pub fn check_relation(&self, relation: &Name) -> Result<()> {
        check("relation", relation, self.relations.as_ref())
    }
}

fn check(what: &'static str, name: &Name, list: Option<&BTreeSet<String>>) -> Result<()> {
    match list {
        Some(list) if !list.contains(name.as_str()) => {
            let known = list.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(Error::invalid(
                "graph.vocabulary",
                format!(
                    "{what} `{name}` is not in this graph's closed vocabulary; use one of: {known}"
                ),
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_vocabulary_refuses_and_names_what_it_takes() {
        let name = |text: &str| Name::new(text).unwrap();
        assert!(Vocabulary::open().check_relation(&name("works_at")).is_ok());
        let kagura = Vocabulary::kagura();
        assert!(kagura.check_kind(&name("github_pr")).is_ok());
        let error = kagura.check_relation(&name("works_at")).unwrap_err().to_string();
        assert!(error.contains("works_at") && error.contains("works_on"), "{error}");
        let one = Vocabulary::open().functional(["lives_in"]);
        assert_eq!(one.cardinality(&name("lives_in")), Cardinality::One);
        assert_eq!(one.cardinality(&name("knows")), Cardinality::Many);
    }
}
