//! `hexmem graph stats`, `neighbors`, `history`, `find`, `list`.

use std::sync::Arc;

use clap::Args;
use hexmem_graph_memory::{GraphMemory, Which};
use hexmem_ports::{
    AsOf, Cursor, Element, ElementRef, Error, ErrorKind, Filter, Limit, Name, NeighbourQuery,
    NodeFilter, PAGE_LIMIT, Prefix, Result, Timestamp, ValidAt,
};
use serde_json::{Value, json};

use super::budget::{BudgetArgs, cut_line};
use super::part::PartArgs;
use super::print::{edge_line, element_line, node_line};
use super::{GraphArg, Meant, Target, Times, Way, data_filter};
use crate::arguments;
use crate::commands::Outcome;
use crate::context::Context;
use crate::output::counted;

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
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=32))]
    hops: u32,
    /// Which way edges are followed
    #[arg(long, value_enum, default_value = "both")]
    direction: Way,
    #[command(flatten)]
    part: PartArgs,
    /// The most nodes of a page, nearest first
    #[arg(long, value_name = "N", default_value = "100", value_parser = arguments::limit)]
    limit: Limit,
    /// Where the page before ended: its `next`
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    graph: GraphArg,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    target: Target,
    /// The most versions to show, newest first
    #[arg(long, value_name = "N", default_value = "100", value_parser = arguments::limit)]
    limit: Limit,
    /// Where the page before ended: its `next`; for a node or an edge
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    graph: GraphArg,
}

#[derive(Debug, Args)]
pub(crate) struct Find {
    /// Nodes of this type only; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    kinds: Vec<Name>,
    /// Nodes whose id starts so only
    #[arg(long, default_value = "")]
    prefix: String,
    /// Nodes whose attributes pass this filter only, for example {"field": "lang", "eq": "en"}
    #[arg(long = "where", value_name = "JSON", value_parser = data_filter)]
    node_data: Option<Arc<Filter>>,
    /// What was known at this time; without a zone in UTC [default: now]
    #[arg(long, value_name = "TIME", visible_alias = "known")]
    known_at: Option<Timestamp>,
    /// The most nodes of a page
    #[arg(long, value_name = "N", default_value = "100", value_parser = arguments::limit)]
    limit: Limit,
    /// Where the page before ended: its `next`
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    graph: GraphArg,
}

pub(crate) async fn find(context: &Context, args: Find) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.find").await?;
    let filter = NodeFilter {
        kinds: args.kinds,
        prefix: Prefix::new(args.prefix)?,
        data: args.node_data.map(Arc::unwrap_or_clone),
    };
    let as_of = AsOf { valid: ValidAt::Now, known: args.known_at };
    let limit = args.limit;
    let page = memory.find_nodes(&filter, as_of, args.cursor.map(Cursor), limit).await?;
    context.emit(&json!({ "nodes": page.items, "next": page.next }), || {
        let mut text: String =
            page.items.iter().map(|node| format!("{}\n", node_line(node))).collect();
        if let Some(next) = &page.next {
            text.push_str(&format!("... and more; raise --limit, or --cursor '{}'\n", next.0));
        }
        text
    })?;
    Ok(Outcome::Done)
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
            "graph {}: {}, {} ({} hold now), revision {}, last changed {}\n",
            memory.graph().name,
            counted(stats.nodes, "node"),
            counted(stats.edges, "edge"),
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
    let as_of = args.part.times.as_of(ValidAt::Now);
    for (id, node) in args.ids.iter().zip(memory.nodes(&args.ids, as_of).await?) {
        if node.is_none() {
            return Err(no_node(&memory, "graph.neighbors", id).await?);
        }
    }
    let query = NeighbourQuery {
        direction: args.direction.into(),
        relations: args.part.relations,
        min_weight: args.part.min_weight,
        sources: args.part.sources,
        edge_data: args.part.edge_data.map(Arc::unwrap_or_clone),
        kinds: args.part.kinds,
        node_data: args.part.node_data.map(Arc::unwrap_or_clone),
        as_of,
        cursor: args.cursor.map(Cursor),
        ..NeighbourQuery::new(args.ids, args.hops, args.limit)
    };
    let found = memory.neighbours(&query).await?;
    let (found, account) = args.budget.budget().neighbourhood(found)?;
    let nodes = found.nodes.iter().map(|reached| {
        let mut node = serde_json::to_value(&reached.node).unwrap_or_default();
        if let Some(fields) = node.as_object_mut() {
            fields.insert("distance".to_owned(), json!(reached.distance));
            fields.insert("via".to_owned(), json!(reached.via));
        }
        node
    });
    let document = json!({
        "nodes": nodes.collect::<Vec<Value>>(),
        "edges": found.edges,
        "truncated": found.truncated() || account.cut.is_some(),
        "next": found.next,
        "spent": account.spent,
        "cut": account.cut,
    });
    context.emit(&document, || {
        let mut text = String::new();
        for reached in &found.nodes {
            let via = reached.via.as_ref().map(|via| format!("  by {}", via.from));
            let line = node_line(&reached.node);
            text.push_str(&format!("{:>3}  {line}{}\n", reached.distance, via.unwrap_or_default()));
        }
        for edge in &found.edges {
            text.push_str(&format!("     {}\n", edge_line(edge)));
        }
        text.push_str(&cut_line(&account));
        if let Some(next) = &found.next {
            text.push_str(&format!("     ... and more; raise --limit, or --cursor '{}'\n", next.0));
        }
        text
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn history(context: &Context, args: History) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.history").await?;
    let limit = args.limit;
    let as_of = args.times.as_of(ValidAt::Any);
    let cursor = args.cursor.map(Cursor);
    let mut more = false;
    let mut next = None;
    let mut versions: Vec<Element> = match args.target.meant()? {
        Meant::Node(id) => {
            let element = ElementRef::Node(id.clone());
            let page = memory.history(&element, cursor.clone(), limit).await?;
            if page.items.is_empty() && cursor.is_none() {
                return Err(no_node(&memory, "graph.history", &id).await?);
            }
            next = page.next;
            page.items
        }
        Meant::Fact(Which::Edge(id)) => {
            let page = memory.history(&ElementRef::Edge(id), cursor.clone(), limit).await?;
            next = page.next;
            page.items
        }
        Meant::Fact(which) | Meant::Values(which) => {
            if cursor.is_some() {
                return Err(Error::invalid(
                    "graph.history",
                    "a fact may have several edges, which have no common cursor; page one with --edge",
                ));
            }
            let (edges, cut) = memory.fact_history(&which, Limit::new(PAGE_LIMIT)?).await?;
            more = cut;
            edges.into_iter().map(Element::Edge).collect()
        }
    };
    if versions.is_empty() && cursor.is_none() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "graph.history",
            "there never was such a fact",
        )
        .with("graph", &memory.graph().name));
    }
    let now = context.stores.clock().now();
    versions.retain(|version| {
        let (recorded, from, until) = match version {
            Element::Node(node) => (node.recorded_at, None, None),
            Element::Edge(edge) => (edge.recorded_at, edge.valid_from, edge.valid_until),
        };
        as_of.known.is_none_or(|known| recorded <= known) && as_of.holds(from, until, now)
    });
    more |= next.is_some() || versions.len() > limit.as_usize();
    versions.truncate(limit.as_usize());
    let document = json!({ "versions": versions, "truncated": more, "next": next });
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
