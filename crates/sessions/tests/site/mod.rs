//! A small site whose handlers do what tests ask.
#![allow(unreachable_pub, reason = "for the test beside it")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, to_bytes};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hexmem_adapter_memory::ManualClock;
use hexmem_ports::{Name, Tenant};
use hexmem_sessions::web::{Require, Session, SessionLayer, status};
use hexmem_sessions::{Client, Policy, Rotation, Sessions};
use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tower_service::Service as _;

use crate::doubles::Faulty;

type Handled<T = String> = Result<T, StatusCode>;

#[allow(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn failed(error: hexmem_ports::Error) -> StatusCode {
    status(&error)
}

async fn log_in(Extension(session): Extension<Session>, user: String) -> Handled {
    session.log_in(Name::new(user).map_err(failed)?).await.map_err(failed)?;
    Ok("in".into())
}

async fn log_out(Extension(session): Extension<Session>) -> Handled {
    Ok(session.log_out().await.map_err(failed)?.to_string())
}

async fn whoami(Extension(session): Extension<Session>) -> Handled {
    let user = session.user().await.map_err(failed)?;
    Ok(user.map_or_else(|| "nobody".into(), |user| user.user.to_string()))
}

/// `/set?a=1&b=2`: numbers are kept, an empty value removes.
async fn set(Extension(session): Extension<Session>, uri: Uri) -> Handled<StatusCode> {
    for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, "")) => session.remove(key),
            Some((key, value)) => {
                session.insert(key, value.parse::<i64>().unwrap()).map_err(failed)?
            }
            None => session.clear(),
        }
    }
    Ok(uri.path().rsplit('/').next().unwrap().parse().unwrap())
}

async fn data(Extension(session): Extension<Session>) -> Handled {
    let kept = session.load().await.map_err(failed)?;
    Ok(kept.map_or(Value::Null, |kept| kept.data).to_string())
}

async fn count(Extension(session): Extension<Session>) -> Handled<()> {
    let one_more = |fields: &mut serde_json::Map<String, Value>| {
        let count = fields.get("n").and_then(Value::as_i64).unwrap_or(0);
        fields.insert("n".into(), json!(count + 1));
    };
    session.change(one_more).await.map_err(failed)
}

pub struct Site {
    app: Router,
    pub sessions: Sessions,
    store: Arc<Faulty>,
    pub clock: Arc<ManualClock>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The token that the response sets.
    pub fn token(&self) -> Option<String> {
        let header = self.headers.get(SET_COOKIE)?.to_str().unwrap();
        let value = header.split(';').next().unwrap().strip_prefix("__Host-id=").unwrap();
        Some(value.to_owned()).filter(|value| !value.is_empty())
    }
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn shop() -> Tenant {
    Tenant(name("shop"))
}

pub fn site(policy: Policy) -> Site {
    let clock = Arc::new(ManualClock::default());
    let store = Faulty::new(clock.clone());
    let sessions = Sessions::new(store.clone(), clock.clone(), policy).unwrap();
    let meeting = Arc::new(Barrier::new(2));
    // Both requests have read the session before either of them saves.
    let meet = async move |Extension(session): Extension<Session>, uri: Uri| {
        session.load().await.map_err(failed)?;
        meeting.wait().await;
        set(Extension(session), uri).await
    };
    let admin = |kept: &hexmem_ports::Session| kept.data["admin"] == json!(1);
    let app = Router::new()
        .route("/admin", get(whoami).route_layer(Require::user_who(admin)))
        .route("/page", get(whoami).route_layer(Require::user().or_redirect("/login").unwrap()))
        .route("/private", get(whoami).route_layer(Require::user()))
        .route("/public", get(async || "hello"))
        .route(
            "/cached",
            get(async |session| {
                log_in(session, "carol".into()).await.map(|_| [(CACHE_CONTROL, "private")])
            }),
        )
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route(
            "/everywhere",
            post(async |Extension(session): Extension<Session>| {
                session.log_out_everywhere().await.map(|n| n.to_string()).map_err(failed)
            }),
        )
        .route(
            "/others",
            post(async |Extension(session): Extension<Session>| {
                session.log_out_others().await.map(|n| n.to_string()).map_err(failed)
            }),
        )
        .route(
            "/rotate",
            post(async |Extension(session): Extension<Session>| {
                session
                    .rotate(Rotation::Privilege)
                    .await
                    .map(|done| done.to_string())
                    .map_err(failed)
            }),
        )
        .route("/whoami", get(whoami))
        .route("/data", get(data))
        .route("/count", post(count))
        .route("/meet/{status}", post(meet))
        .route("/set/{status}", post(set));
    let layer = SessionLayer::new(sessions.clone(), shop());
    let layer = layer.with_client(|parts| {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        Client::new(header("x-ip").and_then(|ip| ip.parse().ok()), header("user-agent"))
    });
    Site { app: app.layer(layer), sessions, store, clock }
}

impl Site {
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1_000_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(COOKIE, format!("__Host-id={token}"));
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.ask("GET", path, token, "").await
    }

    pub async fn post(&self, path: &str, token: Option<&str>) -> Answer {
        self.ask("POST", path, token, "").await
    }

    pub async fn logged_in(&self, user: &str, token: Option<&str>) -> String {
        let answer = self.ask("POST", "/login", token, user).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.token().unwrap()
    }

    pub async fn data(&self, token: &str) -> Value {
        serde_json::from_str(&self.get("/data", Some(token)).await.text).unwrap()
    }

    pub fn calls(&self) -> usize {
        self.store.calls.swap(0, Ordering::SeqCst)
    }

    pub fn down(&self, down: bool) {
        self.store.down.store(down, Ordering::SeqCst);
    }
}
