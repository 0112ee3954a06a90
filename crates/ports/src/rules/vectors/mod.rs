//! What a search answers: checks, scores, fusion and order, the same in every store.

mod check;
mod dense;
mod facets;
mod fuse;
mod rank;
mod sparse;
mod terms;

pub use check::*;
pub use dense::*;
pub use facets::*;
pub use fuse::*;
pub use rank::*;
pub use sparse::*;
pub use terms::*;
