//! Answers that come in chunks: recorded while they pass, replayed as they came.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::FutureExt as _;
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use hexmem_ports::{CacheCounts, Clock, Ticket, Timestamp};
use serde_json::Value;

use crate::answer::{Answer, CacheError, ChunkMark, Kept, Origin, Skip, ToolCalls, Usage};
use crate::cache::LlmCache;
use crate::call::{Call, Mode, Pace};
use crate::compute::{Boarded, BoxError, Compute, First, Refresh, land};
use crate::errand::Errand;
use crate::flights::{Leader, LeaseGuard};
use crate::lead::{Patience, Similar, Turn, found, impatient};
use crate::question::Question;

/// The most chunks of one answer that is kept.
const CHUNKS: usize = 100_000;

/// A piece of a streamed answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Bytes of the answer.
    Chunk(Vec<u8>),
    /// What it took: replaces what was said before.
    Usage(Usage),
    /// What is kept beside it: replaces what was said before.
    Meta(Value),
    /// It asks for tools to be called.
    CallsTools,
}

type Pieces<'a> = BoxStream<'a, Result<Piece, BoxError>>;

/// A streamed answer, from the cache or from the model: the same pieces either way, chunk for chunk. Usage and meta of
/// a found answer come after its chunks.
///
/// Recorded from a model, it is stored when it ends, before the stream says so; one that fails, or that is dropped
/// before its end, stores nothing, and the next caller computes.
#[must_use = "streams do nothing unless polled"]
pub struct AnswerStream<'a> {
    pieces: BoxStream<'a, Result<Piece, CacheError>>,
    origin: StreamOrigin,
    kept: Arc<OnceLock<Kept>>,
    /// With a stale answer, for one caller at a time: as [`Served::refresh`](crate::Served::refresh).
    pub refresh: Option<Refresh<'a>>,
}

/// Where a streamed answer comes from.
#[derive(Debug, Clone)]
pub enum StreamOrigin {
    /// Replayed.
    Found(Origin),
    /// From the model as it comes; [`AnswerStream::kept`] tells at the end what became of it.
    Live,
}

impl AnswerStream<'_> {
    /// Where it comes from.
    pub fn origin(&self) -> &StreamOrigin {
        &self.origin
    }

    /// What became of an answer from the model; `None` before its end, and of one that was found.
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.get()
    }
}

impl Stream for AnswerStream<'_> {
    type Item = Result<Piece, CacheError>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for AnswerStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Gathers what passes.
struct Recorder {
    clock: Arc<dyn Clock>,
    last: Timestamp,
    answer: Answer,
    limit: usize,
    skip: Option<Skip>,
}

impl Recorder {
    fn new(clock: Arc<dyn Clock>, limit: usize) -> Self {
        let last = clock.now();
        Self { clock, last, answer: Answer::new(Vec::new()), limit, skip: None }
    }

    fn record(&mut self, piece: &Piece) {
        match piece {
            Piece::Usage(usage) => self.answer.usage = *usage,
            Piece::Meta(meta) => self.answer.meta = meta.clone(),
            Piece::CallsTools => self.answer.tool_calls = ToolCalls::Some,
            Piece::Chunk(_) if self.skip.is_some() => {}
            Piece::Chunk(chunk) => {
                let now = self.clock.now();
                let after = u32::try_from(now.since(self.last).as_millis()).unwrap_or(u32::MAX);
                self.last = now;
                let large = self.answer.value.len() + chunk.len() > self.limit
                    || self.answer.chunks.len() == CHUNKS;
                match u32::try_from(chunk.len()) {
                    Ok(bytes) if !large => {
                        self.answer.value.extend_from_slice(chunk);
                        self.answer.chunks.push(ChunkMark { bytes, after_ms: after });
                    }
                    _ => {
                        // It goes on to its reader, and takes no more room here.
                        self.skip = Some(Skip::TooLarge);
                        self.answer = Answer::new(Vec::new());
                    }
                }
            }
        }
    }
}

/// An answer as the pieces that it came in; one of one piece as one.
fn replay<'a>(
    clock: Arc<dyn Clock>,
    answer: Arc<Answer>,
    pace: Pace,
) -> BoxStream<'a, Result<Piece, CacheError>> {
    let whole = [ChunkMark { bytes: 0, after_ms: 0 }];
    let marks = if answer.chunks.is_empty() { whole.to_vec() } else { answer.chunks.clone() };
    let only = answer.chunks.is_empty();
    let mut rest = Vec::new();
    if !answer.tool_calls.is_none() {
        rest.push(Ok(Piece::CallsTools));
    }
    if !answer.usage.is_zero() {
        rest.push(Ok(Piece::Usage(answer.usage)));
    }
    if !answer.meta.is_null() {
        rest.push(Ok(Piece::Meta(answer.meta.clone())));
    }
    let from = (marks.into_iter().enumerate(), 0usize);
    let chunks = stream::unfold(from, move |(mut marks, start)| {
        let (clock, answer) = (Arc::clone(&clock), Arc::clone(&answer));
        async move {
            let (n, mark) = marks.next()?;
            let length = usize::try_from(mark.bytes).unwrap_or(usize::MAX);
            let end = if only { answer.value.len() } else { start.saturating_add(length) };
            let chunk = answer.value.get(start..end).unwrap_or_default().to_vec();
            let wait = match pace {
                Pace::AtOnce => Duration::ZERO,
                Pace::Every(_) if n == 0 => Duration::ZERO,
                Pace::Every(wait) => wait,
                Pace::AsRecorded(longest) => {
                    Duration::from_millis(u64::from(mark.after_ms)).min(longest)
                }
            };
            if !wait.is_zero() {
                clock.sleep(wait).await;
            }
            Some((Ok(Piece::Chunk(chunk)), (marks, end)))
        }
    });
    chunks.chain(stream::iter(rest)).boxed()
}

/// What is needed at the end of a stream.
struct Live<'a> {
    cache: LlmCache,
    errand: Arc<Errand>,
    pieces: Pieces<'a>,
    recorder: Recorder,
    ticket: Ticket,
    lease: Option<LeaseGuard>,
    leader: Option<Leader>,
    similar: Similar,
    kept: Arc<OnceLock<Kept>>,
}

impl Live<'_> {
    /// Stores what was recorded and gives it to those who wait.
    async fn finish(self) {
        let Recorder { answer, skip, .. } = self.recorder;
        let kept = match skip {
            Some(skip) => Kept::Skipped(skip),
            None => self.cache.keep(&self.errand, self.ticket, &answer).await,
        };
        let stored = matches!(kept, Kept::Stored);
        self.cache.give_back(&self.errand.key, self.lease).await;
        if let (Some(leader), None) = (self.leader, skip) {
            // What is too large was not recorded: who waits computes for himself.
            land(leader, &Ok((Arc::new(answer), Origin::Computed(kept.clone()))));
        }
        if stored {
            // At worst the question is not found by similar ones.
            let _ = self.cache.keep_similar(&self.errand, self.similar).await;
        }
        // Set once: here.
        let _ = self.kept.set(kept);
    }

    async fn fail(self, error: BoxError) -> CacheError {
        self.cache.keep_failure(&self.errand, self.ticket, error.as_ref()).await;
        self.cache.give_back(&self.errand.key, self.lease).await;
        let error = CacheError::Computation(error.into());
        if let Some(leader) = self.leader {
            land(leader, &Err(error.clone()));
        }
        error
    }
}

/// The whole of a stream, as an answer.
async fn drain(pieces: Pieces<'_>, mut recorder: Recorder) -> Result<Answer, BoxError> {
    let mut pieces = pieces;
    while let Some(piece) = pieces.next().await {
        recorder.record(&piece?);
    }
    match recorder.skip {
        None => Ok(recorder.answer),
        Some(_) => Err("the answer has become too large to be kept".into()),
    }
}

impl LlmCache {
    /// The streamed answer from the cache, or from `start`, recorded while it passes: as
    /// [`LlmCache::get_or_compute`], with these differences.
    ///
    /// - Who asks while an answer is streamed waits for its end (at most [`Policy::flight`](crate::Policy::flight)
    ///   for one that nobody reads on) and gets it replayed, chunk for chunk.
    /// - The failure of a stream in its middle comes after the chunks before it.
    /// - A semantic answer comes without a review; [`LlmCache::report`] takes verdicts.
    ///
    /// # Errors
    /// As [`LlmCache::get_or_compute`], for what fails before the first piece; later failures are items.
    pub async fn get_or_stream<'a, F, Fut, S, E>(
        &self,
        question: &Question,
        call: impl Into<Call>,
        start: F,
    ) -> Result<AnswerStream<'a>, CacheError>
    where
        F: FnOnce() -> Fut + Send + 'a,
        Fut: Future<Output = Result<S, E>> + Send + 'a,
        S: Stream<Item = Result<Piece, E>> + Send + 'a,
        E: Into<BoxError> + Send + 'a,
    {
        let start = move || {
            let pieces = start();
            async move {
                let pieces = pieces.await.map_err(Into::into)?;
                Ok::<Pieces<'a>, BoxError>(pieces.map(|piece| piece.map_err(Into::into)).boxed())
            }
        };
        let errand = Arc::new(self.errand(question, call.into())?);
        if let Some(skip) = errand.pass {
            let bypassed = CacheCounts { bypassed: 1, ..CacheCounts::default() };
            self.count(&errand.tags, bypassed).await;
            return Ok(unrecorded(start().await.map_err(failed)?, Kept::Skipped(skip)));
        }
        let first = match self.first(&errand).await {
            Ok(first) => first?,
            Err(error) => {
                self.missed(&errand).await;
                let error = self.outage(error)?;
                return Ok(unrecorded(start().await.map_err(failed)?, Kept::Not(error)));
            }
        };
        let ticket = match first {
            First::Fresh(answer, origin) => return Ok(self.replayed(&errand, answer, origin)),
            First::Stale(answer, origin, ticket) => {
                let recorder = Recorder::new(Arc::clone(&self.clock), self.policy.max_bytes);
                let compute: Compute<'a> =
                    Box::new(move || async move { drain(start().await?, recorder).await }.boxed());
                let refresh = self.refresh(Arc::clone(&errand), ticket, compute);
                return Ok(AnswerStream { refresh, ..self.replayed(&errand, answer, origin) });
            }
            First::Miss(ticket) => ticket,
        };
        let recompute = errand.call.mode == Mode::Recompute;
        let mut leader = None;
        let mut similar = Similar { look: None, failure: None };
        if !recompute {
            match self.board(&errand, &ticket).await? {
                Boarded::Given(answer, origin) => return Ok(self.replayed(&errand, answer, origin)),
                Boarded::Leads(own) => leader = Some(own),
            }
            similar = self.similar(&errand).await;
            if let Some(candidate) = self.served_similar(&similar) {
                let origin = Origin::Semantic(candidate.hit);
                self.count_given(&errand, &candidate.answer, &origin).await;
                let outcome = Ok((Arc::clone(&candidate.answer), origin.clone()));
                if let Some(leader) = leader {
                    land(leader, &outcome);
                }
                return Ok(self.replayed(&errand, candidate.answer, origin));
            }
        }
        let (ticket, lease) = if recompute {
            (ticket, None)
        } else {
            match self.turn(&errand, ticket, Patience::Wait).await {
                Ok(Turn::Compute(ticket, lease)) => (ticket, lease),
                Ok(Turn::Found(entry)) => {
                    let outcome = found(entry);
                    if let Some(leader) = leader {
                        land(leader, &outcome);
                    }
                    let (answer, origin) = outcome?;
                    self.count_given(&errand, &answer, &Origin::Shared).await;
                    return Ok(self.replayed(&errand, answer, origin));
                }
                Ok(Turn::Elsewhere) => return Err(impatient()),
                Err(error) => {
                    self.missed(&errand).await;
                    let error = self.outage(error)?;
                    return Ok(unrecorded(start().await.map_err(failed)?, Kept::Not(error)));
                }
            }
        };
        self.missed(&errand).await;
        let kept = Arc::new(OnceLock::new());
        let recorder = Recorder::new(Arc::clone(&self.clock), self.policy.max_bytes);
        let live = Live {
            cache: self.clone(),
            errand,
            pieces: stream::empty().boxed(),
            recorder,
            ticket,
            lease,
            leader,
            similar,
            kept: Arc::clone(&kept),
        };
        let live = match start().await {
            Ok(pieces) => Live { pieces, ..live },
            Err(error) => return Err(live.fail(error).await),
        };
        let pieces = stream::unfold(Some(live), |live| async move {
            let mut live = live?;
            match live.pieces.next().await {
                Some(Ok(piece)) => {
                    live.recorder.record(&piece);
                    Some((Ok(piece), Some(live)))
                }
                Some(Err(error)) => Some((Err(live.fail(error).await), None)),
                None => {
                    live.finish().await;
                    None
                }
            }
        });
        let pieces = pieces.boxed();
        Ok(AnswerStream { pieces, origin: StreamOrigin::Live, kept, refresh: None })
    }

    fn replayed<'a>(
        &self,
        errand: &Errand,
        answer: Arc<Answer>,
        origin: Origin,
    ) -> AnswerStream<'a> {
        AnswerStream {
            pieces: replay(Arc::clone(&self.clock), answer, errand.call.pace),
            origin: StreamOrigin::Found(origin),
            kept: Arc::default(),
            refresh: None,
        }
    }
}

fn failed(error: BoxError) -> CacheError {
    let error: Arc<dyn StdError + Send + Sync> = error.into();
    CacheError::Computation(error)
}

/// A stream that nothing is kept of.
fn unrecorded(pieces: Pieces<'_>, why: Kept) -> AnswerStream<'_> {
    AnswerStream {
        pieces: pieces.map(|piece| piece.map_err(failed)).boxed(),
        origin: StreamOrigin::Live,
        kept: Arc::new(OnceLock::from(why)),
        refresh: None,
    }
}
