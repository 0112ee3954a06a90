//! `hexmem rag eval`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hexmem_ports::{CollectionId, Error, ErrorKind, Limit, Name, Result};
use hexmem_rag::analyse::{Analyzer, Side, TermCounts};
use hexmem_rag::bm25::{AROUND_WEIGHT, Bm25, TITLE_WEIGHT};
use hexmem_rag::chunk::{Chunking, Strategy};
use hexmem_rag::eval::{
    Corpus, CorpusDocument, Figures, Qrels, Query, evaluate, read_qrels, read_queries,
};
use hexmem_rag::{Collection, CollectionOptions, Document, Fusion, Mode, SearchOptions};
use serde::Serialize;

use super::{ModeArg, service};
use crate::commands::Outcome;
use crate::context::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Documents, one JSON object a line: `_id`, `title`, `text`
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,
    /// Queries, one JSON object a line: `_id`, `text`
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Judgements, tab-separated: query, document, score
    #[arg(long, value_name = "FILE")]
    qrels: PathBuf,
    /// Modes to compare in one table, separated by commas [default: sparse]
    #[arg(long, visible_alias = "modes", value_delimiter = ',', value_name = "MODE,...")]
    mode: Vec<ModeArg>,
    /// Hybrid mode adds up scores, with this weight of meaning (0 to 1), instead of ranks
    #[arg(long, value_name = "WEIGHT")]
    dense_weight: Option<f64>,
    /// How documents are cut
    #[arg(long, value_enum, default_value_t = Cut::Whole)]
    cut: Cut,
    /// Write the rankings of each mode to FOLDER/MODE.run, as trec_eval reads them
    #[arg(long, value_name = "FOLDER")]
    runs: Option<PathBuf>,
    /// Do not widen queries by their best hits
    #[arg(long)]
    exact_terms: bool,
    /// Documents with `metadata.thread` are turns of a dialogue: they are found by the N turns on each side too, with a
    /// lower weight
    #[arg(long, value_name = "N", default_value_t = 2)]
    neighbors: usize,
}

/// How documents are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cut {
    /// Not at all
    Whole,
    /// In chunks of 512 characters; a document ranks where its best chunk does
    Chunks,
}

/// How deep rankings are: recall@100 needs no more.
const DEPTH: usize = 100;

#[derive(Debug, Serialize)]
struct Measured {
    #[serde(flatten)]
    figures: Figures,
    query_ms_p50: f64,
    query_ms_p95: f64,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    let queries = read_queries(open(&args.queries)?, args.queries.display().to_string())?;
    let qrels = read_qrels(open(&args.qrels)?, args.qrels.display().to_string())?;
    let rag = service(context).await?;
    // A collection of its own, gone afterwards, also when the measurement fails.
    let like = CollectionId::new(context.tenant.clone(), Name::new("eval")?);
    let mut first = FirstReading::of(&args)?;
    let collection = rag.scratch(&like, first.options(&args)).await?;
    let measured = measure(context, &args, &mut first, &collection, &queries, &qrels).await;
    rag.drop_collection(collection.id()).await?;
    let (documents, indexing, modes) = measured?;
    // The figures stand at the top, by mode, as scripts expect them.
    let mut top = serde_json::Map::new();
    for (mode, measured) in &modes {
        top.insert(mode.clone(), serde_json::json!(measured));
    }
    top.insert(
        "index".into(),
        serde_json::json!({ "documents": documents, "seconds": indexing.as_secs_f64() }),
    );
    context.emit(&top, || table(documents, indexing, &modes))?;
    Ok(Outcome::Done)
}

/// In the order they were asked for.
type Modes = Vec<(String, Measured)>;

async fn measure(
    context: &Context,
    args: &Args,
    first: &mut FirstReading,
    collection: &Collection,
    queries: &[Query],
    qrels: &Qrels,
) -> Result<(u64, Duration, Modes)> {
    let strategy = if args.cut == Cut::Whole { Strategy::Whole } else { Strategy::Recursive };
    let chunking = Chunking { strategy, ..Chunking::default() };
    let start = Instant::now();
    let progress = context.progress("documents", None);
    let mut batch = Vec::new();
    let mut documents = 0;
    for document in Corpus::new(open(&args.corpus)?, args.corpus.display().to_string()) {
        let document = document?;
        batch.push(Document {
            around: first.around(&document),
            title: document.title,
            chunking,
            ..Document::new(document.id, document.text)
        });
        documents += 1;
        progress.step(1);
        if batch.len() == 1_000 {
            collection.ingest(std::mem::take(&mut batch)).await?;
        }
    }
    collection.ingest(batch).await?;
    drop(progress);
    let indexing = start.elapsed();
    let modes = if args.mode.is_empty() { vec![ModeArg::Sparse] } else { args.mode.clone() };
    let mut measured = Modes::new();
    for mode in modes {
        let name = format!("{mode:?}").to_lowercase();
        if measured.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let figures = ask(context, args, collection, mode.into(), queries, qrels).await?;
        measured.push((name, figures));
    }
    Ok((documents, indexing, measured))
}

async fn ask(
    context: &Context,
    args: &Args,
    collection: &Collection,
    mode: Mode,
    queries: &[Query],
    qrels: &Qrels,
) -> Result<Measured> {
    let depth = if args.cut == Cut::Whole { DEPTH } else { 5 * DEPTH };
    let mut options = SearchOptions {
        limit: Limit::new(u32::try_from(depth).unwrap_or(u32::MAX))?,
        mode: Some(mode),
        ..SearchOptions::default()
    };
    if args.exact_terms {
        options.feedback = None;
    }
    if let Some(dense) = args.dense_weight {
        options.fusion = Fusion::Weighted { dense };
    }
    let progress = context.progress("queries", Some(queries.len() as u64));
    let mut run = BTreeMap::new();
    let mut lines = String::new();
    let mut times = Vec::with_capacity(queries.len());
    for query in queries {
        let start = Instant::now();
        let hits = collection.search(&query.text, &options).await?;
        times.push(start.elapsed().as_secs_f64() * 1_000.0);
        if args.runs.is_some() {
            lines.extend(hits.iter().zip(1_u32..).map(|(hit, rank)| {
                format!("{} Q0 {} {rank} {} hexmem\n", query.id, hit.document, hit.score)
            }));
        }
        let ranking: Vec<String> = hits.into_iter().map(|hit| hit.document).collect();
        run.insert(query.id.clone(), ranking);
        progress.step(1);
    }
    if let Some(folder) = &args.runs {
        write_run(folder, mode, &lines)?;
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0.0);
    Ok(Measured { figures: evaluate(&run, qrels), query_ms_p50: at(50), query_ms_p95: at(95) })
}

/// What must be known of the whole corpus before its first document is indexed.
#[derive(Default)]
struct FirstReading {
    /// The turns of the dialogues, in the order of the file.
    threads: BTreeMap<String, Vec<Turn>>,
    /// How many of each were passed by [`Self::around`].
    passed: BTreeMap<String, usize>,
    neighbors: usize,
    /// How long each document is without what stands around it, in terms.
    own: Vec<f32>,
}

struct Turn {
    text: String,
    length: f32,
}

impl FirstReading {
    /// Reads the corpus, if anything is needed of it.
    fn of(args: &Args) -> Result<Self> {
        let mut first = Self { neighbors: args.neighbors, ..Self::default() };
        let whole = args.cut == Cut::Whole;
        if !whole && args.neighbors == 0 {
            return Ok(first);
        }
        let analyzer = Analyzer::default();
        for document in Corpus::new(open(&args.corpus)?, args.corpus.display().to_string()) {
            let document = document?;
            let mut length = 0.0;
            if whole {
                let mut counts = TermCounts::of(&analyzer, &document.text, Side::Document);
                length = counts.length();
                counts.add(&analyzer, &document.title, Side::Document, TITLE_WEIGHT);
                first.own.push(counts.length());
            }
            if let Some(thread) = thread(&document).filter(|_| args.neighbors > 0) {
                let turn = Turn { text: document.text, length };
                first.threads.entry(thread).or_default().push(turn);
            }
        }
        Ok(first)
    }

    /// How the collection is made: the constants are those of the corpus.
    fn options(&self, args: &Args) -> CollectionOptions {
        let bm25 = match args.cut {
            Cut::Whole => Bm25::default().with_lengths(self.lengths()),
            Cut::Chunks => Bm25::default(),
        };
        CollectionOptions { bm25, ..CollectionOptions::default() }
    }

    /// The lengths of the documents as the index will count them. A turn's neighbours count by their weight, and only their
    /// sum matters for an average.
    fn lengths(&self) -> Vec<f32> {
        let mut lengths = self.own.clone();
        let turns = self.threads.values().flat_map(|turns| {
            (0..turns.len()).map(|at| near(turns, at, self.neighbors).map(|turn| turn.length).sum())
        });
        for (length, around) in lengths.iter_mut().zip(turns.collect::<Vec<f32>>()) {
            *length += AROUND_WEIGHT * around;
        }
        lengths
    }

    /// What stands around the next document of the file; nothing where it is no turn.
    fn around(&mut self, document: &CorpusDocument) -> String {
        let Some(thread) = thread(document) else { return String::new() };
        let Some(turns) = self.threads.get(&thread) else { return String::new() };
        let passed = self.passed.entry(thread).or_default();
        let at = *passed;
        *passed += 1;
        near(turns, at, self.neighbors)
            .map(|turn| turn.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The turns on both sides of one.
fn near(turns: &[Turn], at: usize, neighbors: usize) -> impl Iterator<Item = &Turn> {
    let range = at.saturating_sub(neighbors)..=at.saturating_add(neighbors);
    let others = turns.iter().enumerate().filter(move |(n, _)| range.contains(n) && *n != at);
    others.map(|(_, turn)| turn)
}

fn thread(document: &CorpusDocument) -> Option<String> {
    match document.metadata.get("thread")? {
        serde_json::Value::Null => None,
        serde_json::Value::String(thread) => Some(thread.clone()),
        other => Some(other.to_string()),
    }
}

fn write_run(folder: &Path, mode: Mode, lines: &str) -> Result<()> {
    let file = folder.join(format!("{mode:?}.run").to_lowercase());
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, lines)).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "rag.eval", "cannot write the rankings")
            .with("file", file.display())
            .caused_by(error)
    })
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound {
            ErrorKind::NotFound
        } else {
            ErrorKind::Unavailable
        };
        Error::new(kind, "rag.eval", "cannot open the file")
            .with("file", path.display())
            .caused_by(error)
    })
}

fn table(documents: u64, indexing: Duration, modes: &Modes) -> String {
    let mut text = format!("{documents} documents indexed in {:.2} s\n", indexing.as_secs_f64());
    text.push_str("mode     nDCG@10  Recall@10  Recall@100  MRR@10  p50 ms  p95 ms\n");
    for (mode, measured) in modes {
        let figures = &measured.figures;
        text.push_str(&format!(
            "{mode:<8} {:>7.4}  {:>9.4}  {:>10.4}  {:>6.4}  {:>6.2}  {:>6.2}\n",
            figures.ndcg_at_10,
            figures.recall_at_10,
            figures.recall_at_100,
            figures.mrr_at_10,
            measured.query_ms_p50,
            measured.query_ms_p95
        ));
    }
    text
}
