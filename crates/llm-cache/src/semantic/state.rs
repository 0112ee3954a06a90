//! Evidence, kept in a store and shared by all processes.

use hexmem_ports::{
    BucketId, Error, ErrorKind, KeyValueExt as _, KvCondition, KvSet, Name, NamespaceId, Result,
};

use super::{Evidence, SemanticTier, Verdict};

/// Writers that may come in between before one gives up.
const ATTEMPTS: usize = 100;

/// What the budget of a namespace stands at.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetState {
    /// Answers from this similarity on are served; `None`: none are.
    pub threshold: Option<f64>,
    /// Of at least the configured threshold, answers judged right.
    pub right: u64,
    /// The same, wrong.
    pub wrong: u64,
    /// All that was judged.
    pub evidence: Evidence,
}

impl SemanticTier {
    fn place(&self, namespace: &NamespaceId) -> Result<(BucketId, Name)> {
        let bucket = BucketId::new(namespace.tenant.clone(), Name::new("llm-cache evidence")?);
        Ok((bucket, Name::new(self.digest(namespace).to_hex())?))
    }

    async fn read(&self, namespace: &NamespaceId) -> Result<(Evidence, KvCondition)> {
        let (bucket, key) = self.place(namespace)?;
        let Some(held) = self.state.get(&bucket, &key).await? else {
            return Ok((Evidence::default(), KvCondition::IfAbsent));
        };
        let evidence = serde_json::from_slice(&held.value).map_err(|error| {
            Error::corrupt("llm_cache.evidence", "the evidence of the semantic tier cannot be read")
                .with("namespace", namespace)
                .caused_by(error)
        })?;
        Ok((evidence, KvCondition::IfVersion(held.version)))
    }

    /// What the budget stands at.
    pub(crate) async fn budget(&self, namespace: &NamespaceId) -> Result<BudgetState> {
        let (evidence, _) = self.read(namespace).await?;
        let floor = self.policy.threshold;
        let threshold = evidence.threshold(floor, &self.policy.budget);
        let (right, wrong) = evidence.judged(floor);
        Ok(BudgetState { threshold, right, wrong, evidence })
    }

    /// Adds a judged answer; concurrent ones add up.
    pub(crate) async fn learn(
        &self,
        namespace: &NamespaceId,
        similarity: f64,
        verdict: Verdict,
    ) -> Result<()> {
        let (bucket, key) = self.place(namespace)?;
        for _ in 0..ATTEMPTS {
            let (mut evidence, condition) = self.read(namespace).await?;
            evidence.add(similarity, verdict);
            let text = serde_json::to_vec(&evidence).map_err(|error| {
                Error::new(ErrorKind::Internal, "llm_cache.evidence", "cannot be written")
                    .caused_by(error)
            })?;
            match self.state.set(&bucket, &key, KvSet::new(text).condition(condition)).await {
                Ok(_) => return Ok(()),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(
            "llm_cache.evidence",
            "others wrote each time in between; report it again",
        ))
    }
}
