//! `hexmem graph ...`

mod budget;
mod change;
mod export;
mod forget;
mod groups;
mod import;
mod part;
mod path;
mod print;
mod rank;
mod show;
mod stage;
mod view;

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use hexmem_graph_memory::{GraphMemory, Which};
use hexmem_ports::{
    AsOf, Direction, EdgeId, Error, Filter, GraphId, Name, Result, Timestamp, ValidAt,
};
use serde_json::Value;
use uuid::Uuid;

use super::Outcome;
use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read a file into a graph; what the graph holds beside it stays
    #[command(after_help = "Examples:
  hexmem graph import memory.json --graph ada
  hexmem graph import memory.jsonl --graph ada --skip-bad
  hexmem graph import graph.json --graph ada --naive-offset +09:00 --profile kagura
  zcat graph.jsonl.gz | hexmem graph import - --graph ada

The file is checked as a whole first: a bad item refuses it by its line and nothing is imported, unless
--skip-bad. Importing a file twice changes nothing the second time; an import that was stopped is finished by
running it again.")]
    Import(import::Import),
    /// Write a graph to a file
    #[command(after_help = "Examples:
  hexmem graph export memory.json --graph ada
  hexmem graph export - --graph ada | jq '.links[0]'
  hexmem graph export memory.jsonl --format mcp --graph ada
  hexmem graph export - --format dot --graph ada | dot -Tsvg > ada.svg

What a form cannot hold is counted on standard error. Earlier versions are in no form. A file is replaced as a
whole, or not at all. NetworkX reads node-link: networkx.node_link_graph(json.load(file), edges=\"links\")")]
    Export(export::Export),
    /// Write one HTML page with the graph drawn, searchable, with a slider over time
    #[command(after_help = "Examples:
  hexmem graph view ada.html --graph ada
  hexmem graph view london.html --around london --hops 2 --graph ada

The page is one file that needs no network. Of a larger graph the best-connected nodes are drawn, or what lies
around the nodes that are named; the page and standard error say what was left out.")]
    View(view::View),
    /// Add a node, or replace its type and attributes
    #[command(after_help = "Examples:
  hexmem graph add-node ada --type person --data '{\"born\": 1815}' --graph ada
  hexmem graph add-node ada --data '{\"died\": 1852}' --merge --graph ada")]
    AddNode(change::AddNode),
    /// State a fact: SRC RELATION DST
    #[command(after_help = "Examples:
  hexmem graph add-edge ada knows charles --weight 0.9 --graph ada
  hexmem graph add-edge ada lives_in london --valid-from 1835-07-08 --functional --graph ada

Stating a known fact again gives its edge a new version. With --functional, other values of the
relation end where this one begins.")]
    AddEdge(change::AddEdge),
    /// Remove a node with its edges, or a fact; history stays
    #[command(after_help = "Examples:
  hexmem graph remove ada --graph ada                a node
  hexmem graph remove ada knows charles --graph ada  a fact
  hexmem graph remove --edge 5f32eba6-5460-5d31-88a7-bf3331e979bf --graph ada")]
    Remove(change::Remove),
    /// Say that a fact holds no longer
    #[command(after_help = "Examples:
  hexmem graph invalidate ada lives_in london --graph ada
  hexmem graph invalidate ada lives_in london --at 1852-11-27 --graph ada")]
    Invalidate(change::Invalidate),
    /// Count nodes and edges by type
    #[command(after_help = "Examples:
  hexmem graph stats --graph ada
  hexmem graph stats --graph ada --as-of 1840-01-01 --json")]
    Stats(show::Stats),
    /// Show what lies around nodes
    #[command(after_help = "Examples:
  hexmem graph neighbors ada --hops 2 --graph ada
  hexmem graph neighbors ada --relation knows --direction out --as-of 1840-01-01 --graph ada
  hexmem graph neighbors ada --known-at 2026-01-01 --graph ada     what was known then")]
    Neighbors(show::Neighbors),
    /// Find the shortest paths between two nodes
    #[command(after_help = "Examples:
  hexmem graph path ada london --graph ada
  hexmem graph path ada london --cost strength --graph ada      strong edges are short
  hexmem graph path ada london --paths 3 --type person --graph ada

Of equally cheap paths the one of the fewest edges comes first, then the one whose ids do.")]
    Path(path::Path),
    /// Rank nodes by how well they are connected, or by nearness to given ones (PageRank)
    #[command(after_help = "Examples:
  hexmem graph rank --graph ada                            the best connected nodes
  hexmem graph rank ada --hops 2 --others --graph ada      what matters around a node
  hexmem graph rank --seed ada 3 --seed london 1 --max-tokens 2000 --json --graph ada")]
    Rank(rank::Rank),
    /// Show which nodes hang together
    #[command(after_help = "Examples:
  hexmem graph components --graph ada
  hexmem graph components --strong --relation depends_on --graph ada   cycles")]
    Components(groups::Components),
    /// Find groups of nodes with more edges inside than out (Leiden, by modularity)
    #[command(after_help = "Examples:
  hexmem graph communities --graph ada
  hexmem graph communities --resolution 2 --weights even --members 50 --json --graph ada")]
    Communities(groups::Communities),
    /// Rank nodes by how much they stand in the middle
    #[command(after_help = "Examples:
  hexmem graph central --graph ada                             on the most shortest paths
  hexmem graph central --by degree --max-nodes 5 --graph ada   with the most edges

Beyond 5000 nodes the last three are estimated from 256 of them; --pivots takes more or fewer.")]
    Central(rank::Central),
    /// Show all versions of a node or a fact, newest first
    #[command(after_help = "Examples:
  hexmem graph history ada --graph ada                  a node
  hexmem graph history ada lives_in london --graph ada  a fact
  hexmem graph history ada lives_in --graph ada         all values that it ever had
  hexmem graph history --edge 5f32eba6-5460-5d31-88a7-bf3331e979bf --graph ada")]
    History(show::History),
    /// List nodes by type, id and attributes
    #[command(after_help = "Examples:
  hexmem graph find --type person --graph ada
  hexmem graph find --where '{\"field\": \"born\", \"lt\": 1900}' --graph ada
  hexmem graph find --prefix topic: --known-at 2026-01-01 --graph ada")]
    Find(show::Find),
    /// Forget what a source said or what belongs to a user, for good; what others share stays
    #[command(after_help = "Examples:
  hexmem graph forget source https://example.org/letters --dry-run --graph ada
  hexmem graph forget source https://example.org/letters --graph ada
  hexmem graph forget user ada --graph ada

Facts of a source go with all their versions, and nodes that nothing else is at. Of a user go the nodes
user:NAME, user_NAME and NAME (of type user), the facts at them and what was learned from nobody else. Cut
off in the middle, it goes on when started again.")]
    Forget(forget::Forget),
    /// Show facts that cannot all be true
    #[command(after_help = "Examples:
  hexmem graph contradictions --functional lives_in --graph ada
  hexmem graph contradictions --any-time --json --graph ada")]
    Contradictions(forget::Contradictions),
    /// List the graphs
    List,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArg {
    /// The graph [default: the user's name]
    #[arg(long = "graph", value_name = "NAME")]
    name: Option<Name>,
}

impl GraphArg {
    fn id(&self, context: &Context) -> GraphId {
        let name = self.name.clone().unwrap_or_else(|| context.user.clone());
        GraphId::new(context.tenant.clone(), name)
    }

    /// The service on the configured store.
    async fn open(&self, context: &Context) -> Result<GraphMemory> {
        let store = context.stores.graph().await?;
        Ok(GraphMemory::new(store, context.stores.clock(), self.id(context)))
    }

    /// The same, for a graph that must be there.
    async fn open_existing(
        &self,
        context: &Context,
        operation: &'static str,
    ) -> Result<GraphMemory> {
        let memory = self.open(context).await?;
        memory.existing(operation).await?;
        Ok(memory)
    }
}

/// A node, or a fact by its parts or its edge.
#[derive(Debug, Args)]
struct Target {
    /// A node's id, or a fact: SRC RELATION DST
    #[arg(value_name = "ID | SRC RELATION [DST]", num_args = 1..=3, required_unless_present = "edge", conflicts_with = "edge")]
    words: Vec<Name>,
    /// An edge's id
    #[arg(long, value_name = "UUID")]
    edge: Option<Uuid>,
}

enum Meant {
    Node(Name),
    Fact(Which),
    /// Whatever stands behind SRC RELATION.
    Values(Which),
}

impl Target {
    fn meant(&self) -> Result<Meant> {
        if let Some(id) = self.edge {
            return Ok(Meant::Fact(Which::Edge(EdgeId(id))));
        }
        match self.words.as_slice() {
            [id] => Ok(Meant::Node(id.clone())),
            [src, relation] => {
                Ok(Meant::Values(Which::Values { src: src.clone(), relation: relation.clone() }))
            }
            [src, relation, dst] => Ok(Meant::Fact(Which::Fact {
                src: src.clone(),
                relation: relation.clone(),
                dst: dst.clone(),
            })),
            _ => Err(Error::invalid(
                "graph",
                "give one word for a node, or three for a fact: SRC RELATION DST",
            )),
        }
    }
}

/// Which facts a read sees.
#[derive(Debug, Args)]
struct Times {
    /// Facts that hold at this time; one without a zone is in UTC [default: now]
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    /// What was known at this time [default: now]
    #[arg(long, value_name = "TIME", visible_alias = "known")]
    known_at: Option<Timestamp>,
    /// Facts of all times, also those that hold no longer
    #[arg(long, conflicts_with = "as_of")]
    any_time: bool,
}

impl Times {
    /// Whether any time is given.
    fn is_given(&self) -> bool {
        self.as_of.is_some() || self.known_at.is_some() || self.any_time
    }

    /// With `default` where no time is given.
    fn as_of(&self, default: ValidAt) -> AsOf {
        let valid = match self.as_of {
            Some(at) => ValidAt::At(at),
            None if self.any_time => ValidAt::Any,
            None => default,
        };
        AsOf { valid, known: self.known_at }
    }
}

/// Which way edges are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// From source to target
    Out,
    /// From target to source
    In,
    /// Either way
    Both,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Out => Self::Out,
            Way::In => Self::In,
            Way::Both => Self::Both,
        }
    }
}

/// A JSON object from the command line.
fn json_object(text: &str) -> std::result::Result<Arc<Value>, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() => Ok(Arc::new(value)),
        Ok(_) => Err("not a JSON object; write {\"key\": \"value\"}".to_owned()),
        Err(error) => Err(format!("no JSON: {error}; write {{\"key\": \"value\"}}")),
    }
}

/// A filter on data from the command line.
fn data_filter(text: &str) -> std::result::Result<Arc<Filter>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("no JSON: {error}; write {{\"field\": \"lang\", \"eq\": \"en\"}}")
    })?;
    Filter::parse(&value).map(Arc::new).map_err(|error| error.to_string())
}

/// A number that is one.
fn finite(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("not a finite number".to_owned()),
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<Outcome> {
    match command {
        Command::Import(args) => import::import(context, args).await,
        Command::Export(args) => export::export(context, args).await,
        Command::View(args) => view::view(context, args).await,
        Command::AddNode(args) => change::add_node(context, args).await,
        Command::AddEdge(args) => change::add_edge(context, args).await,
        Command::Remove(args) => change::remove(context, args).await,
        Command::Invalidate(args) => change::invalidate(context, args).await,
        Command::Stats(args) => show::stats(context, args).await,
        Command::Neighbors(args) => show::neighbors(context, args).await,
        Command::Path(args) => path::path(context, args).await,
        Command::Rank(args) => rank::rank(context, args).await,
        Command::Communities(args) => groups::communities(context, args).await,
        Command::Central(args) => rank::central(context, args).await,
        Command::Components(args) => groups::components(context, args).await,
        Command::History(args) => show::history(context, args).await,
        Command::Find(args) => show::find(context, args).await,
        Command::Forget(args) => forget::forget(context, args).await,
        Command::Contradictions(args) => forget::contradictions(context, args).await,
        Command::List => show::list(context).await,
    }
}
