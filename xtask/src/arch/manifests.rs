//! What every Cargo.toml says.

use crate::arch::model::{Model, Violation};
use crate::workspace::Package;

/// Folder name = package name; members stand in `crates/`, automation in `xtask/`.
pub(crate) fn folder_is_name(model: &Model) -> Vec<Violation> {
    per_crate(model, |package| {
        let name = &package.name;
        let fits = package.folder == format!("crates/{name}") || package.folder == *name;
        (!fits).then(|| {
            let what = format!("package {name} stands in {}", package.folder);
            (what, format!("give folder and package one name: crates/{name}"))
        })
    })
}

/// `publish = false`.
pub(crate) fn unpublished(model: &Model) -> Vec<Violation> {
    per_crate(model, |package| {
        (!package.unpublished).then(|| {
            (String::from("can be published"), String::from("add publish.workspace = true"))
        })
    })
}

/// `[lib] name = "hexmem_<folder>"`: several of the plain names are strangers' crates elsewhere.
pub(crate) fn lib_name(model: &Model) -> Vec<Violation> {
    per_crate(model, |package| {
        let (lib, name) = (package.lib.as_ref()?, &package.name);
        let wanted = if name == "hexmem" {
            name.clone()
        } else {
            format!("hexmem_{}", name.replace('-', "_"))
        };
        (*lib != wanted).then(|| {
            (format!("its library is called {lib}"), format!("set [lib] name = \"{wanted}\""))
        })
    })
}

/// `[lints] workspace = true`.
pub(crate) fn workspace_lints(model: &Model) -> Vec<Violation> {
    per_crate(model, |package| {
        let inherits = lines(&package.manifest)
            .any(|(section, line)| section == "lints" && squeezed(line) == "workspace=true");
        (!inherits).then(|| {
            (
                String::from("does not take the workspace's lints"),
                String::from("add a section [lints] with workspace = true"),
            )
        })
    })
}

/// Versions of dependencies stand in the root manifest alone.
pub(crate) fn workspace_dependencies(model: &Model) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in &model.crates {
        for (name, inherits) in declared(&package.manifest) {
            if !inherits {
                found.push(Violation::new(
                    format!("{}/Cargo.toml", package.folder),
                    format!("dependency {name} does not come from the workspace"),
                    format!(
                        "put its version in the root Cargo.toml and write {name}.workspace = true"
                    ),
                ));
            }
        }
    }
    found
}

fn per_crate(
    model: &Model,
    check: impl Fn(&Package) -> Option<(String, String)>,
) -> Vec<Violation> {
    model
        .crates
        .iter()
        .filter_map(|package| {
            let (what, remedy) = check(package)?;
            Some(Violation::new(format!("{}/Cargo.toml", package.folder), what, remedy))
        })
        .collect()
}

/// The dependencies of a manifest, and whether each says `workspace = true`.
fn declared(manifest: &str) -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = Vec::new();
    let mut open = 0usize; // brackets of a value that goes on over lines
    for (section, line) in lines(manifest) {
        let Some((_, own)) = split_section(&section) else { continue };
        let squeezed = squeezed(line);
        if let Some(name) = own {
            // [dependencies.name]: one dependency, a line a key
            if found.last().is_none_or(|(last, _)| *last != name) {
                found.push((name, false));
            }
            if let Some((_, inherits)) = found.last_mut() {
                *inherits |= squeezed == "workspace=true";
            }
            continue;
        }
        if open == 0
            && let Some((key, value)) = squeezed.split_once('=')
        {
            let name = key.split('.').next().unwrap_or(key).trim_matches('"');
            let inherits = (key.ends_with(".workspace") && value == "true")
                || value.contains("workspace=true");
            match found.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known |= inherits,
                None => found.push((name.to_owned(), inherits)),
            }
        }
        let count = |ends: [char; 2]| line.chars().filter(|ch| ends.contains(ch)).count();
        open = (open + count(['[', '{'])).saturating_sub(count([']', '}']));
    }
    found
}

/// `dependencies` sections: the kind, and the one dependency it is about if it names one.
fn split_section(section: &str) -> Option<(&str, Option<String>)> {
    for kind in ["dev-dependencies", "build-dependencies", "dependencies"] {
        if section == kind || section.ends_with(&format!(".{kind}")) {
            return Some((kind, None));
        }
        let Some((before, name)) = section.split_once(&format!("{kind}.")) else { continue };
        if before.is_empty() || before.ends_with('.') {
            return Some((kind, Some(name.trim_matches('"').to_owned())));
        }
    }
    None
}

/// The lines of a manifest that say something, each with the section it stands in.
fn lines(manifest: &str) -> impl Iterator<Item = (String, &str)> {
    let mut section = String::new();
    manifest.lines().filter_map(move |line| {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if line.starts_with('[') && line.ends_with(']') && !line.contains('=') {
            section = line.trim_matches(['[', ']']).to_owned();
            return None;
        }
        let says = !line.is_empty() && !line.starts_with('#');
        says.then(|| (section.clone(), line))
    })
}

fn squeezed(line: &str) -> String {
    line.chars().filter(|ch| !ch.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_declare_a_dependency_is_read() {
        let manifest = r#"
[package]
name = "x"

[dependencies]
a.workspace = true
b = { workspace = true, features = [
    "c",
] }
d = "1" # no
e = { version = "1" }

[target.'cfg(unix)'.dependencies]
f = "1"

[dev-dependencies.g]
workspace = true

[dev-dependencies.h]
version = "1"
"#;
        let expected = [
            ("a", true),
            ("b", true),
            ("d", false),
            ("e", false),
            ("f", false),
            ("g", true),
            ("h", false),
        ];
        assert_eq!(declared(manifest), expected.map(|(name, own)| (name.to_owned(), own)));
    }
}
