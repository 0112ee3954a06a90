//! The vectors port on PostgreSQL.
//!
//! Sparse vectors and indexed fields lie in lists of the points that have them; scores are computed here, by the rules
//! that all stores share, so that every store ranks alike. Dense vectors are compared one by one, or looked for in an
//! index of pgvector where the database has that extension. Filters are decided here too.

mod batch;
mod collection;
mod dense;
mod index;
mod layout;
mod lists;
mod ords;
mod pack;
mod read;
mod records;
mod search;
mod tidy;
mod turn;
mod whole;
mod write;

use async_trait::async_trait;
use hexmem_ports::rules::{Facets, no_collection};
use hexmem_ports::{
    Capabilities, Capability, CollectionId, CollectionInfo, CollectionSpec, Cursor, Error,
    FieldPath, Filter, Found, Limit, Name, Page, Point, PointId, Prefix, Result, Tenant,
    VectorSearch, VectorStore,
};
use serde_json::Value;
use uuid::Uuid;

use crate::value::Hash;
use crate::{Postgres, Tx};
use collection::Collection;
use turn::Turn;

impl Postgres {
    /// The vectors of this database.
    pub fn vectors(&self) -> PgVectors {
        PgVectors(self.clone())
    }
}

/// The vectors of a database.
#[derive(Debug, Clone)]
pub struct PgVectors(Postgres);

/// Stored bytes are not what was written.
fn corrupt(operation: &'static str, what: &str) -> Error {
    Error::corrupt(operation, format!("{what} is not what was written; restore a backup"))
}

fn point_cursor(operation: &'static str, cursor: Option<&Cursor>) -> Result<Option<PointId>> {
    let read = |cursor: &Cursor| Uuid::parse_str(&cursor.0).map(PointId);
    cursor
        .map(read)
        .transpose()
        .map_err(|_| Error::invalid(operation, "a cursor that this store did not give"))
}

impl PgVectors {
    /// The collection, and what its points can be read with.
    async fn reach(
        &self,
        operation: &'static str,
        at: &CollectionId,
    ) -> Result<(Turn<'_>, Collection)> {
        let mut turn = Turn::Each(&self.0, operation);
        let found = Collection::resolve(&mut turn, at).await?;
        Ok((turn, found.ok_or_else(|| no_collection(operation, at))?))
    }

    /// As [`Self::reach`], all of one instant.
    async fn reach_at_once(
        &self,
        operation: &'static str,
        at: &CollectionId,
    ) -> Result<(Tx, Collection)> {
        let mut tx = self.0.snapshot(operation).await?;
        let found = Collection::resolve(&mut Turn::Tx(&mut tx), at).await;
        match found.and_then(|found| found.ok_or_else(|| no_collection(operation, at))) {
            Ok(found) => Ok((tx, found)),
            Err(error) => tx.finish(Err(error)).await,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl VectorStore for PgVectors {
    fn capabilities(&self) -> Capabilities {
        let always = [
            Capability::Durable,
            Capability::MultiProcess,
            Capability::Records,
            Capability::ExactCounts,
            Capability::DenseVectors,
            Capability::SparseVectors,
        ];
        let index = self.0.has_pgvector().then_some(Capability::DenseIndex);
        Capabilities::of(always.into_iter().chain(index))
    }

    async fn create(&self, collection: &CollectionId, spec: CollectionSpec) -> Result<bool> {
        collection::create(&self.0, collection, &spec).await
    }

    async fn info(&self, collection: &CollectionId) -> Result<Option<CollectionInfo>> {
        let mut turn = Turn::Each(&self.0, "vectors.info");
        let found = Collection::resolve(&mut turn, collection).await?;
        Ok(found.map(|found| CollectionInfo { points: found.points, spec: found.spec }))
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
        let (dropped,): (bool,) = self
            .0
            .write(collection::DROP, include_str!("../sql/vectors/drop.sql"))
            .bind(Hash(collection.digest()))
            .fetch_one()
            .await?;
        if dropped && let Err(error) = collection::clear(&self.0).await {
            // It is dropped; what is left is cleared with the next drop.
            tracing::warn!(%collection, %error, "what a dropped collection left was not cleared");
        }
        Ok(dropped)
    }

    async fn set_alias(&self, alias: &CollectionId, target: Option<Name>) -> Result<()> {
        collection::set_alias(&self.0, alias, target).await
    }

    async fn upsert(&self, collection: &CollectionId, points: Vec<Point>) -> Result<()> {
        let dead = write::upsert(&self.0, collection, points).await?;
        tidy::share(&self.0, "vectors.upsert", dead).await;
        Ok(())
    }

    async fn delete(&self, collection: &CollectionId, ids: &[PointId]) -> Result<u64> {
        const OP: &str = "vectors.delete";
        let doomed = write::Doomed::Ids(ids);
        let (removed, dead) = write::remove(&self.0, OP, collection, doomed).await?;
        tidy::share(&self.0, OP, Some(dead)).await;
        Ok(removed)
    }

    async fn delete_where(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        const OP: &str = "vectors.delete_where";
        let (mut tx, there) = self.reach_at_once(OP, collection).await?;
        let mut ords = Vec::new();
        let read = read::each(&mut Turn::Tx(&mut tx), &there, filter, None, |point| {
            ords.push(point.ord);
        })
        .await;
        tx.finish(read).await?;
        if ords.is_empty() {
            return Ok(0);
        }
        // A point that was replaced since has another place, and stays: it came later.
        let doomed = write::Doomed::Places(&there, read::places(ords));
        let (removed, dead) = write::remove(&self.0, OP, collection, doomed).await?;
        tidy::share(&self.0, OP, Some(dead)).await;
        Ok(removed)
    }

    async fn get(&self, collection: &CollectionId, ids: &[PointId]) -> Result<Vec<Option<Point>>> {
        let (mut turn, found) = self.reach("vectors.get", collection).await?;
        whole::get(&mut turn, &found, ids).await
    }

    async fn search(&self, collection: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        search::search(&self.0, collection, search).await
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
        if *filter == Filter::all() {
            let (mut turn, found) = self.reach(OP, collection).await?;
            return whole::scroll(&mut turn, &found, filter, after, limit).await;
        }
        let (mut tx, found) = self.reach_at_once(OP, collection).await?;
        let page = whole::scroll(&mut Turn::Tx(&mut tx), &found, filter, after, limit).await;
        tx.finish(page).await
    }

    async fn count(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        const OP: &str = "vectors.count";
        if *filter == Filter::all() {
            return Ok(self.reach(OP, collection).await?.1.points);
        }
        let (mut tx, found) = self.reach_at_once(OP, collection).await?;
        let mut count = 0;
        let read = read::each(&mut Turn::Tx(&mut tx), &found, filter, None, |_| count += 1).await;
        tx.finish(read).await?;
        Ok(count)
    }

    async fn facets(
        &self,
        collection: &CollectionId,
        field: &FieldPath,
        filter: &Filter,
        limit: Limit,
    ) -> Result<Vec<(Value, u64)>> {
        let (mut tx, found) = self.reach_at_once("vectors.facets", collection).await?;
        let mut facets = Facets::default();
        let read = read::each(&mut Turn::Tx(&mut tx), &found, filter, Some(field), |point| {
            facets.add(field, &point.payload);
        })
        .await;
        tx.finish(read).await?;
        Ok(facets.top(limit))
    }
}
