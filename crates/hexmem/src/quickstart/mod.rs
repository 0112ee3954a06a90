//! `hexmem quickstart`: the memory of an agent, built from a git repository, and asked.

mod ask;
mod build;
mod git;
mod history;
mod questions;
mod summary;
mod work;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hexmem_ports::{CollectionId, Error, ErrorKind, GraphId, Name, NamespaceId, QueueId, Result};
use serde::Serialize;

use crate::commands::Outcome;
use crate::context::Context;
use git::Repository;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hexmem quickstart                    the repository you are in
  hexmem quickstart ~/src/project --data /tmp/memory
  hexmem quickstart --json | jq '.questions[].answer'

Run it again after new commits: only what is new is written.")]
pub(crate) struct Args {
    /// A git repository, or a folder in one [default: the present folder]
    repo: Option<PathBuf>,
    /// Read at most this many commits, the newest
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    max_commits: usize,
}

/// Where the memory of a repository lies.
struct Place {
    repository: Repository,
    graph: GraphId,
    collection: CollectionId,
    namespace: NamespaceId,
    queue: QueueId,
}

/// A step of the quickstart.
#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    /// What it did, for people.
    did: String,
    milliseconds: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    repository: String,
    data: PathBuf,
    graph: String,
    collection: String,
    steps: Vec<Step>,
    questions: Vec<questions::Answered>,
    milliseconds: u64,
    next: Vec<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    let start = Instant::now();
    let repository = Repository::at(args.repo.as_deref().unwrap_or_else(|| ".".as_ref())).await?;
    let place = Place::of(context, repository)?;
    let mut steps = Vec::new();
    let mut done = |step, did: String, since: Instant| {
        steps.push(Step { step, did, milliseconds: millis(since.elapsed()) })
    };

    let since = Instant::now();
    let commits = place.repository.commits(args.max_commits).await?;
    let files = place.repository.files().await?;
    if commits.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "quickstart",
            "the repository has no commits; commit something first",
        )
        .with("path", place.repository.root.display()));
    }
    done(
        "read",
        format!("{} commits and {} files of {}", commits.len(), files.len(), place.repository.name),
        since,
    );

    let since = Instant::now();
    let graph = build::graph(context, &place, &commits).await?;
    done("graph", graph.did.clone(), since);

    let since = Instant::now();
    done("documents", build::documents(context, &place, &commits, &files).await?, since);

    let since = Instant::now();
    let session = build::session(context, &place).await?;
    done("session", format!("agent session {session} on {}", place.repository.name), since);

    let since = Instant::now();
    let (summaries, did) = work::run(context, &place, &files).await?;
    done("queue", did, since);

    let questions = questions::ask(context, &place, &commits, &graph, &summaries).await?;
    let report = Report {
        repository: place.repository.root.display().to_string(),
        data: context.stores.settings().data.clone(),
        graph: place.graph.name.to_string(),
        collection: place.collection.name.to_string(),
        steps,
        next: next(context, &place, &questions),
        questions,
        milliseconds: millis(start.elapsed()),
    };
    context.emit(&report, || text(&report))?;
    Ok(Outcome::Done)
}

impl Place {
    fn of(context: &Context, repository: Repository) -> Result<Self> {
        let name = Name::new(repository.name.clone())?;
        let tenant = context.tenant.clone();
        Ok(Self {
            graph: GraphId::new(tenant.clone(), name.clone()),
            collection: CollectionId::new(tenant.clone(), name.clone()),
            namespace: NamespaceId::new(tenant.clone(), name.clone()),
            queue: QueueId::new(tenant, name),
            repository,
        })
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Commands that go on from here, ready to be pasted.
fn next(context: &Context, place: &Place, questions: &[questions::Answered]) -> Vec<String> {
    let program = std::env::args().next().unwrap_or_else(|| "hexmem".to_owned());
    let mut base = quoted(&program);
    let data = &context.stores.settings().data;
    if data != std::path::Path::new(".hexmem") {
        base = format!("{base} --data {}", quoted(&data.display().to_string()));
    }
    let name = quoted(place.graph.name.as_str());
    let subject =
        |kind: &str| questions.iter().find(|q| q.about == kind).map(|q| quoted(&q.subject));
    let mut next = vec![format!("{base} graph stats --graph {name}")];
    if let Some(file) = questions.iter().find(|q| q.about == "file") {
        let node = quoted(&format!("file:{}", file.subject));
        next.push(format!(
            "{base} graph neighbors {node} --hops 2 --relation touches --limit 20 --graph {name}"
        ));
    }
    if let Some(topic) = subject("topic") {
        next.push(format!("{base} rag search {topic} -k 3 --collection {name}"));
    }
    next.push(format!("{base} session list"));
    next.push(format!("{base} queue stats {name}"));
    next.push(format!("{base} cache stats --namespace {name}"));
    next.push(format!("{base} doctor"));
    next
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn text(report: &Report) -> String {
    let mut text = format!("memory of {} in {}\n\n", report.repository, report.data.display());
    for step in &report.steps {
        text.push_str(&format!("  {:<10} {:>6} ms  {}\n", step.step, step.milliseconds, step.did));
    }
    for question in &report.questions {
        text.push_str(&format!("\n{}\n", question.question));
        for line in &question.lines {
            text.push_str(&format!("    {line}\n"));
        }
        text.push_str(&format!(
            "    ({:.1} ms; asked again, from the cache: {:.1} ms)\n",
            question.milliseconds, question.again_milliseconds
        ));
    }
    text.push_str(&format!(
        "\n{:.1} s in all. Try next:\n",
        Duration::from_millis(report.milliseconds).as_secs_f64()
    ));
    for command in &report.next {
        text.push_str(&format!("    {command}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("a/b.rs"), "a/b.rs");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
