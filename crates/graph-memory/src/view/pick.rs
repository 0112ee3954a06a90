//! Which nodes and edges a page has room for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use hexmem_ports::{
    AsOf, Edge, Error, ErrorKind, Limit, Name, NeighbourQuery, Node, Result, ValidAt,
};

use super::{OPERATION, VIEW_EDGES, ViewOptions, size};
use crate::GraphMemory;
use crate::formats::Pages;
use crate::identity::fingerprint;

/// What is drawn.
#[derive(Default)]
pub(super) struct Picked {
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    pub(super) nodes_left_out: u64,
    pub(super) edges_left_out: u64,
}

pub(super) async fn pick(memory: &GraphMemory, options: &ViewOptions) -> Result<Picked> {
    let as_of = AsOf { valid: ValidAt::Any, known: options.known };
    if options.around.is_empty() {
        best_connected(memory, as_of, options.nodes).await
    } else {
        around(memory, as_of, options).await
    }
}

/// What lies around some nodes, nearest first.
async fn around(memory: &GraphMemory, as_of: AsOf, options: &ViewOptions) -> Result<Picked> {
    let seeds = memory.nodes(&options.around, as_of).await?;
    if let Some((id, _)) = options.around.iter().zip(&seeds).find(|(_, node)| node.is_none()) {
        let what = format!("there is no node `{id}` to draw what lies around it");
        return Err(Error::new(ErrorKind::NotFound, OPERATION, what));
    }
    let limit = Limit::new(options.nodes)?;
    let query = NeighbourQuery {
        as_of,
        ..NeighbourQuery::new(options.around.clone(), options.hops, limit)
    };
    let near = memory.neighbours(&query).await?;
    let all = memory.stats(as_of).await?.nodes;
    let nodes: Vec<Node> = near.nodes.into_iter().map(|reached| reached.node).collect();
    let mut edges = near.edges;
    let edges_left_out = size(edges.len().saturating_sub(VIEW_EDGES));
    edges.truncate(VIEW_EDGES);
    Ok(Picked {
        nodes_left_out: all.saturating_sub(size(nodes.len())),
        nodes,
        edges,
        edges_left_out,
    })
}

/// The whole graph, or the nodes with most edges (of equals, those first by id), and what joins them.
async fn best_connected(memory: &GraphMemory, as_of: AsOf, limit: u32) -> Result<Picked> {
    let limit = Limit::new(limit)?.as_usize();
    let degrees = if memory.stats(as_of).await?.nodes > size(limit) {
        degrees(memory, as_of).await?
    } else {
        HashMap::new()
    };
    // The least of the best is on top, to be pushed out by a better one.
    let mut best: BinaryHeap<Reverse<Candidate>> = BinaryHeap::new();
    let mut picked = Picked::default();
    let mut pages = Pages::new(memory, as_of)?;
    while let Some(page) = pages.nodes().await? {
        for node in page {
            let degree = degrees.get(&mark(&node.id)).copied().unwrap_or(0);
            best.push(Reverse(Candidate { degree, node }));
            if best.len() > limit {
                best.pop();
                picked.nodes_left_out += 1;
            }
        }
    }
    picked.nodes = best.into_iter().map(|Reverse(candidate)| candidate.node).collect();
    picked.nodes.sort_by(|a, b| a.id.cmp(&b.id));
    let there: HashSet<u128> = picked.nodes.iter().map(|node| mark(&node.id)).collect();
    while let Some(page) = pages.edges().await? {
        for edge in page {
            if !there.contains(&mark(&edge.src)) || !there.contains(&mark(&edge.dst)) {
                continue;
            }
            if picked.edges.len() < VIEW_EDGES {
                picked.edges.push(edge);
            } else {
                picked.edges_left_out += 1;
            }
        }
    }
    Ok(picked)
}

async fn degrees(memory: &GraphMemory, as_of: AsOf) -> Result<HashMap<u128, u32>> {
    let mut degrees: HashMap<u128, u32> = HashMap::new();
    let mut pages = Pages::new(memory, as_of)?;
    while let Some(page) = pages.edges().await? {
        for edge in page {
            for end in [&edge.src, &edge.dst] {
                let degree = degrees.entry(mark(end)).or_insert(0);
                *degree = degree.saturating_add(1);
            }
        }
    }
    Ok(degrees)
}

fn mark(id: &Name) -> u128 {
    fingerprint(&[id.as_str().as_bytes()])
}

/// More edges is better; of equals, the first by id.
struct Candidate {
    degree: u32,
    node: Node,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.degree.cmp(&other.degree).then_with(|| other.node.id.cmp(&self.node.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}
