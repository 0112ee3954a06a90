//! `hexmem graph stats`, `neighbors`, `history`, `list`.

use clap::Args;
use hexmem_graph_memory::GraphMemory;
use hexmem_ports::{
    AsOf, ElementRef, Error, ErrorKind, Limit, Name, NeighbourQuery, NodeFilter, Prefix, Result,
    ValidAt,
};
use serde_json::{Value, json};

use super::print::{edge_line, element_line, node_line};
use super::{GraphArg, Meant, Target, Times, Way};
use crate::commands::Outcome;
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    graph: GraphArg,
}

#[derive(Debug, Args)]
pub(crate) struct Neighbors {
    /// The nodes to start from
    #[arg(required = true, value_name = "ID")]
    ids: Vec<Name>,
    /// How many edges away, at most 32
    #[arg(long, default_value_t = 1)]
    hops: u32,
    /// Which way edges are followed
    #[arg(long, value_enum, default_value = "both")]
    direction: Way,
    /// Follow edges of this relation only; may be given more than once
    #[arg(long = "relation", value_name = "RELATION")]
    relations: Vec<Name>,
    /// Enter nodes of this type only; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    kinds: Vec<Name>,
    /// Follow edges of at least this weight only
    #[arg(long, allow_hyphen_values = true)]
    min_weight: Option<f64>,
    /// The most nodes to show, nearest first
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    graph: GraphArg,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    target: Target,
    /// The most versions to show, newest first
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    graph: GraphArg,
}

pub(crate) async fn stats(context: &Context, args: Stats) -> Result<Outcome> {
    let memory = args.graph.open(context).await?;
    let head = memory.existing("graph.stats").await?;
    // By default every fact is counted; how many hold now stands beside it.
    let as_of = args.times.as_of(ValidAt::Any);
    let stats = memory.stats(as_of).await?;
    let current = memory.stats(AsOf { valid: ValidAt::Now, known: as_of.known }).await?;
    let document = json!({
        "graph": memory.graph().name,
        "nodes": stats.nodes,
        "edges": stats.edges,
        "current_edges": current.edges,
        "node_types": stats.node_types,
        "edge_types": stats.edge_types,
        "revision": head.revision,
        "created_at": head.created_at,
        "updated_at": head.updated_at,
    });
    context.emit(&document, || {
        let mut text = format!(
            "graph {}: {} nodes, {} edges ({} hold now), revision {}, last changed {}\n",
            memory.graph().name,
            stats.nodes,
            stats.edges,
            current.edges,
            head.revision.0,
            head.updated_at
        );
        for (title, counts) in [("nodes", &stats.node_types), ("edges", &stats.edge_types)] {
            let mut counts: Vec<_> = counts.iter().collect();
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (kind, count) in counts {
                text.push_str(&format!("  {title} {count:>8}  {kind}\n"));
            }
        }
        text
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn neighbors(context: &Context, args: Neighbors) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.neighbors").await?;
    let as_of = args.times.as_of(ValidAt::Now);
    for (id, node) in args.ids.iter().zip(memory.nodes(&args.ids, as_of).await?) {
        if node.is_none() {
            return Err(no_node(&memory, "graph.neighbors", id).await?);
        }
    }
    let query = NeighbourQuery {
        direction: args.direction.into(),
        relations: args.relations,
        min_weight: args.min_weight,
        kinds: args.kinds,
        as_of,
        ..NeighbourQuery::new(args.ids, args.hops, Limit::new(args.limit)?)
    };
    let found = memory.neighbours(&query).await?;
    let nodes = found.nodes.iter().map(|reached| {
        let mut node = serde_json::to_value(&reached.node).unwrap_or_default();
        if let Some(fields) = node.as_object_mut() {
            fields.insert("distance".to_owned(), json!(reached.distance));
        }
        node
    });
    let document = json!({
        "nodes": nodes.collect::<Vec<Value>>(),
        "edges": found.edges,
        "truncated": found.truncated(),
    });
    context.emit(&document, || {
        let mut text = String::new();
        for reached in &found.nodes {
            text.push_str(&format!("{:>3}  {}\n", reached.distance, node_line(&reached.node)));
        }
        for edge in &found.edges {
            text.push_str(&format!("     {}\n", edge_line(edge)));
        }
        if found.truncated() {
            text.push_str("     ... and more; raise --limit\n");
        }
        text
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn history(context: &Context, args: History) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.history").await?;
    let limit = Limit::new(args.limit)?;
    let elements = match args.target.meant()? {
        Meant::Node(id) => vec![ElementRef::Node(id)],
        Meant::Fact(which) => {
            memory.edges_ever(&which).await?.into_iter().map(ElementRef::Edge).collect()
        }
    };
    let mut versions = Vec::new();
    let mut more = false;
    for element in &elements {
        let page = memory.history(element, None, limit).await?;
        versions.extend(page.items);
        more |= page.next.is_some();
    }
    if versions.is_empty() {
        return Err(match elements.first() {
            Some(ElementRef::Node(id)) => no_node(&memory, "graph.history", id).await?,
            _ => Error::new(ErrorKind::NotFound, "graph.history", "there never was such a fact")
                .with("graph", &memory.graph().name),
        });
    }
    let document = json!({ "versions": versions, "truncated": more });
    context.emit(&document, || {
        let mut text: String = versions.iter().map(element_line).collect();
        if more {
            text.push_str("... and more; raise --limit\n");
        }
        text
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn list(context: &Context) -> Result<Outcome> {
    let store = context.stores.graph().await?;
    let mut names: Vec<Name> = Vec::new();
    let mut cursor = None;
    loop {
        let limit = Limit::new(1_000)?;
        let page = store.list(&context.tenant, &Prefix::default(), cursor, limit).await?;
        names.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    context.emit(&json!({ "graphs": names }), || {
        names.iter().map(|name| format!("{name}\n")).collect()
    })?;
    Ok(Outcome::Done)
}

/// That there is no such node, with some whose ids begin alike.
pub(super) async fn no_node(
    memory: &GraphMemory,
    operation: &'static str,
    id: &Name,
) -> Result<Error> {
    let length = id.as_str().chars().count();
    let mut alike: Vec<String> = Vec::new();
    for shared in [length * 3 / 4, length / 2, 2] {
        let start: String = id.as_str().chars().take(shared).collect();
        let filter = NodeFilter { prefix: Prefix::new(start)?, ..NodeFilter::default() };
        let few = Limit::new(5)?;
        let page = memory.store().find_nodes(memory.graph(), &filter, AsOf::ALL, None, few).await?;
        alike = page.items.iter().map(|node| format!("`{}`", node.id)).collect();
        if !alike.is_empty() {
            break;
        }
    }
    let error = Error::new(
        ErrorKind::NotFound,
        operation,
        format!("there is no node `{id}` in graph `{}`", memory.graph().name),
    );
    Ok(if alike.is_empty() { error } else { error.with("there are", alike.join(", ")) })
}
