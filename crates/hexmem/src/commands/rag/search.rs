//! `hexmem rag search`

use hexmem_ports::{Filter, Limit, Result};
use hexmem_rag::{Hit, SearchOptions};

use super::{CollectionArg, ModeArg, existing};
use crate::arguments;
use crate::commands::Outcome;
use crate::context::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to look for
    query: String,
    #[command(flatten)]
    collection: CollectionArg,
    /// At most this many hits
    #[arg(short = 'k', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Which signals rank [default: hybrid where the collection has dense vectors, else sparse]
    #[arg(long)]
    mode: Option<ModeArg>,
    /// Only documents whose metadata pass this filter, as JSON
    #[arg(long, value_name = "JSON", value_parser = filter)]
    filter: Option<Filter>,
    /// Only scores of at least this
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f32>,
    /// Do not widen the query by its best hits
    #[arg(long)]
    exact_terms: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    let mut options = SearchOptions {
        limit: Limit::new(args.limit)?,
        mode: args.mode.map(Into::into),
        filter: args.filter.unwrap_or_else(Filter::all),
        min_score: args.min_score,
        ..SearchOptions::default()
    };
    if args.exact_terms {
        options.feedback = None;
    }
    let collection = existing(context, args.collection.id(context)).await?;
    let hits = collection.search(&args.query, &options).await?;
    context.emit(&hits, || text(&hits))?;
    Ok(Outcome::Done)
}

fn filter(text: &str) -> std::result::Result<Filter, String> {
    Filter::parse(&arguments::json(text)?).map_err(|error| error.to_string())
}

/// Hits for people.
pub(crate) fn text(hits: &[Hit]) -> String {
    if hits.is_empty() {
        return "nothing found; a query of stop words alone, or of words that no document has, finds nothing".into();
    }
    let mut text = String::new();
    for (rank, hit) in hits.iter().enumerate() {
        let heading =
            if hit.context.is_empty() { hit.title.clone() } else { hit.context.join(" > ") };
        text.push_str(&format!("{}. {:.3}  {}  {heading}\n", rank + 1, hit.score, hit.document));
        text.push_str(&format!("   {}\n", excerpt(&hit.text, 200)));
    }
    text
}

/// The first `most` characters on one line, without what would move a terminal.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let text = text.replace(char::is_control, " ");
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let cut: String = line.chars().take(most).collect();
    format!("{cut}...")
}
