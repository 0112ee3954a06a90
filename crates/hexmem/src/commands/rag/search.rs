//! `hexmem rag search`

use hexmem_ports::{Error, Filter, Limit, Result};
use hexmem_rag::{Hit, SearchOptions};

use super::{CollectionArg, ModeArg, existing};
use crate::commands::Outcome;
use crate::context::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to look for
    query: String,
    #[command(flatten)]
    collection: CollectionArg,
    /// At most this many hits
    #[arg(short = 'k', default_value_t = 10)]
    limit: u32,
    /// Which signals rank [default: hybrid where the collection has dense vectors, else sparse]
    #[arg(long)]
    mode: Option<ModeArg>,
    /// Only documents whose metadata pass this filter, as JSON
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Only scores of at least this
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f32>,
    /// Do not widen the query by its best hits
    #[arg(long)]
    exact_terms: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    let filter = match &args.filter {
        None => Filter::all(),
        Some(text) => {
            let value = serde_json::from_str(text).map_err(|error| {
                Error::invalid("rag.search", "the filter is not JSON")
                    .with("filter", text)
                    .caused_by(error)
            })?;
            Filter::parse(&value)?
        }
    };
    let mut options = SearchOptions {
        limit: Limit::new(args.limit)?,
        mode: args.mode.map(Into::into),
        filter,
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

/// The first `most` characters on one line.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let cut: String = line.chars().take(most).collect();
    format!("{cut}...")
}
