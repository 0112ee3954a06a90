//! What the tests work with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use hexmem_adapter_memory::{ManualClock, MemoryVectors};
use hexmem_ports::{
    Capabilities, Clock, CollectionId, CollectionInfo, CollectionSpec, Cursor, EmbedMode, Embedder,
    EmbeddingSpace, Error, ErrorKind, FieldPath, Filter, Found, Limit, Name, Page, Point, PointId,
    Prefix, Result, Tenant, VectorSearch, VectorStore,
};
use serde_json::Value;

use crate::chunk::Chunking;
use crate::{Collection, CollectionOptions, Document, Hit, Rag, SearchOptions};

pub(super) fn store() -> Arc<dyn VectorStore> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    Arc::new(MemoryVectors::new(clock))
}

pub(super) fn id(tenant: &str, name: &str) -> CollectionId {
    CollectionId::new(Tenant(Name::new(tenant).unwrap()), Name::new(name).unwrap())
}

pub(super) async fn open(store: &Arc<dyn VectorStore>) -> Collection {
    let rag = Rag::new(Arc::clone(store));
    rag.open_or_create(id("t", "docs"), CollectionOptions::default()).await.unwrap()
}

/// The same, with what embeds by the words of [`Topics`].
pub(super) async fn dense(store: &Arc<dyn VectorStore>, model: &'static str) -> Result<Collection> {
    with(store, model).open_or_create(id("t", "docs"), CollectionOptions::default()).await
}

/// A service with that embedder.
pub(super) fn with(store: &Arc<dyn VectorStore>, model: &'static str) -> Rag {
    Rag::new(Arc::clone(store)).with_embedder(Arc::new(Topics(model)))
}

/// A document of small chunks.
pub(super) fn document(id: &str, text: &str) -> Document {
    let chunking = Chunking { size: 40, overlap: 8, ..Chunking::default() };
    Document { chunking, ..Document::new(id, text) }
}

/// Every point of the collection: document, chunk and text.
pub(super) async fn all_points(
    store: &Arc<dyn VectorStore>,
    id: &CollectionId,
) -> Vec<(String, u64, String)> {
    let page = store.scroll(id, &Filter::all(), None, Limit::new(10_000).unwrap()).await.unwrap();
    assert!(page.next.is_none());
    let mut all: Vec<_> = page
        .items
        .into_iter()
        .map(|point| {
            let text = |name: &str| point.payload[name].as_str().unwrap().to_owned();
            (text("document"), point.payload["chunk"].as_u64().unwrap(), text("text"))
        })
        .collect();
    all.sort();
    all
}

pub(super) async fn search(collection: &Collection, question: &str) -> Vec<Hit> {
    collection.search(question, &SearchOptions::default()).await.unwrap()
}

pub(super) fn documents(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.document.as_str()).collect()
}

/// Counts a few kinds of words, whatever their order.
pub(super) struct Topics(pub(super) &'static str);

#[async_trait]
impl Embedder for Topics {
    fn space(&self) -> EmbeddingSpace {
        EmbeddingSpace {
            provider: Name::new("test").unwrap(),
            model: Name::new(self.0).unwrap(),
            dimension: 3,
            normalised: false,
            preprocessing: String::new(),
        }
    }

    async fn embed(&self, _mode: EmbedMode, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let topics = [["cat", "feline"], ["car", "automobile"], ["tea", "infusion"]];
        let has = |text: &String, words: [&str; 2]| {
            if words.iter().any(|word| text.to_lowercase().contains(word)) { 1.0 } else { 0.0 }
        };
        Ok(texts.iter().map(|text| topics.map(|words| has(text, words)).to_vec()).collect())
    }
}

/// Fails one call, and every one after it, until it is told not to.
pub(super) struct Failing {
    pub(super) inner: Arc<dyn VectorStore>,
    /// How many writes pass before the first that fails; beyond `NEVER` none does.
    pub(super) passes: AtomicU32,
}

pub(super) const NEVER: u32 = u32::MAX / 2;

impl Failing {
    fn write(&self) -> Result<()> {
        let left = self.passes.load(Ordering::SeqCst);
        if left == 0 {
            return Err(Error::new(ErrorKind::Unavailable, "test", "the store is away"));
        }
        self.passes.store(left - 1, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl VectorStore for Failing {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, collection: &CollectionId, spec: CollectionSpec) -> Result<bool> {
        self.write()?;
        self.inner.create(collection, spec).await
    }

    async fn info(&self, collection: &CollectionId) -> Result<Option<CollectionInfo>> {
        self.inner.info(collection).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        self.inner.list(tenant, prefix, cursor, limit).await
    }

    async fn drop_collection(&self, collection: &CollectionId) -> Result<bool> {
        self.write()?;
        self.inner.drop_collection(collection).await
    }

    async fn set_alias(&self, alias: &CollectionId, target: Option<Name>) -> Result<()> {
        self.write()?;
        self.inner.set_alias(alias, target).await
    }

    async fn upsert(&self, collection: &CollectionId, points: Vec<Point>) -> Result<()> {
        self.write()?;
        self.inner.upsert(collection, points).await
    }

    async fn delete(&self, collection: &CollectionId, ids: &[PointId]) -> Result<u64> {
        self.write()?;
        self.inner.delete(collection, ids).await
    }

    async fn delete_where(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        self.write()?;
        self.inner.delete_where(collection, filter).await
    }

    async fn get(&self, collection: &CollectionId, ids: &[PointId]) -> Result<Vec<Option<Point>>> {
        self.inner.get(collection, ids).await
    }

    async fn search(&self, collection: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        self.inner.search(collection, search).await
    }

    async fn scroll(
        &self,
        collection: &CollectionId,
        filter: &Filter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Point>> {
        self.inner.scroll(collection, filter, cursor, limit).await
    }

    async fn count(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        self.inner.count(collection, filter).await
    }

    async fn facets(
        &self,
        collection: &CollectionId,
        field: &FieldPath,
        filter: &Filter,
        limit: Limit,
    ) -> Result<Vec<(Value, u64)>> {
        self.inner.facets(collection, field, filter, limit).await
    }
}

/// Sentences that no other number shares.
pub(super) fn prose(seed: usize, sentences: usize) -> String {
    (0..sentences).map(|n| format!("Sentence {n} of text number{seed}. ")).collect()
}

/// The signals of each document found.
pub(super) fn signals(hits: &[Hit]) -> BTreeMap<&str, Vec<&'static str>> {
    hits.iter().map(|hit| (hit.document.as_str(), hit.signals.keys().copied().collect())).collect()
}
