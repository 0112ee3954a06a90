//! What is counted of a cache.

use serde::{Deserialize, Serialize};

use crate::{Error, Name, PAGE_LIMIT, Result, TagRef};

/// How many models, and how many tags, of a namespace have counts of their own: the first ones to be counted.
pub const COUNTED_NAMES: usize = 1_000;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counts of one namespace, model or tag. They only grow.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct CacheCounts {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl CacheCounts {
            /// The names of the counts, in the order of [`CacheCounts::values`].
            pub const NAMES: [&'static str; { [$(stringify!($name)),+].len() }] =
                [$(stringify!($name)),+];

            /// The counts in the order of [`CacheCounts::NAMES`].
            pub fn values(&self) -> [u64; Self::NAMES.len()] {
                [$(self.$name),+]
            }

            /// From counts in the order of [`CacheCounts::NAMES`].
            pub fn from_values([$($name),+]: [u64; Self::NAMES.len()]) -> Self {
                Self { $($name),+ }
            }
        }
    };
}

counts! {
    /// Lookups answered from the cache by the question itself, stale answers included.
    hits,
    /// Of the hits, those with a stale answer.
    stale_hits,
    /// Lookups answered with the answer to a similar question.
    semantic_hits,
    /// Lookups answered with what was computed meanwhile for another caller.
    shared,
    /// Lookups not answered.
    misses,
    /// Lookups of the misses that the semantic tier would have answered, in shadow mode.
    shadow_hits,
    /// Semantic answers that were found to be wrong, served or not.
    false_hits,
    /// Calls that passed by the cache because policy or the caller said so.
    bypassed,
    /// Answers stored.
    stored,
    /// Bytes of the answers served from the cache.
    bytes_served,
    /// Tokens not sent to a model, as the stored answers tell.
    input_tokens_saved,
    /// Tokens not computed by a model, as the stored answers tell.
    output_tokens_saved,
    /// Cost not paid, in millionths of the caller's currency, as the stored answers tell.
    cost_saved,
}

impl CacheCounts {
    /// The sum, which ends at the greatest i64: the largest number that every store keeps.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let mut sum = self.values();
        for (sum, more) in sum.iter_mut().zip(more.values()) {
            *sum = sum.saturating_add(more).min(i64::MAX.unsigned_abs());
        }
        Self::from_values(sum)
    }

    /// Lookups answered without a computation of their own.
    pub fn answered(&self) -> u64 {
        self.hits.saturating_add(self.semantic_hits).saturating_add(self.shared)
    }
}

/// `Invalid` for more than [`PAGE_LIMIT`] names, and for a count that no store keeps.
pub fn check_counts(counts: &[(TagRef, CacheCounts)]) -> Result<()> {
    let most = usize::try_from(PAGE_LIMIT).unwrap_or(usize::MAX);
    let wrong = if counts.len() > most {
        format!("counts of {} names; the limit of a call is {most}", counts.len())
    } else if counts
        .iter()
        .any(|(_, counts)| counts.values().iter().any(|n| i64::try_from(*n).is_err()))
    {
        format!("a count beyond {}", i64::MAX)
    } else {
        return Ok(());
    };
    Err(Error::invalid("cache.count", wrong))
}

/// Statistics of a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStats {
    /// What was counted.
    #[serde(flatten)]
    pub counts: CacheCounts,
    /// Entries held that could be served.
    pub entries: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Whether `entries` and `bytes` are exact.
    pub exact: bool,
}

/// Which names a breakdown is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatsRoom {
    /// Models.
    Models,
    /// Tags of the caller's.
    Tags,
}

impl StatsRoom {
    /// The room as [`TagRef::kind`] writes it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Models => "model",
            Self::Tags => "tag",
        }
    }

    /// The tag of this room.
    pub fn tag(self, name: Name) -> TagRef {
        match self {
            Self::Models => TagRef::Model(name),
            Self::Tags => TagRef::Tag(name),
        }
    }
}

/// Statistics of a model or of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagStats {
    /// Its name; `None` for all beyond [`COUNTED_NAMES`] together, whose `entries` and `bytes` are zero.
    pub name: Option<Name>,
    /// What it stands at.
    #[serde(flatten)]
    pub stats: CacheStats,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_end() {
        let one = CacheCounts { hits: 1, cost_saved: u64::MAX, ..CacheCounts::default() };
        let sum = one.plus(one);
        assert_eq!((sum.hits, sum.misses), (2, 0));
        assert_eq!(sum.cost_saved, i64::MAX.unsigned_abs());
        assert_eq!(CacheCounts::from_values(one.values()), one);
        assert_eq!(CacheCounts::NAMES.len(), one.values().len());
        assert!(check_counts(&[(TagRef::Namespace, one)]).is_err());
        assert!(check_counts(&[(TagRef::Namespace, sum)]).is_ok());
    }
}
