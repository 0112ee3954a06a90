//! `hexmem graph forget`, `contradictions`.

use clap::{Args, ValueEnum};
use hexmem_graph_memory::{Clash, Forget as What, Kept, NAMED_LIMIT, Orphans, Vocabulary};
use hexmem_ports::{Cursor, Limit, Name, Result, ValidAt};
use serde_json::json;

use super::print::edge_line;
use super::{GraphArg, Times};
use crate::arguments;
use crate::commands::Outcome;
use crate::context::Context;
use crate::output::counted;

/// How many nodes a person is shown.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// Whether the name is that of a source or of a user
    kind: Kind,
    /// The source or the user
    #[arg(value_name = "NAME")]
    whom: Name,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Keep nodes that nothing is at any more
    #[arg(long)]
    keep_nodes: bool,
    #[command(flatten)]
    graph: GraphArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// What this source stated
    Source,
    /// What belongs to this user
    User,
}

#[derive(Debug, Args)]
pub(crate) struct Contradictions {
    /// A relation that has one value at a time; may be given more than once
    #[arg(long = "functional", value_name = "RELATION")]
    functional: Vec<Name>,
    /// About how many to show
    #[arg(long, value_name = "N", default_value = "100", value_parser = arguments::limit)]
    limit: Limit,
    /// Where the page before ended: its `next`
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    graph: GraphArg,
}

pub(crate) async fn forget(context: &Context, args: Forget) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.forget").await?;
    let what = match args.kind {
        Kind::Source => What::Source(args.whom),
        Kind::User => What::User(args.whom),
    };
    let orphans = if args.keep_nodes { Orphans::Keep } else { Orphans::Purge };
    let report = if args.dry_run {
        memory.forget_preview(&what, orphans).await?
    } else {
        memory.forget(&what, orphans).await?
    };
    let mut document = serde_json::to_value(&report).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("dry_run".to_owned(), json!(args.dry_run));
    }
    context.emit(&document, || {
        let verb = if args.dry_run { "would forget" } else { "forgot" };
        let (edges, nodes) = (counted(report.edges, "edge"), counted(report.nodes, "node"));
        let mut text = format!("{verb} {edges} and {nodes}\n");
        for id in report.purged.iter().take(SHOWN) {
            text.push_str(&format!("  gone   {id}\n"));
        }
        if report.purged.len() > SHOWN {
            let more = report.nodes.saturating_sub(SHOWN as u64);
            text.push_str(&format!("  ... and {more} more; --json names {NAMED_LIMIT}\n"));
        }
        if report.rewritten > 0 {
            text.push_str(&format!(
                "{} kept as another source states it now, without what was before\n",
                counted(report.rewritten, "edge")
            ));
        }
        for (id, why) in report.kept.iter().take(SHOWN) {
            let why = match why {
                Kept::Asked => "nothing is at it any more",
                Kept::OtherFacts => "other facts are at it",
                Kept::OtherSource => "it names another source",
                Kept::OtherUsers => "it was learned from other users too",
            };
            text.push_str(&format!("  stays  {id}: {why}\n"));
        }
        if report.kept.len() > SHOWN {
            let more = report.shared.saturating_sub(SHOWN as u64);
            text.push_str(&format!("  ... and {more} more; --json names {NAMED_LIMIT}\n"));
        }
        text
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn contradictions(context: &Context, args: Contradictions) -> Result<Outcome> {
    let memory = args.graph.open_existing(context, "graph.contradictions").await?;
    let relations = args.functional.iter().map(Name::as_str);
    let memory = memory.with_vocabulary(Vocabulary::open().functional(relations));
    let as_of = args.times.as_of(ValidAt::Now);
    let page = memory.contradictions(as_of, args.cursor.map(Cursor), args.limit).await?;
    let document = json!({ "contradictions": page.items, "next": page.next });
    context.emit(&document, || {
        let mut text = format!("{}\n", counted(page.items.len(), "contradiction"));
        for found in &page.items {
            let what = match found.clash {
                Clash::TwoValues => "two values at once",
                Clash::Disputed => "one source ended it, another goes on",
                Clash::Duplicate => "stated twice",
            };
            let from = found.from.map(|at| format!(" from {at}")).unwrap_or_default();
            let until = found.until.map(|at| format!(" until {at}")).unwrap_or_default();
            text.push_str(&format!("{what}{from}{until}\n"));
            text.push_str(&format!(
                "  {}\n  {}\n",
                edge_line(&found.first),
                edge_line(&found.second)
            ));
        }
        if let Some(next) = &page.next {
            text.push_str(&format!("... and more; --cursor '{}'\n", next.0));
        }
        text
    })?;
    Ok(Outcome::Done)
}
