//! Reads that go to the store.

use hexmem_ports::{
    AsOf, Capability, Cursor, Edge, EdgeId, Element, ElementRef, Error, ErrorKind, GraphHead,
    GraphStats, Limit, Name, NeighbourQuery, Neighbourhood, Node, Page, Result,
};

use super::{GraphMemory, Which};
use crate::Mirror;
use crate::identity::{fact_id, slot_id};

/// A page of versions, newest first.
pub type Elements = Page<Element>;

impl GraphMemory {
    /// A node, as it was known then. Nodes hold always: the valid time says nothing of them.
    pub async fn node(&self, id: &Name, as_of: AsOf) -> Result<Option<Node>> {
        let found = self.store.nodes(&self.graph, std::slice::from_ref(id), as_of).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Nodes as they were known then, each in its place.
    pub async fn nodes(&self, ids: &[Name], as_of: AsOf) -> Result<Vec<Option<Node>>> {
        self.store.nodes(&self.graph, ids, as_of).await
    }

    /// The edges that state this, current or removed, as far as their ids follow from the fact: those that
    /// were asserted or imported here. At most 64 spans of one source are looked for.
    pub async fn edges_ever(&self, which: &Which) -> Result<Vec<EdgeId>> {
        let facts = self.facts(which, AsOf::ALL).await?;
        let mut ids: Vec<EdgeId> = facts.iter().map(|edge| edge.id).collect();
        let (src, relation, dst) = match which {
            Which::Edge(id) => return Ok(vec![*id]),
            Which::Fact { src, relation, dst } => (src, relation, dst),
        };
        let mut sources: Vec<Option<&Name>> = vec![None];
        sources.extend(facts.iter().map(|edge| edge.source.as_ref()).filter(Option::is_some));
        for source in sources {
            for episode in 0..64 {
                let id = fact_id(src, relation, dst, source, episode);
                if !self.ever_was(&ElementRef::Edge(id)).await? {
                    break;
                }
                ids.push(id);
            }
        }
        let mut slots = Vec::new();
        for slot in 0..64 {
            let id = slot_id(src, relation, slot);
            let page = self.history(&ElementRef::Edge(id), None, Limit::new(1)?).await?;
            match page.items.first() {
                Some(Element::Edge(edge)) if edge.dst == *dst => slots.push(id),
                Some(_) => {}
                None => break,
            }
        }
        ids.extend(slots);
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// An edge, if it holds then as it was known then.
    pub async fn edge(&self, id: EdgeId, as_of: AsOf) -> Result<Option<Edge>> {
        let found = self.store.edges(&self.graph, &[id], as_of).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// What lies around some nodes. A store that cannot answer this itself is loaded for it, which serves
    /// what is known now only.
    pub async fn neighbours(&self, query: &NeighbourQuery) -> Result<Neighbourhood> {
        if self.store.capabilities().has(Capability::NeighbourhoodInStore) {
            return self.store.neighbourhood(&self.graph, query).await;
        }
        self.load().await?.neighbours(query)
    }

    /// All versions of a node or edge, newest first.
    pub async fn history(
        &self,
        element: &ElementRef,
        cursor: Option<Cursor>,
        limit: Limit,
    ) -> Result<Elements> {
        self.store.history(&self.graph, element, cursor, limit).await
    }

    /// Counts by type and relation.
    pub async fn stats(&self, as_of: AsOf) -> Result<GraphStats> {
        self.store.stats(&self.graph, as_of).await
    }

    /// Where the graph stands. `None` when it does not exist.
    pub async fn head(&self) -> Result<Option<GraphHead>> {
        self.store.head(&self.graph).await
    }

    /// Where the graph stands; `NotFound` when it does not exist, naming what there is.
    pub async fn existing(&self, operation: &'static str) -> Result<GraphHead> {
        if let Some(head) = self.head().await? {
            return Ok(head);
        }
        let few = Limit::new(5)?;
        let prefix = hexmem_ports::Prefix::default();
        let page = self.store.list(&self.graph.tenant, &prefix, None, few).await?;
        let known = page.items.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let known = if known.is_empty() {
            "this store holds no graph of the tenant yet".to_owned()
        } else {
            format!(
                "there are: {}{}",
                known.join(", "),
                if page.next.is_some() { ", ..." } else { "" }
            )
        };
        Err(Error::new(
            ErrorKind::NotFound,
            operation,
            format!("there is no graph `{}`; {known}", self.graph.name),
        )
        .with("tenant", &self.graph.tenant))
    }

    /// Loads the graph into memory.
    pub async fn load(&self) -> Result<Mirror> {
        Mirror::load(
            std::sync::Arc::clone(&self.store),
            std::sync::Arc::clone(&self.clock),
            self.graph.clone(),
        )
        .await
    }
}
