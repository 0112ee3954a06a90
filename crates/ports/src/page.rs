//! Keyset paging.

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
    /// The page with `map` applied to each row.
    pub fn map<U>(self, map: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(map).collect(), next: self.next }
    }
}
