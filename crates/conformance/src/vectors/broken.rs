//! A store of vectors that breaks one clause.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hexmem_ports::{
    Capabilities, CollectionId, CollectionInfo, CollectionSpec, Cursor, Error, ErrorKind,
    FieldPath, Filter, Found, Limit, Name, Page, Point, PointId, Prefix, Result, Tenant,
    VectorSearch, VectorStore,
};
use serde_json::Value;

use super::Vectors;
use crate::records;

const CLAUSES: [&str; 27] = [
    "VEC-CREATE-1",
    "VEC-CREATE-2",
    "VEC-CREATE-3",
    "VEC-INFO-1",
    "VEC-LIST-1",
    "VEC-DROP-1",
    "VEC-ALIAS-1",
    "VEC-ALIAS-2",
    "VEC-UPSERT-1",
    "VEC-UPSERT-2",
    "VEC-UPSERT-3",
    "VEC-DELETE-1",
    "VEC-DELETE-2",
    "VEC-GET-1",
    "VEC-SEARCH-1",
    "VEC-SEARCH-2",
    "VEC-SEARCH-3",
    "VEC-SEARCH-4",
    "VEC-SEARCH-5",
    "VEC-SEARCH-6",
    "VEC-SEARCH-7",
    "VEC-SEARCH-8",
    "VEC-SEARCH-9",
    "VEC-SEARCH-10",
    "VEC-SCROLL-1",
    "VEC-COUNT-1",
    "VEC-FACET-1",
];

/// The rig with stores that break `clause`. Panics where no double breaks it.
pub fn broken(clause: &str, rig: Vectors) -> Vectors {
    if let Some(rig) = records::broken(clause, rig.clone()) {
        return rig;
    }
    let breaks = CLAUSES.into_iter().find(|known| *known == clause);
    let breaks = breaks.unwrap_or_else(|| panic!("no double breaks {clause}"));
    rig.wrapped(|inner| -> Arc<dyn VectorStore> {
        Arc::new(Broken { inner, breaks, created: Mutex::default(), answers: Mutex::default() })
    })
}

struct Broken {
    inner: Arc<dyn VectorStore>,
    breaks: &'static str,
    created: Mutex<Vec<CollectionId>>,
    answers: Mutex<HashMap<String, Vec<Found>>>,
}

impl Broken {
    fn is(&self, clause: &str) -> bool {
        self.breaks == clause
    }

    /// `instead` where the clause is broken and the failure is of that kind.
    fn swallow<T>(
        &self,
        clause: &str,
        kind: ErrorKind,
        result: Result<T>,
        instead: T,
    ) -> Result<T> {
        match result {
            Err(error) if self.is(clause) && error.kind() == kind => Ok(instead),
            result => result,
        }
    }

    /// As if what is found were chosen first and filtered afterwards.
    async fn filtered_last(&self, c: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        let all = VectorSearch { filter: Filter::all(), ..search.clone() };
        let mut found = self.inner.search(c, &all).await?;
        found.retain(|hit| search.filter.matches(&hit.payload));
        Ok(found)
    }

    /// As if all collections were one.
    async fn mixed(&self, c: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        let mut found = self.inner.search(c, search).await?;
        let others = self.created.lock().unwrap().clone();
        for other in others.iter().filter(|other| *other != c) {
            found.extend(self.inner.search(other, search).await?);
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        found.truncate(search.limit.as_usize());
        Ok(found)
    }

    /// As if answers were kept.
    async fn stale(&self, c: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        let key = format!("{c}{search:?}");
        if let Some(answer) = self.answers.lock().unwrap().get(&key) {
            return Ok(answer.clone());
        }
        let found = self.inner.search(c, search).await?;
        self.answers.lock().unwrap().insert(key, found.clone());
        Ok(found)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl VectorStore for Broken {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, collection: &CollectionId, spec: CollectionSpec) -> Result<bool> {
        self.created.lock().unwrap().push(collection.clone());
        let created = self.inner.create(collection, spec).await;
        let created = self.swallow("VEC-CREATE-2", ErrorKind::Conflict, created, false);
        let created = self.swallow("VEC-CREATE-3", ErrorKind::Invalid, created, true)?;
        Ok(created || self.is("VEC-CREATE-1"))
    }

    async fn info(&self, collection: &CollectionId) -> Result<Option<CollectionInfo>> {
        let mut info = self.inner.info(collection).await?;
        if let Some(info) = info.as_mut().filter(|_| self.is("VEC-INFO-1")) {
            info.points += 1;
        }
        Ok(info)
    }

    async fn list(
        &self,
        tenant: &Tenant,
        prefix: &Prefix,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Name>> {
        let mut page = self.inner.list(tenant, prefix, cursor, limit).await?;
        if self.is("VEC-LIST-1") {
            page.next = None;
        }
        Ok(page)
    }

    async fn drop_collection(&self, collection: &CollectionId) -> Result<bool> {
        if self.is("VEC-DROP-1") {
            return Ok(self.inner.info(collection).await?.is_some());
        }
        self.inner.drop_collection(collection).await
    }

    async fn set_alias(&self, alias: &CollectionId, target: Option<Name>) -> Result<()> {
        if self.is("VEC-ALIAS-1") {
            return Ok(());
        }
        let set = self.inner.set_alias(alias, target).await;
        if self.is("VEC-ALIAS-2") { Ok(()) } else { set }
    }

    async fn upsert(&self, collection: &CollectionId, mut points: Vec<Point>) -> Result<()> {
        if self.is("VEC-UPSERT-1") {
            points.reverse();
        }
        let done = self.inner.upsert(collection, points.clone()).await;
        if done.is_err() && self.is("VEC-UPSERT-2") {
            for point in points {
                // Those that are right are written; the others are what the error is about.
                let _ = self.inner.upsert(collection, vec![point]).await;
            }
        }
        self.swallow("VEC-UPSERT-3", ErrorKind::NotFound, done, ())
    }

    async fn delete(&self, collection: &CollectionId, ids: &[PointId]) -> Result<u64> {
        let count = self.inner.delete(collection, ids).await?;
        Ok(if self.is("VEC-DELETE-1") { ids.len() as u64 } else { count })
    }

    async fn delete_where(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        let all = Filter::all();
        let filter = if self.is("VEC-DELETE-2") { &all } else { filter };
        self.inner.delete_where(collection, filter).await
    }

    async fn get(&self, collection: &CollectionId, ids: &[PointId]) -> Result<Vec<Option<Point>>> {
        let mut points = self.inner.get(collection, ids).await?;
        if self.is("VEC-GET-1") {
            points.retain(Option::is_some);
        }
        Ok(points)
    }

    async fn search(&self, collection: &CollectionId, search: &VectorSearch) -> Result<Vec<Found>> {
        let found = match self.breaks {
            "VEC-SEARCH-4" => self.filtered_last(collection, search).await,
            "VEC-SEARCH-5" => {
                let all = VectorSearch { min_score: None, ..search.clone() };
                self.inner.search(collection, &all).await
            }
            // As an index that loses many of the near ones.
            "VEC-SEARCH-9" => {
                let more = Limit::new(search.limit.get().saturating_mul(2).min(10_000))?;
                let wider = VectorSearch { limit: more, ..search.clone() };
                let found = self.inner.search(collection, &wider).await;
                found.map(|found| found.into_iter().skip(1).step_by(2).collect())
            }
            "VEC-SEARCH-7" => self.mixed(collection, search).await,
            "VEC-SEARCH-8" => self.stale(collection, search).await,
            _ => self.inner.search(collection, search).await,
        };
        let mut found = self.swallow("VEC-SEARCH-6", ErrorKind::Invalid, found, Vec::new())?;
        match self.breaks {
            "VEC-SEARCH-1" => found.reverse(),
            "VEC-SEARCH-2" => found.iter_mut().for_each(|hit| hit.score /= 2.0),
            // The right scores for the wrong points.
            "VEC-SEARCH-10" => {
                let mut ids: Vec<_> = found.iter().map(|hit| hit.id).collect();
                ids.reverse();
                found.iter_mut().zip(ids).for_each(|(hit, id)| hit.id = id);
            }
            "VEC-SEARCH-3" => found.iter_mut().for_each(|hit| hit.parts.reverse()),
            _ => {}
        }
        Ok(found)
    }

    async fn scroll(
        &self,
        collection: &CollectionId,
        filter: &Filter,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<Point>> {
        let mut page = self.inner.scroll(collection, filter, cursor, limit).await?;
        if self.is("VEC-SCROLL-1") {
            page.next = None;
        }
        Ok(page)
    }

    async fn count(&self, collection: &CollectionId, filter: &Filter) -> Result<u64> {
        let count = self.inner.count(collection, filter).await?;
        Ok(count + u64::from(self.is("VEC-COUNT-1")))
    }

    async fn facets(
        &self,
        collection: &CollectionId,
        field: &FieldPath,
        filter: &Filter,
        limit: Limit,
    ) -> Result<Vec<(Value, u64)>> {
        let mut facets = self.inner.facets(collection, field, filter, limit).await?;
        if self.is("VEC-FACET-1") {
            facets.iter_mut().for_each(|(_, count)| *count += 1);
        }
        Ok::<_, Error>(facets)
    }
}
