//! `hexmem cache ...`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use hexmem_llm_cache::{Answer, Cached, LlmCache, Policy, Question, Usage};
use hexmem_ports::{Digest, Error, Limit, Name, NamespaceId, PutOutcome, Result, Timestamp, Ttl};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Outcome;
use crate::arguments::ttl;
use crate::context::Context;
use crate::output::{counted, remark};

/// The largest question and the largest answer read from a file or from stdin.
const INPUT_LIMIT: u64 = 64 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hits, misses, tokens and cost saved, entries and bytes of a namespace, and of its models
    #[command(after_help = "Examples:
  hexmem cache stats
  hexmem cache stats --namespace support --by tag
  hexmem cache stats --json | jq .hit_rate")]
    Stats {
        #[command(flatten)]
        place: Place,
        /// Also told by model or by tag
        #[arg(long, value_name = "WHAT", value_enum, default_value_t = By::Model)]
        by: By,
    },
    /// End answers: one, or all with a tag, of a model, or of the namespace
    #[command(after_help = "Examples:
  hexmem cache invalidate --tag handbook
  hexmem cache invalidate --model gpt-4o --namespace support
  hexmem cache invalidate --fingerprint 1f7a...    as `cache put` and `cache get` print it")]
    Invalidate {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        target: Target,
    },
    /// Print the answer to a question; exit code 1 when there is none
    #[command(after_help = "Examples:
  hexmem cache get --model gpt-4o 'What is a lease?'
  hexmem cache get --question question.json || call-the-model")]
    Get {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        asked: Asked,
        /// Look under this fingerprint instead of asking
        #[arg(long, value_name = "HEX", value_parser = fingerprint, conflicts_with_all = ["text", "question", "model"])]
        fingerprint: Option<Digest>,
    },
    /// Store the answer to a question
    #[command(after_help = "Examples:
  hexmem cache put --model gpt-4o 'What is a lease?' --answer 'A right that ends.' --tag handbook
  call-the-model question.json | hexmem cache put --question question.json --ttl 7d")]
    Put {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        asked: Asked,
        /// The answer [default: read from stdin]
        #[arg(long, value_name = "TEXT")]
        answer: Option<String>,
        /// What else ends the answer when it is invalidated
        #[arg(long = "tag", value_name = "NAME")]
        tags: Vec<Name>,
        /// How long it is fresh
        #[arg(long, value_name = "SPAN", value_parser = ttl, default_value = "24h")]
        ttl: Ttl,
        /// How long beyond that it may be served stale [default: not at all]
        #[arg(long, value_name = "SPAN", value_parser = ttl)]
        stale: Option<Ttl>,
        /// What to keep beside it
        #[arg(long, value_name = "JSON", value_parser = json_value)]
        meta: Option<Value>,
        /// Tokens that were sent for it: what a hit saves
        #[arg(long, value_name = "N", default_value_t = 0)]
        input_tokens: u64,
        /// Tokens that came back
        #[arg(long, value_name = "N", default_value_t = 0)]
        output_tokens: u64,
        /// What it cost, in millionths of your currency
        #[arg(long, value_name = "N", default_value_t = 0)]
        cost: u64,
    },
    /// Free the space of answers that can never be served again, in all namespaces
    Sweep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Model,
    Tag,
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The namespace
    #[arg(long, value_name = "NAME", default_value = "default")]
    namespace: Name,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// All with this tag
    #[arg(long, value_name = "NAME")]
    tag: Option<Name>,
    /// All of this model
    #[arg(long, value_name = "NAME")]
    model: Option<Name>,
    /// The one under this fingerprint
    #[arg(long, value_name = "HEX", value_parser = fingerprint)]
    fingerprint: Option<Digest>,
    /// All of the namespace
    #[arg(long)]
    all: bool,
}

/// A question: words to a model, or a file.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// What the user says
    #[arg(value_name = "TEXT", requires = "model")]
    text: Option<String>,
    /// A file with the whole question as JSON: provider, model, system, messages, tools, parameters; `-` is
    /// stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "model", "system", "parameters"])]
    question: Option<PathBuf>,
    /// Who is asked
    #[arg(long, value_name = "NAME", default_value = "default")]
    provider: Name,
    /// The model that is asked
    #[arg(long, value_name = "NAME", requires = "text")]
    model: Option<Name>,
    /// The system prompt
    #[arg(long, value_name = "TEXT", requires = "text")]
    system: Option<String>,
    /// A parameter, as NAME=JSON
    #[arg(long = "parameter", value_name = "NAME=JSON", value_parser = parameter, requires = "text")]
    parameters: Vec<(String, Value)>,
}

fn fingerprint(text: &str) -> Result<Digest, String> {
    Digest::from_hex(text).ok_or_else(|| "write the 64 hex digits that `cache get` prints".into())
}

/// Given a parser of its own: clap would take any text for a JSON string.
fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
}

fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=JSON: temperature=0.2")?;
    let value =
        serde_json::from_str(value).map_err(|error| format!("{name} is no JSON: {error}"))?;
    Ok((name.to_owned(), value))
}

const NO_QUESTION: &str = "no question; give --model and its text, or --question FILE";

impl Asked {
    fn is_nothing(&self) -> bool {
        self.question.is_none() && self.text.is_none()
    }

    fn read(self) -> Result<Question> {
        let wrong = |what| Error::invalid("cache", what);
        if let Some(file) = self.question {
            let bytes = read(&file)?;
            return serde_json::from_slice(&bytes).map_err(|error| {
                wrong(format!(
                    "the question cannot be read: {error}; see the keys in `hexmem cache get --help`"
                ))
                .with("file", file.display())
            });
        }
        let (Some(text), Some(model)) = (self.text, self.model) else {
            return Err(wrong(NO_QUESTION.into()));
        };
        let mut question = Question::new(self.provider, model).message("user", text);
        question.system = self.system.map_or(Value::Null, Value::from);
        question.parameters = Map::from_iter(self.parameters);
        Ok(question)
    }
}

/// A file, or stdin for `-`, up to the limit.
fn read(file: &Path) -> Result<Vec<u8>> {
    let failed = |error| {
        Error::invalid("cache", "cannot be read").with("file", file.display()).caused_by(error)
    };
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(INPUT_LIMIT + 1).read_to_end(&mut bytes)
    } else {
        let opened = std::fs::File::open(file).map_err(failed)?;
        opened.take(INPUT_LIMIT + 1).read_to_end(&mut bytes)
    };
    let length = read.map_err(failed)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > INPUT_LIMIT {
        return Err(Error::invalid(
            "cache",
            format!("the input has more than {INPUT_LIMIT} bytes"),
        )
        .with("file", file.display()));
    }
    Ok(bytes)
}

/// The service on the configured store.
async fn service(context: &Context, place: Place, policy: Policy) -> Result<LlmCache> {
    let namespace = NamespaceId::new(context.tenant.clone(), place.namespace);
    LlmCache::new(context.stores.cache().await?, context.stores.clock(), namespace, policy)
}

/// For commands that store nothing.
fn any_policy() -> Result<Policy> {
    Policy::new(Ttl::secs(86_400)?)
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<Outcome> {
    match command {
        Command::Stats { place, by } => {
            super::cache_stats::run(&service(context, place, any_policy()?).await?, context, by)
                .await
        }
        Command::Invalidate { place, target } => invalidate(context, place, target).await,
        Command::Get { place, asked, fingerprint } => get(context, place, asked, fingerprint).await,
        Command::Put {
            place,
            asked,
            answer,
            tags,
            ttl,
            stale,
            meta,
            input_tokens,
            output_tokens,
            cost,
        } => {
            if asked.is_nothing() {
                return Ok(Outcome::wrong_usage(NO_QUESTION));
            }
            // One answer needs no jitter: it ends when its owner said.
            let policy = Policy { stale, jitter_percent: 0, ..Policy::new(ttl)? };
            let from_stdin = asked.question.as_deref() == Some(Path::new("-"));
            let answer = match answer {
                Some(answer) => answer.into_bytes(),
                None if from_stdin => {
                    let what = "question and answer cannot both come from stdin; give --answer";
                    return Err(Error::invalid("cache.put", what));
                }
                None => read(Path::new("-"))?,
            };
            let answer = Answer::new(answer)
                .meta(meta.unwrap_or(Value::Null))
                .tokens(input_tokens, output_tokens)
                .cost(cost);
            put(&service(context, place, policy).await?, context, &asked.read()?, &tags, answer)
                .await
        }
        Command::Sweep => sweep(context).await,
    }
}

async fn invalidate(context: &Context, place: Place, target: Target) -> Result<Outcome> {
    let cache = service(context, place, any_policy()?).await?;
    let ended = match target {
        Target { tag: Some(tag), .. } => cache.invalidate_tag(tag).await?,
        Target { model: Some(model), .. } => cache.invalidate_model(model).await?,
        Target { fingerprint: Some(print), .. } => cache.invalidate_fingerprint(print).await?,
        Target { .. } => cache.invalidate_all().await?,
    };
    context.emit(&json!({ "ended": ended }), || match ended {
        Some(count) => format!("{} ended", counted(count, "answer")),
        None => "done; this store does not count what ended".into(),
    })?;
    Ok(Outcome::Done)
}

/// An answer as JSON: text where it is text, base64 otherwise.
#[derive(Debug, Serialize)]
struct Found<'a> {
    fingerprint: Digest,
    hit: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_b64: Option<Bytes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Bytes<'a>(#[serde(serialize_with = "hexmem_ports::b64::serialize")] &'a [u8]);

async fn get(
    context: &Context,
    place: Place,
    asked: Asked,
    fingerprint: Option<Digest>,
) -> Result<Outcome> {
    if fingerprint.is_none() && asked.is_nothing() {
        return Ok(Outcome::wrong_usage(NO_QUESTION));
    }
    let cache = service(context, place, any_policy()?).await?;
    let (fingerprint, found) = match fingerprint {
        Some(fingerprint) => (fingerprint, cache.get_by_fingerprint(fingerprint).await?),
        None => {
            // By the question, so that it counts for the model too.
            let question = asked.read()?;
            (cache.key(&question)?.fingerprint, cache.get(&question).await?)
        }
    };
    cache.flush().await?;
    let Some(Cached { answer, stored_at, stale }) = found else {
        let missing = Found {
            fingerprint,
            hit: false,
            value: None,
            value_b64: None,
            meta: None,
            usage: None,
            stored_at: None,
            stale: None,
        };
        context.emit(&missing, String::new)?;
        remark(&format!("no answer under {fingerprint}"));
        return Ok(Outcome::Failed);
    };
    let text = answer.text().ok();
    let document = Found {
        fingerprint,
        hit: true,
        value: text,
        value_b64: text.is_none().then_some(Bytes(&answer.value)),
        meta: Some(&answer.meta),
        usage: Some(answer.usage),
        stored_at: Some(stored_at),
        stale: Some(stale),
    };
    context.emit_data(&document, &answer.value)?;
    Ok(Outcome::Done)
}

async fn put(
    cache: &LlmCache,
    context: &Context,
    question: &Question,
    tags: &[Name],
    answer: Answer,
) -> Result<Outcome> {
    let fingerprint = cache.key(question)?.fingerprint;
    let stored = cache.put(question, tags, answer).await? == PutOutcome::Stored;
    cache.flush().await?;
    context.emit(&json!({ "fingerprint": fingerprint, "stored": stored }), || {
        if stored { format!("{fingerprint}") } else { String::new() }
    })?;
    if !stored {
        remark("not stored: something it depends on was invalidated at the same time; try again");
        return Ok(Outcome::Failed);
    }
    Ok(Outcome::Done)
}

async fn sweep(context: &Context) -> Result<Outcome> {
    let store = context.stores.cache().await?;
    let limit = Limit::new(1_000)?;
    let progress = context.progress("freeing answers", None);
    let mut freed = 0;
    loop {
        let swept = store.sweep(limit).await?;
        freed += swept;
        progress.step(swept);
        if swept < u64::from(limit.get()) {
            break;
        }
    }
    drop(progress);
    context.emit(&json!({ "freed": freed }), || format!("{} freed", counted(freed, "answer")))?;
    Ok(Outcome::Done)
}
