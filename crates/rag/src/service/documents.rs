//! The documents of a collection.

use hexmem_ports::{Cursor, Error, FieldPath, Filter, Limit, Page, PointId, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Collection;
use super::point::{Payload, point_id};
use crate::chunk::rebuild;

/// A document of a collection, without its text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DocumentInfo {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How many chunks it has.
    pub chunks: usize,
    /// Where it was ingested from.
    pub root: Option<String>,
    /// Its metadata.
    pub metadata: Map<String, Value>,
}

/// A document with its text, put together from its chunks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredDocument {
    /// Everything but the text.
    #[serde(flatten)]
    pub info: DocumentInfo,
    /// The text.
    pub text: String,
}

impl From<Payload> for DocumentInfo {
    fn from(first: Payload) -> Self {
        Self {
            id: first.document,
            title: first.title,
            chunks: first.chunks,
            root: first.root,
            metadata: first.metadata,
        }
    }
}

impl Collection {
    /// The documents, in no order that means anything; pages give each exactly once.
    pub async fn documents(
        &self,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<DocumentInfo>> {
        let firsts = Filter::Eq(FieldPath::new("chunk")?, 0.into());
        let page = self.store().scroll(&self.place, &firsts, cursor, limit).await?;
        let items = page
            .items
            .into_iter()
            .map(|point| Payload::read(point.id, point.payload).map(DocumentInfo::from))
            .collect::<Result<_>>()?;
        Ok(Page { items, next: page.next })
    }

    /// How many documents and chunks it holds.
    pub async fn counts(&self) -> Result<(u64, u64)> {
        let firsts = Filter::Eq(FieldPath::new("chunk")?, 0.into());
        Ok((
            self.store().count(&self.place, &firsts).await?,
            self.store().count(&self.place, &Filter::all()).await?,
        ))
    }

    /// A document with its text. `None` when it is not there.
    ///
    /// `Corrupt` when chunks are missing or of another text (an ingest was cut off): ingest it again.
    pub async fn document(&self, id: &str) -> Result<Option<StoredDocument>> {
        let Some(first) = self.first(id).await? else { return Ok(None) };
        let ids: Vec<PointId> = (0..first.chunks).map(|n| point_id(&self.named, id, n)).collect();
        let mut payloads = Vec::with_capacity(ids.len());
        for part in ids.chunks(1_000) {
            for (id, point) in part.iter().zip(self.store().get(&self.place, part).await?) {
                let Some(point) = point else {
                    return Err(Error::corrupt(
                        "rag.document",
                        "a chunk is missing; ingest the document again",
                    )
                    .with("document", &first.document));
                };
                let payload = Payload::read(*id, point.payload)?;
                if payload.hash != first.hash {
                    return Err(Error::corrupt(
                        "rag.document",
                        "a chunk is of another text; ingest the document again",
                    )
                    .with("document", &first.document)
                    .with("chunk", payload.chunk));
                }
                payloads.push((payload.start, payload.source_text()));
            }
        }
        let text = rebuild(payloads.iter().map(|(start, text)| (*start, text.as_str())))?;
        Ok(Some(StoredDocument { info: first.into(), text }))
    }

    /// Removes a document. `false` when it is not there. `Conflict` when the collection was embedded anew meanwhile:
    /// open it again and repeat.
    pub async fn delete(&self, id: &str) -> Result<bool> {
        let there = self.forget(id).await?;
        self.still_open().await?;
        Ok(there)
    }

    pub(super) async fn forget(&self, id: &str) -> Result<bool> {
        let Some(first) = self.first(id).await? else { return Ok(false) };
        // The first chunk last, so that a removal cut off can be repeated.
        let mut ids: Vec<PointId> =
            (0..first.chunks).rev().map(|n| point_id(&self.named, id, n)).collect();
        self.remove(&mut ids).await?;
        Ok(true)
    }

    /// Removes points, in order, and empties the list.
    pub(super) async fn remove(&self, ids: &mut Vec<PointId>) -> Result<()> {
        for part in std::mem::take(ids).chunks(5_000) {
            self.store().delete(&self.place, part).await?;
        }
        Ok(())
    }

    async fn first(&self, id: &str) -> Result<Option<Payload>> {
        let first = point_id(&self.named, id, 0);
        match self.store().get(&self.place, &[first]).await?.pop().flatten() {
            Some(point) => Payload::read(first, point.payload).map(Some),
            None => Ok(None),
        }
    }
}
