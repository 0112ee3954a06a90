//! `hexmem graph view`.

use std::path::PathBuf;

use clap::Args;
use hexmem_graph_memory::{VIEW_NODES, ViewOptions, ViewReport, view_graph};
use hexmem_ports::{AsOf, Error, ErrorKind, Name, Result, Timestamp, ValidAt};
use serde_json::json;

use super::GraphArg;
use super::import::interrupted;
use super::stage::Stage;
use crate::commands::Outcome;
use crate::context::Context;
use crate::output;

const OPERATION: &str = "graph.view";

#[derive(Debug, Args)]
pub(crate) struct View {
    /// The page to write; - writes to standard output
    file: PathBuf,
    #[command(flatten)]
    graph: GraphArg,
    /// Draw what lies around this node; may be given more than once [default: the whole graph]
    #[arg(long, value_name = "NODE")]
    around: Vec<Name>,
    /// So many edges away from it
    #[arg(long, value_name = "N", default_value_t = 2, requires = "around",
          value_parser = clap::value_parser!(u32).range(0..=32))]
    hops: u32,
    /// At most this many nodes; to about 5,000 a page moves smoothly
    #[arg(long, value_name = "N", default_value_t = 2_000,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(VIEW_NODES)))]
    nodes: u32,
    /// What was known at this time [default: now]
    #[arg(long, value_name = "TIME")]
    known: Option<Timestamp>,
}

pub(crate) async fn view(context: &Context, args: View) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, OPERATION).await?;
    let as_of = AsOf { valid: ValidAt::Any, known: args.known };
    for id in &args.around {
        if memory.node(id, as_of).await?.is_none() {
            return Err(super::show::no_node(&memory, OPERATION, id).await?);
        }
    }
    let options =
        ViewOptions { known: args.known, around: args.around, hops: args.hops, nodes: args.nodes };
    let mut stage = Stage::open(&args.file, OPERATION)?;
    let report = tokio::select! {
        report = Box::pin(view_graph(&memory, &mut stage, &options)) => report,
        () = interrupted() => {
            Err(Error::new(ErrorKind::Unavailable, OPERATION, "stopped; what was there stays"))
        }
    };
    let report = report.map_err(|error| error.with("file", args.file.display()))?;
    stage.finish()?;
    remarks(&report, &options);
    if Stage::is_stdout(&args.file) {
        return Ok(Outcome::Done);
    }
    let graph = &memory.graph().name;
    let mut document = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("graph".to_owned(), json!(graph));
        fields.insert("file".to_owned(), json!(args.file));
    }
    context.emit(&document, || {
        format!(
            "drew {} and {} of `{graph}`; open {} in a browser",
            output::counted(report.nodes, "node"),
            output::counted(report.edges, "edge"),
            args.file.display()
        )
    })?;
    Ok(Outcome::Done)
}

fn remarks(report: &ViewReport, options: &ViewOptions) {
    if report.nodes_left_out > 0 && options.around.is_empty() {
        output::remark(&format!(
            "note: {} nodes with fewer edges were left out; --nodes N draws more, --around NODE another part",
            report.nodes_left_out
        ));
    } else if report.nodes_left_out > 0 {
        output::remark(&format!(
            "note: {} nodes were left out; --hops N and --nodes N draw more",
            report.nodes_left_out
        ));
    }
    if report.edges_left_out > 0 {
        output::remark(&format!(
            "note: {} edges were left out; draw fewer nodes to see all between them",
            report.edges_left_out
        ));
    }
    if report.shortened > 0 {
        output::remark(&format!(
            "note: long attributes of {} nodes and edges were shortened",
            report.shortened
        ));
    }
}
