//! Which part of a graph a question sees.

use std::sync::Arc;

use clap::Args;
use hexmem_graph_memory::{ProjectionQuery, Weights};
use hexmem_ports::{Filter, Name, ValidAt};

use super::{Times, Way, data_filter, finite};

/// Which part of the graph is looked at.
#[derive(Debug, Args)]
pub(super) struct PartArgs {
    /// Follow edges of this relation only; may be given more than once
    #[arg(long = "relation", value_name = "RELATION")]
    pub(super) relations: Vec<Name>,
    /// See nodes of this type only; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) kinds: Vec<Name>,
    /// Follow edges of at least this weight only
    #[arg(long, allow_hyphen_values = true, value_parser = finite)]
    pub(super) min_weight: Option<f64>,
    /// Follow edges from this source only; may be given more than once
    #[arg(long = "source", value_name = "SOURCE")]
    pub(super) sources: Vec<Name>,
    /// See nodes whose attributes pass this filter only, for example {"field": "lang", "eq": "en"}
    #[arg(long = "where", value_name = "JSON", value_parser = data_filter)]
    pub(super) node_data: Option<Arc<Filter>>,
    /// Follow edges whose attributes pass this filter only
    #[arg(long = "edge-where", value_name = "JSON", value_parser = data_filter)]
    pub(super) edge_data: Option<Arc<Filter>>,
    #[command(flatten)]
    pub(super) times: Times,
}

impl PartArgs {
    pub(super) fn query(self, way: Way, weights: Weights) -> ProjectionQuery {
        ProjectionQuery {
            direction: way.into(),
            as_of: self.times.as_of(ValidAt::Now),
            relations: self.relations,
            kinds: self.kinds,
            min_weight: self.min_weight,
            sources: self.sources,
            node_data: self.node_data.map(Arc::unwrap_or_clone),
            edge_data: self.edge_data.map(Arc::unwrap_or_clone),
            weights,
        }
    }
}
