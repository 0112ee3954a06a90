//! `hexmem graph path`.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use hexmem_graph_memory::{Cost, Path as Found, PathQuery};
use hexmem_ports::{Error, ErrorKind, Limit, Name, Result, ValidAt};
use serde_json::json;

use super::part::PartArgs;
use super::print::edge_line;
use super::show::no_node;
use super::{GraphArg, Way};
use crate::arguments;
use crate::commands::Outcome;
use crate::context::Context;
use crate::output::counted;

/// What a step costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CostArg {
    /// 1: the fewest edges
    Hops,
    /// The weight: it is a distance
    Weight,
    /// 1 / weight: it is a strength
    Strength,
    /// 1 - weight: it is a likeness, 0 to 1
    Unlikeness,
    /// -ln(weight): it is a probability
    Unlikelihood,
}

impl From<CostArg> for Cost {
    fn from(cost: CostArg) -> Self {
        match cost {
            CostArg::Hops => Self::Hops,
            CostArg::Weight => Self::Weight,
            CostArg::Strength => Self::Strength,
            CostArg::Unlikeness => Self::Unlikeness,
            CostArg::Unlikelihood => Self::Unlikelihood,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Path {
    /// The node to start from
    from: Name,
    /// The node to reach
    to: Name,
    /// Show this many paths, the cheapest first, none of which visits a node twice
    #[arg(long, value_name = "N", value_parser = arguments::limit)]
    paths: Option<Limit>,
    /// What a step along an edge costs
    #[arg(long, value_enum, default_value = "hops")]
    cost: CostArg,
    /// Which way edges are followed
    #[arg(long, value_enum, default_value = "both")]
    direction: Way,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    graph: GraphArg,
}

pub(crate) async fn path(context: &Context, args: Path) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.path").await?;
    let as_of = args.part.times.as_of(ValidAt::Now);
    let ends = [args.from.clone(), args.to.clone()];
    for (id, node) in ends.iter().zip(memory.nodes(&ends, as_of).await?) {
        if node.is_none() {
            return Err(no_node(&memory, "graph.path", id).await?);
        }
    }
    let query = PathQuery {
        direction: args.direction.into(),
        relations: args.part.relations,
        kinds: args.part.kinds,
        min_weight: args.part.min_weight,
        sources: args.part.sources,
        node_data: args.part.node_data.map(Arc::unwrap_or_clone),
        edge_data: args.part.edge_data.map(Arc::unwrap_or_clone),
        as_of,
        cost: args.cost.into(),
        ..PathQuery::new(args.from, args.to)
    };
    let paths = match args.paths {
        Some(count) => memory.paths(&query, count).await?,
        None => memory.path(&query).await?.into_iter().collect(),
    };
    let Some(first) = paths.first() else {
        return Err(Error::new(
            ErrorKind::NotFound,
            "graph.path",
            "there is no path; try --direction both, other relations, or --any-time",
        )
        .with("from", query.from)
        .with("to", query.to));
    };
    let text = || paths.iter().map(shown).collect();
    match args.paths {
        Some(_) => context.emit(&json!({ "paths": paths }), text)?,
        None => context.emit(first, text)?,
    }
    Ok(Outcome::Done)
}

fn shown(path: &Found) -> String {
    let mut text = format!("{}, cost {}\n", counted(path.edges.len(), "edge"), path.cost);
    for edge in &path.edges {
        text.push_str(&format!("  {}\n", edge_line(edge)));
    }
    text
}
