//! Collections of points with dense and sparse vectors.

mod record;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Capabilities, CollectionId, Cursor, EmbeddingSpace, Error, FieldPath, Filter, Limit, Name,
    Page, Prefix, Result, Tenant,
};

pub use record::*;

/// A point's id: UUIDv5 of what it stands for, made by the domain, so that a repeat replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PointId(pub Uuid);

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How dense vectors are compared. A score is higher when nearer, whatever the distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Cosine of the angle, -1 to 1. A zero vector scores 0.
    Cosine,
    /// Inner product.
    Dot,
    /// Minus the Euclidean distance.
    Euclid,
}

/// A named dense vector of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenseSpec {
    /// The space all its vectors are of.
    pub space: EmbeddingSpace,
    /// How they are compared.
    pub distance: Distance,
}

/// A named sparse vector of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparseSpec {
    /// What the store multiplies each index with.
    pub weighting: Weighting,
}

/// The factor of a sparse index in a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// 1.
    Plain,
    /// [`rules::idf`](crate::rules::idf) over the collection's points that have this vector.
    Idf,
}

/// The kind of values under an indexed field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Text, compared whole.
    Keyword,
    /// Integers.
    Integer,
    /// Numbers.
    Float,
    /// Booleans.
    Bool,
}

/// What a collection is made of: stamped at its creation, compared at each later one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CollectionSpec {
    /// Dense vectors by name.
    pub dense: BTreeMap<Name, DenseSpec>,
    /// Sparse vectors by name.
    pub sparse: BTreeMap<Name, SparseSpec>,
    /// Fields that filters use often. A hint for speed: filters work on every field.
    pub indexed: BTreeMap<FieldPath, FieldKind>,
    /// Constants of the domain (analysis, average length). Any JSON; part of the stamp.
    pub constants: Value,
}

/// A sparse vector: strictly growing indices, one finite value each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawSparse")]
pub struct SparseVector {
    indices: Vec<u32>,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct RawSparse {
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl TryFrom<RawSparse> for SparseVector {
    type Error = Error;
    fn try_from(raw: RawSparse) -> Result<Self> {
        Self::new(raw.indices, raw.values)
    }
}

impl SparseVector {
    /// `Invalid` unless indices grow strictly, lengths agree and values are finite.
    pub fn new(indices: Vec<u32>, values: Vec<f32>) -> Result<Self> {
        let wrong = if indices.len() != values.len() {
            "a sparse vector has as many indices as values"
        } else if !indices.is_sorted_by(|a, b| a < b) {
            "the indices of a sparse vector grow strictly"
        } else if !values.iter().all(|value| value.is_finite()) {
            "the values of a sparse vector are finite"
        } else {
            return Ok(Self { indices, values });
        };
        Err(Error::invalid("vectors.sparse", wrong))
    }

    /// The indices.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Index and value pairs.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.indices.iter().copied().zip(self.values.iter().copied())
    }
}

/// A point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The id.
    pub id: PointId,
    /// Dense vectors by name; a point may lack some.
    pub dense: BTreeMap<Name, Vec<f32>>,
    /// Sparse vectors by name; a point may lack some.
    pub sparse: BTreeMap<Name, SparseVector>,
    /// A JSON object.
    pub payload: Value,
}

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub enum VectorQuery {
    /// Nearest to a dense vector. Points without this vector are not found.
    Dense {
        /// Which vector.
        vector: Name,
        /// As many numbers as its space has dimensions.
        values: Vec<f32>,
    },
    /// The highest sum, over common indices, of query value times point value times weighting. Points
    /// without a common index are not found.
    Sparse {
        /// Which vector.
        vector: Name,
        /// The query.
        values: SparseVector,
    },
    /// Reciprocal rank fusion of the parts' lists, each the best `candidates`: the score is the sum of
    /// `1 / (k + rank)`, rank from 1. The union is found, not the intersection.
    Fused {
        /// `Dense` or `Sparse` ones: 1 to 8.
        parts: Vec<VectorQuery>,
        /// At least 1; usually 60.
        k: u32,
        /// How deep each list is.
        candidates: Limit,
    },
}

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSearch {
    /// What to look for.
    pub query: VectorQuery,
    /// Only among these.
    pub filter: Filter,
    /// At most this many.
    pub limit: Limit,
    /// Only scores of at least this.
    pub min_score: Option<f32>,
    /// Whether the nearest of a dense query must be exact.
    pub accuracy: Accuracy,
}

/// How exact a dense search is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Accuracy {
    /// As the store's index gives it: an index up to a revision, an exact scan after it, minus deleted.
    #[default]
    Indexed,
    /// Every point is compared.
    Exact,
}

/// A point found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The point.
    pub id: PointId,
    /// The score; higher is better. Equal scores come in order of id.
    pub score: f32,
    /// For a fused search: the score in each part's list, in order; `None` where it is not in it.
    pub parts: Vec<Option<f32>>,
    /// The payload.
    pub payload: Value,
}

/// A collection as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionInfo {
    /// The stamp.
    pub spec: CollectionSpec,
    /// Points held.
    pub points: u64,
}

/// Points of vectors and payloads. Every write is visible to the next search.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait VectorStore: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Creates a collection. `false` when it exists with the same stamp.
    ///
    /// # Behavior
    /// - `VEC-CREATE-1`: reads back with its stamp and no points; a repeat is `false` and changes nothing; of N concurrent ones one creates.
    /// - `VEC-CREATE-2`: an existing collection with another stamp is `Conflict`; a different space is named on both sides; a name that an alias has is `AlreadyExists`; nothing changes.
    /// - `VEC-CREATE-3`: no vector at all, a dimension of 0 or beyond 65,536, or more than 256 vectors and indexed fields is `Invalid`.
    async fn create(&self, collection: &CollectionId, spec: CollectionSpec) -> Result<bool>;

    /// The collection, through an alias too. `None` when there is none.
    ///
    /// # Behavior
    /// - `VEC-INFO-1`: points are counted exactly where `exact_counts`; another tenant sees nothing.
    async fn info(&self, collection: &CollectionId) -> Result<Option<CollectionInfo>>;

    /// The collections of a tenant, aliases not among them.
    ///
    /// # Behavior
    /// - `VEC-LIST-1`: pages give each exactly once, this tenant's only, by literal prefix.
    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>>;

    /// Removes a collection, its points and the aliases to it. `false` when there is none of this name; an alias
    /// is none.
    ///
    /// # Behavior
    /// - `VEC-DROP-1`: nothing of it is found any more, its aliases are gone; a new one of the name is empty; others stay; an alias's name removes nothing.
    async fn drop_collection(&self, collection: &CollectionId) -> Result<bool>;

    /// Points `alias` at `target` (a collection of the same tenant) in one step; `None` removes the alias.
    ///
    /// # Behavior
    /// - `VEC-ALIAS-1`: reads and writes through the alias reach the target; switching it is atomic.
    /// - `VEC-ALIAS-2`: an absent target, or one that is an alias itself, is `NotFound`; a name that a collection has is `AlreadyExists`; nothing changes. Removing an absent alias is no error.
    async fn set_alias(&self, alias: &CollectionId, target: Option<Name>) -> Result<()>;

    /// Writes points, replacing those of the same id as a whole. At most 10,000.
    ///
    /// # Behavior
    /// - `VEC-UPSERT-1`: points read back equal (dense within f32); a second upsert replaces vectors and payload as a whole; an id given twice keeps the last.
    /// - `VEC-UPSERT-2`: a wrong dimension, a number that is not finite, an unknown vector name, a payload that is no object or has NUL: `Invalid` names the point, and nothing of the list is written.
    /// - `VEC-UPSERT-3`: an unknown collection is `NotFound`, here and in each method below; no points are no error; more than 10,000 are `Invalid`; N concurrent upserts leave no duplicates.
    async fn upsert(&self, collection: &CollectionId, points: Vec<Point>) -> Result<()>;

    /// Removes points by id; returns how many there were.
    ///
    /// # Behavior
    /// - `VEC-DELETE-1`: they are in no search, page or count any more; absent ones count zero.
    async fn delete(&self, collection: &CollectionId, ids: &[PointId]) -> Result<u64>;

    /// Removes all points that pass `filter`; returns how many.
    ///
    /// # Behavior
    /// - `VEC-DELETE-2`: exactly those go; a filter on an absent field removes nothing.
    async fn delete_where(&self, collection: &CollectionId, filter: &Filter) -> Result<u64>;

    /// Points by id, in order.
    ///
    /// # Behavior
    /// - `VEC-GET-1`: an absent one is `None` in its place.
    async fn get(&self, collection: &CollectionId, ids: &[PointId]) -> Result<Vec<Option<Point>>>;

    /// Searches.
    ///
    /// # Behavior
    /// - `VEC-SEARCH-1`: (dense_vectors) with `Exact` the order and scores are those of comparing every point, for each distance.
    /// - `VEC-SEARCH-2`: (sparse_vectors) order and scores are those of the stated formula, with and without IDF, the population being the collection whatever the filter.
    /// - `VEC-SEARCH-3`: fused scores follow the stated formula over the union; `parts` holds each list's score.
    /// - `VEC-SEARCH-4`: exactly the points that pass the filter are ranked; the limit is filled while enough pass.
    /// - `VEC-SEARCH-5`: `min_score` cuts, equal scores come in order of id, an empty collection gives nothing.
    /// - `VEC-SEARCH-6`: a wrong dimension, an unknown vector name or nested fusion is `Invalid`; an unknown collection is `NotFound`.
    /// - `VEC-SEARCH-7`: other collections and tenants neither appear nor move the ranking: what is written, removed and dropped there changes no score.
    /// - `VEC-SEARCH-8`: an upsert and a delete show in the next search through any handle.
    /// - `VEC-SEARCH-9`: (dense_index) `Indexed` finds at least 98 of 100 of the nearest, scored as `Exact` scores them, whatever the filter, and fills the limit while enough pass.
    /// - `VEC-SEARCH-10`: (sparse_vectors) texts of a corpus come in the order of the stated formula: two may stand the other way round only where their scores agree to one part in 100,000, and copies come in order of id.
    async fn search(&self, collection: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>>;

    /// Points that pass `filter`, in order of id.
    ///
    /// # Behavior
    /// - `VEC-SCROLL-1`: pages give each point that was there throughout exactly once while others come and go.
    async fn scroll(
        &self,
        collection: &CollectionId,
        filter: &Filter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Point>>;

    /// How many points pass `filter`.
    ///
    /// # Behavior
    /// - `VEC-COUNT-1`: (exact_counts) equals the points that scroll gives.
    async fn count(&self, collection: &CollectionId, filter: &Filter) -> Result<u64>;

    /// The texts, numbers and booleans under `field` among the points that pass `filter`, each with its number of
    /// points, most frequent first, then booleans, numbers, texts, each by value. Of an array each distinct
    /// element counts once.
    ///
    /// # Behavior
    /// - `VEC-FACET-1`: (exact_counts) the counts are exact; an absent field has none.
    async fn facets(
        &self,
        collection: &CollectionId,
        field: &FieldPath,
        filter: &Filter,
        limit: Limit,
    ) -> Result<Vec<(Value, u64)>>;
}
