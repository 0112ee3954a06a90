//! `hexmem graph export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hexmem_graph_memory::{ExportOptions, ExportReport, Format, export_graph};
use hexmem_ports::{Error, ErrorKind, Result, ValidAt};
use serde_json::json;

use super::import::interrupted;
use super::stage::Stage;
use super::{GraphArg, Times};
use crate::commands::Outcome;
use crate::context::Context;
use crate::output;

const OPERATION: &str = "graph.export";

/// The form of a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WriteFormat {
    /// `NetworkX` node-link JSON; holds everything but earlier versions
    NodeLink,
    /// JSON Lines that Kagura reads; holds everything but earlier versions
    Jsonl,
    /// JSON Lines of the MCP reference memory server; no times, sources, weights, attributes
    Mcp,
    /// GraphML for Gephi, yEd, `NetworkX`
    Graphml,
    /// DOT for Graphviz
    Dot,
}

impl From<WriteFormat> for Format {
    fn from(format: WriteFormat) -> Self {
        match format {
            WriteFormat::NodeLink => Self::NodeLink,
            WriteFormat::Jsonl => Self::Jsonl,
            WriteFormat::Mcp => Self::Mcp,
            WriteFormat::Graphml => Self::Graphml,
            WriteFormat::Dot => Self::Dot,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file; - writes to standard output
    file: PathBuf,
    #[command(flatten)]
    graph: GraphArg,
    /// The file's form [default: by the ending of its name, else node-link]
    #[arg(long, value_enum)]
    format: Option<WriteFormat>,
    #[command(flatten)]
    times: Times,
}

impl Export {
    fn form(&self) -> Format {
        if let Some(format) = self.format {
            return format.into();
        }
        let name = self.file.file_name().map(|name| name.to_string_lossy());
        name.and_then(|name| Format::of_name(&name)).unwrap_or(Format::NodeLink)
    }
}

pub(crate) async fn export(context: &Context, args: Export) -> Result<Outcome> {
    let format = args.form();
    let memory = args.graph.open_existing(context, OPERATION).await?;
    // Without a time, the form says which facts: all, or those that hold now where it cannot say when.
    let asked = args.times.is_given().then(|| args.times.as_of(ValidAt::Any));
    let options = ExportOptions { as_of: asked };
    let mut stage = Stage::open(&args.file, OPERATION)?;
    let report = tokio::select! {
        report = Box::pin(export_graph(&memory, format, &mut stage, &options)) => report,
        () = interrupted() => {
            Err(Error::new(ErrorKind::Unavailable, OPERATION, "stopped; what was there stays"))
        }
    };
    let report = report.map_err(|error| error.with("file", args.file.display()))?;
    stage.finish()?;
    remarks(&report);
    if Stage::is_stdout(&args.file) {
        return Ok(Outcome::Done);
    }
    let graph = &memory.graph().name;
    let mut document = serde_json::to_value(&report).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("graph".to_owned(), json!(graph));
        fields.insert("file".to_owned(), json!(args.file));
    }
    context.emit(&document, || {
        format!(
            "exported {} and {} of `{graph}` to {} as {format}",
            output::counted(report.nodes, "node"),
            output::counted(report.edges, "edge"),
            args.file.display()
        )
    })?;
    Ok(Outcome::Done)
}

fn remarks(report: &ExportReport) {
    if !report.lost.is_empty() {
        output::remark(&format!(
            "note: {} cannot hold all of the graph as it is; met were",
            report.format
        ));
    }
    for (what, count) in &report.lost {
        output::remark(&format!("  {count} {what}"));
    }
    if report.left_out > 0 {
        output::remark(&format!(
            "note: {} edges were left out, whose ends are not in the file",
            report.left_out
        ));
    }
    if report.changed_meanwhile {
        output::remark("note: the graph changed meanwhile; export again for one moment of it");
    }
}
