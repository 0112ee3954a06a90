//! Rows as entries.

use hexmem_ports::{Error, KvEntry, KvState, Name, Remaining, Result, Timestamp};

/// version, modified_at, expires_at, deleted_at.
pub(super) type StateRow = (i64, i64, Option<i64>, Option<i64>);

/// key, the state, value.
pub(super) type EntryRow = (Vec<u8>, i64, i64, Option<i64>, Option<i64>, Vec<u8>);

fn corrupt(operation: &'static str, column: &'static str) -> Error {
    Error::corrupt(operation, "a stored entry is not what this program wrote; restore a backup")
        .with("column", column)
}

pub(super) fn state(operation: &'static str, row: StateRow) -> Result<KvState> {
    let (version, modified_at, expires_at, deleted_at) = row;
    let instant =
        |micros, column| Timestamp::from_micros(micros).ok_or_else(|| corrupt(operation, column));
    Ok(KvState {
        version: u64::try_from(version).map_err(|_| corrupt(operation, "version"))?,
        modified_at: instant(modified_at, "modified_at")?,
        expires_at: expires_at.map(|end| instant(end, "expires_at")).transpose()?,
        deleted_at: deleted_at.map(|end| instant(end, "deleted_at")).transpose()?,
    })
}

pub(super) fn entry(state: KvState, value: Vec<u8>, now: Timestamp) -> Option<KvEntry> {
    let remaining = match state.remaining(now)? {
        Remaining::Forever => None,
        Remaining::For(left) => Some(left),
    };
    Some(KvEntry { value, version: state.version, remaining })
}

pub(super) fn key(operation: &'static str, bytes: Vec<u8>) -> Result<Name> {
    let text = String::from_utf8(bytes).map_err(|_| corrupt(operation, "key"))?;
    Name::new(text).map_err(|_| corrupt(operation, "key"))
}

/// A version as the column holds it.
pub(super) fn version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// A remembered number.
pub(super) fn number(operation: &'static str, bytes: &[u8]) -> Result<i64> {
    let bytes = bytes.try_into().map_err(|_| corrupt(operation, "answer"))?;
    Ok(i64::from_be_bytes(bytes))
}
