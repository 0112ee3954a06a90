//! Paths, and writing so that it is there after a crash.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hexmem_ports::{Digest, Error, ErrorKind, GraphId, Result};

/// A failure of the file system as this operation's failure, with the file and the way out.
pub(crate) fn failed(
    operation: &'static str,
    what: &'static str,
    path: &Path,
    error: io::Error,
) -> Error {
    let (kind, way_out) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Denied, "this user may not; change its rights or name another folder")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, "the disk is full; free space and repeat the call")
        }
        io::ErrorKind::FileTooLarge => (
            ErrorKind::Unavailable,
            "the file may not grow further; raise the limit and repeat the call",
        ),
        io::ErrorKind::NotADirectory => {
            (ErrorKind::Invalid, "a file stands where a folder should be; name another folder")
        }
        _ => (ErrorKind::Unavailable, "check the disk and repeat the call"),
    };
    Error::new(kind, operation, format!("{what}: {way_out}"))
        .with("file", path.display())
        .caused_by(error)
}

/// The files of one graph.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) folder: PathBuf,
    pub(crate) snapshot: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) lock: PathBuf,
    pub(crate) fold: PathBuf,
}

impl Paths {
    pub(crate) fn of(root: &Path, graph: &GraphId) -> Self {
        let folder = tenant_folder(root, graph.tenant.as_str());
        let name = file_name(graph.name.as_str());
        let file = |end: &str| folder.join(format!("{name}.{end}"));
        Self {
            snapshot: file("json"),
            journal: file("journal"),
            lock: file("lock"),
            fold: file("fold"),
            folder: folder.clone(),
        }
    }
}

pub(crate) fn tenant_folder(root: &Path, tenant: &str) -> PathBuf {
    root.join(file_name(tenant))
}

/// A name that every file system takes: a readable part, and 128 bits of the SHA-256 that tell names apart.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let readable: String = name.chars().take(32).map(plain).collect();
    format!("{readable}-{}", &Digest::of(name.as_bytes()).to_hex()[..32])
}

/// Makes the entries of a folder durable: files created in it or renamed into it.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Makes a folder and those above it, durably.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let mut made = folder;
    while let Some(above) = made.parent().filter(|above| !above.as_os_str().is_empty()) {
        sync_folder(above)?;
        made = above;
    }
    Ok(())
}

/// Where a file is written before it takes its place. Only the holder of a lock writes there: one name for all is
/// enough, and a left-over is overwritten.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    PathBuf::from(temporary)
}

/// Writes a file beside `path` and renames it over it; `path` is at every moment the old one or the new one.
/// Returns how many bytes it has.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<u64> {
    let temporary = beside(path);
    let written = (|| {
        let mut buffer = io::BufWriter::with_capacity(1 << 16, File::create(&temporary)?);
        write(&mut buffer)?;
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        file.metadata().map(|meta| meta.len())
    })();
    let written = written.and_then(|len| fs::rename(&temporary, path).map(|()| len));
    if written.is_err() {
        // What is left of it is in nobody's way; the failure to be told is the first one.
        let _ = fs::remove_file(&temporary);
    }
    let len = written?;
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    Ok(len)
}

/// Which file a path names now, to see whether it was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

pub(crate) fn file_id(meta: &fs::Metadata) -> FileId {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        FileId(meta.dev(), meta.ino())
    }
    #[cfg(not(unix))]
    {
        let made = meta.created().ok().and_then(|at| at.elapsed().ok());
        FileId(0, made.map_or(0, |age| u64::try_from(age.as_micros()).unwrap_or(0)))
    }
}

pub(crate) fn internal(
    operation: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(ErrorKind::Internal, operation, "a value has no JSON form").caused_by(error)
}

/// Runs file work apart from the threads that serve tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::new(
            ErrorKind::Internal,
            operation,
            "the work on the files was broken off; open the store again",
        )
        .outcome_unknown()
        .caused_by(error)),
    }
}
