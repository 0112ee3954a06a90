//! The part of a graph that algorithms work on, as flat arrays.

use hexmem_ports::{AsOf, Direction, EdgeId, Error, Filter, Name, Result};

/// Which part of a graph an algorithm sees, and which way it follows edges.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProjectionQuery {
    /// Which way edges are followed.
    pub direction: Direction,
    /// Only edges of these relations; empty: any.
    pub relations: Vec<Name>,
    /// Only nodes of these types; empty: any.
    pub kinds: Vec<Name>,
    /// Only nodes whose data passes.
    pub node_data: Option<Filter>,
    /// Only edges of at least this weight.
    pub min_weight: Option<f64>,
    /// Only edges from one of these sources; empty: any, also none.
    pub sources: Vec<Name>,
    /// Only edges whose data passes.
    pub edge_data: Option<Filter>,
    /// Which facts.
    pub as_of: AsOf,
    /// What an edge counts.
    pub weights: Weights,
}

/// What an edge counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weights {
    /// Its weight: more is stronger. Algorithms that share something out refuse negative ones.
    #[default]
    Edge,
    /// 1.
    Even,
}

/// An edge between two places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Link {
    pub(crate) id: EdgeId,
    pub(crate) weight: f64,
    pub(crate) src: u32,
    pub(crate) dst: u32,
}

/// A frozen part of a graph, for whole-graph algorithms: linear to build, and then any number of questions.
///
/// Nodes have *places* 0, 1, ... in bytewise order of id, edges lie in order of their ends and ids: the same
/// facts give the same answers to the last bit, whatever store or [`Mirror`](crate::Mirror) they come from.
/// Edges of one pair stay apart, self loops stay. About 24 bytes an edge beside 32 for its id, ends and weight,
/// and a node's id and 8 bytes.
///
/// `&Projection` is a graph to petgraph ([`IntoEdges`](petgraph::visit::IntoEdges) and others), so that its
/// algorithms run here too.
#[derive(Debug, Clone)]
pub struct Projection {
    ids: Vec<Name>,
    links: Vec<Link>,
    forward: Adjacency,
    /// `None`: edges are followed either way, and what leads in leads out.
    backward: Option<Adjacency>,
}

impl Projection {
    /// `links` join places of `ids`, in any order.
    pub(crate) fn new(ids: Vec<Name>, mut links: Vec<Link>, direction: Direction) -> Result<Self> {
        // Followed either way, an edge stands in two lists.
        let room = |count: usize| u32::try_from(count.saturating_mul(2)).is_ok();
        if !room(ids.len()) || !room(links.len()) {
            return Err(Error::invalid(
                "graph.project",
                "more than 2^31 nodes or edges; narrow it by relation, type or weight",
            ));
        }
        let ids = in_order(ids, &mut links);
        links.sort_unstable_by_key(|link| (link.src, link.dst, link.id));
        let nodes = ids.len();
        let ends = || (0..).zip(&links).map(|(edge, link)| (link.src, link.dst, edge));
        let turned = || ends().map(|(src, dst, edge)| (dst, src, edge));
        let (forward, backward) = match direction {
            Direction::Out => (Adjacency::of(nodes, ends), Some(Adjacency::of(nodes, turned))),
            Direction::In => (Adjacency::of(nodes, turned), Some(Adjacency::of(nodes, ends))),
            Direction::Both => {
                let either = || ends().chain(turned().filter(|(from, to, _)| from != to));
                let mut both = Adjacency::of(nodes, either);
                both.sort();
                (both, None)
            }
        };
        Ok(Self { ids, links, forward, backward })
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.ids.len()
    }

    /// How many edges there are.
    pub fn edge_count(&self) -> usize {
        self.links.len()
    }

    /// The ids in bytewise order: a node's place is its position here.
    pub fn ids(&self) -> &[Name] {
        &self.ids
    }

    /// Where a node lies.
    pub fn place(&self, id: &Name) -> Option<usize> {
        self.ids.binary_search(id).ok()
    }

    /// Whether edges are followed either way.
    pub fn is_undirected(&self) -> bool {
        self.backward.is_none()
    }

    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    pub(crate) fn forward(&self) -> &Adjacency {
        &self.forward
    }

    pub(crate) fn backward(&self) -> &Adjacency {
        self.backward.as_ref().unwrap_or(&self.forward)
    }

    /// Every place.
    pub(crate) fn places(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    /// `Invalid` where an edge has a negative weight, which cannot be shared out.
    pub(crate) fn check_weights(&self, operation: &'static str) -> Result<()> {
        match self.links.iter().find(|link| link.weight < 0.0) {
            None => Ok(()),
            Some(link) => Err(Error::invalid(
                operation,
                "an edge has a negative weight, which is no strength; count edges alike, or set a floor for weights",
            )
            .with("edge", link.id)
            .with("weight", link.weight)),
        }
    }
}

/// `ids` in bytewise order, and `links` with the places they have then.
fn in_order(ids: Vec<Name>, links: &mut [Link]) -> Vec<Name> {
    if ids.is_sorted() {
        return ids;
    }
    let mut placed: Vec<(Name, u32)> = ids.into_iter().zip(0..).collect();
    placed.sort_unstable();
    let mut place = vec![0_u32; placed.len()];
    for (new, (_, old)) in (0..).zip(&placed) {
        place[*old as usize] = new;
    }
    for link in links {
        link.src = place[link.src as usize];
        link.dst = place[link.dst as usize];
    }
    placed.into_iter().map(|(id, _)| id).collect()
}

/// For each place the edges that lead on from it.
#[derive(Debug, Clone)]
pub(crate) struct Adjacency {
    /// Where each place's part of `steps` begins; one more than there are places.
    starts: Vec<u32>,
    steps: Vec<Step>,
}

/// An edge seen from one of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    /// The other end.
    pub(crate) to: u32,
    /// Which of the projection's links.
    pub(crate) edge: u32,
}

impl Adjacency {
    /// Counts, then places (a stable counting sort): the order within one place is that of `ends`.
    fn of<I: Iterator<Item = (u32, u32, u32)>>(nodes: usize, ends: impl Fn() -> I) -> Self {
        let mut starts = vec![0_u32; nodes + 1];
        for (from, ..) in ends() {
            starts[from as usize + 1] += 1;
        }
        for place in 0..nodes {
            starts[place + 1] += starts[place];
        }
        let mut next = starts.clone();
        let total = starts.last().map_or(0, |end| *end as usize);
        let mut steps = vec![Step { to: 0, edge: 0 }; total];
        for (from, to, edge) in ends() {
            let at = &mut next[from as usize];
            steps[*at as usize] = Step { to, edge };
            *at += 1;
        }
        Self { starts, steps }
    }

    fn sort(&mut self) {
        for place in 0..self.starts.len() - 1 {
            let range = self.range(place);
            self.steps[range].sort_unstable();
        }
    }

    pub(crate) fn range(&self, place: usize) -> std::ops::Range<usize> {
        self.starts[place] as usize..self.starts[place + 1] as usize
    }

    /// The steps from `place`, by other end, then by edge.
    pub(crate) fn at(&self, place: u32) -> &[Step] {
        &self.steps[self.range(place as usize)]
    }

    /// Every step, place by place.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The places that one step leads to, each once.
    pub(crate) fn neighbours(&self, place: u32) -> impl Iterator<Item = u32> + '_ {
        self.at(place).chunk_by(|a, b| a.to == b.to).filter_map(|same| Some(same.first()?.to))
    }
}
