//! The hexagon: which crate may depend on which.

use crate::arch::model::{Model, Role, Violation};
use crate::workspace::{Dependency, Kind, Package};

/// What a domain, and an adapter that only decorates, may use beside `ports`. No I/O, no runtime, no clock.
const PURE: [&str; 41] = [
    "async-stream",
    "async-trait",
    "base64",
    "bitflags",
    "blake3",
    "bytes",
    "chardetng",
    "chrono",
    "croner",
    "encoding_rs",
    "futures",
    "futures-core",
    "futures-util",
    "getrandom",
    "hex",
    "http",
    "indexmap",
    "itertools",
    "jiff",
    "lopdf",
    "memchr",
    "mockall",
    "moka",
    "petgraph",
    "pin-project-lite",
    "pulldown-cmark",
    "rand",
    "regex",
    "rust-stemmers",
    "serde",
    "serde_json",
    "sha2",
    "smallvec",
    "subtle",
    "thiserror",
    "tower-layer",
    "tower-service",
    "tracing",
    "unicode-normalization",
    "unicode-segmentation",
    "uuid",
];

/// Drivers, and the adapters each may stand in.
const DRIVERS: [(&str, &[&str]); 17] = [
    ("sqlx", &["adapter-sqlite", "adapter-pg"]),
    ("rusqlite", &["adapter-sqlite"]),
    ("libsqlite3-sys", &["adapter-sqlite"]),
    ("tokio-postgres", &["adapter-pg"]),
    ("deadpool-postgres", &["adapter-pg"]),
    ("pgvector", &["adapter-pg"]),
    ("redis", &["adapter-redis"]),
    ("deadpool-redis", &["adapter-redis"]),
    ("fred", &["adapter-redis"]),
    ("qdrant-client", &["adapter-qdrant"]),
    ("tonic", &["adapter-qdrant"]),
    ("reqwest", &["adapter-embed"]),
    ("hyper", &["adapter-embed"]),
    ("ureq", &["adapter-embed"]),
    ("ort", &["adapter-embed"]),
    ("candle-core", &["adapter-embed"]),
    ("tokenizers", &["adapter-embed"]),
];

fn of_role(model: &Model, role: Role) -> impl Iterator<Item = &Package> {
    model.crates.iter().filter(move |package| Role::of(&package.name) == Some(role))
}

fn is_ours(model: &Model, dependency: &Dependency) -> bool {
    model.crates.iter().any(|package| package.name == dependency.name)
        || Role::of(&dependency.name).is_some()
}

/// Every crate has a place in the hexagon.
pub(crate) fn placed(model: &Model) -> Vec<Violation> {
    let strangers = model.crates.iter().filter(|package| Role::of(&package.name).is_none());
    strangers
        .map(|package| {
            Violation::new(
                &package.name,
                "the crate has no place in the hexagon",
                "name it in xtask/src/arch/model.rs as a domain or an outer crate, or call it adapter-<name>",
            )
        })
        .collect()
}

/// `ports` depends on no crate of the workspace.
pub(crate) fn ports_stand_alone(model: &Model) -> Vec<Violation> {
    edges(model, Role::Ports, |_| false, "ports knows no other crate: move what it needs into it")
}

/// A domain depends on `ports` alone; its tests also on the in-process adapter and the suites.
pub(crate) fn domain_edges(model: &Model) -> Vec<Violation> {
    edges(
        model,
        Role::Domain,
        |edge| edge.name == "ports" || is_test_help(edge),
        "depend on ports alone and take the rest as Arc<dyn Port>",
    )
}

/// An adapter depends on `ports` alone; its tests also on the in-process adapter and the suites.
pub(crate) fn adapter_edges(model: &Model) -> Vec<Violation> {
    edges(
        model,
        Role::Adapter,
        |edge| edge.name == "ports" || is_test_help(edge),
        "an adapter knows ports and its own driver: take an inner store as Arc<dyn Port>",
    )
}

/// The suites depend on `ports` alone; their own tests also on the in-process adapter.
pub(crate) fn conformance_edges(model: &Model) -> Vec<Violation> {
    edges(
        model,
        Role::Conformance,
        |edge| edge.name == "ports" || is_test_help(edge),
        "a suite takes its store from the adapter's test",
    )
}

/// Automation depends on no crate of the workspace, so that it builds when they do not.
pub(crate) fn tool_edges(model: &Model) -> Vec<Violation> {
    edges(model, Role::Tool, |_| false, "xtask stays small: run the crate as a program instead")
}

fn is_test_help(edge: &Dependency) -> bool {
    edge.kind == Kind::Dev && ["adapter-memory", "conformance"].contains(&edge.name.as_str())
}

fn edges(
    model: &Model,
    role: Role,
    allowed: impl Fn(&Dependency) -> bool,
    remedy: &str,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in of_role(model, role) {
        for edge in &package.dependencies {
            if is_ours(model, edge) && edge.name != package.name && !allowed(edge) {
                let what =
                    format!("{} depends on {}{}", package.name, edge.name, as_kind(edge.kind));
                found.push(Violation::new(place(package, edge), what, remedy));
            }
        }
    }
    found
}

/// The line of the manifest that names the dependency, as far as it can be told.
fn place(package: &Package, edge: &Dependency) -> String {
    let names = |line: &str| {
        let rest = line.trim_start().strip_prefix(&edge.name);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    match package.manifest.lines().position(names) {
        Some(index) => format!("{}/Cargo.toml:{}", package.folder, index + 1),
        None => format!("{}/Cargo.toml", package.folder),
    }
}

fn as_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Normal => "",
        Kind::Dev => " (in its tests)",
        Kind::Build => " (in its build script)",
    }
}

/// A domain, and the decorating adapter, use pure libraries only.
pub(crate) fn pure_libraries(model: &Model) -> Vec<Violation> {
    let mut found = Vec::new();
    let hybrid = |package: &&Package| package.name == "adapter-hybrid";
    let decorators = of_role(model, Role::Adapter).filter(hybrid);
    for package in of_role(model, Role::Domain).chain(decorators) {
        for edge in package.dependencies.iter().filter(|edge| edge.kind != Kind::Dev) {
            if !is_ours(model, edge) && !PURE.contains(&edge.name.as_str()) {
                found.push(Violation::new(
                    place(package, edge),
                    format!("{} depends on {}, which is not on the list of pure libraries", package.name, edge.name),
                    "put a port before it; a library without I/O, runtime or clock goes on the list PURE in xtask/src/arch/edges.rs",
                ));
            }
        }
    }
    found
}

/// A driver stands in its own adapter (and in the outer crates), nowhere else.
pub(crate) fn own_driver(model: &Model) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in &model.crates {
        if matches!(Role::of(&package.name), Some(Role::Outer) | None) {
            continue;
        }
        for edge in package.dependencies.iter().filter(|edge| edge.kind != Kind::Dev) {
            let Some((_, owners)) = DRIVERS.iter().find(|(driver, _)| *driver == edge.name) else {
                continue;
            };
            if !owners.contains(&package.name.as_str()) {
                let what = format!(
                    "{} depends on {}, the driver of {}",
                    package.name,
                    edge.name,
                    owners.join(", ")
                );
                found.push(Violation::new(
                    place(package, edge),
                    what,
                    "use the port; a driver stays in its adapter",
                ));
            }
        }
    }
    found
}
