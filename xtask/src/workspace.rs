//! The crates of the workspace, from `cargo metadata` and their manifests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::outcome::{Failure, Result, Trying as _};

/// The workspace as cargo sees it.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// The members, by name.
    pub(crate) crates: Vec<Package>,
}

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// The package's name.
    pub(crate) name: String,
    /// Its folder, relative to the root, with forward slashes.
    pub(crate) folder: String,
    /// The name of its library target, if it has one.
    pub(crate) lib: Option<String>,
    /// Whether `publish = false`.
    pub(crate) unpublished: bool,
    /// Whether it has benchmark targets.
    pub(crate) benches: bool,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
    /// The text of its Cargo.toml.
    pub(crate) manifest: String,
}

/// One dependency of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package depended on (not the name it is renamed to).
    pub(crate) name: String,
    /// Normal, for tests, or for the build script.
    pub(crate) kind: Kind,
}

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The crate itself.
    Normal,
    /// Tests, examples and benchmarks.
    Dev,
    /// The build script.
    Build,
}

impl Workspace {
    /// Reads the workspace whose root is `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(root.join("Cargo.toml"))
            .output()
            .trying("run cargo metadata")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("cargo metadata failed:\n{said}")));
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).trying("read what cargo metadata printed")?;
        let root = PathBuf::from(text(&metadata["workspace_root"]));
        let mut crates = Vec::new();
        for package in list(&metadata["packages"]) {
            crates.push(Package::read(&root, package)?);
        }
        crates.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root, target: PathBuf::from(text(&metadata["target_directory"])), crates })
    }

    /// The workspace that this program was built in.
    pub(crate) fn here() -> Result<Self> {
        Self::read(&here())
    }

    /// Whether a member has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.crates.iter().any(|package| package.name == name)
    }
}

impl Package {
    fn read(root: &Path, package: &Value) -> Result<Self> {
        let path = PathBuf::from(text(&package["manifest_path"]));
        let manifest = fs::read_to_string(&path).trying(format!("read {}", path.display()))?;
        let folder = path.parent().and_then(|folder| folder.strip_prefix(root).ok());
        let targets = list(&package["targets"]);
        let lib = targets.iter().find(|target| has_kind(target, &["lib", "proc-macro", "rlib"]));
        Ok(Self {
            name: text(&package["name"]),
            folder: folder.map(slashes).unwrap_or_default(),
            lib: lib.map(|target| text(&target["name"])),
            unpublished: package["publish"].as_array().is_some_and(Vec::is_empty),
            benches: targets.iter().any(|target| has_kind(target, &["bench"])),
            dependencies: list(&package["dependencies"])
                .iter()
                .map(|dependency| Dependency {
                    name: text(&dependency["name"]),
                    kind: match dependency["kind"].as_str() {
                        Some("dev") => Kind::Dev,
                        Some("build") => Kind::Build,
                        _ => Kind::Normal,
                    },
                })
                .collect(),
            manifest,
        })
    }
}

/// The root of the workspace that this program belongs to.
pub(crate) fn here() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// The cargo that runs this program, or the one on the path.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| String::from("cargo"))
}

/// A path with forward slashes.
pub(crate) fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn has_kind(target: &Value, kinds: &[&str]) -> bool {
    list(&target["kind"]).iter().filter_map(Value::as_str).any(|kind| kinds.contains(&kind))
}
