//! Keyset paging.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The most rows one page or batch may ask for.
pub const PAGE_LIMIT: u32 = 10_000;

/// How many rows a page may hold: 1 to [`PAGE_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Limit(u32);

impl Limit {
    /// `Invalid` for zero and beyond [`PAGE_LIMIT`].
    pub fn new(rows: u32) -> Result<Self> {
        if (1..=PAGE_LIMIT).contains(&rows) {
            Ok(Self(rows))
        } else {
            Err(Error::invalid("limit", format!("a limit is 1 to {PAGE_LIMIT}, not {rows}")))
        }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The number as a size.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Default for Limit {
    /// 100 rows.
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for Limit {
    type Error = Error;
    fn try_from(rows: u32) -> Result<Self> {
        Self::new(rows)
    }
}

impl From<Limit> for u32 {
    fn from(limit: Limit) -> Self {
        limit.0
    }
}

/// Where the next page starts: opaque to callers, a key of the last row to the store. It stays valid
/// while rows change; a text that a store did not give is `Invalid`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// How much of a cursor that was refused is told.
const TOLD: usize = 64;

impl Cursor {
    /// Where the listing that is called `mark` goes on after the row of `key`.
    pub fn after(mark: &str, key: impl Display) -> Self {
        Self(format!("{mark}:{key}"))
    }

    /// The key of [`after`](Self::after). `Invalid` for the cursor of another listing, and for a key that cannot be read.
    pub fn key<K: FromStr>(&self, operation: &'static str, mark: &str) -> Result<K> {
        let key = self.0.strip_prefix(mark).and_then(|rest| rest.strip_prefix(':'));
        key.and_then(|key| key.parse().ok()).ok_or_else(|| self.refused(operation))
    }

    /// The error for a cursor that a listing did not give: `Invalid`, with the cursor's first 64 characters.
    pub fn refused(&self, operation: &'static str) -> Error {
        let told: String = self.0.chars().take(TOLD).collect();
        Error::invalid(operation, "the cursor is not of this listing; start without one")
            .with("cursor", told.escape_debug())
    }
}

/// One page of a listing. Rows present throughout a scan appear exactly once, others at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where to go on; `None` when this was the last page.
    pub next: Option<Cursor>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

impl<T> Page<T> {
    /// The page of at most `limit` of `rows`, of which one more tells that there is a next page; `cursor` says where a
    /// page that ends with a row goes on.
    pub fn cut(
        rows: impl IntoIterator<Item = T>,
        limit: Limit,
        cursor: impl FnOnce(&T) -> Cursor,
    ) -> Self {
        let mut items: Vec<T> = rows.into_iter().take(limit.as_usize().saturating_add(1)).collect();
        let more = items.len() > limit.as_usize();
        items.truncate(limit.as_usize());
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }

    /// The page with `map` applied to each row.
    pub fn map<U>(self, map: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(map).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Name};

    #[test]
    fn a_cursor_is_of_one_listing() {
        let cursor = Cursor::after("node", "a:b");
        assert_eq!(cursor.key::<Name>("op", "node").unwrap().as_str(), "a:b");
        for (text, mark) in [
            ("node:a:b", "queue"),
            ("node:", "node"),
            ("node", "node"),
            ("nodes:a", "node"),
            ("foo", "node"),
            ("", "node"),
        ] {
            let error = Cursor(text.into()).key::<Name>("op", mark).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().ends_with(&format!("(cursor: {text})")), "{error}");
        }
        let long = Cursor(format!("\n{}", "x".repeat(100_000))).refused("op").to_string();
        assert!(long.ends_with(&format!("(cursor: \\n{})", "x".repeat(63))), "{long}");
    }

    #[test]
    fn the_row_too_many_is_cut() {
        let page = |rows: u32, limit| {
            Page::cut(0..rows, Limit::new(limit).unwrap(), |row| Cursor::after("n", row))
        };
        assert_eq!(page(0, 2), Page::default());
        assert_eq!(page(2, 2), Page { items: vec![0, 1], next: None });
        let cut = Page { items: vec![0, 1], next: Some(Cursor("n:1".into())) };
        assert_eq!([page(3, 2), page(9, 2)], [cut.clone(), cut]);
    }
}
