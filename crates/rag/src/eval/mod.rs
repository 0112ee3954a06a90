//! Figures for a search: readers of BEIR files and the usual measures.

mod measure;
mod read;

pub use measure::{Figures, evaluate, ndcg_at, recall_at, reciprocal_rank_at};
pub use read::{Corpus, CorpusDocument, Qrels, Query, read_qrels, read_queries};

#[cfg(test)]
mod reference;
