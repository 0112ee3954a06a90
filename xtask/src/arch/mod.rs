//! `cargo xtask arch`: proves the architecture and the house rules, and names what breaks them.

mod clauses;
mod edges;
mod manifests;
mod model;
mod plant;
mod purity;
mod queries;
mod source;
mod tidy;

use std::path::PathBuf;

use crate::arch::model::{Model, Violation};
use crate::outcome::{Failure, Result};
use crate::workspace::{Workspace, here};

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask arch [--list | --plant RULE | --plant all] [--root DIR]

Proves the rules of the architecture from cargo metadata and the sources. Exits 1 and names rule, place and
remedy when one is broken.

  --list         prints the rules
  --plant RULE   breaks RULE in memory and shows that it is seen: exits 1 as the real thing would
  --plant all    breaks each rule in turn: exits 0 when every one is seen
  --root DIR     looks at the workspace in DIR instead of this one";

/// One rule: a name, one sentence, the check, and a way to break it.
pub(crate) struct Rule {
    id: &'static str,
    says: &'static str,
    check: fn(&Model) -> Vec<Violation>,
    plant: fn(&mut Model),
}

const fn rule(
    id: &'static str,
    says: &'static str,
    check: fn(&Model) -> Vec<Violation>,
    plant: fn(&mut Model),
) -> Rule {
    Rule { id, says, check, plant }
}

/// The rules, in the order they are reported.
pub(crate) const RULES: [Rule; 25] = [
    rule("placed", "every crate has a place in the hexagon", edges::placed, plant::placed),
    rule(
        "ports-alone",
        "ports depends on no crate of the workspace",
        edges::ports_stand_alone,
        plant::ports_alone,
    ),
    rule(
        "domain-edges",
        "a domain depends on ports alone",
        edges::domain_edges,
        plant::domain_edges,
    ),
    rule(
        "adapter-edges",
        "an adapter depends on ports alone: no domain, no other adapter",
        edges::adapter_edges,
        plant::adapter_edges,
    ),
    rule(
        "conformance-edges",
        "the suites depend on ports alone",
        edges::conformance_edges,
        plant::conformance_edges,
    ),
    rule(
        "tool-edges",
        "xtask depends on no crate of the workspace",
        edges::tool_edges,
        plant::tool_edges,
    ),
    rule(
        "pure-libraries",
        "a domain (and adapter-hybrid) uses pure libraries only",
        edges::pure_libraries,
        plant::pure_libraries,
    ),
    rule("own-driver", "a driver stands in its own adapter", edges::own_driver, plant::own_driver),
    rule(
        "pure-domains",
        "a domain names neither environment, files, sockets nor the wall clock",
        purity::pure_domains,
        plant::pure_domains,
    ),
    rule(
        "folder-is-name",
        "folder name = package name",
        manifests::folder_is_name,
        plant::folder_is_name,
    ),
    rule(
        "unpublished",
        "every crate has publish = false",
        manifests::unpublished,
        plant::unpublished,
    ),
    rule(
        "lib-name",
        "every library is called hexmem_<folder>",
        manifests::lib_name,
        plant::lib_name,
    ),
    rule(
        "workspace-lints",
        "every crate takes the workspace's lints",
        manifests::workspace_lints,
        plant::workspace_lints,
    ),
    rule(
        "workspace-dependencies",
        "versions of dependencies stand in the root manifest",
        manifests::workspace_dependencies,
        plant::workspace_dependencies,
    ),
    rule(
        "query-used",
        "every .sql and .lua file is used by Rust code",
        queries::referenced,
        plant::query_used,
    ),
    rule("clause-once", "a clause is stated once", clauses::stated_once, plant::clause_once),
    rule(
        "clause-has-case",
        "every clause of a port has a conformance case",
        clauses::clause_has_case,
        plant::clause_has_case,
    ),
    rule(
        "case-has-clause",
        "every conformance case proves a clause",
        clauses::case_has_clause,
        plant::case_has_clause,
    ),
    rule(
        "case-registered",
        "every conformance case stands in its suite's list",
        clauses::case_is_registered,
        plant::case_registered,
    ),
    rule(
        "case-has-double",
        "every conformance case has a double that breaks its clause",
        clauses::case_has_double,
        plant::case_has_double,
    ),
    rule("finished", "no unfinished code", tidy::no_unfinished_code, plant::finished),
    rule("reasons", "no lint is switched off without a reason", tidy::reasons, plant::reasons),
    rule(
        "white-space",
        "no white space at line ends, a newline at the end",
        tidy::white_space,
        plant::white_space,
    ),
    rule(
        "file-length",
        "a Rust file has at most 500 lines of code",
        tidy::file_length,
        plant::file_length,
    ),
    rule(
        "own-words",
        "no registry host, no path of somebody's machine",
        tidy::own_words,
        plant::own_words,
    ),
];

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result {
    let (mut root, mut list, mut planted) = (here(), false, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value =
            || args.next().cloned().ok_or_else(|| Failure::usage(format!("{arg} needs a value")));
        match arg.as_str() {
            "--list" => list = true,
            "--plant" => planted = Some(value()?),
            "--root" => root = PathBuf::from(value()?),
            other => return Err(Failure::usage(format!("unknown argument {other}"))),
        }
    }
    if list {
        for rule in &RULES {
            println!("{:24}{}", rule.id, rule.says);
        }
        return Ok(());
    }
    let workspace = Workspace::read(&root)?;
    let model = Model::read(&workspace)?;
    match planted.as_deref() {
        None => prove(&model, None),
        Some("all") => plant_all(&model),
        Some(id) => {
            let rule = RULES.iter().find(|rule| rule.id == id).ok_or_else(|| {
                Failure::usage(format!("no rule is called {id}: see cargo xtask arch --list"))
            })?;
            let mut broken = model;
            (rule.plant)(&mut broken);
            prove(&broken, Some(rule))
        }
    }
}

/// Checks all rules, or one, and prints what breaks them.
fn prove(model: &Model, only: Option<&Rule>) -> Result {
    let mut count = 0usize;
    for rule in RULES.iter().filter(|rule| only.is_none_or(|only| only.id == rule.id)) {
        for found in (rule.check)(model) {
            count += 1;
            println!("error[{}]: {}", rule.id, found.what);
            println!("  --> {}", found.place);
            println!("   do: {}\n", found.remedy);
        }
    }
    if count > 0 {
        return Err(Failure::new(format!("arch: {count} violation(s)")));
    }
    let (crates, files) = (model.crates.len(), model.files.len());
    println!("arch: {} rules hold over {crates} crates and {files} files", RULES.len());
    Ok(())
}

/// Breaks each rule in turn and checks that it is seen.
fn plant_all(model: &Model) -> Result {
    let mut blind = Vec::new();
    for rule in &RULES {
        let before: Vec<String> = (rule.check)(model).into_iter().map(|found| found.what).collect();
        let mut broken = model.clone();
        (rule.plant)(&mut broken);
        let after = (rule.check)(&broken);
        match after.iter().find(|found| !before.contains(&found.what)) {
            Some(found) => println!("seen    {:24}{}: {}", rule.id, found.place, found.what),
            None => {
                println!("MISSED  {:24}{}", rule.id, rule.says);
                blind.push(rule.id);
            }
        }
    }
    if blind.is_empty() {
        println!("arch: {} rules, each sees its planted violation", RULES.len());
        return Ok(());
    }
    Err(Failure::new(format!("arch: rules that see nothing: {}", blind.join(", "))))
}

#[cfg(test)]
mod tests;
