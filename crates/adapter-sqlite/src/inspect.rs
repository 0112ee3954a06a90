//! A look at the file, for whoever asks whether all is well.

use hexmem_ports::Result;
use serde::Serialize;
use sqlx::Row as _;

use crate::Database;

const OP: &str = "sqlite.inspect";

/// What the file looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The SQLite library's version.
    pub sqlite: String,
    /// The version of the schema.
    pub schema: i64,
    /// Bytes of the file in pages, free ones included.
    pub bytes: i64,
    /// Bytes of free pages.
    pub free_bytes: i64,
    /// Bytes of the write-ahead log beside it.
    pub log_bytes: u64,
    /// What `PRAGMA quick_check` found wrong; empty when all is well.
    pub damage: Vec<String>,
}

impl Database {
    /// Reads every page once: seconds for gigabytes.
    pub async fn inspect(&self) -> Result<Inspection> {
        let mut tx = self.snapshot(OP).await?;
        let row = match sqlx::query(include_str!("sql/inspect/sizes.sql"))
            .fetch_one(tx.connection())
            .await
        {
            Ok(row) => row,
            Err(error) => return Err(tx.error(error)),
        };
        let checked = match sqlx::query("PRAGMA quick_check(20)").fetch_all(tx.connection()).await {
            Ok(rows) => rows,
            Err(error) => return Err(tx.error(error)),
        };
        let damage =
            checked.iter().map(|row| row.get::<String, _>(0)).filter(|text| text != "ok").collect();
        let mut log = self.file().as_os_str().to_owned();
        log.push("-wal");
        Ok(Inspection {
            sqlite: row.get("version"),
            schema: row.get("user_version"),
            bytes: row.get::<i64, _>("page_count") * row.get::<i64, _>("page_size"),
            free_bytes: row.get::<i64, _>("freelist_count") * row.get::<i64, _>("page_size"),
            log_bytes: std::fs::metadata(log).map_or(0, |meta| meta.len()),
            damage,
        })
    }
}
