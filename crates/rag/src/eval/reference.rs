//! The reference ranking for tests: exact, exhaustive, no store.

use hexmem_ports::SparseVector;
use hexmem_ports::rules::idf;

use crate::analyse::{Analyzer, Side, TermCounts};
use crate::bm25::{Bm25, TITLE_WEIGHT, query};
use crate::feedback::Feedback;

struct Index {
    analyzer: Analyzer,
    documents: Vec<SparseVector>,
}

impl Index {
    fn of(documents: &[(&str, &str)]) -> Self {
        let analyzer = Analyzer::default();
        let counts: Vec<TermCounts> = documents
            .iter()
            .map(|(title, text)| {
                let mut counts = TermCounts::of(&analyzer, text, Side::Document);
                counts.add(&analyzer, title, Side::Document, TITLE_WEIGHT);
                counts
            })
            .collect();
        let bm25 = Bm25::default().with_lengths(counts.iter().map(TermCounts::length));
        Self {
            analyzer,
            documents: counts.iter().map(|counts| bm25.document(counts).unwrap()).collect(),
        }
    }

    fn query(&self, text: &str) -> SparseVector {
        query(&TermCounts::of(&self.analyzer, text, Side::Query)).unwrap()
    }

    /// Score and document, best first; documents without a term of the query are not hits.
    fn search(&self, query: &SparseVector) -> Vec<(f32, usize)> {
        let total = self.documents.len() as u64;
        let value = |document: &SparseVector, index: u32| {
            document.indices().binary_search(&index).ok().map(|at| document.values()[at])
        };
        let mut hits: Vec<(f32, usize)> = self
            .documents
            .iter()
            .enumerate()
            .map(|(at, document)| {
                let score = query.iter().filter_map(|(index, weight)| {
                    let with = self.documents.iter().filter(|d| value(d, index).is_some()).count();
                    value(document, index).map(|value| weight * idf(total, with as u64) * value)
                });
                (score.sum(), at)
            })
            .filter(|&(score, _)| score > 0.0)
            .collect();
        hits.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        hits
    }

    fn order(&self, text: &str) -> Vec<usize> {
        self.search(&self.query(text)).into_iter().map(|(_, at)| at).collect()
    }
}

const NOTES: &[(&str, &str)] = &[
    ("Lift of a wing", "The wing in a slipstream was measured at several angles of attack."),
    ("Heat transfer", "Heat conduction in composite slabs, and the heat of a wing at high speed."),
    ("Boundary layers", "A laminar boundary layer on a flat plate becomes turbulent."),
    ("Turbulence", "Transition of the laminar layer depends on the roughness of the plate."),
    ("Minutes", "Nobody came. The parseHeader function is still broken."),
];

#[test]
fn titles_and_rare_terms_lead() {
    let index = Index::of(NOTES);
    assert_eq!(index.order("wings"), [0, 1]);
    assert_eq!(index.order("heat of wings"), [1, 0]);
    assert_eq!(index.order("parse header"), [4]);
    assert_eq!(index.order("who is the"), Vec::<usize>::new());
    assert_eq!(index.order("submarine"), Vec::<usize>::new());
    assert_eq!(Index::of(&[]).order("wing"), Vec::<usize>::new());
    assert_eq!(Index::of(&NOTES[..1]).order("wing"), [0]);
}

#[test]
fn feedback_finds_what_the_words_do_not() {
    let index = Index::of(NOTES);
    let query = index.query("boundary");
    let hits = index.search(&query);
    assert_eq!(hits.iter().map(|hit| hit.1).collect::<Vec<_>>(), [2]);
    let best: Vec<_> = hits.iter().map(|&(score, at)| (score, &index.documents[at])).collect();
    let wide = index.search(&Feedback::default().widen(&query, &best).unwrap());
    assert_eq!(wide.iter().map(|hit| hit.1).take(2).collect::<Vec<_>>(), [2, 3]);
}
