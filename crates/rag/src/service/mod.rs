//! Collections of documents over a [`VectorStore`]: ingest, search, list, delete.

mod documents;
mod ingest;
mod passage;
mod point;
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

pub use documents::{DocumentInfo, StoredDocument};
pub use ingest::{Document, Ingested, TEXT_LIMIT};
pub use passage::{Passage, Window};
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
}

/// The form of points that this program writes.
const FORM: u32 = 1;

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
        // Somebody may create it in between: then this is their collection, if the stamps agree.
        self.store.create(&id, spec).await?;
        self.open(id.clone()).await?.ok_or_else(|| {
            Error::conflict("rag.open", "the collection was removed while it was opened; try again")
                .with("collection", id)
        })
    }

    /// Opens a collection. `None` when it does not exist.
    pub async fn open(&self, id: CollectionId) -> Result<Option<Collection>> {
        let Some(info) = self.store.info(&id).await? else { return Ok(None) };
        let stamp: Stamp =
            serde_json::from_value(info.spec.constants.clone()).map_err(|error| {
                Error::conflict(
                    "rag.open",
                    "the collection was not made by rag; choose another name",
                )
                .with("collection", &id)
                .caused_by(error)
            })?;
        if stamp.rag_form != FORM || stamp.analysis_version != ANALYSIS_VERSION {
            return Err(Error::conflict(
                "rag.open",
                format!(
                    "the collection has form {} and analysis {}, this program {FORM} and {ANALYSIS_VERSION}; ingest it anew",
                    stamp.rag_form, stamp.analysis_version
                ),
            )
            .with("collection", id));
        }
        let dense = info.spec.dense.get(&fixed(DENSE)?);
        if let (Some(theirs), Some(embedder)) = (dense, &self.embedder) {
            let ours = embedder.space();
            if theirs.space != ours {
                return Err(Error::conflict(
                    "rag.open",
                    format!(
                        "the collection holds vectors of {}, the embedder gives {ours}",
                        theirs.space
                    ),
                )
                .with("collection", id));
            }
        }
        let space = dense.map(|spec| spec.space.clone());
        let analyzer = Arc::new(Analyzer::new(stamp.analysis));
        Ok(Some(Collection { rag: self.clone(), id, analyzer, bm25: stamp.bm25, space }))
    }

    /// The collections of a tenant.
    pub async fn collections(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        self.store.list(tenant, prefix, cursor, limit).await
    }

    /// Removes a collection with its documents. `false` when it does not exist.
    pub async fn drop_collection(&self, id: &CollectionId) -> Result<bool> {
        self.store.drop_collection(id).await
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
