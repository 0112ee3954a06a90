//! The line of processes that want to write.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// How often one who waits looks whether the place is free.
const PAUSE: Duration = Duration::from_millis(1);

/// For how long at most: a process that was stopped in its place must not stop the others.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file beside the database, whose lock is the place of who writes next.
///
/// SQLite gives its write lock to whoever comes by when it is free, and lets the others look again after pauses of
/// up to 100 ms: a process that writes without a break keeps another out for most of a second. So one takes the place
/// first, waits for the write lock in it, and leaves it with the write lock in hand. Who has just written finds the
/// place taken, and comes after the one who waited. The operating system frees the place of a process that ends.
pub(crate) struct Line {
    file: Option<File>,
    patience: Duration,
}

impl Line {
    /// Where there can be no such file, writers wait as SQLite lets them.
    pub(crate) fn of(database: &Path, busy_timeout: Duration) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-turn");
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Self { file: options.open(path).ok(), patience: PATIENCE.min(busy_timeout) }
    }

    /// The place, as soon as it is free; none when it stays taken. One caller at a time.
    pub(crate) async fn place(&self) -> Option<Place<'_>> {
        let file = self.file.as_ref()?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Some(Place(file)),
                Err(TryLockError::WouldBlock) if waited < self.patience => {
                    tokio::time::sleep(PAUSE).await;
                    waited += PAUSE;
                }
                Err(_) => return None,
            }
        }
    }
}

/// The place of who writes next, until dropped.
pub(crate) struct Place<'l>(&'l File);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.unlock().ok();
    }
}
