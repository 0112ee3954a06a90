//! `hexmem rag search`

use clap::ValueEnum;
use hexmem_ports::{Filter, Limit, Result};
use hexmem_rag::profile::Profile;
use hexmem_rag::{Fusion, Hit, Passage, Refine, SearchOptions, Window};
use serde_json::json;

use super::{CollectionArg, ModeArg, existing, service};
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
    /// Hybrid mode adds up scores, with this weight of meaning (0 to 1), instead of ranks
    #[arg(long, value_name = "WEIGHT")]
    dense_weight: Option<f64>,
    /// Lets the configured reranker score the best N candidates
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "50")]
    rerank: Option<u32>,
    /// Scores by age, importance and use too, as the documents' metadata say
    #[arg(long, value_enum)]
    profile: Option<ProfileArg>,
    /// Puts what says something new before what repeats: 0 looks at news only, 1 at relevance only
    #[arg(long, value_name = "WEIGHT")]
    diversity: Option<f64>,
    /// At most N chunks of one document
    #[arg(long, value_name = "N")]
    per_document: Option<usize>,
    /// Print the text around hits: N chunks on each side
    #[arg(long, value_name = "N", conflicts_with = "whole")]
    window: Option<usize>,
    /// Print the whole documents of hits
    #[arg(long)]
    whole: bool,
    /// With --window or --whole: end before the first text that does not fit, at 4 bytes a token
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
}

/// What counts beside likeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProfileArg {
    /// Kagura AI's: recency, use, nearness in a graph, importance
    Kagura,
    /// WhisperEngine's: recency by kind, source, importance
    WhisperEngine,
    /// Half as much each 30 days
    Recent,
}

impl From<ProfileArg> for Profile {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Kagura => Self::Kagura,
            ProfileArg::WhisperEngine => Self::WhisperEngine,
            ProfileArg::Recent => Self::Recent,
        }
    }
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
    if let Some(dense) = args.dense_weight {
        options.fusion = Fusion::Weighted { dense };
    }
    options.refine = Refine {
        rerank: args.rerank,
        profile: args.profile.map(|profile| (profile.into(), context.stores.clock().now())),
        diversity: args.diversity,
        per_document: args.per_document,
    };
    let collection = existing(&service(context).await?, args.collection.id(context)).await?;
    let hits = collection.search(&args.query, &options).await?;
    let window = match args.window {
        Some(chunks) => Window { before: chunks, after: chunks },
        None if args.whole || args.max_tokens.is_some() => Window::DOCUMENT,
        None => {
            context.emit(&hits, || text(&hits))?;
            return Ok(Outcome::Done);
        }
    };
    let (passages, left) = collection.passages(&hits, window, args.max_tokens).await?;
    let document = json!({ "passages": passages, "left_out": left });
    context.emit(&document, || passages_text(&passages, left))?;
    Ok(Outcome::Done)
}

/// Passages for people.
fn passages_text(passages: &[Passage], left: usize) -> String {
    let mut text = String::new();
    for (rank, passage) in passages.iter().enumerate() {
        let Passage { score, document, title, .. } = passage;
        text.push_str(&format!("{}. {score:.3}  {document}  {title}\n\n", rank + 1));
        text.push_str(passage.text.trim());
        text.push_str("\n\n");
    }
    match (passages.is_empty(), left) {
        (true, 0) => text.push_str("nothing found"),
        (_, 0) => {}
        (_, left) => text.push_str(&format!("{left} more did not fit")),
    }
    text
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
