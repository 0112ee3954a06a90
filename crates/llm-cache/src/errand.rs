//! One question on its way: what it needs once the question itself is gone.

use hexmem_ports::{
    CacheCounts, CacheKey, CachePut, CacheTags, Digest, Result, Tenant, Ticket, Ttl,
};

use crate::answer::{Answer, Skip};
use crate::cache::LlmCache;
use crate::call::{Call, Similar};
use crate::envelope;
use crate::policy::jittered;
use crate::question::Question;
use crate::semantic::Similarly;

/// One question on its way.
pub(crate) struct Errand {
    pub(crate) key: CacheKey,
    pub(crate) tags: CacheTags,
    pub(crate) call: Call,
    /// Why the cache is passed by.
    pub(crate) pass: Option<Skip>,
    /// For the semantic tier.
    pub(crate) similarly: Option<Similarly>,
}

/// The fingerprint of a question, or of one of its samples.
pub(crate) fn fingerprint(question: &Question, tenant: &Tenant, call: &Call) -> Result<Digest> {
    let print = question.fingerprint(tenant)?;
    Ok(match call.sample {
        None => print,
        Some(number) => Digest::of_parts([&print.0[..], b"sample", &number.to_be_bytes()]),
    })
}

impl LlmCache {
    pub(crate) fn errand(&self, question: &Question, mut call: Call) -> Result<Errand> {
        let tenant = &self.namespace.tenant;
        let key = CacheKey {
            namespace: self.namespace.clone(),
            fingerprint: fingerprint(question, tenant, &call)?,
        };
        let tags =
            CacheTags { model: Some(question.model.clone()), tags: std::mem::take(&mut call.tags) };
        tags.check("llm_cache.compute")?;
        let pass = self.policy.passes(question, &call);
        let similarly = match &self.semantic {
            Some(_) if pass.is_none() && call.similar == Similar::Allowed => {
                Similarly::of(question, tenant, &tags, call.sample)?
            }
            _ => None,
        };
        Ok(Errand { key, tags, call, pass, similarly })
    }

    fn lives(&self, errand: &Errand, ttl: Ttl) -> Ttl {
        jittered(ttl, self.policy.jitter_percent, &errand.key.fingerprint)
    }

    /// What is stored of an answer.
    pub(crate) fn put_of(
        &self,
        errand: &Errand,
        ticket: Ticket,
        answer: &Answer,
    ) -> Result<CachePut> {
        Ok(CachePut {
            value: answer.value.clone(),
            meta: envelope::of_answer(answer)?,
            ttl: self.lives(errand, errand.call.ttl.unwrap_or(self.policy.ttl)),
            stale: errand.call.stale.or(self.policy.stale),
            ticket,
        })
    }

    /// What is stored of a failure.
    pub(crate) fn put_of_failure(
        &self,
        errand: &Errand,
        ticket: Ticket,
        text: &str,
        ttl: Ttl,
    ) -> Result<CachePut> {
        let (value, meta) = envelope::of_failure(text)?;
        Ok(CachePut { value, meta, ttl: self.lives(errand, ttl), stale: None, ticket })
    }

    /// Counts for the namespace, the model and the tags of an errand. Never fails a call: what could not be
    /// written stays counted.
    pub(crate) async fn count(&self, tags: &CacheTags, counts: CacheCounts) {
        if self.tallies.count(tags, counts) {
            let _ = self.flush().await;
        }
    }
}

/// What an answer saved that was not computed for its call.
pub(crate) fn saved(answer: &Answer) -> CacheCounts {
    CacheCounts {
        bytes_served: u64::try_from(answer.value.len()).unwrap_or(u64::MAX),
        input_tokens_saved: answer.usage.input_tokens,
        output_tokens_saved: answer.usage.output_tokens,
        cost_saved: answer.usage.cost,
        ..CacheCounts::default()
    }
}
