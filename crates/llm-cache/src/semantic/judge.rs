//! Whether two answers say the same.

use std::error::Error as StdError;

use async_trait::async_trait;

use super::Verdict;
use crate::Answer;

/// One who compares the answer to a similar question with the computed one.
#[async_trait]
pub trait Judge: Send + Sync + 'static {
    /// Whether `found` would have answered `asked`, of which `computed` is the answer. `None`: cannot say.
    ///
    /// # Errors
    /// Any: nothing is learnt then.
    async fn judge(
        &self,
        asked: &str,
        found: &Answer,
        computed: &Answer,
    ) -> Result<Option<Verdict>, Box<dyn StdError + Send + Sync>>;
}

/// Right where the bytes are the same but for ASCII case and white space, wrong otherwise: for labels, names and
/// numbers. For prose it finds too much wrong, which makes the cache careful, not wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct SameText;

fn plain(answer: &Answer) -> Vec<Vec<u8>> {
    let words = answer.value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.map(<[u8]>::to_ascii_lowercase).collect()
}

#[async_trait]
impl Judge for SameText {
    async fn judge(
        &self,
        _: &str,
        found: &Answer,
        computed: &Answer,
    ) -> Result<Option<Verdict>, Box<dyn StdError + Send + Sync>> {
        let same = plain(found) == plain(computed);
        Ok(Some(if same { Verdict::Right } else { Verdict::Wrong }))
    }
}

/// A function judges too: of the question, the found answer and the computed one.
#[async_trait]
impl<F> Judge for F
where
    F: Fn(&str, &Answer, &Answer) -> Option<Verdict> + Send + Sync + 'static,
{
    async fn judge(
        &self,
        asked: &str,
        found: &Answer,
        computed: &Answer,
    ) -> Result<Option<Verdict>, Box<dyn StdError + Send + Sync>> {
        Ok(self(asked, found, computed))
    }
}
