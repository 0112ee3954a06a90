//! `hexmem graph import`.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hexmem_graph_memory::{
    BadItems, Format, ImportOptions, ImportReport, Progress, Vocabulary, import_graph,
};
use hexmem_ports::{Error, ErrorKind, Result};
use serde_json::json;

use super::GraphArg;
use crate::commands::Outcome;
use crate::context::Context;
use crate::output;

/// How many problems are printed without --json.
const PRINTED: usize = 20;

/// How much of a file is looked at to tell its form.
const START: u64 = 64 * 1024;

/// The form of a file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReadFormat {
    /// `NetworkX` node-link JSON, with `links` or `edges`
    NodeLink,
    /// JSON Lines of nodes and edges, as Kagura exports them
    Jsonl,
    /// JSON Lines of the MCP reference memory server
    Mcp,
}

impl From<ReadFormat> for Format {
    fn from(format: ReadFormat) -> Self {
        match format {
            ReadFormat::NodeLink => Self::NodeLink,
            ReadFormat::Jsonl => Self::Jsonl,
            ReadFormat::Mcp => Self::Mcp,
        }
    }
}

/// Which types a file may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// Kagura's 11 types of nodes and 18 relations
    Kagura,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file; - reads standard input
    file: PathBuf,
    #[command(flatten)]
    graph: GraphArg,
    /// The file's form [default: what the file looks like]
    #[arg(long, value_enum)]
    format: Option<ReadFormat>,
    /// Take these types only; others are bad items [default: any type]
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Refuse the file for one bad item (this is the default)
    #[arg(long, conflicts_with = "skip_bad")]
    strict: bool,
    /// Leave bad items out, and say how many and why
    #[arg(long)]
    skip_bad: bool,
    /// The offset of times that have none [default: UTC]
    #[arg(long, value_name = "+HH:MM", value_parser = offset, allow_hyphen_values = true)]
    naive_offset: Option<i32>,
}

/// Minutes east of UTC from `+09:00`, `-0330` or `Z`.
fn offset(text: &str) -> std::result::Result<i32, String> {
    let wrong = || format!("`{text}` is no offset; write +09:00");
    if text.eq_ignore_ascii_case("z") {
        return Ok(0);
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(wrong()),
    };
    let two = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i32>().ok().filter(|_| digits).ok_or_else(wrong)
    };
    let (hours, minutes) =
        rest.split_once(':').or_else(|| rest.split_at_checked(2)).ok_or_else(wrong)?;
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    if hours > 23 || minutes > 59 {
        return Err(wrong());
    }
    Ok(sign * (hours * 60 + minutes))
}

pub(crate) async fn import(context: &Context, args: Import) -> Result<Outcome> {
    let mut file = open(&args.file)?;
    let named = |error: Error| error.with("file", args.file.display());
    let format = match args.format {
        Some(format) => format.into(),
        None => guess(&mut file, &args.file).map_err(named)?,
    };
    let mut memory = args.graph.open(context).await?;
    if let Some(Profile::Kagura) = args.profile {
        memory = memory.with_vocabulary(Vocabulary::kagura());
    }
    let options = ImportOptions {
        bad: if args.skip_bad { BadItems::Skip } else { BadItems::Refuse },
        naive_offset: args.naive_offset.unwrap_or(0),
        run: None,
    };
    let bar = context.progress("Reading, then writing (MiB)", None);
    let (mut told, mut written) = (0, 0);
    let mut tell = |progress: Progress| {
        let mib = progress.passed >> 20;
        bar.step(mib - told);
        (told, written) = (mib, progress.written);
    };
    let work = import_graph(&memory, format, &mut file, &options, &mut tell);
    // Boxed: it is large, and one allocation an import is nothing.
    let work = Box::pin(work);
    let report = tokio::select! {
        report = work => Some(report),
        () = interrupted() => None,
    };
    drop(bar);
    let Some(report) = report else {
        return Err(stopped(written).with("file", args.file.display()));
    };
    let report = report.map_err(|error| {
        let hint = error.kind() == ErrorKind::Invalid && error.message().contains("skip bad items");
        let error = named(error);
        if hint { error.with("to skip", "--skip-bad") } else { error }
    })?;
    remarks(&report, args.naive_offset.is_none());
    let graph = &memory.graph().name;
    let mut document = serde_json::to_value(&report).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("graph".to_owned(), json!(graph));
    }
    context.emit(&document, || {
        let mut text = format!(
            "imported {} and {} into `{graph}` from {format}",
            output::counted(report.nodes, "node"),
            output::counted(report.edges, "edge")
        );
        if report.skipped > 0 {
            text.push_str(&format!(", skipped {}", output::counted(report.skipped, "bad item")));
        }
        text
    })?;
    Ok(Outcome::Done)
}

/// Ends at Ctrl-C; where that cannot be heard, never.
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn stopped(written: u64) -> Error {
    let what = match written {
        0 => "stopped before anything was written".to_owned(),
        written => format!(
            "stopped; {written} nodes and edges are in the graph, in whole batches: run the same \
             command again to finish"
        ),
    };
    Error::new(ErrorKind::Unavailable, "graph.import", what)
}

/// The file, to be read more than once: what cannot be (a pipe, standard input) is put into a temporary file first,
/// which no folder lists.
fn open(path: &Path) -> Result<File> {
    let unread = |error| unreadable(path, error);
    let mut source: Box<dyn std::io::Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(path).map_err(unread)?;
        let kind = file.metadata().map_err(unread)?;
        if kind.is_file() {
            return Ok(file);
        }
        if kind.is_dir() {
            return Err(Error::invalid("graph.import", "it is a folder; name a file in it")
                .with("file", path.display()));
        }
        Box::new(file)
    };
    let mut spool = tempfile::tempfile().map_err(|error| {
        let what = "no temporary file can be made to keep the input in; give a file's name";
        Error::new(ErrorKind::Unavailable, "graph.import", what).caused_by(error)
    })?;
    std::io::copy(&mut source, &mut spool).map_err(unread)?;
    Ok(spool)
}

/// The form that the file's start and name speak of.
fn guess(file: &mut File, path: &Path) -> Result<Format> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.take(START).read_to_end(&mut start))
        .map_err(|error| unreadable(path, error))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Format::of_content(&start, name.as_deref())
}

fn remarks(report: &ImportReport, utc: bool) {
    for problem in report.problems.iter().take(PRINTED) {
        output::remark(&format!("skipped: {problem}"));
    }
    let printed = u64::try_from(report.problems.len().min(PRINTED)).unwrap_or(u64::MAX);
    if report.skipped > printed {
        output::remark(&format!("skipped: {} more", report.skipped - printed));
    }
    if report.naive_times > 0 && utc {
        output::remark(&format!(
            "note: {} times have no offset and were read as UTC; --naive-offset +09:00 reads them as Tokyo's",
            report.naive_times
        ));
    }
    if report.naive_times > 0 && report.zoned_times > 0 {
        output::remark(&format!(
            "note: {} times have an offset, the others none",
            report.zoned_times
        ));
    }
    if report.never_held > 0 {
        output::remark(&format!(
            "note: {} facts were invalidated when they began or before: they hold at no time",
            report.never_held
        ));
    }
    if !report.directed {
        output::remark(
            "note: the file's edges have no direction; they were read from source to target",
        );
    }
}

fn unreadable(file: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "graph.import", "the file cannot be read")
        .with("file", file.display())
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn offsets_are_minutes_east() {
        assert_eq!(offset("+09:00"), Ok(540));
        assert_eq!(offset("-0330"), Ok(-210));
        assert_eq!(offset("Z"), Ok(0));
        for text in ["", "9", "+9", "+09:60", "+24:00", "+1:2:3:4", "+-900", "é09:00"] {
            assert!(offset(text).is_err(), "{text}");
        }
    }
}
