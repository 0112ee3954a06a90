//! The vectors port on SQLite: an embedded search engine.
//!
//! Sparse vectors lie in compressed posting lists, in segments that grow by batches and are merged as they add up;
//! dense vectors lie in blocks, which are compared one by one, and in collections of many points have an index beside
//! them. A search reads everything in one snapshot.

mod batch;
mod collection;
mod dense;
mod layout;
mod live;
mod near;
mod pack;
mod postings;
mod read;
mod records;
mod search;
mod segments;
mod varint;
mod write;

use async_trait::async_trait;
use hexmem_ports::rules::{Facets, check_points, check_search, no_collection};
use hexmem_ports::{
    Capabilities, Capability, CollectionId, CollectionInfo, CollectionSpec, Cursor, Error,
    ErrorKind, FieldPath, Filter, Found, Limit, Name, Page, Point, PointId, Prefix, Result, Tenant,
    VectorSearch, VectorStore,
};
use serde_json::Value;
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{Database, ReadTx, WriteTx};
use collection::Collection;
pub(crate) use near::Indexes;
use write::Writer;

impl Database {
    /// The vectors of this file.
    pub fn vectors(&self) -> SqliteVectors {
        SqliteVectors(self.clone())
    }
}

/// The vectors of a file.
#[derive(Debug, Clone)]
pub struct SqliteVectors(Database);

/// What reading needs of a turn, whether it may write or not.
trait Turn: Send {
    fn connection(&mut self) -> &mut SqliteConnection;
    fn error(&self, error: sqlx::Error) -> Error;
    fn operation(&self) -> &'static str;
    fn database(&self) -> &Database;
}

macro_rules! turn {
    ($type:ident) => {
        impl Turn for $type {
            fn connection(&mut self) -> &mut SqliteConnection {
                $type::connection(self)
            }
            fn error(&self, error: sqlx::Error) -> Error {
                $type::error(self, error)
            }
            fn operation(&self) -> &'static str {
                $type::operation(self)
            }
            fn database(&self) -> &Database {
                $type::database(self)
            }
        }
    };
}

turn!(ReadTx);
turn!(WriteTx);

/// Stored bytes are not what was written.
fn corrupt(turn: &impl Turn, what: &str) -> Error {
    Error::corrupt(turn.operation(), format!("{what} is not what was written; restore a backup"))
}

/// Runs what would hold up other tasks for milliseconds on a thread for that.
async fn aside<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Internal, operation, "a worker thread ended").caused_by(error)
    })
}

/// Ids as a JSON list of hex texts.
fn id_list(ids: &[PointId]) -> String {
    let list: Vec<String> = ids.iter().map(|id| format!("\"{}\"", id.0.simple())).collect();
    format!("[{}]", list.join(","))
}

/// Numbers as a JSON list.
fn number_list(numbers: impl IntoIterator<Item = i64>) -> String {
    let list: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", list.join(","))
}

fn point_cursor(operation: &'static str, cursor: Option<&Cursor>) -> Result<Option<PointId>> {
    let read = |cursor: &Cursor| Uuid::parse_str(&cursor.0).map(PointId);
    cursor
        .map(read)
        .transpose()
        .map_err(|_| Error::invalid(operation, "a cursor that this store did not give"))
}

impl SqliteVectors {
    async fn reach(
        &self,
        operation: &'static str,
        at: &CollectionId,
    ) -> Result<(ReadTx, Collection)> {
        let mut read = self.0.snapshot(operation).await?;
        let found = Collection::resolve(&mut read, at).await?;
        Ok((read, found.ok_or_else(|| no_collection(operation, at))?))
    }

    async fn reach_to_write(
        &self,
        operation: &'static str,
        at: &CollectionId,
    ) -> Result<(WriteTx, Collection)> {
        let mut tx = self.0.write(operation).await?;
        let found = Collection::resolve(&mut tx, at).await?;
        Ok((tx, found.ok_or_else(|| no_collection(operation, at))?))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl VectorStore for SqliteVectors {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of([
            Capability::Durable,
            Capability::MultiProcess,
            Capability::Records,
            Capability::ExactCounts,
            Capability::DenseVectors,
            Capability::DenseIndex,
            Capability::SparseVectors,
        ])
    }

    async fn create(&self, collection: &CollectionId, spec: CollectionSpec) -> Result<bool> {
        let mut tx = self.0.write("vectors.create").await?;
        let created = collection::create(&mut tx, collection, &spec).await?;
        if created {
            tx.commit().await?;
        }
        Ok(created)
    }

    async fn info(&self, collection: &CollectionId) -> Result<Option<CollectionInfo>> {
        let mut read = self.0.read("vectors.info").await?;
        let found = Collection::resolve(&mut read, collection).await?;
        Ok(found.map(|found| CollectionInfo { points: found.points, spec: found.spec }))
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let mut read = self.0.read("vectors.list").await?;
        collection::list(&mut read, tenant, prefix, cursor, limit).await
    }

    async fn drop_collection(&self, collection: &CollectionId) -> Result<bool> {
        let mut tx = self.0.write("vectors.drop_collection").await?;
        let dropped = collection::remove(&mut tx, collection).await?;
        if dropped {
            tx.commit().await?;
        }
        Ok(dropped)
    }

    async fn set_alias(&self, alias: &CollectionId, target: Option<Name>) -> Result<()> {
        let mut tx = self.0.write("vectors.set_alias").await?;
        collection::set_alias(&mut tx, alias, target).await?;
        tx.commit().await
    }

    async fn upsert(&self, collection: &CollectionId, points: Vec<Point>) -> Result<()> {
        const OP: &str = "vectors.upsert";
        // What can be done without the lock is: checks and encoding.
        let mut read = self.0.read(OP).await?;
        let found = Collection::resolve(&mut read, collection).await?;
        drop(read);
        let mut there = found.ok_or_else(|| no_collection(OP, collection))?;
        check_points(OP, &there.spec, &points)?;
        let mut points = batch::distinct(points);
        loop {
            let layout = there.layout.clone();
            let (batches, back) = aside(OP, move || (batch::all(&layout, &points), points)).await?;
            points = back;
            let (mut tx, current) = self.reach_to_write(OP, collection).await?;
            if (current.id, current.version) != (there.id, there.version) {
                // Another life of it, or another target of the alias.
                check_points(OP, &current.spec, &points)?;
                there = current;
                continue;
            }
            let now = tx.now().as_micros();
            let mut writer = Writer::begin(&mut tx, current).await?;
            let version = writer.next_version();
            for batch in &batches {
                writer.put(batch, |_| (version, now)).await?;
            }
            let due = writer.finish().await?;
            tx.commit().await?;
            self.tend(collection, due).await;
            return Ok(());
        }
    }

    async fn delete(&self, collection: &CollectionId, ids: &[PointId]) -> Result<u64> {
        let (mut tx, found) = self.reach_to_write("vectors.delete", collection).await?;
        let mut writer = Writer::begin(&mut tx, found).await?;
        writer.next_version();
        let count = writer.delete(ids).await?;
        let due = writer.finish().await?;
        tx.commit().await?;
        self.tend(collection, due).await;
        Ok(count)
    }

    async fn delete_where(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        let (mut tx, found) = self.reach_to_write("vectors.delete_where", collection).await?;
        let mut ids = Vec::new();
        read::each(&mut tx, &found, filter, |id, _| ids.push(id)).await?;
        let mut writer = Writer::begin(&mut tx, found).await?;
        writer.next_version();
        let count = writer.delete(&ids).await?;
        let due = writer.finish().await?;
        tx.commit().await?;
        self.tend(collection, due).await;
        Ok(count)
    }

    async fn get(&self, collection: &CollectionId, ids: &[PointId]) -> Result<Vec<Option<Point>>> {
        let (mut read, found) = self.reach("vectors.get", collection).await?;
        read::get(&mut read, &found, ids).await
    }

    async fn search(&self, collection: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        let (mut read, found) = self.reach("vectors.search", collection).await?;
        check_search("vectors.search", &found.spec, search)?;
        search::search(&mut read, &found, search).await
    }

    async fn scroll(
        &self,
        collection: &CollectionId,
        filter: &Filter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Point>> {
        let after = point_cursor("vectors.scroll", cursor.as_ref())?;
        let (mut read, found) = self.reach("vectors.scroll", collection).await?;
        read::scroll(&mut read, &found, filter, after, limit).await
    }

    async fn count(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        let (mut read, found) = self.reach("vectors.count", collection).await?;
        if *filter == Filter::all() {
            return Ok(found.points);
        }
        let mut count = 0;
        read::each(&mut read, &found, filter, |_, _| count += 1).await?;
        Ok(count)
    }

    async fn facets(
        &self,
        collection: &CollectionId,
        field: &FieldPath,
        filter: &Filter,
        limit: Limit,
    ) -> Result<Vec<(Value, u64)>> {
        let (mut read, found) = self.reach("vectors.facets", collection).await?;
        let mut facets = Facets::default();
        read::each(&mut read, &found, filter, |_, payload| facets.add(field, payload)).await?;
        Ok(facets.top(limit))
    }
}
