//! Freeing what an invalidation ended, a bounded stretch at a time.

use std::sync::PoisonError;

use hexmem_ports::{Limit, NamespaceId, Result};

use super::{RedisCache, address, scripts};
use crate::keys::Tag;

const OPERATION: &str = "cache.sweep";
/// Answers that one script looks at.
const STRETCH: usize = 256;
/// Scripts of one sweep that may find nothing.
const IDLE: usize = 256;

/// Where a walk over all namespaces stands: behind the namespace of this address, or within it behind this answer or tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    namespace: Vec<u8>,
    part: Part,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Part {
    Answers(Vec<u8>),
    Tags(Vec<u8>),
    #[default]
    Done,
}

impl RedisCache {
    /// Frees at most `limit` answers. Goes on where the last sweep of this handle ended, at most once around.
    pub(super) async fn free(&self, limit: Limit) -> Result<u64> {
        let mut place = self.swept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut freed, mut wraps) = (0, 0);
        let most = u64::from(limit.get());
        for _ in 0..IDLE {
            if freed >= most {
                break;
            }
            if place.part == Part::Done {
                let next = self.namespaces(OPERATION, &place.namespace, 1).await?.pop();
                match next {
                    Some((namespace, _)) => {
                        place = Place { namespace, part: Part::Answers(Vec::new()) };
                    }
                    // Around once, from wherever it began.
                    None if wraps == 1 => {
                        place = Place::default();
                        break;
                    }
                    None => {
                        wraps += 1;
                        place = Place::default();
                        continue;
                    }
                }
            }
            freed += self.free_some(&mut place, most - freed).await?;
        }
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = place;
        Ok(freed)
    }

    /// The next stretch of a namespace.
    async fn free_some(&self, place: &mut Place, most: u64) -> Result<u64> {
        let Ok(namespace) = serde_json::from_slice::<NamespaceId>(&place.namespace) else {
            tracing::warn!(
                "a namespace in the list of the cache cannot be read; it is passed over"
            );
            place.part = Part::Done;
            return Ok(0);
        };
        let tag = self.tag(&namespace);
        match std::mem::take(&mut place.part) {
            Part::Done => Ok(0),
            Part::Answers(from) => {
                let call = self.script(&scripts::SWEEP_ANSWERS, &tag).bytes(from);
                let mut swept = call.arg(STRETCH).arg(most).run(OPERATION).await?.list()?;
                let (freed, last) = (swept.item()?.uint()?, swept.item()?.bytes()?);
                place.part = if last.is_empty() && freed < most {
                    Part::Tags(Vec::new())
                } else {
                    Part::Answers(last)
                };
                Ok(freed)
            }
            Part::Tags(from) => {
                let call = self.script(&scripts::SWEEP_TAGS, &tag).bytes(from);
                let mut swept = call.arg(STRETCH).run(OPERATION).await?.list()?;
                let (empty, last) = (swept.item()?.uint()? == 1, swept.item()?.bytes()?);
                if !last.is_empty() {
                    place.part = Part::Tags(last);
                } else if empty {
                    let names = self.names();
                    let call = self.script(&scripts::NAME, &names).bytes(address(&namespace)?);
                    call.arg("unlist").run(OPERATION).await?;
                }
                Ok(0)
            }
        }
    }

    /// Addresses of namespaces after `from`, with their tags.
    pub(super) async fn namespaces(
        &self,
        operation: &'static str,
        from: &[u8],
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Option<(NamespaceId, Tag)>)>> {
        let start = if from.is_empty() { b"-".to_vec() } else { [b"(", from].concat() };
        let mut pipeline = redis::Pipeline::with_capacity(1);
        pipeline.cmd("ZRANGEBYLEX").arg(self.names().key(":x")).arg(start).arg("+");
        pipeline.arg("LIMIT").arg(0).arg(most);
        let mut replies = self.redis.read_all(operation, pipeline).await?;
        let listed = replies.item()?.list()?;
        listed
            .map(|reply| {
                let address = reply.bytes()?;
                let namespace: Option<NamespaceId> = serde_json::from_slice(&address).ok();
                Ok((
                    address,
                    namespace.map(|namespace| {
                        let tag = self.tag(&namespace);
                        (namespace, tag)
                    }),
                ))
            })
            .collect()
    }
}
