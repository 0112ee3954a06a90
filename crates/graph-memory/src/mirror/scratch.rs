//! Room for searches, kept from one to the next: a search then costs what it visits, not the graph's size.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use petgraph::stable_graph::NodeIndex;

use super::order::Ranked;

/// How many are kept: more searches at once than this make their own.
const KEPT: usize = 16;

/// What one search notes.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// By the node's number: 1 and its place in `found`, 0 when it was not met.
    marks: Vec<u32>,
    /// The nodes met.
    pub(super) found: Vec<Ranked>,
    /// One for each distance from 0 on.
    pub(super) layers: Vec<Layer>,
}

/// The nodes of one distance, in order of id, as a part of those found.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) nodes: Range<usize>,
    /// Those that are on the page. None after them were followed.
    pub(super) here: Range<usize>,
}

impl Scratch {
    /// Whether it was met.
    pub(super) fn met(&self, node: NodeIndex) -> bool {
        self.marks.get(node.index()).is_some_and(|mark| *mark != 0)
    }

    /// Notes a node.
    pub(super) fn meet(&mut self, rank: u32, node: NodeIndex) {
        if let Some(mark) = self.marks.get_mut(node.index()) {
            *mark = u32::MAX;
            self.found.push(Ranked::new(rank, node));
        }
    }

    /// Lets [`place`](Self::place) answer: after `found` is in its last order.
    pub(super) fn number(&mut self) {
        for (mark, ranked) in (1..).zip(&self.found) {
            if let Some(place) = self.marks.get_mut(ranked.node().index()) {
                *place = mark;
            }
        }
    }

    /// Where in `found` a node is.
    pub(super) fn place(&self, node: NodeIndex) -> Option<usize> {
        let mark = self.marks.get(node.index())?.checked_sub(1)?;
        usize::try_from(mark).ok()
    }
}

/// Scratches that no search uses.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Scratch>>);

impl Pool {
    /// Runs a search over a graph whose numbers are below `bound`. A search that panics loses its scratch.
    pub(super) fn with<T>(&self, bound: usize, search: impl FnOnce(&mut Scratch) -> T) -> T {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = kept().pop().unwrap_or_default();
        if scratch.marks.len() < bound {
            scratch.marks.resize(bound, 0);
        }
        let answer = search(&mut scratch);
        let Scratch { marks, found, layers } = &mut scratch;
        layers.clear();
        for ranked in found.drain(..) {
            if let Some(mark) = marks.get_mut(ranked.node().index()) {
                *mark = 0;
            }
        }
        let mut kept = kept();
        if kept.len() < KEPT {
            kept.push(scratch);
        }
        answer
    }
}
