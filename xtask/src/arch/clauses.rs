//! Every numbered clause of a port has a case and a breaking double, and every case has a clause.

use std::collections::BTreeMap;

use crate::arch::model::{Model, Violation};

const PORTS: &str = "crates/ports/src/";
const SUITES: &str = "crates/conformance/src/";

/// The clauses of the ports, each with the places that state it.
fn clauses(model: &Model) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in model.rust(PORTS) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(id) = clause_of(line) {
                found.entry(id).or_default().push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    found
}

/// ``/// - `SESS-TOUCH-2`: ...`` states `SESS-TOUCH-2`.
fn clause_of(line: &str) -> Option<String> {
    let (id, rest) = line.trim().strip_prefix("/// - `")?.split_once('`')?;
    (rest.starts_with(':') && is_clause(id)).then(|| id.to_owned())
}

fn is_clause(id: &str) -> bool {
    let mut parts: Vec<&str> = id.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let all =
        |part: &str, fits: fn(&char) -> bool| !part.is_empty() && part.chars().all(|ch| fits(&ch));
    all(number, char::is_ascii_digit)
        && !parts.is_empty()
        && parts.iter().all(|part| all(part, |ch| ch.is_ascii_uppercase() || ch.is_ascii_digit()))
}

/// `SESS-TOUCH-2` as the case's name, `sess_touch_2`.
fn case_of(clause: &str) -> String {
    clause.to_lowercase().replace('-', "_")
}

/// `sess_touch_2` as its clause; `None` for a function that is no case.
fn clause_of_case(name: &str) -> Option<String> {
    let id = name.to_uppercase().replace('_', "-");
    (name == case_of(&id) && is_clause(&id)).then_some(id)
}

/// One case of one port's suite.
struct Case {
    /// The port's folder in the suites, ending in a slash.
    suite: String,
    /// The function's name, as `sess_touch_2`.
    name: String,
    /// The clause it proves, as `SESS-TOUCH-2`.
    clause: String,
    /// Where it stands.
    place: String,
}

/// The cases: every `async fn sess_touch_2` in the folder of a port. What several ports share stands beside the
/// folders and is called by their cases.
fn cases(model: &Model) -> Vec<Case> {
    let mut found = Vec::new();
    for file in model.rust(SUITES) {
        let inside = file.path.strip_prefix(SUITES).unwrap_or_default();
        let Some((port, _)) = inside.split_once('/') else { continue };
        for (index, line) in file.source.code.lines().enumerate() {
            let Some((_, rest)) = line.split_once("async fn ") else { continue };
            let name =
                rest.split(|ch: char| !super::source::is_word(ch)).next().unwrap_or_default();
            if let Some(clause) = clause_of_case(name) {
                found.push(Case {
                    suite: format!("{SUITES}{port}/"),
                    name: name.to_owned(),
                    clause,
                    place: format!("{}:{}", file.path, index + 1),
                });
            }
        }
    }
    found
}

/// A clause is stated once.
pub(crate) fn stated_once(model: &Model) -> Vec<Violation> {
    clauses(model)
        .into_iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(id, places)| {
            let what =
                format!("clause {id} is stated {} times: {}", places.len(), places.join(", "));
            Violation::new(&places[1], what, "give each clause a number of its own")
        })
        .collect()
}

/// Every clause has a case of its name.
pub(crate) fn clause_has_case(model: &Model) -> Vec<Violation> {
    let cases = cases(model);
    let proved = |id: &String| cases.iter().any(|case| case.clause == *id);
    let without = clauses(model).into_iter().filter(|(id, _)| !proved(id));
    without
        .map(|(id, places)| {
            let remedy = format!("write async fn {} in crates/conformance", case_of(&id));
            Violation::new(&places[0], format!("clause {id} has no conformance case"), remedy)
        })
        .collect()
}

/// Every case has a clause of its name.
pub(crate) fn case_has_clause(model: &Model) -> Vec<Violation> {
    let clauses = clauses(model);
    let stray = cases(model).into_iter().filter(|case| !clauses.contains_key(&case.clause));
    stray
        .map(|Case { name, clause, place, .. }| {
            let remedy =
                format!("state `{clause}` in the port's # Behavior list, or rename the case");
            Violation::new(place, format!("case {name} proves no clause"), remedy)
        })
        .collect()
}

/// Every case stands in its suite's list: one that does not would never run.
pub(crate) fn case_is_registered(model: &Model) -> Vec<Violation> {
    let mentioned = |case: &Case| {
        let words = model.rust(&case.suite).flat_map(|file| file.source.words());
        words.filter(|(_, word)| *word == case.name).count() > 1
    };
    let unlisted = cases(model).into_iter().filter(|case| !mentioned(case));
    unlisted
        .map(|Case { name, place, .. }| {
            let what = format!("case {name} is not in its suite's list");
            Violation::new(place, what, "add it to the port's suite macro, or it never runs")
        })
        .collect()
}

/// Every case has a double that breaks its clause: the clause's id stands in a `broken.rs` of the suite, or in
/// what the suites share.
pub(crate) fn case_has_double(model: &Model) -> Vec<Violation> {
    let breaks = |case: &Case| {
        let doubles = model.rust(SUITES).filter(|file| {
            let shared = file.path.strip_prefix(SUITES).is_some_and(|rest| !rest.contains('/'));
            shared || (file.path.starts_with(&case.suite) && file.path.contains("broken"))
        });
        let mut literals = doubles.flat_map(|file| &file.source.literals);
        literals.any(|(_, literal)| *literal == case.clause)
    };
    let safe = cases(model).into_iter().filter(|case| !breaks(case));
    safe.map(|Case { clause, place, .. }| {
        let what = format!("no double breaks {clause}: the case may prove nothing");
        Violation::new(place, what, format!("break \"{clause}\" in the port's broken.rs"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_case_names_are_told_from_other_words() {
        assert_eq!(clause_of("    /// - `KV-SET-7`: x"), Some("KV-SET-7".into()));
        assert_eq!(clause_of("    /// - `KvSet`: x"), None);
        assert_eq!(clause_of("    /// `KV-SET-7`: see there"), None);
        assert_eq!(clause_of_case("kv_set_7"), Some("KV-SET-7".into()));
        assert_eq!(clause_of_case("kv_set"), None);
        assert_eq!(clause_of_case("sha256"), None);
    }
}
