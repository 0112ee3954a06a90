//! Answers to similar questions: never across contexts, never after their end, within the budget.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use hexmem_adapter_memory::{MemoryKeyValue, MemoryVectors};
use hexmem_llm_cache::{
    Answer, Budget, Call, Kept, LlmCache, Origin, Piece, Question, SameText, SemanticHit,
    SemanticPolicy, SemanticTier, Served, Start, StreamOrigin, Verdict,
};
use hexmem_ports::{EmbedMode, Embedder, EmbeddingSpace, Error, ErrorKind, Limit};
use serde_json::json;
use world::{World, name};

/// Places questions on a circle by an angle that the text ends with, in degrees: similarity is its cosine.
struct Circle {
    calls: AtomicU32,
    model: &'static str,
}

#[async_trait]
impl Embedder for Circle {
    fn space(&self) -> EmbeddingSpace {
        EmbeddingSpace {
            provider: name("test"),
            model: name(self.model),
            dimension: 2,
            normalised: true,
            preprocessing: String::new(),
        }
    }
    async fn embed(&self, _: EmbedMode, texts: &[String]) -> hexmem_ports::Result<Vec<Vec<f32>>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let vector = |text: &String| {
            let angle: f32 = text.rsplit(' ').next()?.parse().ok()?;
            let (y, x) = angle.to_radians().sin_cos();
            Some(vec![x, y])
        };
        texts
            .iter()
            .map(vector)
            .collect::<Option<_>>()
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, "embed", "no angle"))
    }
}

struct Tiers {
    world: Arc<World>,
    vectors: Arc<MemoryVectors>,
    state: Arc<MemoryKeyValue>,
    model: &'static str,
}

impl Tiers {
    fn new() -> Self {
        let world = World::new();
        let vectors = Arc::new(MemoryVectors::new(world.clock.clone()));
        let state = Arc::new(MemoryKeyValue::new(world.clock.clone()));
        Self { world, vectors, state, model: "circle" }
    }

    fn tier(&self, policy: SemanticPolicy) -> SemanticTier {
        let embedder = Circle { calls: AtomicU32::new(0), model: self.model };
        let (vectors, state) = (self.vectors.clone(), self.state.clone());
        SemanticTier::new(vectors, Arc::new(embedder), state, policy).unwrap()
    }

    fn cache(&self, policy: SemanticPolicy) -> LlmCache {
        self.world.process().with_semantic(self.tier(policy))
    }

    fn judged(&self, policy: SemanticPolicy) -> LlmCache {
        self.world.process().with_semantic(self.tier(policy).with_judge(Arc::new(SameText)))
    }
}

/// Serves from a cosine of 0.9 on (25 degrees), trusting, without reviews.
fn trusting() -> SemanticPolicy {
    let policy = SemanticPolicy::serve(0.9);
    let budget = Budget { start: Start::Trusting, ..policy.budget };
    SemanticPolicy { budget, review_percent: 0, ..policy }
}

fn question(text: &str) -> Question {
    Question::new(name("p"), name("m")).message("user", text)
}

async fn ask_as(
    cache: &LlmCache,
    question: &Question,
    call: Call,
    text: &'static str,
) -> Served<'static> {
    let compute = move || async move { Ok::<_, Infallible>(Answer::new(text).tokens(10, 5)) };
    cache.get_or_compute(question, call, compute).await.unwrap()
}

async fn ask(cache: &LlmCache, asked: &str, text: &'static str) -> Served<'static> {
    ask_as(cache, &question(asked), Call::new(), text).await
}

fn hit(served: &Served<'_>) -> Option<SemanticHit> {
    match &served.origin {
        Origin::Semantic(hit) => Some(hit.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_similar_question_is_answered_and_says_so() {
    let tiers = Tiers::new();
    let cache = tiers.cache(trusting());
    let first = ask(&cache, "zero 0", "zero").await;
    assert!(matches!(first.origin, Origin::Computed(Kept::Stored)));
    let near = ask(&cache, "ten 10", "never").await;
    let found = hit(&near).expect("10 degrees are near");
    assert_eq!(near.answer.text().unwrap(), "zero");
    assert_eq!(found.fingerprint, cache.key(&question("zero 0")).unwrap().fingerprint);
    assert!((found.similarity - 10f64.to_radians().cos()).abs() < 1e-5, "{}", found.similarity);
    let far = ask(&cache, "thirty 30", "thirty").await;
    assert_eq!(far.answer.text().unwrap(), "thirty");
    // The nearest one answers.
    assert_eq!(ask(&cache, "twenty 20", "never").await.answer.text().unwrap(), "thirty");
    // Not stored under the question: the very same is found semantically again, or not at all.
    assert!(cache.get(&question("ten 10")).await.unwrap().is_none());
    let exact = ask_as(&cache, &question("ten 10"), Call::new().exact(), "ten").await;
    assert_eq!(exact.answer.text().unwrap(), "ten");
    let counts = cache.stats().await.unwrap().counts;
    assert_eq!((counts.semantic_hits, counts.hits, counts.stored), (2, 0, 3));
    assert_eq!(counts.output_tokens_saved, 10);
}

#[tokio::test]
async fn contexts_and_tags_do_not_mix() {
    let tiers = Tiers::new();
    let cache = tiers.cache(trusting());
    let base = || question("zero 0");
    let call = || Call::new().tag(name("a"));
    let _ = ask_as(&cache, &base(), call(), "base").await;
    let near = || question("one 1");
    assert!(hit(&ask_as(&cache, &near(), call(), "x").await).is_some());
    for (what, question, call) in [
        ("system", near().system("other"), call()),
        ("parameters", near().parameter("temperature", 0.5), call()),
        ("tools", near().tool(json!({"name": "t"})), call()),
        ("model", Question { model: name("m2"), ..near() }, call()),
        (
            "history",
            Question::new(name("p"), name("m")).message("assistant", "Hi").message("user", "one 1"),
            call(),
        ),
        ("tags", near(), Call::new()),
        ("sample", near(), call().sample(1)),
        ("last word not the user's", near().message("assistant", "one 1"), call()),
    ] {
        let served = ask_as(&cache, &question, call, "own").await;
        assert_eq!(served.answer.text().unwrap(), "own", "{what}");
    }
    let stranger = tiers.world.process_of("t2", "n").with_semantic(tiers.tier(trusting()));
    assert_eq!(ask_as(&stranger, &near(), call(), "own").await.answer.text().unwrap(), "own");
    let elsewhere = tiers.world.process_of("t", "n2").with_semantic(tiers.tier(trusting()));
    assert_eq!(ask_as(&elsewhere, &near(), call(), "own").await.answer.text().unwrap(), "own");
    let other_model = Tiers { model: "ellipse", ..tiers };
    let cache = other_model.cache(trusting());
    assert_eq!(ask_as(&cache, &near(), call(), "own").await.answer.text().unwrap(), "own");
}

#[tokio::test]
async fn what_ended_exactly_is_not_served_semantically() {
    let tiers = Tiers::new();
    let (cache, elsewhere) = (tiers.cache(trusting()), tiers.cache(trusting()));
    for end in ["tag", "model", "key", "all", "time", "stale"] {
        let call = || Call::new().tag(name("a"));
        let _ = ask_as(&cache, &question("zero 0"), call(), "old").await;
        let near = async || ask_as(&cache, &question("one 1"), call(), "new").await;
        assert_eq!(near().await.answer.text().unwrap(), "old", "{end}");
        match end {
            "tag" => drop(elsewhere.invalidate_tag(name("a")).await),
            "model" => drop(elsewhere.invalidate_model(name("m")).await),
            "key" => drop(elsewhere.invalidate(&question("zero 0")).await),
            "all" => drop(elsewhere.invalidate_all().await),
            "stale" => tiers.world.clock.advance(Duration::from_secs(120)),
            _ => tiers.world.clock.advance(Duration::from_secs(1_000)),
        }
        assert_eq!(near().await.answer.text().unwrap(), "new", "{end}");
        elsewhere.invalidate_all().await.unwrap();
    }
}

#[tokio::test]
async fn a_question_that_leads_nowhere_makes_room_for_the_next() {
    let tiers = Tiers::new();
    // Nothing is near enough but the very place, so that each question is computed and kept.
    let apart = tiers.cache(SemanticPolicy { threshold: 1.0, ..trusting() });
    for (text, answer) in [("one 1", "one"), ("five 5", "five"), ("nine 9", "nine")] {
        let _ = ask(&apart, text, answer).await;
    }
    let cache = tiers.cache(SemanticPolicy { candidates: 2, ..trusting() });
    let asked = async || ask(&cache, "zero 0", "own").await.answer.text().unwrap().to_owned();
    assert_eq!(asked().await, "one");
    cache.invalidate(&question("one 1")).await.unwrap();
    assert_eq!(asked().await, "five");
    // What was met is forgotten; the rest is found by walking.
    cache.invalidate_all().await.unwrap();
    let page = Limit::new(1).unwrap();
    let (mut freed, mut cursor) = (0, None);
    loop {
        let (some, next) = cache.sweep_semantic(cursor, page).await.unwrap();
        freed += some;
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(freed, 2);
    assert_eq!(cache.sweep_semantic(None, page).await.unwrap(), (0, None));
}

#[tokio::test]
async fn what_is_asked_exactly_is_in_no_semantic_tier() {
    let tiers = Tiers::new();
    let cache = tiers.cache(trusting());
    let _ = ask_as(&cache, &question("zero 0"), Call::new().exact(), "zero").await;
    assert!(hit(&ask(&cache, "one 1", "one").await).is_none());
}

#[tokio::test]
async fn threshold_zero_is_zero() {
    let tiers = Tiers::new();
    let cache = tiers.cache(SemanticPolicy { threshold: 0.0, ..trusting() });
    let _ = ask(&cache, "zero 0", "zero").await;
    assert!(hit(&ask(&cache, "right angle 89", "never").await).is_some(), "above 0");
    assert!(hit(&ask(&cache, "behind 120", "behind").await).is_none(), "below 0");
    let strict = Tiers::new();
    let cache = strict.cache(SemanticPolicy { threshold: 1.0, ..trusting() });
    let _ = ask(&cache, "zero 0", "zero").await;
    assert!(hit(&ask(&cache, "one 1", "one").await).is_none());
    assert!(hit(&ask(&cache, "the same place 0", "never").await).is_some());
    for threshold in [-0.1, 1.1, f64::NAN] {
        assert!(SemanticPolicy { threshold, ..trusting() }.check().is_err());
    }
}

#[tokio::test]
async fn a_reported_false_hit_tightens_the_threshold_for_all() {
    let tiers = Tiers::new();
    let (cache, elsewhere) = (tiers.cache(trusting()), tiers.cache(trusting()));
    let _ = ask(&cache, "zero 0", "zero").await;
    let wrong = hit(&ask(&cache, "ten 10", "never").await).unwrap();
    cache.report(&wrong, Verdict::Wrong).await.unwrap();
    let budget = elsewhere.budget().await.unwrap();
    assert!(budget.threshold.is_some_and(|t| t > wrong.similarity && t < 1.0), "{budget:?}");
    assert_eq!((budget.right, budget.wrong), (0, 1));
    assert!(hit(&ask(&elsewhere, "eleven 11", "eleven").await).is_none());
    let near = hit(&ask(&elsewhere, "minus two -2", "never").await);
    assert!(near.is_some(), "what is nearer is served on");
    // Right answers bring it back, when they show that the budget holds: two writers, none lost.
    let reports = (0..600).map(|n| {
        let cache = if n % 2 == 0 { cache.clone() } else { elsewhere.clone() };
        let wrong = wrong.clone();
        tokio::spawn(async move { cache.report(&wrong, Verdict::Right).await })
    });
    for done in join_all(reports).await {
        done.unwrap().unwrap();
    }
    let budget = cache.budget().await.unwrap();
    assert_eq!((budget.right, budget.wrong, budget.threshold), (600, 1, Some(0.9)));
    assert_eq!(cache.stats().await.unwrap().counts.false_hits, 1);
    assert!(tiers.world.process().budget().await.is_err(), "no tier, no budget");
}

#[tokio::test]
async fn shadow_mode_serves_nothing_and_learns() {
    let tiers = Tiers::new();
    let shadow = SemanticPolicy::shadow(0.9);
    let cache = tiers.judged(shadow);
    let _ = ask(&cache, "zero 0", "same").await;
    for (asked, text, verdict) in
        [("one 1", "Same ", Verdict::Right), ("minus ten -10", "other", Verdict::Wrong)]
    {
        let served = ask(&cache, asked, text).await;
        assert_eq!(served.answer.text().unwrap(), text, "its own answer");
        assert!(matches!(served.origin, Origin::Computed(Kept::Stored)));
        let reviewed = served.review.expect("there is something to compare").await.unwrap();
        assert_eq!(reviewed.verdict, Some(verdict));
    }
    assert!(ask(&cache, "far 90", "far").await.review.is_none());
    let budget = cache.budget().await.unwrap();
    assert_eq!((budget.right, budget.wrong), (1, 1));
    let counts = cache.stats().await.unwrap().counts;
    assert_eq!((counts.semantic_hits, counts.shadow_hits, counts.false_hits), (0, 2, 1));
    // What was learnt holds when it is switched to serving.
    let serving = tiers.cache(trusting());
    assert!(hit(&ask(&serving, "minus eleven -21", "own").await).is_none());
}

#[tokio::test]
async fn what_is_not_proven_is_computed_and_compared() {
    let tiers = Tiers::new();
    let policy = SemanticPolicy::serve(0.9);
    let budget = Budget { false_hits: 0.3, ..policy.budget };
    let cache = tiers.judged(SemanticPolicy { budget, ..policy });
    let _ = ask(&cache, "zero 0", "same").await;
    let mut computed = 0;
    for n in 0..40 {
        let asked = format!("question {n} {}", f64::from(n) / 100.0);
        let served = ask(&cache, &asked, "same").await;
        if hit(&served).is_none() {
            computed += 1;
            let _ = served.review.expect("to be compared").await.unwrap();
        }
    }
    // Wilson's bound of 0 in 9 at 1.96 deviations is 0.299.
    assert_eq!(computed, 9);
}

#[tokio::test]
async fn a_share_of_what_is_served_is_reviewed() {
    let tiers = Tiers::new();
    let cache = tiers.judged(SemanticPolicy { review_percent: 25, ..trusting() });
    let _ = ask(&cache, "zero 0", "same").await;
    let mut reviews: u64 = 0;
    for n in 0..200 {
        let served = ask(&cache, &format!("question {n} 1"), "same").await;
        assert!(hit(&served).is_some());
        if let Some(review) = served.review {
            reviews += 1;
            if reviews.is_multiple_of(2) {
                // Dropped: nothing is computed, nothing is learnt.
                continue;
            }
            let reviewed = review.await.unwrap();
            assert_eq!(reviewed.verdict, Some(Verdict::Right));
            let own = cache.get(&question(&format!("question {n} 1"))).await.unwrap();
            assert!(own.is_some(), "the computed answer is kept");
        }
    }
    assert!((25..80).contains(&reviews), "{reviews} of 200");
    assert_eq!(cache.budget().await.unwrap().right, reviews.div_ceil(2));
}

#[tokio::test]
async fn without_its_embedder_the_cache_goes_on() {
    let tiers = Tiers::new();
    let cache = tiers.cache(trusting());
    let served = ask(&cache, "no angle", "own").await;
    assert!(matches!(served.origin, Origin::Computed(Kept::Stored)));
    let failure = served.semantic_failure.expect("it is told");
    assert_eq!(failure.kind(), ErrorKind::Unavailable);
    assert!(ask(&cache, "no angle", "never").await.origin.is_hit());
}

#[tokio::test]
async fn a_stream_is_answered_by_a_similar_question_too() {
    let tiers = Tiers::new();
    let cache = tiers.cache(trusting());
    let stream = async |asked: &str, texts: &'static [&'static str]| {
        let pieces = texts.iter().map(|text| Ok(Piece::Chunk(text.as_bytes().to_vec())));
        let start = move || async move { Ok::<_, Infallible>(stream::iter(pieces)) };
        let mut stream = cache.get_or_stream(&question(asked), Call::new(), start).await.unwrap();
        let semantic = matches!(stream.origin(), StreamOrigin::Found(Origin::Semantic(_)));
        let mut got = Vec::new();
        while let Some(piece) = stream.next().await {
            if let Piece::Chunk(chunk) = piece.unwrap() {
                got.push(String::from_utf8(chunk).unwrap());
            }
        }
        (semantic, got)
    };
    assert_eq!(stream("zero 0", &["z", "ero"]).await, (false, vec!["z".into(), "ero".into()]));
    assert_eq!(stream("one 1", &["never"]).await, (true, vec!["z".into(), "ero".into()]));
    assert_eq!(ask(&cache, "two 2", "never").await.answer.text().unwrap(), "zero");
}

#[tokio::test]
async fn of_similar_questions_at_once_each_is_answered() {
    let tiers = Tiers::new();
    let cache = tiers.cache(trusting());
    let asked = (0..20).map(|n| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let served = ask(&cache, &format!("question 0.{}", n % 4), "same").await;
            served.answer.text().unwrap().to_owned()
        })
    });
    for answer in join_all(asked).await {
        assert_eq!(answer.unwrap(), "same");
    }
    let counts = cache.stats().await.unwrap().counts;
    assert_eq!(counts.answered() + counts.misses, 20, "each counts once");
}
