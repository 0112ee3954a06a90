//! `hexmem graph components` and `communities`.

use clap::Args;
use hexmem_graph_memory::{CommunityOptions, Groups, Projection, Weights};
use hexmem_ports::Result;
use serde_json::{Value, json};

use super::part::PartArgs;
use super::rank::WeightsArg;
use super::{GraphArg, Way};
use crate::commands::Outcome;
use crate::context::Context;
use crate::output::counted;

/// How much of the groups is shown.
#[derive(Debug, Args)]
struct Shown {
    /// The most groups to show, the largest first
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// The most members to show of each group
    #[arg(long, default_value_t = 10)]
    members: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Components {
    /// Only nodes that reach each other along directed edges belong together
    #[arg(long)]
    strong: bool,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    graph: GraphArg,
}

pub(crate) async fn components(context: &Context, args: Components) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.components").await?;
    let way = if args.strong { Way::Out } else { Way::Both };
    let progress = context.progress("reading the graph", None);
    let graph = memory.project(&args.part.query(way, Weights::Even)).await?;
    drop(progress);
    let groups = if args.strong { graph.strong_components() } else { graph.components() };
    let list = listed(&graph, &groups, &args.shown);
    let document = json!({ "count": groups.len(), "nodes": graph.node_count(), "groups": list });
    context.emit(&document, || {
        let head = format!(
            "{} of {}\n",
            counted(groups.len(), "component"),
            counted(graph.node_count(), "node")
        );
        head + &lines(&list, groups.len())
    })?;
    Ok(Outcome::Done)
}

#[derive(Debug, Args)]
pub(crate) struct Communities {
    /// More gives smaller communities, less larger ones
    #[arg(long, default_value_t = 1.0)]
    resolution: f64,
    /// Another seed may find another, as good answer
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What an edge counts
    #[arg(long, value_enum, default_value = "edge")]
    weights: WeightsArg,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    graph: GraphArg,
}

pub(crate) async fn communities(context: &Context, args: Communities) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.communities").await?;
    let progress = context.progress("reading the graph", None);
    let graph = memory.project(&args.part.query(Way::Both, args.weights.into())).await?;
    drop(progress);
    let options = CommunityOptions { resolution: args.resolution, seed: args.seed };
    let found = graph.communities(&options)?;
    let list = listed(&graph, &found.groups, &args.shown);
    let document = json!({
        "count": found.groups.len(),
        "nodes": graph.node_count(),
        "modularity": found.modularity,
        "groups": list,
    });
    context.emit(&document, || {
        let head = format!(
            "{} of {}, modularity {:.3}\n",
            counted(found.groups.len(), "community"),
            counted(graph.node_count(), "node"),
            found.modularity
        );
        head + &lines(&list, found.groups.len())
    })?;
    Ok(Outcome::Done)
}

/// The groups shown: `{"size", "members"}`.
fn listed(graph: &Projection, groups: &Groups, shown: &Shown) -> Vec<Value> {
    let list = groups.members(graph).take(shown.limit).map(|members| {
        json!({ "size": members.len(), "members": members.take(shown.members).collect::<Vec<_>>() })
    });
    list.collect()
}

fn lines(list: &[Value], groups: usize) -> String {
    let mut text = String::new();
    for group in list {
        let members = group["members"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<&str> = members.iter().filter_map(Value::as_str).collect();
        let more = group["size"].as_u64() > u64::try_from(names.len()).ok();
        let more = if more { ", ..." } else { "" };
        text.push_str(&format!("{:>8}  {}{more}\n", group["size"], names.join(", ")));
    }
    if list.len() < groups {
        text.push_str(&format!("... and {} more; raise --limit\n", groups - list.len()));
    }
    text
}
