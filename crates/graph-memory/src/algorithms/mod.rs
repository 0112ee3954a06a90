//! Algorithms over a graph: ranks, components, recall, and the budget of a read.
//!
//! They run on a [`Projection`]: the part of a graph that a question is about, frozen. A
//! [`Mirror`](crate::Mirror) makes one in memory, [`GraphMemory`](crate::GraphMemory) from its store.

#[cfg(test)]
mod big;
mod budget;
mod centrality;
mod communities;
mod components;
mod cost;
mod meeting;
mod project;
mod projection;
mod rank;
mod recall;
mod scored;
mod search;
mod visit;

pub use budget::{Account, Budget, Cut, CutBy, Meter, Rendered, Spent, TokenCounter};
pub use centrality::{Centrality, CentralityOptions, EXACT_UPTO, PIVOTS};
pub use communities::{Communities, CommunityOptions};
pub use components::Groups;
pub use cost::Cost;
pub(crate) use meeting::{Meeting, Side};
pub(crate) use projection::Link;
pub use projection::{Projection, ProjectionQuery, Weights};
pub use rank::{RankOptions, Ranking, Seed};
pub use recall::{Recall, RecallQuery, Recalled, SeedsShown};
pub use scored::Scored;
pub(crate) use search::{Hop, Search, Walk, Way};
pub use visit::{EdgeReference, EdgeReferences, Edges, Neighbors};
