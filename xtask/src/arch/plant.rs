//! One way to break each rule, in memory: shows that the rule sees.

use crate::arch::model::{File, Model};
use crate::workspace::{Dependency, Kind, Package};

/// The crate `name`, or a new one where there is none.
fn package<'a>(model: &'a mut Model, name: &str) -> Option<&'a mut Package> {
    if !model.crates.iter().any(|one| one.name == name) {
        let mut new = model.crates.first()?.clone();
        name.clone_into(&mut new.name);
        new.folder = format!("crates/{name}");
        new.lib = Some(format!("hexmem_{}", name.replace('-', "_")));
        new.dependencies.clear();
        model.crates.push(new);
    }
    model.crates.iter_mut().find(|one| one.name == name)
}

fn depend(model: &mut Model, from: &str, on: &str) {
    let edge = Dependency { name: on.to_owned(), kind: Kind::Normal };
    if let Some(package) = package(model, from) {
        package.dependencies.push(edge);
    }
}

fn file(model: &mut Model, path: &str, text: &str) {
    model.files.push(File::new(path, text));
}

pub(super) fn placed(model: &mut Model) {
    package(model, "utils");
}

pub(super) fn ports_alone(model: &mut Model) {
    depend(model, "ports", "sessions");
}

pub(super) fn domain_edges(model: &mut Model) {
    depend(model, "sessions", "adapter-sqlite");
}

pub(super) fn adapter_edges(model: &mut Model) {
    depend(model, "adapter-memory", "rag");
}

pub(super) fn conformance_edges(model: &mut Model) {
    depend(model, "conformance", "adapter-memory");
}

pub(super) fn tool_edges(model: &mut Model) {
    depend(model, "xtask", "ports");
}

pub(super) fn pure_libraries(model: &mut Model) {
    depend(model, "adapter-hybrid", "deadpool");
}

pub(super) fn own_driver(model: &mut Model) {
    depend(model, "adapter-json", "sqlx");
}

pub(super) fn pure_domains(model: &mut Model) {
    package(model, "sessions");
    file(model, "crates/sessions/src/planted.rs", "use std::{\n    env, sync::Arc,\n};\n");
}

pub(super) fn folder_is_name(model: &mut Model) {
    if let Some(package) = package(model, "sessions") {
        package.folder = String::from("crates/session-store");
    }
}

pub(super) fn unpublished(model: &mut Model) {
    if let Some(package) = package(model, "sessions") {
        package.unpublished = false;
    }
}

pub(super) fn lib_name(model: &mut Model) {
    if let Some(package) = package(model, "sessions") {
        package.lib = Some(String::from("sessions"));
    }
}

pub(super) fn workspace_lints(model: &mut Model) {
    if let Some(package) = package(model, "sessions") {
        package.manifest = package.manifest.replace("[lints]", "[lints-off]");
    }
}

pub(super) fn workspace_dependencies(model: &mut Model) {
    if let Some(package) = package(model, "sessions") {
        package.manifest.push_str("\n[dependencies.planted]\nversion = \"1\"\n");
    }
}

pub(super) fn query_used(model: &mut Model) {
    package(model, "adapter-sqlite");
    file(model, "crates/adapter-sqlite/src/sql/planted_unused.sql", "SELECT 1;\n");
}

pub(super) fn clause_once(model: &mut Model) {
    let twice = "/// - `PLANTED-ONCE-1`: a\n/// - `PLANTED-ONCE-1`: b\n";
    file(model, "crates/ports/src/planted.rs", twice);
}

pub(super) fn clause_has_case(model: &mut Model) {
    file(model, "crates/ports/src/planted.rs", "/// - `PLANTED-CLAUSE-1`: has no case.\n");
}

pub(super) fn case_has_clause(model: &mut Model) {
    stray_case(model);
}

pub(super) fn case_registered(model: &mut Model) {
    stray_case(model);
}

pub(super) fn case_has_double(model: &mut Model) {
    stray_case(model);
}

/// A case that is in no list, proves no clause and has no double.
fn stray_case(model: &mut Model) {
    file(model, "crates/conformance/src/zz/planted.rs", "pub async fn zz_planted_1() {}\n");
}

pub(super) fn finished(model: &mut Model) {
    file(model, "crates/sessions/src/planted.rs", "fn later() {\n    todo!()\n}\n");
}

pub(super) fn reasons(model: &mut Model) {
    file(model, "crates/sessions/src/planted.rs", "#[allow(dead_code)]\nfn unused() {}\n");
}

pub(super) fn white_space(model: &mut Model) {
    file(model, "docs/planted.md", "A line. \n");
}

pub(super) fn file_length(model: &mut Model) {
    file(model, "crates/sessions/src/planted.rs", &"fn a() {}\n".repeat(601));
}

pub(super) fn own_words(model: &mut Model) {
    let path = concat!("/work", "/", "notes");
    file(model, "docs/planted.md", &format!("See `{path}`.\n"));
}
