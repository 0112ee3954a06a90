//! Neighbourhoods: breadth first, in pages, with the step by which each node was reached.

use std::collections::{HashMap, HashSet};

use super::read::{Fact, from_one_of};
use super::slots::{EdgeVersion, index};
use super::{GraphState, check_neighbours};
use crate::{
    Cursor, Direction, Edge, EdgeId, Name, NeighbourQuery, Neighbourhood, Node, Reached, Result,
    Timestamp, Via,
};

impl NeighbourQuery {
    /// Whether an edge may be followed by a reader at `now`.
    pub fn follows(&self, edge: &Edge, now: Timestamp) -> bool {
        (self.relations.is_empty() || self.relations.contains(&edge.relation))
            && self.min_weight.is_none_or(|least| edge.weight >= least)
            && from_one_of(&self.sources, edge)
            && self.as_of.sees_edge(edge, now)
            && self.edge_data.as_ref().is_none_or(|filter| filter.matches(&edge.data))
    }

    /// Whether a node that an edge leads to is entered.
    pub fn enters(&self, node: &Node) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&node.kind))
            && self.node_data.as_ref().is_none_or(|filter| filter.matches(&node.data))
    }
}

/// Cuts one page out of the layers of a breadth-first search.
#[derive(Debug)]
pub struct NearPage {
    after: Option<(u32, Name)>,
    room: usize,
    last: Option<(u32, Name)>,
    full: bool,
}

impl NearPage {
    /// The page that `query` asks for. `Invalid` for a cursor that no page gave and for too many hops.
    pub fn new(query: &NeighbourQuery) -> Result<Self> {
        check_neighbours(query)?;
        let after = query.cursor.as_ref().map(near_cursor).transpose()?;
        Ok(Self { after, room: query.limit.as_usize(), last: None, full: false })
    }

    /// The last node of the page before and its distance, for stores that cut the page themselves.
    pub fn after(&self) -> Option<(u32, &Name)> {
        self.after.as_ref().map(|(distance, id)| (*distance, id))
    }

    /// Takes the next layer, sorted by id: which of its nodes (a half-open range) are on the page. Those before
    /// the range are on earlier pages; there are some after it only when the page is [full](Self::is_full).
    pub fn take<'a>(
        &mut self,
        distance: u32,
        mut ids: impl ExactSizeIterator<Item = &'a str> + Clone,
    ) -> std::ops::Range<usize> {
        let count = ids.len();
        let before = match &self.after {
            Some((past, _)) if distance < *past => count,
            Some((past, id)) if distance == *past => {
                ids.clone().take_while(|other| *other <= id.as_str()).count()
            }
            _ => 0,
        };
        let end = count.min(before.saturating_add(self.room));
        self.full = end < count;
        self.room -= end - before;
        // While there is room the page does not end here.
        if self.room == 0
            && before < end
            && let Some(id) = ids.nth(end - 1)
            && let Ok(id) = Name::new(id)
        {
            self.last = Some((distance, id));
        }
        before..end
    }

    /// Whether something lies beyond the page.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Where the next page starts.
    pub fn next(self) -> Option<Cursor> {
        let (distance, id) = self.last.filter(|_| self.full)?;
        Some(Cursor(format!("{distance}:{id}")))
    }
}

/// The last node of the page before, and its distance.
fn near_cursor(cursor: &Cursor) -> Result<(u32, Name)> {
    let read = || {
        let (distance, id) = cursor.0.split_once(':')?;
        Some((distance.parse().ok()?, Name::new(id).ok()?))
    };
    read().ok_or_else(|| cursor.refused("graph.neighbourhood"))
}

/// Says of each node of a page by which edge it was reached (`GRAPH-NEAR-3`). `distances` has the nodes of this
/// page and of earlier ones; `edges` are those that the query follows among them, in order of id.
pub fn trace_steps(
    direction: Direction,
    page: &mut [Reached],
    distances: &HashMap<&Name, u32>,
    edges: &[Edge],
) {
    let mut steps: HashMap<&Name, (&Name, EdgeId)> = HashMap::new();
    let mut lead = |from, to, edge: &Edge| {
        if let (Some(before), Some(distance)) = (distances.get(from), distances.get(to))
            && before + 1 == *distance
        {
            steps.entry(to).or_insert((from, edge.id));
        }
    };
    for edge in edges {
        if direction != Direction::In {
            lead(&edge.src, &edge.dst, edge);
        }
        if direction != Direction::Out {
            lead(&edge.dst, &edge.src, edge);
        }
    }
    for reached in page {
        let step = steps.get(&reached.node.id);
        reached.via = step.map(|(from, edge)| Via { from: (*from).clone(), edge: *edge });
    }
}

impl GraphState {
    /// What lies around some nodes: breadth first, each distance in order of id.
    pub fn neighbourhood(&self, query: &NeighbourQuery, now: Timestamp) -> Result<Neighbourhood> {
        let mut page = NearPage::new(query)?;
        let elements = &self.elements;
        let seeds = query.seeds.iter().filter_map(|id| elements.node_place(id.as_str()));
        let mut visited = HashSet::new();
        let mut found = Neighbourhood::default();
        let mut layer: Vec<u32> = seeds
            .filter(|place| elements.seen_node(*place, query.as_of).is_some())
            .filter(|place| visited.insert(*place))
            .collect();
        let id = |place: u32| &*elements.nodes[index(place)].id;
        // Nodes up to the end of the page with their distances, and whether they are on it.
        let mut kept: HashMap<u32, bool> = HashMap::new();
        let mut names: Vec<(Name, u32)> = Vec::new();
        for distance in 0..=query.hops {
            let mut reached = layer.clone();
            reached.sort_by(|a, b| id(*a).cmp(id(*b)));
            let on_page = page.take(distance, reached.iter().map(|place| id(*place)));
            for (rank, place) in reached.iter().enumerate().take(on_page.end) {
                kept.insert(*place, on_page.contains(&rank));
                names.push((Name::known(id(*place)), distance));
                if on_page.contains(&rank)
                    && let Some(seen) = elements.seen_node(*place, query.as_of)
                {
                    let node = elements.node(*place, seen);
                    found.nodes.push(Reached { node, distance, via: None });
                }
            }
            if page.is_full() || distance == query.hops {
                break;
            }
            layer = self.next_layer(query, now, &layer, &mut visited);
            if layer.is_empty() {
                break;
            }
        }
        found.edges = self.edges_among(query, now, &kept);
        let distances = names.iter().map(|(name, distance)| (name, *distance)).collect();
        trace_steps(query.direction, &mut found.nodes, &distances, &found.edges);
        found.next = page.next();
        Ok(found)
    }

    fn next_layer(
        &self,
        query: &NeighbourQuery,
        now: Timestamp,
        layer: &[u32],
        visited: &mut HashSet<u32>,
    ) -> Vec<u32> {
        let elements = &self.elements;
        let enters = |place| {
            let seen = elements.seen_node(place, query.as_of);
            seen.is_some_and(|node| self.node_passes(node, &query.kinds, query.node_data.as_ref()))
        };
        let mut next = Vec::new();
        for place in layer {
            for way in elements.ways(*place, query.direction) {
                let slot = &elements.edges[index(way)];
                let end = if slot.src == *place { slot.dst } else { slot.src };
                if !visited.contains(&end)
                    && self.followed(query, now, way).is_some()
                    && enters(end)
                {
                    visited.insert(end);
                    next.push(end);
                }
            }
        }
        next
    }

    /// The version of an edge that the query may follow.
    fn followed(&self, query: &NeighbourQuery, now: Timestamp, way: u32) -> Option<&EdgeVersion> {
        let seen = self.elements.seen_edge(way, query.as_of, now)?;
        let NeighbourQuery { relations, min_weight, sources, edge_data, .. } = query;
        let data = edge_data.as_ref();
        let fact = Fact { relations, min_weight: *min_weight, sources, data };
        self.edge_passes(way, seen, &fact).then_some(seen)
    }

    fn edges_among(
        &self,
        query: &NeighbourQuery,
        now: Timestamp,
        nodes: &HashMap<u32, bool>,
    ) -> Vec<Edge> {
        let elements = &self.elements;
        let leaving = nodes.iter().flat_map(|(place, here)| {
            elements.ways(*place, Direction::Out).map(move |way| (way, *here))
        });
        let within = leaving.filter(|(way, here)| {
            nodes.get(&elements.edges[index(*way)].dst).is_some_and(|there| *here || *there)
        });
        let mut edges: Vec<Edge> = within
            .filter_map(|(way, _)| Some(elements.edge(way, self.followed(query, now, way)?)))
            .collect();
        edges.sort_by_key(|edge| edge.id);
        edges
    }
}
