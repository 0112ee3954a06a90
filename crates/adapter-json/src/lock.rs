//! The right to write, across processes.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use hexmem_ports::{Error, ErrorKind, Result};

use crate::disk::{failed, make_folder};

/// An exclusive lock on a file of its own, which is never renamed or removed: so all processes lock the same
/// one. The operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Waits at most `patience`. Polls: a thread that blocks in the system call could not be called back.
    pub(crate) async fn take(
        operation: &'static str,
        path: &Path,
        patience: Duration,
    ) -> Result<Self> {
        let file = open(operation, path)?;
        let mut pause = Duration::from_micros(200);
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if waited < patience => {
                    tokio::time::sleep(pause).await;
                    waited += pause;
                    pause = (pause * 2).min(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        operation,
                        "another process holds the file; wait for it to finish or end it, and repeat the call",
                    )
                    .with("file", path.display()));
                }
                Err(TryLockError::Error(e)) => {
                    return Err(failed(operation, "the file cannot be locked", path, e));
                }
            }
        }
    }
}

impl Lock {
    /// Takes it where nobody holds it.
    pub(crate) fn take_free(operation: &'static str, path: &Path) -> Result<Option<Self>> {
        let file = open(operation, path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => {
                Err(failed(operation, "the file cannot be locked", path, e))
            }
        }
    }
}

fn open(operation: &'static str, path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        make_folder(folder)
            .map_err(|e| failed(operation, "the folder cannot be made", folder, e))?;
    }
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| failed(operation, "the lock file cannot be opened", path, e))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file lets go of it as well.
        let _ = self.0.unlock();
    }
}
