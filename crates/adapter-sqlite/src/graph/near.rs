//! Neighbourhoods: breadth first, one statement a layer and way.

use std::collections::{BTreeMap, HashMap, HashSet};

use hexmem_ports::rules::graph::{NearPage, trace_steps};
use hexmem_ports::{
    Direction, Edge, EdgeFilter, EdgeId, GraphId, Name, NeighbourQuery, Neighbourhood, Node,
    Reached, Result,
};

use super::facts::{EdgeQuery, Way};
use super::find::nodes_by_id;
use crate::{Database, ReadTx};

pub(super) async fn neighbourhood(
    db: &Database,
    graph: &GraphId,
    query: &NeighbourQuery,
) -> Result<Neighbourhood> {
    let mut page = NearPage::new(query)?;
    let mut read = db.snapshot("graph.neighbourhood").await?;
    let Some((row, _)) = super::find(&mut read, graph).await? else {
        return Ok(Neighbourhood::default());
    };
    let filter = EdgeFilter {
        relations: query.relations.clone(),
        min_weight: query.min_weight,
        sources: query.sources.clone(),
        data: query.edge_data.clone(),
        ..EdgeFilter::default()
    };
    let mut walk = Walk {
        row,
        query,
        facts: EdgeQuery::of(query.as_of, read.now(), &filter),
        edges: BTreeMap::new(),
        visited: HashSet::new(),
    };
    let mut found = Neighbourhood::default();
    let seeds = query.seeds.iter().filter(|seed| walk.visited.insert((*seed).clone()));
    let seeds: Vec<Name> = seeds.cloned().collect();
    let mut layer = nodes_by_id(&mut read, row, &seeds, query.as_of).await?;
    let mut last = Vec::new();
    // Nodes of earlier pages, with their distances.
    let mut earlier: Vec<(Name, u32)> = Vec::new();
    for distance in 0..=query.hops {
        let mut reached: Vec<Node> = layer.into_iter().flatten().collect();
        reached.sort_by(|a, b| a.id.cmp(&b.id));
        let on_page = page.take(distance, reached.iter().map(|node| node.id.as_str()));
        reached.truncate(on_page.end);
        last = reached.iter().map(|node| node.id.clone()).collect();
        for (rank, node) in reached.into_iter().enumerate() {
            if on_page.contains(&rank) {
                found.nodes.push(Reached { node, distance, via: None });
            } else {
                earlier.push((node.id, distance));
            }
        }
        if page.is_full() || distance == query.hops || last.is_empty() {
            break;
        }
        layer = walk.next_layer(&mut read, &last).await?;
    }
    // Those of the layers before are known; edges within the last layer are not.
    let way = if query.direction == Direction::In { Way::In } else { Way::Out };
    walk.follow(&mut read, way, &last).await?;
    let nodes = found.nodes.iter().map(|reached| (reached.node.id.clone(), reached.distance));
    let here: HashSet<Name> = nodes.clone().map(|(id, _)| id).collect();
    let kept: HashMap<Name, u32> = nodes.chain(earlier).collect();
    let ends = |edge: &Edge| kept.contains_key(&edge.src) && kept.contains_key(&edge.dst);
    let on_page = |edge: &Edge| here.contains(&edge.src) || here.contains(&edge.dst);
    let edges = walk.edges.into_values();
    found.edges = edges.filter(|edge| ends(edge) && on_page(edge)).collect();
    let distances = kept.iter().map(|(id, distance)| (id, *distance)).collect();
    trace_steps(query.direction, &mut found.nodes, &distances, &found.edges);
    found.next = page.next();
    Ok(found)
}

struct Walk<'a> {
    row: i64,
    query: &'a NeighbourQuery,
    facts: EdgeQuery,
    edges: BTreeMap<EdgeId, Edge>,
    visited: HashSet<Name>,
}

impl Walk<'_> {
    /// The ends of the edges that lead away from `nodes`; the edges are kept.
    async fn follow(&mut self, read: &mut ReadTx, way: Way, nodes: &[Name]) -> Result<Vec<Name>> {
        let edges = self.facts.at(read, self.row, way, nodes).await?;
        let end = |edge: &Edge| if way == Way::Out { &edge.dst } else { &edge.src }.clone();
        let ends = edges.iter().map(end).collect();
        self.edges.extend(edges.into_iter().map(|edge| (edge.id, edge)));
        Ok(ends)
    }

    async fn next_layer(&mut self, read: &mut ReadTx, layer: &[Name]) -> Result<Vec<Option<Node>>> {
        let mut next = Vec::new();
        for way in Way::of(self.query.direction) {
            for end in self.follow(read, *way, layer).await? {
                if self.visited.insert(end.clone()) {
                    next.push(end);
                }
            }
        }
        let mut nodes = nodes_by_id(read, self.row, &next, self.query.as_of).await?;
        for slot in &mut nodes {
            if slot.as_ref().is_some_and(|node| !self.query.enters(node)) {
                *slot = None;
            }
        }
        Ok(nodes)
    }
}
