//! Another embedding space for a collection, built beside the old one.

use std::collections::HashMap;

use hexmem_ports::{
    CollectionId, CollectionSpec, DenseSpec, Distance, Error, ErrorKind, Filter, Limit, Point,
    PointId, Result,
};
use serde::Serialize;

use super::{Collection, DENSE, Rag, Stamp, fixed, generation, to_json};

/// Points looked at and embedded at once.
const PAGE: u32 = 500;

/// What a re-embedding did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reembedded {
    /// Chunks that the collection has.
    pub chunks: u64,
    /// Chunks embedded by this call; the others were by an earlier one that was cut off.
    pub embedded: u64,
    /// Whether the collection had the space already.
    pub unchanged: bool,
}

impl Rag {
    /// Gives a collection the embedding space of this service's embedder: it may have another one, or none.
    ///
    /// The new points are built beside the old ones, and the collection's name is switched in one step: who searches sees
    /// the old ones or the new ones. Cut off, it leaves the old ones, and a repeat goes on where it ended. Others may
    /// write meanwhile, but for the end of it, a look at what has changed: who writes then gets `Conflict`, and
    /// repeats. `step` is told how many chunks have been looked at.
    ///
    /// `NotFound` when there is no such collection, `Unsupported` without an embedder.
    pub async fn reembed(
        &self,
        id: &CollectionId,
        mut step: impl FnMut(u64) + Send,
    ) -> Result<Reembedded> {
        const OP: &str = "rag.reembed";
        let missing = || {
            Error::new(ErrorKind::NotFound, OP, "there is no such collection")
                .with("collection", id)
        };
        let embedder = self
            .embedder
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, OP, "no embedder is configured"))?;
        let info = self.store.info(id).await?.ok_or_else(missing)?;
        let stamp = Stamp::read(id, &info.spec)?;
        let dense = DenseSpec { space: embedder.space(), distance: Distance::Cosine };
        if info.spec.dense.get(&fixed(DENSE)?) == Some(&dense) {
            // An earlier call switched, and may have been cut off behind that.
            generation::remove_others(self.store.as_ref(), id, Some(stamp.generation)).await?;
            return Ok(Reembedded { chunks: info.points, embedded: 0, unchanged: true });
        }
        let from = Collection::of(self, id, &stamp, None)?;
        let stamp = Stamp { generation: stamp.generation.saturating_add(1), ..stamp };
        let mut spec = CollectionSpec { constants: to_json(&stamp)?, ..info.spec };
        spec.dense.insert(fixed(DENSE)?, dense.clone());
        let to = Collection::of(self, id, &stamp, Some(dense.space))?;
        match self.store.create(&to.place, spec.clone()).await {
            // Left by one that was cut off and wanted another space: nobody reads it.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.store.drop_collection(&to.place).await?;
                self.store.create(&to.place, spec).await?;
            }
            other => drop(other?),
        }
        let mut embedded = from.copy_to(&to, &mut step).await?;
        let closed = generation::closed(&from.place)?;
        self.store.set_alias(&closed, Some(from.place.name.clone())).await?;
        let finished = async {
            embedded += from.copy_to(&to, &mut |_| {}).await?;
            to.remove_unknown_to(&from).await?;
            self.store.set_alias(id, Some(to.place.name.clone())).await
        };
        if let Err(error) = finished.await {
            // Writes go on where they went. Should this fail too, a repeat of the whole does it.
            self.store.set_alias(&closed, None).await.ok();
            return Err(error);
        }
        self.store.drop_collection(&from.place).await?;
        // Whoever made the collection may have been asleep since, and have pointed its name at what is gone now.
        if generation::current(self.store.as_ref(), id).await? != Some(stamp.generation) {
            self.store.set_alias(id, Some(to.place.name.clone())).await?;
        }
        let chunks = self.store.info(id).await?.map_or(0, |info| info.points);
        Ok(Reembedded { chunks, embedded, unchanged: false })
    }

    /// Removes what a re-embedding that was cut off has built, and lets writes go on. `false` when there is nothing of it.
    ///
    /// One that is at work meanwhile fails.
    pub async fn abandon_reembed(&self, id: &CollectionId) -> Result<bool> {
        let Some(current) = generation::current(self.store.as_ref(), id).await? else {
            return Ok(false);
        };
        let closed = generation::closed(&generation::place(id, current)?)?;
        let was_closed = self.store.info(&closed).await?.is_some();
        // Before the writes are let in: else a call at work could switch to what lacks them.
        let removed = generation::remove_others(self.store.as_ref(), id, Some(current)).await?;
        self.store.set_alias(&closed, None).await?;
        Ok(removed || was_closed)
    }
}

impl Collection {
    /// Brings `to` every point that it lacks or has otherwise, embedded; gives how many.
    async fn copy_to(&self, to: &Self, step: &mut (impl FnMut(u64) + Send)) -> Result<u64> {
        let (mut cursor, mut embedded) = (None, 0);
        loop {
            let page =
                self.store().scroll(&self.place, &Filter::all(), cursor, Limit::new(PAGE)?).await?;
            let looked = page.items.len() as u64;
            let ids: Vec<PointId> = page.items.iter().map(|point| point.id).collect();
            let there: HashMap<PointId, Point> = to
                .store()
                .get(&to.place, &ids)
                .await?
                .into_iter()
                .flatten()
                .map(|point| (point.id, point))
                .collect();
            let same = |point: &Point| {
                there.get(&point.id).is_some_and(|there| {
                    there.payload == point.payload && there.sparse == point.sparse
                })
            };
            let mut points: Vec<Point> =
                page.items.into_iter().filter(|point| !same(point)).collect();
            embedded += points.len() as u64;
            if !points.is_empty() {
                to.embed(&mut points).await?;
                to.store().upsert(&to.place, points).await?;
            }
            step(looked);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(embedded),
            }
        }
    }

    /// Removes the points that `from` does not have.
    async fn remove_unknown_to(&self, from: &Self) -> Result<()> {
        let mut cursor = None;
        loop {
            let page =
                self.store().scroll(&self.place, &Filter::all(), cursor, Limit::new(PAGE)?).await?;
            let ids: Vec<PointId> = page.items.iter().map(|point| point.id).collect();
            let known = from.store().get(&from.place, &ids).await?;
            let gone =
                ids.iter().zip(known).filter(|(_, known)| known.is_none()).map(|(id, _)| *id);
            self.remove(&mut gone.collect()).await?;
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }
}
