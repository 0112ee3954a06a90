//! Where a command writes a file: whole, or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use hexmem_ports::{Error, ErrorKind, Result};

/// A file being written. Only a regular file is replaced, at once and when all of it is on the disk; a device or a
/// pipe is written to as it is, and so is standard output (`-`).
pub(super) struct Stage {
    out: Option<BufWriter<Target>>,
    path: PathBuf,
    operation: &'static str,
    /// The half file, and what it replaces when it is whole.
    staged: Option<(PathBuf, PathBuf)>,
}

enum Target {
    File(File),
    /// Standard output, whose reader may leave (`| head`): what comes after is for nobody.
    Stdout {
        out: std::io::Stdout,
        gone: bool,
    },
}

impl Stage {
    pub(super) fn open(path: &Path, operation: &'static str) -> Result<Self> {
        let stage = |target, staged| Self {
            out: Some(BufWriter::new(target)),
            path: path.to_owned(),
            operation,
            staged,
        };
        if path.as_os_str() == "-" {
            return Ok(stage(Target::Stdout { out: std::io::stdout(), gone: false }, None));
        }
        let failed = |error| unwritable(operation, path, error);
        // What stands there now, behind links.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let there = std::fs::metadata(&target).ok();
        if there.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            return Err(Error::invalid(operation, "a folder stands there; name a file in it")
                .with("file", path.display()));
        }
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            let file = File::options().write(true).open(&target).map_err(failed)?;
            return Ok(stage(Target::File(file), None));
        }
        let part = part_of(&target);
        let file = File::create(&part).map_err(failed)?;
        // From here on a failure takes the half file away.
        let stage = stage(Target::File(file), Some((part, target)));
        if let (Some(there), Some((part, _))) = (&there, &stage.staged) {
            std::fs::set_permissions(part, there.permissions()).map_err(failed)?;
        }
        Ok(stage)
    }

    /// Whether this is standard output: then there is nothing more to print.
    pub(super) fn is_stdout(path: &Path) -> bool {
        path.as_os_str() == "-"
    }

    /// What was written is the file now.
    pub(super) fn finish(mut self) -> Result<()> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let failed = |error| unwritable(self.operation, &self.path, error);
        let target =
            out.into_inner().map_err(std::io::IntoInnerError::into_error).map_err(failed)?;
        if let (Target::File(file), Some((part, target))) = (target, &self.staged) {
            file.sync_all().and_then(|()| std::fs::rename(part, target)).map_err(failed)?;
            self.staged = None;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.out.take());
        if let Some((part, _)) = &self.staged {
            // What failed is said; that the half file could not be removed either adds nothing.
            let _ = std::fs::remove_file(part);
        }
    }
}

impl Write for Stage {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.as_mut().map_or(Ok(bytes.len()), |out| out.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout { gone: true, .. } => Ok(bytes.len()),
            Self::Stdout { out, gone } => match out.write(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    *gone = true;
                    Ok(bytes.len())
                }
                written => written,
            },
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout { out, .. } => match out.flush() {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                flushed => flushed,
            },
        }
    }
}

/// Beside `file`, so that a rename is one step.
fn part_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    file.with_file_name(name)
}

fn unwritable(operation: &'static str, file: &Path, error: std::io::Error) -> Error {
    let what = "the file cannot be written; what was there stays";
    Error::new(ErrorKind::Unavailable, operation, what)
        .with("file", file.display())
        .caused_by(error)
}
