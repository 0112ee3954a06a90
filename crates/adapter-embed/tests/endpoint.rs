//! Endpoints, against a server on loopback that answers as it is told to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::FutureExt as _;
use hexmem_adapter_embed::{ApiKey, Endpoint, EndpointConfig, RerankConfig, RerankEndpoint};
use hexmem_adapter_memory::{HashEmbedder, ManualClock};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{
    Capabilities, Clock as _, EmbedMode, Embedder, Error, ErrorKind, Reranker, Retry,
};
use serde_json::{Value, json};

const DIMENSION: u32 = 16;

/// What the server does with a request: its number, from 0, and its body.
type Answer = dyn Fn(usize, &Value) -> Response + Send + Sync;

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = (Arc<Answer>, Arc<AtomicUsize>, Arc<Mutex<Vec<(HeaderMap, Value)>>>);

async fn handle(
    State((answer, number, seen)): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let response = answer(number.fetch_add(1, Ordering::SeqCst), &body);
    seen.lock().unwrap().push((headers, body));
    response
}

async fn server(answer: impl Fn(usize, &Value) -> Response + Send + Sync + 'static) -> Server {
    let seen = Arc::new(Mutex::default());
    let shared: Shared = (Arc::new(answer), Arc::default(), Arc::clone(&seen));
    let router = Router::new()
        .route("/v1/embeddings", post(handle))
        .route("/rerank", post(handle))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(shared);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { url, seen, task }
}

fn texts(body: &Value) -> Vec<String> {
    serde_json::from_value(body["input"].clone()).unwrap()
}

/// Vectors by words, as a model without meaning gives them.
fn vectors(texts: &[String]) -> Vec<Vec<f32>> {
    let embedder = HashEmbedder::new(DIMENSION).unwrap();
    embedder.embed(EmbedMode::Passage, texts).now_or_never().unwrap().unwrap()
}

fn good(body: &Value) -> Response {
    let data = vectors(&texts(body)).into_iter().enumerate();
    let data: Vec<Value> = data.map(|(index, v)| json!({"index": index, "embedding": v})).collect();
    Json(json!({"object": "list", "data": data})).into_response()
}

fn config(server: &Server) -> EndpointConfig {
    EndpointConfig {
        url: format!("{}/v1/", server.url),
        model: "words".into(),
        dimension: DIMENSION,
        timeout_ms: 5_000,
        ..EndpointConfig::default()
    }
}

fn endpoint(config: EndpointConfig) -> (Endpoint, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (Endpoint::new(config, Arc::clone(&clock) as _).unwrap(), clock)
}

/// Lets the clock run while a call goes on: pauses take no time.
async fn run<T>(clock: &ManualClock, call: impl Future<Output = T>) -> (T, Duration) {
    let began = clock.now();
    let mut call = std::pin::pin!(call);
    loop {
        tokio::select! {
            done = &mut call => return (done, clock.now().since(began)),
            () = tokio::time::sleep(Duration::from_millis(2)) => clock.advance(Duration::from_millis(250)),
        }
    }
}

async fn embed(
    answer: impl Fn(usize, &Value) -> Response + Send + Sync + 'static,
) -> (Result<Vec<Vec<f32>>, Error>, usize) {
    let server = server(answer).await;
    let (endpoint, clock) = endpoint(config(&server));
    let texts = ["a lease", "ends", "by itself"].map(String::from);
    let (done, _) = run(&clock, endpoint.embed(EmbedMode::Passage, &texts)).await;
    let asked = server.seen.lock().unwrap().len();
    (done, asked)
}

#[tokio::test]
async fn a_request_has_the_prefix_the_key_and_no_more_texts_than_configured() {
    let server = server(|_, body| good(body)).await;
    let config = EndpointConfig {
        api_key: ApiKey::new("hush"),
        query_prefix: "query: ".into(),
        max_chars: 4,
        batch: 2,
        send_dimension: true,
        ..config(&server)
    };
    assert!(!format!("{config:?}{}", json!(config)).contains("hush"));
    let (endpoint, _) = endpoint(config);
    let found = endpoint
        .embed(EmbedMode::Query, &["leases", "日本語日本", "c"].map(String::from))
        .await
        .unwrap();
    assert_eq!(found.len(), 3);
    let mut seen = server.seen.lock().unwrap().clone();
    seen.sort_by_key(|(_, body)| std::cmp::Reverse(texts(body).len()));
    assert_eq!(texts(&seen[0].1), ["query: leas", "query: 日本語日"]);
    assert_eq!(texts(&seen[1].1), ["query: c"]);
    assert_eq!(seen[0].0[header::AUTHORIZATION], "Bearer hush");
    assert_eq!((&seen[0].1["model"], &seen[0].1["dimensions"]), (&json!("words"), &json!(16)));
    assert_eq!(endpoint.space().preprocessing, "query after \"query: \", cut at 4 characters");
}

#[tokio::test]
async fn an_answer_that_is_not_whole_is_an_error_that_says_why() {
    let item =
        |index: usize, length: usize| json!({"index": index, "embedding": vec![0.5; length]});
    for (data, words) in [
        (json!([item(0, 16)]), "1 vectors for 3 texts"),
        (json!([item(0, 16), item(1, 16), item(1, 16)]), "not one for each text (index 1)"),
        (json!([item(0, 16), item(1, 16), item(7, 16)]), "not one for each text (index 7)"),
        (json!([item(0, 16), item(1, 8), item(2, 16)]), "has 8 numbers, and 16 are configured"),
        (
            json!([item(0, 16), item(1, 16), json!({"index": 2, "embedding": vec![0.0; 16]})]),
            "vector of zeros",
        ),
        (
            json!([item(0, 16), item(1, 16), json!({"index": 2, "embedding": vec![1e300; 16]})]),
            "not finite",
        ),
        (json!("nothing"), "no `data`"),
    ] {
        let (done, asked) = embed(move |_, _| Json(json!({"data": data})).into_response()).await;
        let error = done.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!((error.retry_hint(), asked), (Retry::Never, 1), "{error}");
    }
    let (done, _) = embed(|_, _| "<html>busy</html>".into_response()).await;
    assert!(done.unwrap_err().to_string().contains("no JSON"));
}

#[tokio::test]
async fn vectors_are_put_in_the_order_of_the_texts() {
    let (done, _) = embed(|_, body| {
        let all = vectors(&texts(body)).into_iter().enumerate().rev();
        let data: Vec<Value> =
            all.map(|(index, v)| json!({"index": index, "embedding": v})).collect();
        Json(json!({"data": data})).into_response()
    })
    .await;
    let expected = vectors(&["a lease", "ends", "by itself"].map(String::from));
    for (found, expected) in done.unwrap().iter().zip(&expected) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_again_and_what_may_not_is_not() {
    for (status, kind, asked) in [
        (400, ErrorKind::Invalid, 1),
        (401, ErrorKind::Denied, 1),
        (404, ErrorKind::NotFound, 1),
        (429, ErrorKind::RateLimited, 6),
        (500, ErrorKind::Unavailable, 6),
        (503, ErrorKind::Unavailable, 6),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let said = json!({"error": {"message": "words \n of the endpoint"}});
        let (done, times) = embed(move |_, _| (status, Json(said.clone())).into_response()).await;
        let error = done.unwrap_err();
        assert_eq!((error.kind(), times), (kind, asked), "{error}");
        assert!(error.to_string().contains("words of the endpoint"), "{error}");
    }
    let (done, asked) = embed(|number, body| match number {
        0 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => good(body),
    })
    .await;
    assert_eq!((done.unwrap().len(), asked), (3, 2));
}

#[tokio::test]
async fn the_pause_is_what_the_endpoint_asks_for() {
    let server = server(|number, body| match number {
        0 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "20")], "slow down")
            .into_response(),
        _ => good(body),
    })
    .await;
    let (endpoint, clock) = endpoint(config(&server));
    let (done, took) = run(&clock, endpoint.embed(EmbedMode::Query, &["a".to_owned()])).await;
    assert_eq!(done.unwrap().len(), 1);
    assert!(took >= Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved() {
    let (done, asked) = embed(|_, body| match texts(body).len() {
        1 => good(body),
        _ => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    })
    .await;
    // All three, one, two, one, one.
    assert_eq!((done.unwrap().len(), asked), (3, 5));
    let (done, _) = embed(|_, _| StatusCode::PAYLOAD_TOO_LARGE.into_response()).await;
    assert!(done.unwrap_err().to_string().contains("max_chars"));
}

#[tokio::test]
async fn nobody_there_and_no_answer() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = EndpointConfig {
        url: format!("http://{closed}/v1"),
        model: "words".into(),
        dimension: DIMENSION,
        retries: 0,
        timeout_ms: 50,
        ..EndpointConfig::default()
    };
    let error =
        endpoint(config.clone()).0.embed(EmbedMode::Query, &["a".to_owned()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // Accepts, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config =
        EndpointConfig { url: format!("http://{}/v1", silent.local_addr().unwrap()), ..config };
    let error = endpoint(config).0.embed(EmbedMode::Query, &["a".to_owned()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[test]
fn a_configuration_that_cannot_be_is_named() {
    let fine = EndpointConfig {
        url: "http://h/v1".into(),
        model: "m".into(),
        dimension: 8,
        ..EndpointConfig::default()
    };
    let refused = |change: &dyn Fn(&mut EndpointConfig), words: &str| {
        let mut config = fine.clone();
        change(&mut config);
        let error = Endpoint::new(config, Arc::new(ManualClock::default())).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(words), "{error}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    };
    refused(&|c| c.url = String::new(), "url is missing");
    refused(&|c| c.url = "localhost:80".into(), "no http://");
    refused(&|c| c.url = "http://me:hush@h".into(), "as api_key");
    refused(&|c| c.model = String::new(), "model is missing");
    refused(&|c| c.dimension = 0, "dimension is missing");
    refused(&|c| c.dimension = 70_000, "dimension is 1 to 65536");
    refused(&|c| c.batch = 0, "batch is 1 to 2048");
    refused(&|c| c.parallel = 65, "parallel");
    refused(&|c| c.timeout_ms = 0, "timeout_ms");
}

#[tokio::test]
async fn both_forms_of_a_reranker_are_read() {
    let score = |text: &Value| text.as_str().unwrap().len();
    for named in [true, false] {
        let server = server(move |_, body| {
            assert_eq!(body["texts"], body["documents"]);
            let all = body["texts"].as_array().unwrap().iter().enumerate().rev();
            let list: Vec<Value> = all
                .map(|(index, text)| match named {
                    true => json!({"index": index, "relevance_score": score(text)}),
                    false => json!({"index": index, "score": score(text)}),
                })
                .collect();
            Json(if named { json!({"results": list}) } else { json!(list) }).into_response()
        })
        .await;
        let config = RerankConfig { url: server.url.clone(), batch: 2, ..RerankConfig::default() };
        let reranker = RerankEndpoint::new(config, Arc::new(ManualClock::default())).unwrap();
        let passages = ["a", "abc", "ab"].map(String::from);
        assert_eq!(reranker.rerank("q", &passages).await.unwrap(), [1.0, 3.0, 2.0]);
    }
    let server = server(|_, _| Json(json!([{"index": 0, "score": 1.0}])).into_response()).await;
    let config = RerankConfig { url: server.url.clone(), ..RerankConfig::default() };
    let reranker = RerankEndpoint::new(config, Arc::new(ManualClock::default())).unwrap();
    let error = reranker.rerank("q", &["a", "b"].map(String::from)).await.unwrap_err();
    assert!(error.to_string().contains("1 scores for 2 texts"), "{error}");
}

fn rig_of<P: ?Sized>(name: &'static str, store: Arc<P>, server: Server) -> Rig<P> {
    let clock = Arc::new(ManualClock::default());
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let rig = Rig::new(name, store, Capabilities::default(), time);
    Rig { guard: Some(Arc::new(server)), ..rig }
}

mod suite {
    use super::*;

    mod embed {
        use super::*;

        async fn rig() -> Rig<dyn Embedder> {
            let server = server(|_, body| good(body)).await;
            let store: Arc<dyn Embedder> = Arc::new(endpoint(config(&server)).0);
            rig_of("embed", store, server)
        }

        hexmem_conformance::embed_suite!(rig);
    }

    mod rerank {
        use super::*;

        async fn rig() -> Rig<dyn Reranker> {
            let server = server(|_, body| {
                let all = body["texts"].as_array().unwrap().iter().enumerate();
                let list: Vec<Value> =
                    all.map(|(index, _)| json!({"index": index, "score": 0.5})).collect();
                Json(json!(list)).into_response()
            })
            .await;
            let config = RerankConfig { url: server.url.clone(), ..RerankConfig::default() };
            let store = RerankEndpoint::new(config, Arc::new(ManualClock::default())).unwrap();
            rig_of("embed", Arc::new(store) as Arc<dyn Reranker>, server)
        }

        hexmem_conformance::rerank_suite!(rig);
    }
}
