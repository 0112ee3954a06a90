//! Each rule holds on a small clean workspace and sees the violation planted for it.

use crate::arch::model::{File, Model};
use crate::arch::{RULES, prove};
use crate::workspace::{Dependency, Kind, Package};

const MANIFEST: &str = "[dependencies]\nserde.workspace = true\n\n[lints]\nworkspace = true\n";

fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
    let dependencies = dependencies.iter();
    Package {
        name: name.into(),
        folder: if name == "xtask" { name.into() } else { format!("crates/{name}") },
        lib: Some(format!("hexmem_{}", name.replace('-', "_"))),
        unpublished: true,
        benches: false,
        dependencies: dependencies
            .map(|(name, kind)| Dependency { name: (*name).into(), kind: *kind })
            .collect(),
        manifest: MANIFEST.into(),
    }
}

/// A workspace that keeps every rule, near to breaking many.
fn clean() -> Model {
    let crates = vec![
        package("ports", &[("serde", Kind::Normal)]),
        package("sessions", &[("ports", Kind::Normal), ("adapter-memory", Kind::Dev)]),
        package("rag", &[("ports", Kind::Normal), ("tokio", Kind::Dev)]),
        package("adapter-memory", &[("ports", Kind::Normal), ("conformance", Kind::Dev)]),
        package("adapter-sqlite", &[("ports", Kind::Normal), ("sqlx", Kind::Normal)]),
        package("adapter-json", &[("ports", Kind::Normal), ("tokio", Kind::Normal)]),
        package("conformance", &[("ports", Kind::Normal), ("adapter-memory", Kind::Dev)]),
        package("composition", &[("rag", Kind::Normal), ("adapter-sqlite", Kind::Normal)]),
        package("xtask", &[("serde_json", Kind::Normal)]),
    ];
    let files = [
        ("crates/ports/src/kv.rs", "/// - `KV-GET-1`: bytes come back.\nfn get();\n"),
        ("crates/conformance/src/kv/mod.rs", "pub async fn kv_get_1() {}\nsuite!(kv_get_1);\n"),
        ("crates/conformance/src/kv/broken.rs", "const ONE: &str = \"KV-GET-1\";\n"),
        (
            "crates/sessions/src/lib.rs",
            "//! Not std::fs.\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        ),
        ("crates/sessions/src/rule.rs", "#[allow(dead_code, reason = \"todo!\")]\nfn a() {}\n"),
        ("crates/adapter-sqlite/src/kv.rs", "const GET: &str = include_str!(\"sql/get.sql\");\n"),
        ("crates/adapter-sqlite/src/open.rs", "sqlx::migrate!(\"../../migrations/sqlite\");\n"),
        ("crates/adapter-sqlite/src/sql/get.sql", "SELECT 1;\n"),
        ("migrations/sqlite/0001_first.sql", "CREATE TABLE t (a INTEGER);\n"),
    ];
    Model { crates, files: files.into_iter().map(|(path, text)| File::new(path, text)).collect() }
}

/// The rules called `id` see what is planted for them, and only then.
fn sees_its_violation(id: &str) {
    let rule = RULES.iter().find(|rule| rule.id == id).unwrap();
    let mut model = clean();
    let before: Vec<_> = (rule.check)(&model).iter().map(|found| found.what.clone()).collect();
    assert!(before.is_empty(), "{id} is broken on a clean workspace: {before:?}");
    (rule.plant)(&mut model);
    let after = (rule.check)(&model);
    assert!(!after.is_empty(), "{id} does not see its violation");
    assert!(after.iter().all(|found| !found.place.is_empty() && !found.remedy.is_empty()));
    assert!(prove(&model, Some(rule)).is_err());
}

macro_rules! rules {
    ($($test:ident),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                sees_its_violation(&stringify!($test).replace('_', "-"));
            }
        )*

        #[test]
        fn every_rule_has_a_test() {
            let tested = [$(stringify!($test).replace('_', "-")),*];
            for rule in &RULES {
                assert!(tested.iter().any(|test| test == rule.id), "{} has no test", rule.id);
            }
        }
    };
}

rules!(
    placed,
    ports_alone,
    domain_edges,
    adapter_edges,
    conformance_edges,
    tool_edges,
    pure_libraries,
    own_driver,
    pure_domains,
    folder_is_name,
    unpublished,
    lib_name,
    workspace_lints,
    workspace_dependencies,
    query_used,
    clause_once,
    clause_has_case,
    case_has_clause,
    case_registered,
    case_has_double,
    finished,
    reasons,
    white_space,
    file_length,
    own_words,
);

#[test]
fn the_clean_workspace_keeps_every_rule() {
    assert!(prove(&clean(), None).is_ok());
}

#[test]
fn a_query_is_not_used_by_another_crates_file_of_the_same_name() {
    let mut model = clean();
    model.files.push(File::new("crates/adapter-json/src/sql/get.sql", "SELECT 2;\n"));
    let rule = RULES.iter().find(|rule| rule.id == "query-used").unwrap();
    assert_eq!((rule.check)(&model).len(), 1);
}
