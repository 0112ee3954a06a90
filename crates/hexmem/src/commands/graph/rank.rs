//! `hexmem graph rank` and `central`.

use clap::{Args, ValueEnum};
use hexmem_graph_memory::{
    CentralityOptions, Projection, RankOptions, RecallQuery, Scored, Seed, SeedsShown, Weights,
};
use hexmem_ports::{Error, Limit, Name, PAGE_LIMIT, Result};
use serde_json::json;

use super::budget::{BudgetArgs, cut_line};
use super::part::PartArgs;
use super::print::{edge_line, node_line};
use super::show::no_node;
use super::{GraphArg, Way};
use crate::commands::Outcome;
use crate::context::Context;

/// Nodes shown where no limit is given.
pub(super) const SHOWN: u64 = 20;

/// What an edge counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WeightsArg {
    /// Its weight
    Edge,
    /// 1
    Even,
}

impl From<WeightsArg> for Weights {
    fn from(weights: WeightsArg) -> Self {
        match weights {
            WeightsArg::Edge => Self::Edge,
            WeightsArg::Even => Self::Even,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Rank {
    /// Rank by nearness to these nodes [default: the whole graph by its edges]
    #[arg(value_name = "ID")]
    ids: Vec<Name>,
    /// A node to start from and how much it counts beside the others (each ID counts 1)
    #[arg(long = "seed", num_args = 2, value_names = ["ID", "WEIGHT"])]
    seeds: Vec<String>,
    /// With IDs: rank what lies at most this many edges away, at most 32
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=32))]
    hops: u32,
    /// With IDs: leave them out of the answer
    #[arg(long)]
    others: bool,
    /// The chance to follow an edge rather than to start anew
    #[arg(long, default_value_t = 0.85, value_parser = damping)]
    damping: f64,
    /// What an edge counts
    #[arg(long, value_enum, default_value = "edge")]
    weights: WeightsArg,
    /// Which way edges are followed
    #[arg(long, value_enum, default_value = "both")]
    direction: Way,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    graph: GraphArg,
}

impl Rank {
    fn starts(&self) -> Result<Vec<Seed>> {
        let mut starts: Vec<Seed> = self.ids.iter().cloned().map(Seed::new).collect();
        for pair in self.seeds.chunks(2) {
            let [id, weight] = pair else { continue };
            let weight = weight.parse::<f64>().map_err(|_| {
                Error::invalid(
                    "graph.rank",
                    "--seed takes an ID and a number, such as --seed ada 2",
                )
                .with("weight", weight)
            })?;
            starts.push(Seed { id: Name::new(id.as_str())?, weight });
        }
        Ok(starts)
    }
}

/// At least 0 and less than 1.
fn damping(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..1.0).contains(number));
    number.ok_or_else(|| "at least 0 and less than 1, usually 0.85".to_owned())
}

pub(crate) async fn rank(context: &Context, args: Rank) -> Result<Outcome> {
    let seeds = args.starts()?;
    let options = RankOptions { damping: args.damping, ..RankOptions::default() };
    if seeds.is_empty() {
        return rank_all(context, args, options).await;
    }
    let memory = args.graph.open_existing(context, "graph.rank").await?;
    let part = args.part.query(args.direction, args.weights.into());
    let ids: Vec<Name> = seeds.iter().map(|seed| seed.id.clone()).collect();
    for (id, node) in ids.iter().zip(memory.nodes(&ids, part.as_of).await?) {
        if node.is_none() {
            return Err(no_node(&memory, "graph.rank", id).await?);
        }
    }
    let query = RecallQuery {
        seeds,
        hops: args.hops,
        reach: Limit::new(PAGE_LIMIT)?,
        part,
        options,
        seeds_shown: if args.others { SeedsShown::LeftOut } else { SeedsShown::Ranked },
        budget: args.budget.or_nodes(SHOWN),
    };
    let recall = memory.recall(&query).await?;
    context.emit(&recall, || {
        let mut text = String::new();
        for found in &recall.nodes {
            text.push_str(&format!("{:>10.6}  {}\n", found.score, node_line(&found.node)));
            if let Some(via) = &found.via {
                text.push_str(&format!("{:10}    by {}\n", "", edge_line(via)));
            }
        }
        text.push_str(&cut_line(&recall.account));
        if recall.truncated {
            text.push_str("only the nearest 10000 nodes were ranked; ask for fewer --hops\n");
        }
        text
    })?;
    Ok(Outcome::Done)
}

async fn rank_all(context: &Context, args: Rank, options: RankOptions) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.rank").await?;
    let query = args.part.query(args.direction, args.weights.into());
    let progress = context.progress("reading the graph", None);
    let graph: Projection = memory.project(&query).await?;
    drop(progress);
    let ranking = graph.rank(&options, &[])?;
    let budget = args.budget.or_nodes(SHOWN);
    let (nodes, account) = memory.scored(&graph, &ranking.scores, query.as_of, &budget).await?;
    let document = json!({
        "nodes": nodes,
        "spent": account.spent,
        "cut": account.cut,
        "ranked": graph.node_count(),
        "truncated": false,
        "converged": ranking.converged,
    });
    context.emit(&document, || lines(&nodes) + &cut_line(&account))?;
    Ok(Outcome::Done)
}

fn lines(nodes: &[Scored]) -> String {
    nodes.iter().map(|at| format!("{:>10.6}  {}\n", at.score, node_line(&at.node))).collect()
}

/// A measure of being in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The number of edges
    Degree,
    /// The weight of the edges
    Strength,
    /// The part of all shortest paths that lead over the node
    Betweenness,
    /// How near the nodes are that reach it
    Closeness,
    /// The sum of 1 / distance from those
    Harmonic,
}

#[derive(Debug, Args)]
pub(crate) struct Central {
    /// The measure
    #[arg(long, value_enum, default_value = "betweenness")]
    by: By,
    /// From how many nodes distances are taken [default: all up to 5000 nodes, 256 beyond]
    #[arg(long, value_name = "N")]
    pivots: Option<usize>,
    /// Which pivots, where not all nodes are
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Which way edges are followed
    #[arg(long, value_enum, default_value = "both")]
    direction: Way,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    graph: GraphArg,
}

pub(crate) async fn central(context: &Context, args: Central) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.central").await?;
    let query = args.part.query(args.direction, Weights::Edge);
    let progress = context.progress("reading the graph", None);
    let graph = memory.project(&query).await?;
    drop(progress);
    // Counting edges needs no distances.
    let counts = matches!(args.by, By::Degree | By::Strength);
    let pivots = if counts { Some(1) } else { args.pivots };
    let found = graph.centrality(&CentralityOptions { pivots, seed: args.seed })?;
    let scores = match args.by {
        By::Degree => &found.degree,
        By::Strength => &found.strength,
        By::Betweenness => &found.betweenness,
        By::Closeness => &found.closeness,
        By::Harmonic => &found.harmonic,
    };
    let budget = args.budget.or_nodes(SHOWN);
    let (nodes, account) = memory.scored(&graph, scores, query.as_of, &budget).await?;
    let exact = counts || found.pivots == graph.node_count();
    let document = json!({
        "nodes": nodes,
        "spent": account.spent,
        "cut": account.cut,
        "measured": graph.node_count(),
        "exact": exact,
    });
    context.emit(&document, || {
        let mut text = lines(&nodes) + &cut_line(&account);
        if !exact {
            text.push_str(&format!(
                "estimated from {} of {} nodes; raise --pivots\n",
                found.pivots,
                graph.node_count()
            ));
        }
        text
    })?;
    Ok(Outcome::Done)
}
