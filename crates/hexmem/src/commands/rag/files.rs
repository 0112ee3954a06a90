//! The files below a path.

use std::path::{Path, PathBuf};

use hexmem_ports::{Error, ErrorKind, Result};

/// Folders that hold what programs made. Hidden ones are left out too.
const MADE: &[&str] = &["target", "node_modules", "__pycache__", "venv"];

/// A path given by the user, and the regular files below it in order.
pub(super) struct Source {
    pub(super) root: PathBuf,
    pub(super) is_folder: bool,
    pub(super) files: Vec<PathBuf>,
}

/// Walks `path`. Links to files are read, links to folders are not followed: they may form a loop.
pub(super) fn walk(path: &Path) -> Result<Source> {
    let failed = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound {
            ErrorKind::NotFound
        } else {
            ErrorKind::Unavailable
        };
        Error::new(kind, "rag.ingest", "cannot read the path; check that it exists and may be read")
            .with("path", path.display())
            .caused_by(error)
    };
    let meta = std::fs::metadata(path).map_err(failed)?;
    let root = std::fs::canonicalize(path).map_err(failed)?;
    if meta.is_file() {
        return Ok(Source { root, is_folder: false, files: vec![path.to_owned()] });
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let unreadable = |error: std::io::Error| {
            Error::new(
                ErrorKind::Unavailable,
                "rag.ingest",
                "cannot read the folder; nothing was removed from the collection",
            )
            .with("folder", folder.display())
            .caused_by(error)
        };
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || MADE.contains(&name.as_ref()) {
                continue;
            }
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() || (kind.is_symlink() && is_file(&entry.path())) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(Source { root, is_folder: true, files })
}

/// Whether a link leads to a regular file. One that leads nowhere is none.
fn is_file(link: &Path) -> bool {
    std::fs::metadata(link).is_ok_and(|meta| meta.is_file())
}
