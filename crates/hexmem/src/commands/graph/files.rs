//! `hexmem graph import` and `export`.

use std::fs::File;
use std::io::{BufWriter, Cursor, Read as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hexmem_graph_memory::{
    BadItems, ExportOptions, ExportReport, ImportOptions, ImportReport, export_node_link,
    import_node_link,
};
use hexmem_ports::{Error, ErrorKind, Result, ValidAt};
use serde_json::json;

use super::{GraphArg, Times};
use crate::commands::Outcome;
use crate::context::Context;
use crate::output;

/// How many problems are printed without --json.
const PRINTED: usize = 20;

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// `NetworkX` node-link JSON, with `links` or `edges`
    NodeLink,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file; - reads standard input
    file: PathBuf,
    #[command(flatten)]
    graph: GraphArg,
    /// The file's form
    #[arg(long, value_enum, default_value = "node-link")]
    format: Format,
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

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file; - writes to standard output
    file: PathBuf,
    #[command(flatten)]
    graph: GraphArg,
    /// The file's form
    #[arg(long, value_enum, default_value = "node-link")]
    format: Format,
    #[command(flatten)]
    times: Times,
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
    let Format::NodeLink = args.format;
    let memory = args.graph.open(context).await?;
    let options = ImportOptions {
        bad: if args.skip_bad { BadItems::Skip } else { BadItems::Refuse },
        naive_offset: args.naive_offset.unwrap_or(0),
        run: None,
    };
    let bar = context.progress("Reading, then writing (MiB)", None);
    let mut told = 0;
    let mut tell = |progress: hexmem_graph_memory::Progress| {
        let mib = progress.passed >> 20;
        bar.step(mib - told);
        told = mib;
    };
    let report = if args.file.as_os_str() == "-" {
        let mut text = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut text)
            .map_err(|error| unreadable(&args.file, error))?;
        import_node_link(&memory, &mut Cursor::new(text), &options, &mut tell).await
    } else {
        let mut file = File::open(&args.file).map_err(|error| unreadable(&args.file, error))?;
        import_node_link(&memory, &mut file, &options, &mut tell).await
    };
    drop(bar);
    let report = report.map_err(|error| {
        let hint = error.kind() == ErrorKind::Invalid && error.message().contains("skip bad items");
        let error = error.with("file", args.file.display());
        if hint { error.with("to skip", "--skip-bad") } else { error }
    })?;
    remarks(&report, args.naive_offset.is_none());
    let graph = &memory.graph().name;
    let mut document = serde_json::to_value(&report).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("graph".to_owned(), json!(graph));
    }
    context.emit(&document, || {
        let mut text =
            format!("imported {} nodes and {} edges into `{graph}`", report.nodes, report.edges);
        if report.skipped > 0 {
            text.push_str(&format!(", skipped {} bad items", report.skipped));
        }
        text
    })?;
    Ok(Outcome::Done)
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

pub(crate) async fn export(context: &Context, args: Export) -> Result<Outcome> {
    let Format::NodeLink = args.format;
    let memory = args.graph.open_existing(context, "graph.export").await?;
    let options = ExportOptions { as_of: args.times.as_of(ValidAt::Any) };
    if args.file.as_os_str() == "-" {
        let mut out = BufWriter::new(Reader { out: std::io::stdout(), gone: false });
        let report = export_node_link(&memory, &mut out, &options).await?;
        export_remarks(&report);
        return Ok(Outcome::Done);
    }
    let named = |error: Error| error.with("file", args.file.display());
    // What stands there now, behind links. Only a regular file is replaced; a device or a pipe is written to.
    let target = std::fs::canonicalize(&args.file).unwrap_or_else(|_| args.file.clone());
    let there = std::fs::metadata(&target).ok();
    if there.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return Err(named(Error::invalid(
            "graph.export",
            "a folder stands there; name a file in it",
        )));
    }
    let report = if there.as_ref().is_some_and(|there| !there.is_file()) {
        let file = File::options()
            .write(true)
            .open(&target)
            .map_err(|error| unwritable(&args.file, error))?;
        let mut out = BufWriter::new(file);
        export_node_link(&memory, &mut out, &options).await.map_err(named)?
    } else {
        let staged = staged_path(&target);
        let file = File::create(&staged).map_err(|error| unwritable(&args.file, error))?;
        if let Some(there) = &there {
            file.set_permissions(there.permissions())
                .map_err(|error| unwritable(&args.file, error))?;
        }
        let mut out = BufWriter::new(file);
        let written = export_node_link(&memory, &mut out, &options).await.map_err(named);
        // The file's name is the old content's until the new one is whole and on the disk.
        let done = written.and_then(|report| {
            let synced = out.into_inner().map_err(std::io::IntoInnerError::into_error);
            synced
                .and_then(|file| file.sync_all())
                .and_then(|()| std::fs::rename(&staged, &target))
                .map_err(|error| unwritable(&args.file, error))?;
            Ok(report)
        });
        if done.is_err() {
            // What failed is said; that the half file could not be removed either adds nothing.
            let _ = std::fs::remove_file(&staged);
        }
        done?
    };
    export_remarks(&report);
    let graph = &memory.graph().name;
    let mut document = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("graph".to_owned(), json!(graph));
        fields.insert("file".to_owned(), json!(args.file));
    }
    context.emit(&document, || {
        format!(
            "exported {} nodes and {} edges of `{graph}` to {}",
            report.nodes,
            report.edges,
            args.file.display()
        )
    })?;
    Ok(Outcome::Done)
}

fn export_remarks(report: &ExportReport) {
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

/// Beside `file`, so that a rename is one step.
fn staged_path(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    file.with_file_name(name)
}

/// Standard output, whose reader may leave (`| head`): what comes after is for nobody.
struct Reader<W> {
    out: W,
    gone: bool,
}

impl<W: Write> Write for Reader<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        match self.out.write(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.out.flush() {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
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

fn unwritable(file: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "graph.export",
        "the file cannot be written; what was there stays",
    )
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
