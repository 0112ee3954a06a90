//! Collections of documents over a [`VectorStore`]: ingest, search, list, delete.

mod documents;
mod generation;
mod ingest;
mod passage;
mod point;
mod reembed;
mod refine;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hexmem_ports::{
    CollectionId, CollectionSpec, DenseSpec, Distance, Embedder, EmbeddingSpace, Error, FieldKind,
    FieldPath, Name, Prefix, Reranker, Result, SparseSpec, Tenant, VectorStore, Weighting,
};
use hexmem_ports::{Cursor, Limit, Page};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use documents::{DocumentInfo, StoredDocument};
pub use ingest::{Document, Ingested, TEXT_LIMIT};
pub use passage::{Passage, Window};
pub use reembed::Reembedded;
pub use refine::Refine;
pub use search::{Fusion, Hit, Mode, SearchOptions};

use crate::analyse::{ANALYSIS_VERSION, Analysis, Analyzer};
use crate::bm25::Bm25;

/// The name of the sparse vector of each point.
const SPARSE: &str = "text";
/// The name of the dense vector of each point, in collections that have an embedder.
const DENSE: &str = "dense";

/// How a new collection analyses text. Stamped on it; an existing one keeps its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectionOptions {
    /// Language and stop words.
    pub analysis: Analysis,
    /// The constants of the document side.
    pub bm25: Bm25,
}

/// What the stamp of a collection holds beside the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Stamp {
    rag_form: u32,
    analysis_version: u32,
    analysis: Analysis,
    bm25: Bm25,
    /// Of which generation it is; it lies where that says.
    generation: u32,
}

/// The form of collections and points that this program writes.
const FORM: u32 = 2;

impl Stamp {
    /// The stamp of `id`. `Conflict` where that is not a collection that this program can use.
    fn read(id: &CollectionId, spec: &CollectionSpec) -> Result<Self> {
        let conflict = |what: String| Error::conflict("rag.open", what).with("collection", id);
        let form = spec.constants.get("rag_form").and_then(serde_json::Value::as_u64);
        let Some(form) = form else {
            return Err(conflict("the collection was not made by rag; choose another name".into()));
        };
        let analysis = spec.constants.get("analysis_version").and_then(serde_json::Value::as_u64);
        let analysis = analysis.unwrap_or_default();
        if (form, analysis) != (u64::from(FORM), u64::from(ANALYSIS_VERSION)) {
            return Err(conflict(format!(
                "the collection has form {form} and analysis {analysis}, this program {FORM} and {ANALYSIS_VERSION}; \
                 remove it and ingest its documents anew"
            )));
        }
        serde_json::from_value(spec.constants.clone()).map_err(|error| {
            conflict("the stamp of the collection cannot be read".into()).caused_by(error)
        })
    }
}

/// Documents, cut into chunks, indexed and searched.
#[derive(Clone)]
pub struct Rag {
    store: Arc<dyn VectorStore>,
    embedder: Option<Arc<dyn Embedder>>,
    reranker: Option<Arc<dyn Reranker>>,
}

impl fmt::Debug for Rag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rag").field("dense", &self.embedder.is_some()).finish_non_exhaustive()
    }
}

/// An open collection.
#[derive(Debug, Clone)]
pub struct Collection {
    rag: Rag,
    id: CollectionId,
    /// What the ids of its chunks are made of: its own address, but for a scratch collection.
    named: CollectionId,
    generation: u32,
    /// Where its points lie.
    place: CollectionId,
    analyzer: Arc<Analyzer>,
    bm25: Bm25,
    /// The space of its dense vectors, if it has some.
    space: Option<EmbeddingSpace>,
}

impl Rag {
    /// Sparse search over `store`.
    pub fn new(store: Arc<dyn VectorStore>) -> Self {
        Self { store, embedder: None, reranker: None }
    }

    /// Dense and hybrid search too.
    #[must_use]
    pub fn with_embedder(mut self, embedder: Arc<dyn Embedder>) -> Self {
        self.embedder = Some(embedder);
        self
    }

    /// A second opinion for searches that ask for one.
    #[must_use]
    pub fn with_reranker(mut self, reranker: Arc<dyn Reranker>) -> Self {
        self.reranker = Some(reranker);
        self
    }

    /// Opens a collection, or creates it with `options`.
    ///
    /// `Conflict` when the collection was made with another embedding space, or by another version of the analysis: the
    /// error names both.
    pub async fn open_or_create(
        &self,
        id: CollectionId,
        options: CollectionOptions,
    ) -> Result<Collection> {
        if let Some(collection) = self.open(id.clone()).await? {
            return Ok(collection);
        }
        options.bm25.check()?;
        let stamp = Stamp {
            rag_form: FORM,
            analysis_version: ANALYSIS_VERSION,
            analysis: options.analysis,
            bm25: options.bm25,
            generation: 1,
        };
        let mut spec = CollectionSpec {
            sparse: BTreeMap::from([(fixed(SPARSE)?, SparseSpec { weighting: Weighting::Idf })]),
            indexed: BTreeMap::from([
                (FieldPath::new("document")?, FieldKind::Keyword),
                (FieldPath::new("chunk")?, FieldKind::Integer),
            ]),
            constants: to_json(&stamp)?,
            ..CollectionSpec::default()
        };
        if let Some(embedder) = &self.embedder {
            let dense = DenseSpec { space: embedder.space(), distance: Distance::Cosine };
            spec.dense.insert(fixed(DENSE)?, dense);
        }
        // Somebody may create it in between, or have been cut off: then this is their collection, if the stamps agree.
        let place = generation::place(&id, stamp.generation)?;
        self.store.create(&place, spec).await?;
        match self.store.set_alias(&id, Some(place.name)).await {
            // It was removed, or embedded anew, meanwhile.
            Err(error) if error.kind() == hexmem_ports::ErrorKind::NotFound => {}
            other => other?,
        }
        self.open(id.clone()).await?.ok_or_else(|| {
            Error::conflict("rag.open", "the collection was removed while it was opened; try again")
                .with("collection", id)
        })
    }

    /// Creates a collection of a name that no other has, for a measurement; who is done with it drops it.
    ///
    /// Its chunks have the ids that they would have in `like`: each time equal scores are ranked alike.
    pub async fn scratch(
        &self,
        like: &CollectionId,
        options: CollectionOptions,
    ) -> Result<Collection> {
        let name = Name::new(format!("{}-{}", like.name, Uuid::new_v4()))?;
        let id = CollectionId::new(like.tenant.clone(), name);
        match self.open_or_create(id.clone(), options).await {
            Ok(made) => Ok(Collection { named: like.clone(), ..made }),
            Err(error) => {
                // What there is of it is of no use; why it failed is what counts.
                let _ = self.drop_collection(&id).await;
                Err(error)
            }
        }
    }

    /// Opens a collection. `None` when it does not exist.
    pub async fn open(&self, id: CollectionId) -> Result<Option<Collection>> {
        generation::check(&id)?;
        let Some(info) = self.store.info(&id).await? else { return Ok(None) };
        let stamp = Stamp::read(&id, &info.spec)?;
        let dense = info.spec.dense.get(&fixed(DENSE)?);
        if let (Some(theirs), Some(embedder)) = (dense, &self.embedder) {
            let ours = embedder.space();
            if theirs.space != ours {
                return Err(Error::conflict(
                    "rag.open",
                    format!(
                        "the collection holds vectors of {}, the embedder gives {ours}; configure the former, or embed the collection anew",
                        theirs.space
                    ),
                )
                .with("collection", id));
            }
        }
        let space = dense.map(|spec| spec.space.clone());
        Collection::of(self, &id, &stamp, space).map(Some)
    }

    /// The collections of a tenant. A page may hold fewer than `limit`, and none, though more follow.
    pub async fn collections(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let page = self.store.list(tenant, prefix, cursor, limit).await?;
        let mut items = Vec::new();
        for name in page.items {
            let there = CollectionId::new(tenant.clone(), name);
            let Some((id, number)) = generation::of_place(&there) else { continue };
            if generation::current(self.store.as_ref(), &id).await? == Some(number) {
                items.push(id.name);
            }
        }
        Ok(Page { items, next: page.next })
    }

    /// Removes a collection with its documents. `false` when it does not exist.
    pub async fn drop_collection(&self, id: &CollectionId) -> Result<bool> {
        generation::check(id)?;
        let store = self.store.as_ref();
        // What the name leads to goes last: until then it can be repeated.
        let current = generation::current(store, id).await?;
        let others = generation::remove_others(store, id, current).await?;
        match current {
            Some(current) => store.drop_collection(&generation::place(id, current)?).await,
            None => Ok(others),
        }
    }
}

impl Collection {
    /// Its address.
    pub fn id(&self) -> &CollectionId {
        &self.id
    }

    /// Whether dense and hybrid search work: it has dense vectors, and there is an embedder.
    pub fn has_dense(&self) -> bool {
        self.space.is_some() && self.rag.embedder.is_some()
    }

    fn of(
        rag: &Rag,
        id: &CollectionId,
        stamp: &Stamp,
        space: Option<EmbeddingSpace>,
    ) -> Result<Self> {
        Ok(Self {
            rag: rag.clone(),
            id: id.clone(),
            named: id.clone(),
            generation: stamp.generation,
            place: generation::place(id, stamp.generation)?,
            analyzer: Arc::new(Analyzer::new(stamp.analysis)),
            bm25: stamp.bm25,
            space,
        })
    }

    fn store(&self) -> &dyn VectorStore {
        self.rag.store.as_ref()
    }
}

/// A name that is written in this file.
fn fixed(text: &str) -> Result<Name> {
    Name::new(text)
}

fn to_json(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| {
        Error::new(
            hexmem_ports::ErrorKind::Internal,
            "rag.json",
            "a value cannot be written as JSON",
        )
        .caused_by(error)
    })
}
