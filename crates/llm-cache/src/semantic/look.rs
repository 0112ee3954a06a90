//! Looking for the answer to a similar question.

use std::collections::BTreeMap;
use std::sync::Arc;

use hexmem_ports::{
    Accuracy, CacheKey, CacheStore, CacheTags, CollectionId, CollectionSpec, Cursor, DenseSpec,
    Digest, Distance, EmbedMode, Error, ErrorKind, FieldKind, FieldPath, Filter, Freshness, Limit,
    Lookup, Name, NamespaceId, Point, PointId, Result, VectorQuery, VectorSearch,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{SemanticHit, SemanticMode, SemanticTier, Similarly};
use crate::answer::Answer;
use crate::envelope::{self, Kept};

/// What was found before an answer is computed.
#[derive(Debug)]
pub(crate) struct Look {
    /// The vector of the words, to be kept with the computed answer.
    pub(crate) vector: Vec<f32>,
    /// The nearest question that has an answer.
    pub(crate) candidate: Option<Candidate>,
}

/// An answer under a similar question.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) hit: SemanticHit,
    pub(crate) answer: Arc<Answer>,
    /// Whether it is near enough to be served.
    pub(crate) near: bool,
}

impl SemanticTier {
    fn collection(&self, namespace: &NamespaceId) -> Result<CollectionId> {
        let name = Name::new(format!("llm-cache {}", self.digest(namespace)))?;
        Ok(CollectionId::new(namespace.tenant.clone(), name))
    }

    fn vector() -> Result<Name> {
        Name::new("words")
    }

    fn context() -> Result<FieldPath> {
        FieldPath::new("context")
    }

    async fn embed(&self, text: &str) -> Result<Vec<f32>> {
        // Questions are compared with questions: both in one mode.
        let vectors = self.embedder.embed(EmbedMode::Query, &[text.to_owned()]).await?;
        vectors.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "llm_cache.embed", "the embedder gave no vector")
        })
    }

    /// The nearest question of the same context whose answer can be served.
    pub(crate) async fn look(
        &self,
        store: &dyn CacheStore,
        namespace: &NamespaceId,
        asked: &Similarly,
    ) -> Result<Look> {
        let vector = self.embed(&asked.text).await?;
        let collection = self.collection(namespace)?;
        let search = VectorSearch {
            query: VectorQuery::Dense { vector: Self::vector()?, values: vector.clone() },
            filter: Filter::Eq(Self::context()?, asked.context.to_hex().into()),
            limit: self.candidates,
            min_score: None,
            accuracy: Accuracy::Indexed,
        };
        let found = match self.vectors.search(&collection, &search).await {
            Ok(found) => found,
            // Nothing was ever kept.
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let near: Vec<(PointId, f64, Digest)> = found
            .into_iter()
            .filter(|found| f64::from(found.score) >= self.policy.threshold)
            .filter_map(|found| Some((found.id, f64::from(found.score), pointed(&found.payload)?)))
            .collect();
        if near.is_empty() {
            return Ok(Look { vector, candidate: None });
        }
        let prints: Vec<Digest> = near.iter().map(|(_, _, print)| *print).collect();
        let entries = store.get_many(namespace, &prints, &CacheTags::default()).await?;
        let (mut gone, mut candidate) = (Vec::new(), None);
        for ((point, similarity, fingerprint), entry) in near.into_iter().zip(entries) {
            let entry = match entry {
                Lookup::Miss(_) => {
                    gone.push(point);
                    continue;
                }
                Lookup::Hit(entry, _) => entry,
            };
            if candidate.is_some() || entry.freshness == Freshness::Stale {
                continue;
            }
            if let Kept::Answer(answer) = envelope::read(entry.value, entry.meta)
                && answer.tool_calls.is_none()
            {
                let hit = SemanticHit { similarity, fingerprint, stored_at: entry.stored_at };
                candidate = Some((hit, Arc::new(answer)));
            }
        }
        if !gone.is_empty() {
            // At worst they are looked at again.
            let _ = self.vectors.delete(&collection, &gone).await;
        }
        let Some((hit, answer)) = candidate else {
            return Ok(Look { vector, candidate: None });
        };
        let threshold = self.budget(namespace).await?.threshold;
        let near = threshold.is_some_and(|threshold| hit.similarity >= threshold);
        Ok(Look { vector, candidate: Some(Candidate { hit, answer, near }) })
    }

    /// Whether an answer that is near enough is served.
    pub(crate) fn serves(&self) -> bool {
        self.policy.mode == SemanticMode::Serve
    }

    /// Keeps a question whose answer was stored.
    pub(crate) async fn keep(
        &self,
        key: &CacheKey,
        asked: &Similarly,
        vector: Vec<f32>,
    ) -> Result<()> {
        let collection = self.collection(&key.namespace)?;
        let name = Self::vector()?;
        let point = Point {
            id: PointId(Uuid::new_v5(&Uuid::NAMESPACE_OID, &key.digest().0)),
            dense: BTreeMap::from([(name.clone(), vector)]),
            sparse: BTreeMap::new(),
            payload: json!({ "context": asked.context, "answer": key.fingerprint }),
        };
        match self.vectors.upsert(&collection, vec![point.clone()]).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            done => return done,
        }
        let dense = DenseSpec { space: self.embedder.space(), distance: Distance::Cosine };
        let spec = CollectionSpec {
            dense: BTreeMap::from([(name, dense)]),
            indexed: BTreeMap::from([(Self::context()?, FieldKind::Keyword)]),
            constants: json!({ "llm_cache": key.namespace.name }),
            ..CollectionSpec::default()
        };
        self.vectors.create(&collection, spec).await?;
        self.vectors.upsert(&collection, vec![point]).await
    }

    /// Forgets questions of one page whose answers ended; how many, and where the next page starts.
    pub(crate) async fn tidy(
        &self,
        store: &dyn CacheStore,
        namespace: &NamespaceId,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<(u64, Option<Cursor>)> {
        let collection = self.collection(namespace)?;
        let page = match self.vectors.scroll(&collection, &Filter::And(vec![]), cursor, limit).await
        {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, None)),
            page => page?,
        };
        let mut gone = Vec::new();
        for points in page.items.chunks(hexmem_ports::CACHE_BATCH_LIMIT) {
            let prints: Vec<Option<Digest>> =
                points.iter().map(|point| pointed(&point.payload)).collect();
            let asked: Vec<Digest> = prints.iter().flatten().copied().collect();
            let mut found =
                store.get_many(namespace, &asked, &CacheTags::default()).await?.into_iter();
            for (point, print) in points.iter().zip(prints) {
                let held = print.is_some() && matches!(found.next(), Some(Lookup::Hit(..)));
                if !held {
                    gone.push(point.id);
                }
            }
        }
        let freed =
            if gone.is_empty() { 0 } else { self.vectors.delete(&collection, &gone).await? };
        Ok((freed, page.next))
    }
}

/// The fingerprint that a point leads to.
fn pointed(payload: &Value) -> Option<Digest> {
    payload.get("answer").and_then(Value::as_str).and_then(Digest::from_hex)
}
