//! Files that are damaged, foreign, newer, full or not ours to write: a clear error, and what was there stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hexmem_adapter_memory::SystemClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{
    BucketId, Effectiveness, Error, ErrorKind, KeyValueExt as _, KeyValueStore as _, KvSet, Limit,
    Name, Prefix, Tenant,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

fn name(text: impl Into<String>) -> Name {
    Name::new(text).unwrap()
}

fn bucket() -> BucketId {
    BucketId::new(Tenant(name("t")), name("b"))
}

async fn open(file: &Path) -> hexmem_ports::Result<Database> {
    Database::open(SqliteConfig::new(file), Arc::new(SystemClock)).await
}

/// A closed file with 200 entries.
async fn filled(folder: &Path) -> PathBuf {
    let file = folder.join("x.db");
    let database = open(&file).await.unwrap();
    let writes = (0..200).map(|i| (name(format!("k{i}")), KvSet::new(vec![7; 500]))).collect();
    database.key_value().set_many(&bucket(), writes).await.unwrap();
    database.close().await.unwrap();
    file
}

/// Every file of the folder, byte for byte.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Opening fails with `kind`, names the file, says `hint`, and leaves the folder as it is.
async fn refused(file: &Path, kind: ErrorKind, hint: &str) -> Error {
    let before = contents(file.parent().unwrap());
    let error = open(file).await.expect_err(hint);
    assert_eq!(error.kind(), kind, "{error:?}");
    let text = error.to_string();
    assert!(text.contains(hint), "{text:?} does not say {hint:?}");
    assert!(text.contains(&file.display().to_string()), "{text:?} does not name the file");
    assert!(contents(file.parent().unwrap()) == before, "something was changed: {text}");
    error
}

#[tokio::test]
async fn a_truncated_file_is_corrupt_and_stays() {
    for length in [5, 100, 4_096, 30_000] {
        let folder = tempfile::tempdir().unwrap();
        let file = filled(folder.path()).await;
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length).unwrap();
        refused(&file, ErrorKind::Corrupt, "left untouched").await;
    }
}

/// A process may end while it folds its log into the file: the header then speaks of pages that only the log has.
#[tokio::test]
async fn a_file_half_folded_with_its_log_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = filled(folder.path()).await;
    let database = open(&file).await.unwrap();
    let key = name("late");
    let value = vec![7; 400_000];
    database.key_value().set(&bucket(), &key, KvSet::new(value.clone())).await.unwrap();
    let copy = folder.path().join("copy.db");
    let log = fs::read(folder.path().join("x.db-wal")).unwrap();
    let mut pages = fs::read(&file).unwrap();
    database.close().await.unwrap();
    // Log: 32 bytes, then frames of 24 bytes and a page each; a frame begins with the page's number.
    let frames = log[32..].chunks_exact(24 + 4_096);
    let first = frames.rev().find(|frame| frame[..4] == [0, 0, 0, 1]).unwrap();
    pages[..4_096].copy_from_slice(&first[24..]);
    fs::write(&copy, pages).unwrap();
    fs::write(folder.path().join("copy.db-wal"), log).unwrap();

    let found = open(&copy).await.unwrap().key_value().get(&bucket(), &key).await.unwrap();
    assert_eq!(found.map(|entry| entry.value), Some(value));
}

#[tokio::test]
async fn an_empty_file_beside_its_log_is_corrupt_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    fs::write(&file, b"").unwrap();
    fs::write(folder.path().join("x.db-wal"), [7; 100]).unwrap();
    refused(&file, ErrorKind::Corrupt, "log is not").await;
}

#[tokio::test]
async fn a_damaged_page_is_corrupt_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = filled(folder.path()).await;
    let whole = fs::read(&file).unwrap();
    let mut noticed = 0;
    for start in (4_096..whole.len()).step_by(4_096) {
        let mut bytes = whole.clone();
        bytes[start..start + 64].fill(0xa5);
        fs::write(&file, &bytes).unwrap();
        let read = async {
            let database = open(&file).await?;
            let store = database.key_value();
            for i in 0..200 {
                store.get(&bucket(), &name(format!("k{i}"))).await?;
            }
            store.scan(&bucket(), &Prefix::default(), None, Limit::new(1_000)?).await?;
            database.close().await
        };
        if let Err(error) = read.await {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            assert!(error.to_string().contains("x.db"), "{error}");
            noticed += 1;
        }
    }
    assert!(noticed > 5, "damage was noticed {noticed} times only");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "These are my notes.\n".repeat(500)).unwrap();
    refused(&file, ErrorKind::Corrupt, "no SQLite database").await;
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_stays() {
    for journal in ["DELETE", "WAL"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("theirs.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut theirs = options.pragma("journal_mode", journal).connect().await.unwrap();
        sqlx::raw_sql("CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('Ada')")
            .execute(&mut theirs)
            .await
            .unwrap();
        theirs.close().await.unwrap();
        refused(&file, ErrorKind::Invalid, "another program").await;
    }
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_file_is_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    fs::create_dir(&file).unwrap();
    let error = open(&file).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    fs::write(folder.path().join("plain"), b"").unwrap();
    let error = open(&folder.path().join("plain/x.db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("stands where a folder"), "{error}");
    let error = open(Path::new("")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let error = open(Path::new("a\0b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
}

#[tokio::test]
async fn a_file_of_a_newer_or_another_version_is_refused_and_stays() {
    for (sql, hint) in [
        ("INSERT INTO hexmem_schema VALUES (999, 'future', 0, '')", "use a newer hexmem"),
        ("UPDATE hexmem_schema SET sha256 = 'x' WHERE version = 1", "differs from this program's"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = filled(folder.path()).await;
        let mut raw = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
        refused(&file, ErrorKind::Unsupported, hint).await;
    }
}

#[tokio::test]
async fn a_full_file_refuses_writes_keeps_what_is_there_and_goes_on_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let file = filled(folder.path()).await;
    let database = open(&file).await.unwrap();
    let mut tx = database.write("test.limit").await.unwrap();
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(tx.connection()).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 20));
    sqlx::raw_sql(limit).execute(tx.connection()).await.unwrap();
    tx.commit().await.unwrap();

    let store = database.key_value();
    let mut kept = 0;
    let error = loop {
        match store.set(&bucket(), &name(format!("new{kept}")), KvSet::new(vec![1; 9_000])).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 100, "the limit does not hold");
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(error.effectiveness(), Effectiveness::NotApplied);
    assert!(error.to_string().contains("full") && error.to_string().contains("x.db"), "{error}");
    assert!(kept > 0);
    for i in 0..kept {
        assert!(store.exists(&bucket(), &name(format!("new{i}"))).await.unwrap());
    }
    assert!(!store.exists(&bucket(), &name(format!("new{kept}"))).await.unwrap());
    // The limit belonged to the connection that broke; the next one finds space.
    store.set(&bucket(), &name("after"), KvSet::new(vec![1; 9_000])).await.unwrap();
    assert!(database.inspect().await.unwrap().damage.is_empty());
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;

    /// A file system of a few MiB, gone when dropped. `None` where this user may not mount one.
    struct Small(tempfile::TempDir);

    impl Small {
        fn mount() -> Option<Self> {
            let folder = tempfile::tempdir().unwrap();
            let done = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=2m", "hexmem-test"])
                .arg(folder.path())
                .output();
            done.is_ok_and(|done| done.status.success()).then_some(Self(folder))
        }

        fn grow(&self) {
            let done =
                Command::new("mount").args(["-o", "remount,size=32m"]).arg(self.0.path()).status();
            assert!(done.unwrap().success());
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        }
    }

    #[tokio::test]
    async fn a_full_disk_refuses_writes_keeps_what_is_there_and_goes_on_when_there_is_space() {
        let Some(disk) = Small::mount() else {
            eprintln!("NOT RUN: this user may not mount a small file system");
            return;
        };
        let file = disk.0.path().join("x.db");
        let database = open(&file).await.unwrap();
        let store = database.key_value();
        let (mut kept, mut refused) = (Vec::new(), 0);
        for i in 0..1_000 {
            let key = name(format!("k{i}"));
            match store.set(&bucket(), &key, KvSet::new(vec![1; 20_000])).await {
                Ok(_) => kept.push(key),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                    assert!(error.to_string().contains("x.db"), "{error}");
                    refused += 1;
                }
            }
            if refused == 5 {
                break;
            }
        }
        assert!(refused == 5 && kept.len() > 10, "{refused} refused, {} kept", kept.len());
        // Another process would still read everything.
        let reader = open(&file).await.map(|database| database.key_value());
        for key in &kept {
            assert!(store.exists(&bucket(), key).await.unwrap(), "{key} was acknowledged");
            if let Ok(reader) = &reader {
                assert!(reader.exists(&bucket(), key).await.unwrap(), "{key} was acknowledged");
            }
        }
        disk.grow();
        store.set(&bucket(), &name("after"), KvSet::new(vec![1; 20_000])).await.unwrap();
        assert!(database.inspect().await.unwrap().damage.is_empty());
        database.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_could_not_be_made_on_a_full_disk_is_made_once_there_is_space() {
        let Some(disk) = Small::mount() else {
            eprintln!("NOT RUN: this user may not mount a small file system");
            return;
        };
        // Everything but so many KiB is taken.
        for free in [0, 4, 16, 40, 100] {
            let folder = disk.0.path().join(format!("{free}"));
            let file = folder.join("x.db");
            let ballast = disk.0.path().join("ballast");
            let mut filler = fs::File::create(&ballast).unwrap();
            while filler.write_all(&[1; 4_096]).is_ok() {}
            let taken = filler.metadata().unwrap().len();
            filler.set_len(taken - free * 1_024).unwrap();
            drop(filler);
            let error = open(&file).await.expect_err("the disk is full");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            fs::remove_file(&ballast).unwrap();
            let database = open(&file).await.unwrap();
            database.key_value().set(&bucket(), &name("k"), KvSet::new(*b"v")).await.unwrap();
            // A file that is still open would keep its space after it is removed.
            database.close().await.unwrap();
            fs::remove_dir_all(&folder).unwrap();
        }
    }

    fn is_root() -> bool {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata("/proc/self").unwrap().uid() == 0
    }

    #[tokio::test]
    #[ignore = "a role, run by a_file_that_this_user_may_not_write_is_denied"]
    async fn role_read_only() {
        let Some(file) = std::env::var_os("HEXMEM_TEST_FILE") else { return };
        denied(Path::new(&file)).await;
        println!("\nSAID denied");
    }

    async fn denied(file: &Path) {
        // Where the file cannot even be opened, and where it can be read but not written.
        let error = match open(file).await {
            Err(error) => error,
            Ok(database) => {
                let store = database.key_value();
                store.set(&bucket(), &name("k"), KvSet::new(*b"v")).await.unwrap_err()
            }
        };
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(error.to_string().contains("x.db"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_this_user_may_not_write_is_denied() {
        use std::os::unix::fs::PermissionsExt as _;
        use std::os::unix::process::CommandExt as _;
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let folder = tempfile::tempdir().unwrap();
        let file = filled(folder.path()).await;
        // May look at nothing; may read the file; may read it in a folder where it may write.
        for (of_file, of_folder) in [(0o000, 0o555), (0o444, 0o555), (0o444, 0o777)] {
            mode(&file, of_file);
            mode(folder.path(), of_folder);
            let before = fs::metadata(&file).unwrap().len();
            if is_root() {
                // Root may write everything, so somebody else tries.
                let tried = hexmem_conformance::role_command("linux::role_read_only")
                    .env("HEXMEM_TEST_FILE", &file)
                    .current_dir("/")
                    .uid(65_534)
                    .gid(65_534)
                    .output();
                let Ok(tried) = tried else {
                    eprintln!("NOT RUN: another user may not run this program");
                    return;
                };
                let said = String::from_utf8_lossy(&tried.stdout);
                let erred = String::from_utf8_lossy(&tried.stderr);
                assert!(said.contains("SAID denied"), "{of_file:o} {of_folder:o}: {said} {erred}");
            } else {
                denied(&file).await;
            }
            assert_eq!(fs::metadata(&file).unwrap().len(), before);
        }
        mode(folder.path(), 0o755);
        mode(&file, 0o600);
        let store = open(&file).await.unwrap().key_value();
        assert!(store.exists(&bucket(), &name("k199")).await.unwrap(), "nothing was lost");
    }
}
