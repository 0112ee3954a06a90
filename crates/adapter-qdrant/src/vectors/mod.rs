//! The vectors port on Qdrant.

mod collection;
mod filter;
mod ledger;
mod life;
mod names;
mod payload;
mod point;
mod read;
mod records;
mod search;
mod sparse;
mod wish;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_ports::rules::no_collection;
use hexmem_ports::{
    Capabilities, Capability, CollectionId, CollectionInfo, CollectionSpec, Cursor, Error,
    ErrorKind, FieldPath, Filter, Found, Limit, Name, Page, Point, PointId, Prefix, Result, Tenant,
    VectorSearch, VectorStore,
};
use serde_json::Value;
use uuid::Uuid;

use crate::Qdrant;
pub(crate) use ledger::ledger_name;
pub(crate) use life::{Life, Lives};
use names::qdrant_name;

/// How often a call begins anew because its collection is another one now.
const TRIES: u32 = 20;

impl Qdrant {
    /// The vectors of this server.
    pub fn vectors(&self) -> QdrantVectors {
        QdrantVectors(self.clone())
    }
}

/// The vectors of a server.
#[derive(Debug, Clone)]
pub struct QdrantVectors(Qdrant);

/// A collection as a call knows it.
#[derive(Debug, Clone)]
struct There {
    /// What it is called in Qdrant; an alias is resolved there, in the call itself.
    name: String,
    life: Arc<Life>,
}

fn point_cursor(operation: &'static str, cursor: Option<&Cursor>) -> Result<Option<PointId>> {
    let read = |cursor: &Cursor| Uuid::parse_str(&cursor.0).map(PointId);
    cursor
        .map(read)
        .transpose()
        .map_err(|_| Error::invalid(operation, "a cursor that this store did not give"))
}

impl QdrantVectors {
    /// What is there now.
    async fn look(&self, operation: &'static str, at: &CollectionId) -> Result<There> {
        let name = qdrant_name(&self.0.config().prefix, at);
        let life = collection::look(&self.0, operation, &name).await?;
        Ok(There { name, life: life.ok_or_else(|| no_collection(operation, at))? })
    }

    /// What is known of the collection, for [`on!`].
    async fn known<'a>(
        &'a self,
        operation: &'static str,
        at: &'a CollectionId,
    ) -> Result<Known<'a>> {
        let name = qdrant_name(&self.0.config().prefix, at);
        let there = match self.0.lives().get(&name) {
            Some(life) => There { name, life },
            None => self.look(operation, at).await?,
        };
        Ok(Known { vectors: self, operation, at, there, left: TRIES })
    }
}

/// A collection as a call knows it, which may be of the past.
struct Known<'a> {
    vectors: &'a QdrantVectors,
    operation: &'static str,
    at: &'a CollectionId,
    there: There,
    left: u32,
}

impl Known<'_> {
    /// The outcome where it stands. `None`, with what is there now, where Qdrant said that it is another collection: an alias
    /// was switched, or it was dropped and made anew.
    async fn settle<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        let failed = match outcome {
            Ok(done) => return Ok(Some(done)),
            Err(error) if may_be_old(&error) => error,
            Err(error) => return Err(error),
        };
        let fresh = self.vectors.look(self.operation, self.at).await?;
        let same = fresh.life.life == self.there.life.life;
        if self.left == 0 || same && failed.message() != point::REPLACED {
            return Err(failed);
        }
        (self.there, self.left) = (fresh, self.left - 1);
        Ok(None)
    }
}

/// Runs a call on what is known of a collection, and again where that is of the past. A loop and no closure: futures of
/// closures that borrow are not known to be `Send`.
macro_rules! on {
    ($vectors:ident, $operation:ident, $at:expr, |$there:ident| $work:expr) => {{
        let mut known = $vectors.known($operation, $at).await?;
        loop {
            let $there = &known.there;
            let outcome = $work;
            if let Some(done) = known.settle(outcome).await? {
                return Ok(done);
            }
        }
    }};
}

/// Whether a failure may come of what is known being of the past.
fn may_be_old(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid)
        || error.message() == point::REPLACED
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl VectorStore for QdrantVectors {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Durable,
            Capability::MultiProcess,
            Capability::Records,
            Capability::ExactCounts,
            Capability::DenseVectors,
            Capability::SparseVectors,
            Capability::DenseIndex,
        ])
    }

    async fn create(&self, collection: &CollectionId, spec: CollectionSpec) -> Result<bool> {
        collection::create(&self.0, collection, spec).await
    }

    async fn info(&self, collection: &CollectionId) -> Result<Option<CollectionInfo>> {
        const OP: &str = "vectors.info";
        let counted = async {
            let there = self.look(OP, collection).await?;
            let points = read::count_all(&self.0, OP, &there).await?;
            Ok(CollectionInfo { spec: there.life.spec.clone(), points })
        };
        match counted.await {
            Ok(info) => Ok(Some(info)),
            // Not there, or dropped meanwhile.
            Err(error) if Error::kind(&error) == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        collection::list(&self.0, tenant, prefix, cursor, limit).await
    }

    async fn drop_collection(&self, collection: &CollectionId) -> Result<bool> {
        collection::drop_collection(&self.0, collection).await
    }

    async fn set_alias(&self, alias: &CollectionId, target: Option<Name>) -> Result<()> {
        collection::set_alias(&self.0, alias, target).await
    }

    async fn upsert(&self, collection: &CollectionId, points: Vec<Point>) -> Result<()> {
        const OP: &str = "vectors.upsert";
        if points.is_empty() {
            return self.look(OP, collection).await.map(|_| ());
        }
        on!(self, OP, collection, |there| write::upsert(&self.0, there, &points).await)
    }

    async fn delete(&self, collection: &CollectionId, ids: &[PointId]) -> Result<u64> {
        const OP: &str = "vectors.delete";
        if ids.is_empty() {
            return self.look(OP, collection).await.map(|_| 0);
        }
        on!(self, OP, collection, |there| write::delete(&self.0, OP, there, ids).await)
    }

    async fn delete_where(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        const OP: &str = "vectors.delete_where";
        on!(self, OP, collection, |there| write::delete_where(&self.0, OP, there, filter).await)
    }

    async fn get(&self, collection: &CollectionId, ids: &[PointId]) -> Result<Vec<Option<Point>>> {
        const OP: &str = "vectors.get";
        if ids.is_empty() {
            return self.look(OP, collection).await.map(|_| Vec::new());
        }
        on!(self, OP, collection, |there| read::get(&self.0, OP, there, ids).await)
    }

    async fn search(&self, collection: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        const OP: &str = "vectors.search";
        on!(self, OP, collection, |there| search::search(&self.0, there, search).await)
    }

    async fn scroll(
        &self,
        collection: &CollectionId,
        filter: &Filter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Point>> {
        const OP: &str = "vectors.scroll";
        let after = point_cursor(OP, cursor.as_ref())?;
        on!(self, OP, collection, |there| {
            read::scroll(&self.0, OP, there, filter, after, limit).await
        })
    }

    async fn count(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        const OP: &str = "vectors.count";
        on!(self, OP, collection, |there| read::count(&self.0, OP, there, filter).await)
    }

    async fn facets(
        &self,
        collection: &CollectionId,
        field: &FieldPath,
        filter: &Filter,
        limit: Limit,
    ) -> Result<Vec<(Value, u64)>> {
        const OP: &str = "vectors.facets";
        on!(self, OP, collection, |there| {
            read::facets(&self.0, OP, there, field, filter, limit).await
        })
    }
}
