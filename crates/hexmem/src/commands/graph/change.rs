//! `hexmem graph add-node`, `add-edge`, `remove`, `invalidate`.

use std::sync::Arc;

use clap::Args;
use hexmem_graph_memory::{Fact, Outcome as Stated, Since, Vocabulary};
use hexmem_ports::{AsOf, Error, ErrorKind, Name, Result, Timestamp};
use serde_json::{Map, Value, json};

use super::{GraphArg, Meant, Target, finite, json_object};
use crate::commands::Outcome;
use crate::context::Context;
use crate::output::counted;

#[derive(Debug, Args)]
pub(crate) struct AddNode {
    /// The node's id
    id: Name,
    /// Its type; required for a new node
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "merge")]
    kind: Option<Name>,
    /// Its attributes, a JSON object; --data '{...}' says the same
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    attributes: Option<Arc<Value>>,
    /// Merge the attributes into those of an existing node (null removes one) in place of replacing them
    #[arg(long)]
    merge: bool,
    /// Take the types of this profile only: open, kagura
    #[arg(long, default_value = "open", value_parser = Vocabulary::profile)]
    profile: Vocabulary,
    #[command(flatten)]
    graph: GraphArg,
}

#[derive(Debug, Args)]
pub(crate) struct AddEdge {
    /// The node it goes from
    src: Name,
    /// The relation
    relation: Name,
    /// The node it goes to
    dst: Name,
    /// How strong it is; a finite number
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true, value_parser = finite)]
    weight: f64,
    /// From when it holds; a time without a zone is in UTC [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "since_ever")]
    valid_from: Option<Timestamp>,
    /// It has always held
    #[arg(long)]
    since_ever: bool,
    /// Until when it holds [default: it still does]
    #[arg(long, value_name = "TIME")]
    valid_until: Option<Timestamp>,
    /// Where it comes from: a URL, a document, a session
    #[arg(long)]
    source: Option<Name>,
    /// Attributes, a JSON object; --data '{...}' says the same
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    attributes: Option<Arc<Value>>,
    /// The relation has one value at a time: other values end where this one begins
    #[arg(long)]
    functional: bool,
    /// Take the relations of this profile only: open, kagura
    #[arg(long, default_value = "open", value_parser = Vocabulary::profile)]
    profile: Vocabulary,
    #[command(flatten)]
    graph: GraphArg,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    graph: GraphArg,
}

#[derive(Debug, Args)]
pub(crate) struct Invalidate {
    #[command(flatten)]
    target: Target,
    /// The first moment at which it holds no longer; without a zone in UTC [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    #[command(flatten)]
    graph: GraphArg,
}

pub(crate) async fn add_node(context: &Context, args: AddNode) -> Result<Outcome> {
    let memory = args.graph.open(context).await?.with_vocabulary(args.profile);
    let data = args.attributes.map_or_else(|| Value::Object(Map::new()), |data| (*data).clone());
    let applied = match args.kind {
        Some(kind) if !args.merge => memory.put_node(args.id.clone(), kind, data).await?,
        kind => memory.merge_node(args.id.clone(), kind, data).await?,
    };
    let node = memory.node(&args.id, AsOf::NOW).await?;
    let document = json!({ "node": node, "revision": applied.revision });
    context.emit(&document, || {
        let version = node.as_ref().map_or(0, |node| node.version);
        format!("node `{}` is at version {version}", args.id)
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn add_edge(context: &Context, args: AddEdge) -> Result<Outcome> {
    let functional = args.functional.then_some(args.relation.as_str());
    let vocabulary = args.profile.functional(functional);
    if let (Some(from), Some(until)) = (args.valid_from, args.valid_until)
        && until < from
    {
        let what = format!(
            "the fact would end before it begins: --valid-from {from} --valid-until {until}"
        );
        return Ok(Outcome::wrong_usage(&what));
    }
    let memory = args.graph.open(context).await?.with_vocabulary(vocabulary);
    let mut fact = Fact::new(args.src.as_str(), args.relation.as_str(), args.dst.as_str())?
        .weight(args.weight)
        .since(match args.valid_from {
            Some(at) => Since::At(at),
            None if args.since_ever => Since::Always,
            None => Since::Now,
        });
    fact.until = args.valid_until;
    fact.source = args.source;
    if let Some(data) = args.attributes {
        fact.data = (*data).clone();
    }
    let stated =
        memory.assert(fact).await.map_err(|error| missing_end(error, &memory.graph().name))?;
    let outcome = match stated.outcome {
        Stated::Created => "created",
        Stated::Restated => "restated",
    };
    let document = json!({
        "edge": stated.edge,
        "outcome": outcome,
        "ended": stated.displaced,
        "revision": stated.applied.revision,
    });
    context.emit(&document, || {
        let mut text = format!(
            "{outcome} `{}` {} `{}` as edge {}",
            args.src, args.relation, args.dst, stated.edge
        );
        if !stated.displaced.is_empty() {
            text.push_str(&format!(
                "; it ended {}",
                counted(stated.displaced.len(), "other value")
            ));
        }
        text
    })?;
    Ok(Outcome::Done)
}

/// Two words are a fact without its end.
const TWO_WORDS: &str = "two words name no fact; write SRC RELATION DST";

/// Says how to add the node that an edge wants.
fn missing_end(error: Error, graph: &Name) -> Error {
    if error.kind() == ErrorKind::NotFound {
        error.with("to add it", format!("hexmem graph add-node ID --type TYPE --graph {graph}"))
    } else {
        error
    }
}

pub(crate) async fn remove(context: &Context, args: Remove) -> Result<Outcome> {
    let meant = args.target.meant()?;
    if let Meant::Values(_) = meant {
        return Ok(Outcome::wrong_usage(&format!("{TWO_WORDS}, or one word for a node")));
    }
    let memory = args.graph.open_existing(context, "graph.remove").await?;
    let removed = match meant {
        Meant::Node(id) => {
            let removed = memory.remove_node(&id).await?;
            if removed.nodes == 0 {
                return Err(super::show::no_node(&memory, "graph.remove", &id).await?);
            }
            removed
        }
        Meant::Fact(which) | Meant::Values(which) => {
            let removed = memory.remove_edges(&which).await?;
            if removed.edges == 0 {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "graph.remove",
                    "there is no such fact; `hexmem graph neighbors` shows what there is",
                )
                .with("graph", &memory.graph().name));
            }
            removed
        }
    };
    context.emit(&json!({ "nodes": removed.nodes, "edges": removed.edges }), || {
        let (nodes, edges) = (counted(removed.nodes, "node"), counted(removed.edges, "edge"));
        format!("removed {nodes} and {edges}; their history stays")
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn invalidate(context: &Context, args: Invalidate) -> Result<Outcome> {
    let which = match args.target.meant()? {
        Meant::Fact(which) => which,
        Meant::Values(_) => {
            return Ok(Outcome::wrong_usage(&format!("{TWO_WORDS}, or --edge UUID")));
        }
        Meant::Node(_) => {
            return Ok(Outcome::wrong_usage(
                "a fact has three words: SRC RELATION DST, or --edge UUID; a node is removed, not invalidated",
            ));
        }
    };
    let memory = args.graph.open_existing(context, "graph.invalidate").await?;
    let at = args.at.unwrap_or_else(|| context.stores.clock().now());
    let ended = memory.invalidate(&which, at).await?;
    let document = json!({ "edges": ended.edges, "at": at, "revision": ended.applied.revision });
    context.emit(&document, || match ended.edges.len() {
        0 => "the fact had ended before already; nothing changed".to_owned(),
        1 => format!("1 edge ends at {at}"),
        count => format!("{count} edges end at {at}"),
    })?;
    Ok(Outcome::Done)
}
