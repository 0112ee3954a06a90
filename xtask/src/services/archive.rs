//! Release archives: a server's program downloaded once, used only where its SHA-256 is the pinned one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::process::{find, quiet};

/// A release archive.
pub(super) struct Archive<'a> {
    /// Where it is.
    pub(super) url: &'a str,
    /// The SHA-256 of the whole file, in lower-case hexadecimal digits.
    pub(super) sha256: &'a str,
    /// The program in it.
    pub(super) program: &'a str,
}

impl Archive<'_> {
    /// The program, unpacked into `folder` now or by an earlier run. Says why it cannot be had.
    pub(super) fn unpacked(&self, folder: &Path) -> Result<PathBuf, String> {
        let program = folder.join(self.program);
        if program.is_file() {
            return Ok(program);
        }
        if std::env::var_os("HEXMEM_TEST_NO_INSTALL").is_some() {
            return Err(String::from("downloading is switched off"));
        }
        // Of its own, so that two runs at once do not meet; what is put in place is whole.
        let part = folder.with_extension(format!("part-{}", std::process::id()));
        let done = self.fetch(&part).and_then(|()| {
            drop(fs::create_dir_all(folder));
            fs::rename(part.join(self.program), &program)
                .map_err(|error| format!("cannot write {}: {error}", program.display()))
        });
        drop(fs::remove_dir_all(&part));
        done.map(|()| program)
    }

    /// Downloads, checks and unpacks into `part`.
    fn fetch(&self, part: &Path) -> Result<(), String> {
        for tool in ["curl", "tar"] {
            find(tool, &[]).ok_or_else(|| format!("no program {tool} to fetch {}", self.url))?;
        }
        fs::create_dir_all(part).map_err(|error| format!("create {}: {error}", part.display()))?;
        let file = part.join("archive");
        eprintln!("downloading {}", self.url);
        let mut curl = Command::new("curl");
        curl.args(["--fail", "--silent", "--location", "--proto-redir", "=https"])
            .args(["--connect-timeout", "10", "--max-time", "600", "--output"])
            .arg(&file)
            .arg(self.url);
        if !quiet(&mut curl, Duration::from_secs(610)) {
            return Err(format!("{} cannot be downloaded", self.url));
        }
        let bytes = fs::read(&file).map_err(|error| format!("read {}: {error}", file.display()))?;
        let found = format!("{:x}", Sha256::digest(&bytes));
        if found != self.sha256 {
            let Self { url, sha256, .. } = self;
            return Err(format!("{url} has the SHA-256 {found}, not {sha256}: it is not used"));
        }
        let mut tar = Command::new("tar");
        tar.args(["-xzf"]).arg(&file).arg("-C").arg(part).arg(self.program);
        if !quiet(&mut tar, Duration::from_secs(60)) {
            return Err(format!("{} holds no program {}", self.url, self.program));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with an archive of one program, and the archive's sum.
    fn packed(name: &str) -> (PathBuf, String, String) {
        let folder = std::env::temp_dir().join(format!("hexmem-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("server"), "the program").unwrap();
        let file = folder.join("server.tar.gz");
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(&file).arg("-C").arg(&folder).arg("server");
        assert!(tar.status().unwrap().success());
        let sum = format!("{:x}", Sha256::digest(fs::read(&file).unwrap()));
        (folder.clone(), format!("file://{}", file.display()), sum)
    }

    #[test]
    fn the_program_of_the_pinned_archive_is_kept() {
        let (folder, url, sum) = packed("archive-kept");
        let archive = Archive { url: &url, sha256: &sum, program: "server" };
        let place = folder.join("kept-1.0");
        let program = archive.unpacked(&place).unwrap();
        assert_eq!(fs::read_to_string(&program).unwrap(), "the program");
        fs::remove_file(folder.join("server.tar.gz")).unwrap();
        assert_eq!(archive.unpacked(&place).unwrap(), program, "not downloaded again");
        let left: Vec<_> = fs::read_dir(&place).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing else is left: {left:?}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_archive_is_not_used() {
        let (folder, url, _) = packed("archive-other");
        let archive = Archive { url: &url, sha256: &"0".repeat(64), program: "server" };
        let place = folder.join("kept");
        let why = archive.unpacked(&place).unwrap_err();
        assert!(why.contains("it is not used"), "{why}");
        assert!(!place.exists(), "nothing of it is left");
        let absent = Archive { url: "file:///nowhere/a.tar.gz", ..archive };
        assert!(absent.unpacked(&place).unwrap_err().contains("cannot be downloaded"));
        fs::remove_dir_all(folder).unwrap();
    }
}
