//! Real questions, answered from the memory and kept in the cache.

use std::time::Instant;

use hexmem_llm_cache::{Answer, LlmCache, Policy, Question};
use hexmem_ports::{Error, ErrorKind, Limit, Name, Result, Ttl};
use hexmem_rag::SearchOptions;
use serde::{Deserialize, Serialize};

use super::Place;
use super::ask::{about_file, busiest_file, size_at, topic};
use super::build::Built;
use super::git::Commit;
use super::summary::Summary;
use crate::commands::rag::{self, excerpt};
use crate::context::Context;

/// A question and what the memory said.
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    pub(super) question: String,
    /// What kind of thing it is about: `file`, `topic`, `past`, `parts`.
    pub(super) about: &'static str,
    pub(super) subject: String,
    #[serde(rename = "answer")]
    pub(super) lines: Vec<String>,
    /// The first time, computed unless an earlier run left it in the cache.
    pub(super) milliseconds: f64,
    /// The second time.
    pub(super) again_milliseconds: f64,
}

/// How an answer is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Lines {
    lines: Vec<String>,
}

/// Asks what can be asked of this repository.
pub(super) async fn ask(
    context: &Context,
    place: &Place,
    commits: &[Commit],
    graph: &Built,
    summaries: &[Summary],
) -> Result<Vec<Answered>> {
    let policy = Policy::new(Ttl::secs(86_400)?)?;
    let cache = LlmCache::new(
        context.stores.cache().await?,
        context.stores.clock(),
        place.namespace.clone(),
        policy,
    )?;
    let asker = Asker { cache, revision: graph.revision.0, tag: Name::new("repository")? };
    let store = graph.memory.store().as_ref();
    let mut answered = Vec::new();

    if let Some(file) = busiest_file(commits) {
        let question = format!("Which files change together with {file}, and who changes them?");
        let compute = || async {
            let found = about_file(store, &place.graph, &file, 5).await?;
            let mut lines = vec![format!("{} commits touch it", found.commits)];
            lines.extend(
                found
                    .together
                    .iter()
                    .map(|other| format!("{:>5} times with {}", other.count, other.name)),
            );
            let authors: Vec<String> = found
                .authors
                .iter()
                .map(|author| format!("{} ({})", author.name, author.count))
                .collect();
            lines.push(format!("by {}", authors.join(", ")));
            Ok(lines)
        };
        answered.push(asker.ask(question, "file", file.clone(), &compute).await?);
    }

    if let Some(topic) = topic(commits) {
        let question = format!("What was said about \"{topic}\"?");
        let compute = || async {
            let id = place.collection.clone();
            let Some(collection) = rag::service(context).await?.open(id).await? else {
                return Ok(Vec::new());
            };
            let options = SearchOptions { limit: Limit::new(3)?, ..SearchOptions::default() };
            let hits = collection.search(&topic, &options).await?;
            Ok(hits
                .iter()
                .map(|hit| format!("{}: {}", hit.document, excerpt(&hit.text, 110)))
                .collect())
        };
        answered.push(asker.ask(question, "topic", topic.clone(), &compute).await?);
    }

    let back = if commits.len() > 100 { 100 } else { commits.len() / 2 };
    if let (Some(then), Some(last)) = (commits.get(commits.len() - 1 - back), commits.last()) {
        let question = format!("What did the repository look like {back} commits ago?");
        let compute = || async {
            let (past, now) = (
                size_at(store, &place.graph, then.at).await?,
                size_at(store, &place.graph, last.at).await?,
            );
            Ok(vec![
                format!("at {}: {} commits, {} files", past.at, past.commits, past.files),
                format!("at {}: {} commits, {} files", now.at, now.commits, now.files),
            ])
        };
        answered.push(asker.ask(question, "past", then.short().to_owned(), &compute).await?);
    }

    if !summaries.is_empty() {
        let compute = || async { Ok(largest(summaries)) };
        let question = "What is in its largest parts?".to_owned();
        answered.push(asker.ask(question, "parts", place.repository.name.clone(), &compute).await?);
    }
    asker.cache.flush().await?;
    Ok(answered)
}

fn largest(summaries: &[Summary]) -> Vec<String> {
    let mut largest: Vec<&Summary> = summaries.iter().collect();
    largest.sort_by_key(|summary| std::cmp::Reverse(summary.lines));
    let line = |summary: &&Summary| {
        let says = summary.says.as_deref().map(|says| format!("  {says}")).unwrap_or_default();
        format!("{}: {} files, {} lines{says}", summary.part, summary.files, summary.lines)
    };
    largest.iter().take(5).map(line).collect()
}

struct Asker {
    cache: LlmCache,
    revision: u64,
    tag: Name,
}

impl Asker {
    /// Asks twice: the second time the answer comes from the cache.
    async fn ask<F, Fut>(
        &self,
        question: String,
        about: &'static str,
        subject: String,
        compute: &F,
    ) -> Result<Answered>
    where
        F: Fn() -> Fut + Sync,
        Fut: Future<Output = Result<Vec<String>>> + Send,
    {
        // Another revision of the graph is another question.
        let asked = Question::new(Name::new("hexmem")?, Name::new("quickstart-1")?)
            .message("user", question.as_str())
            .parameter("revision", self.revision);
        let (lines, milliseconds) = self.once(&asked, compute).await?;
        let (_, again_milliseconds) = self.once(&asked, compute).await?;
        Ok(Answered { question, about, subject, lines, milliseconds, again_milliseconds })
    }

    async fn once<F, Fut>(&self, question: &Question, compute: &F) -> Result<(Vec<String>, f64)>
    where
        F: Fn() -> Fut + Sync,
        Fut: Future<Output = Result<Vec<String>>> + Send,
    {
        let start = Instant::now();
        let answer = || async {
            let lines = compute().await?;
            Answer::json(&Lines { lines })
        };
        let served = self
            .cache
            .get_or_compute(question, std::slice::from_ref(&self.tag), answer)
            .await
            .map_err(|error| {
                Error::new(
                    ErrorKind::Internal,
                    "quickstart.ask",
                    "a question could not be answered",
                )
                .caused_by(error)
            })?;
        let Lines { lines } = served.answer.read_json()?;
        Ok((lines, start.elapsed().as_secs_f64() * 1_000.0))
    }
}
