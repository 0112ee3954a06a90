//! Reading a git repository through the `git` program.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use hexmem_ports::{Error, ErrorKind, Result, Timestamp};
use tokio::process::Command;

const OP: &str = "quickstart.git";
/// The most characters of a subject that are kept: it stands in many places.
const LONGEST_SUBJECT: usize = 500;

/// A commit, oldest first in lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) hash: String,
    pub(crate) author: String,
    pub(crate) email: String,
    pub(crate) at: Timestamp,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) files: Vec<FileChange>,
}

impl Commit {
    /// The first twelve digits of the hash.
    pub(crate) fn short(&self) -> &str {
        self.hash.get(..12).unwrap_or(&self.hash)
    }
}

/// A file that a commit changed. Renames are a removal and an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileChange {
    pub(crate) path: String,
    pub(crate) change: Change,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Removed,
}

/// A repository on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) root: PathBuf,
    pub(crate) name: String,
}

impl Repository {
    /// The repository that `path` lies in.
    pub(crate) async fn at(path: &Path) -> Result<Self> {
        let out = git(path, &["rev-parse", "--show-toplevel"]).await.map_err(|error| {
            if error.kind() == ErrorKind::Unavailable {
                return error;
            }
            if error.message().contains("work tree") {
                let what = "a bare repository has no files to read; name a clone with a work tree";
                return Error::new(ErrorKind::NotFound, OP, what).with("path", path.display());
            }
            Error::new(
                ErrorKind::NotFound,
                OP,
                "not a git repository; run it in one, or name one: hexmem quickstart PATH",
            )
            .with("path", path.display())
            .caused_by(error)
        })?;
        let root = PathBuf::from(String::from_utf8_lossy(&out).trim_end_matches('\n'));
        let name = root
            .file_name()
            .map_or_else(|| "repository".into(), |name| name.to_string_lossy().into_owned());
        Ok(Self { root, name })
    }

    /// The commits that HEAD reaches, oldest first; at most the newest `most`.
    pub(crate) async fn commits(&self, most: usize) -> Result<Vec<Commit>> {
        let count = format!("--max-count={most}");
        let format = "--format=%x01%H%x00%an%x00%ae%x00%ct%x00%s%x00%b%x00";
        let out = git(
            &self.root,
            &[
                "log",
                "-z",
                "--date-order",
                "--no-renames",
                "--name-status",
                &count,
                format,
                "HEAD",
                "--",
            ],
        )
        .await
        .map_err(|error| {
            Error::new(
                ErrorKind::NotFound,
                OP,
                "the repository has no commits yet; commit something first",
            )
            .with("path", self.root.display())
            .caused_by(error)
        })?;
        let mut commits = parse(&out);
        commits.reverse();
        Ok(commits)
    }

    /// The paths of the files that git tracks now.
    pub(crate) async fn files(&self) -> Result<Vec<String>> {
        let out = git(&self.root, &["ls-files", "-z"]).await?;
        Ok(out.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(text).collect())
    }
}

async fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                OP,
                "cannot run git; install it and put it on the PATH",
            )
            .caused_by(error)
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(ErrorKind::Internal, OP, said.lines().next().unwrap_or("git failed").to_owned()))
}

/// Text of any encoding, without NUL.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "")
}

/// Reads `git log -z --name-status` in the format of [`Repository::commits`]: fields end in NUL, a commit starts
/// with the byte 1 and its hash.
fn parse(out: &[u8]) -> Vec<Commit> {
    let mut tokens = out.split(|byte| *byte == 0).peekable();
    let mut commits = Vec::new();
    while let Some(token) = tokens.next() {
        let Some(hash) = token.strip_prefix(&[1]) else { continue };
        let mut field = || tokens.next().map(text).unwrap_or_default();
        let (author, email, seconds, subject, body) = (field(), field(), field(), field(), field());
        let at = seconds
            .parse::<i64>()
            .ok()
            .and_then(|s| Timestamp::from_micros(s.checked_mul(1_000_000)?));
        let mut files = Vec::new();
        while tokens.peek().is_some_and(|token| token.first() != Some(&1)) {
            let status = tokens.next().map(|token| token.trim_ascii_start().first().copied());
            let change = match status.flatten() {
                Some(b'A') => Change::Added,
                Some(b'D') => Change::Removed,
                Some(_) => Change::Modified,
                None => continue,
            };
            if let Some(path) = tokens.next().map(text).filter(|path| !path.is_empty()) {
                files.push(FileChange { path, change });
            }
        }
        // A commit without a readable time cannot be placed in a temporal graph.
        if let Some(at) = at {
            let subject = subject.chars().take(LONGEST_SUBJECT).collect();
            commits.push(Commit {
                hash: text(hash),
                author,
                email,
                at,
                subject,
                body: body.trim().to_owned(),
                files,
            });
        }
    }
    commits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commits_with_and_without_files() {
        let log = b"\x01aaaa\0Ann\0ann@x\x00100\0First\0Body\nmore\0\0\nA\0a b.md\0M\0src/x.rs\0\x01bbbb\0Bob\0b@x\x00200\0Merge\0\0\0\x01cccc\0C\0c\x00bad\0s\0\0";
        let commits = parse(log);
        assert_eq!(commits.len(), 2);
        assert_eq!(commits[0].body, "Body\nmore");
        assert_eq!(
            commits[0].files[0],
            FileChange { path: "a b.md".into(), change: Change::Added }
        );
        assert_eq!(commits[0].files[1].change, Change::Modified);
        assert!(commits[1].files.is_empty());
    }

    #[test]
    fn odd_bytes_do_no_harm() {
        for log in
            [&b""[..], b"\0\0\0", b"\x01", b"\x01a\0b", b"garbage\0\x01a\0n\0e\x001\0s\0b\0\0\nA"]
        {
            let _ = parse(log);
        }
    }
}
