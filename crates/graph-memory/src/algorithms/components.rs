//! Connected components.

use hexmem_ports::Name;
use petgraph::algo::kosaraju_scc;
use petgraph::unionfind::UnionFind;

use super::projection::Projection;

/// Nodes that belong together, group by group: the largest first, then by the smallest id. Each node is in one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    groups: Vec<Vec<u32>>,
    of: Vec<u32>,
}

impl Groups {
    /// From a label for each place.
    pub(crate) fn labelled(labels: &[u32]) -> Self {
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); labels.len()];
        for (place, label) in (0..).zip(labels) {
            members[*label as usize].push(place);
        }
        Self::listed(members, labels.len())
    }

    /// From lists that hold each place once.
    fn listed(mut groups: Vec<Vec<u32>>, nodes: usize) -> Self {
        groups.retain(|group| !group.is_empty());
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        let mut of = vec![0; nodes];
        for (number, group) in (0..).zip(&groups) {
            for place in group {
                of[*place as usize] = number;
            }
        }
        Self { groups, of }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none: the graph is empty.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The group of each place.
    pub fn of(&self) -> &[u32] {
        &self.of
    }

    /// The members of each group, in bytewise order of id.
    pub fn members<'a>(
        &'a self,
        graph: &'a Projection,
    ) -> impl Iterator<Item = impl ExactSizeIterator<Item = &'a Name>> {
        self.groups.iter().map(|group| group.iter().map(|place| &graph.ids()[*place as usize]))
    }
}

impl Projection {
    /// Weakly connected components: nodes that edges join, whichever way they point.
    pub fn components(&self) -> Groups {
        let mut sets = UnionFind::<u32>::new(self.node_count());
        for link in self.links() {
            sets.union(link.src, link.dst);
        }
        Groups::labelled(&sets.into_labeling())
    }

    /// Strongly connected components: each node of one is reached from each other along directed edges. With
    /// edges followed either way these are the weak ones. petgraph's Kosaraju, which does not recurse: a chain
    /// of a million nodes is no stack overflow.
    pub fn strong_components(&self) -> Groups {
        Groups::listed(kosaraju_scc(self), self.node_count())
    }
}
