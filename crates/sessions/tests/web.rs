//! The tower layer, as axum drives it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doubles;
mod site;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use doubles::Faulty;
use hexmem_adapter_memory::ManualClock;
use hexmem_ports::{Tenant, UserScope};
use hexmem_sessions::web::{Require, SessionLayer};
use hexmem_sessions::{
    Binding, CookieConfig, Network, OnChange, Policy, Sessions, Start, TOKEN_BYTES, Token,
};
use http::header::{CACHE_CONTROL, COOKIE, LOCATION, SET_COOKIE, VARY, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use serde_json::json;
use site::{name, shop, site};
use tower_service::Service as _;

#[tokio::test]
async fn who_does_not_ask_pays_nothing() {
    let site = site(Policy::default());
    let token = site.logged_in("alice", None).await;
    site.calls();
    for _ in 0..3 {
        let answer = site.get("/public", Some(&token)).await;
        assert!(answer.headers.get(VARY).is_none() && answer.token().is_none());
    }
    assert_eq!(site.calls(), 0);
    let answer = site.get("/private", Some(&token)).await;
    assert_eq!(
        (answer.text.as_str(), site.calls()),
        ("alice", 1),
        "guard and handler share a look"
    );
    assert_eq!(answer.headers[VARY], "Cookie");
}

#[tokio::test]
async fn a_planted_token_opens_nothing() {
    let site = site(Policy::default());
    let never_issued =
        Token::random(&UserScope { tenant: shop(), user: name("x") }).unwrap().expose();
    let answer = site.post("/set/200?a=1", Some(&never_issued)).await;
    let visitor = answer.token().expect("a visitor with something to keep gets a session");
    assert_ne!(visitor, never_issued, "a token that we did not issue is never adopted");
    let user = site.logged_in("alice", Some(&visitor)).await;
    assert_ne!(user, visitor);
    assert_eq!(site.get("/whoami", Some(&visitor)).await.text, "nobody", "known before the login");
    assert_eq!(site.get("/whoami", Some(&user)).await.text, "alice");
    assert_eq!(site.data(&user).await, json!({ "a": 1 }), "what was kept goes with them");
    assert_eq!(site.sessions.active_count(&shop()).await.unwrap().value, 1);
    // Who proves themselves again gets a new token for the same session.
    let again = site.logged_in("alice", Some(&user)).await;
    assert_eq!(site.get("/whoami", Some(&user)).await.text, "nobody");
    // Also when a request at once has renewed the token, and this one is in its grace.
    site.clock.advance(Duration::from_secs(29 * 60));
    site.get("/whoami", Some(&again)).await;
    site.clock.advance(Duration::from_secs(29 * 60));
    site.get("/whoami", Some(&again)).await;
    site.clock.advance(Duration::from_secs(3 * 60));
    assert!(site.get("/whoami", Some(&again)).await.token().is_some());
    let again = site.logged_in("alice", Some(&again)).await;
    assert_eq!(site.data(&again).await, json!({ "a": 1 }));
    assert_eq!(site.sessions.active_count(&shop()).await.unwrap().value, 1);
    // Another user gets nothing of what was kept.
    let bob = site.logged_in("bob", Some(&again)).await;
    assert_eq!(site.data(&bob).await, json!({}));
    assert_eq!(site.get("/whoami", Some(&again)).await.text, "nobody");
    assert_eq!(site.sessions.active_count(&shop()).await.unwrap().value, 1);
}

#[tokio::test]
async fn requests_at_once_that_change_different_keys_both_land() {
    let site = site(Policy::default());
    let token = site.logged_in("alice", None).await;
    site.post("/set/200?keep=1&gone=1", Some(&token)).await;
    let (one, other) = tokio::join!(
        site.post("/meet/200?a=1&same=1&gone=", Some(&token)),
        site.post("/meet/200?b=2&same=2", Some(&token)),
    );
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
    let mut data = site.data(&token).await;
    let same = data.as_object_mut().unwrap().shift_remove("same").unwrap();
    assert_eq!(data, json!({ "keep": 1, "a": 1, "b": 2 }));
    assert!(same == json!(1) || same == json!(2), "of one key the later stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact() {
    let site = Arc::new(site(Policy::default()));
    let token = site.logged_in("alice", None).await;
    let requests = (0..16).map(|_| {
        let (site, token) = (site.clone(), token.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                assert_eq!(site.post("/count", Some(&token)).await.status, StatusCode::OK);
            }
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    assert_eq!(site.data(&token).await, json!({ "n": 80 }));
}

#[tokio::test]
async fn a_failed_request_changes_nothing() {
    let site = site(Policy::default());
    let token = site.logged_in("alice", None).await;
    site.post("/set/200?a=1", Some(&token)).await;
    for code in [500, 503] {
        site.post(&format!("/set/{code}?a=2"), Some(&token)).await;
    }
    assert_eq!(site.data(&token).await, json!({ "a": 1 }));
    site.post("/set/404?a=2", Some(&token)).await;
    assert_eq!(site.data(&token).await, json!({ "a": 2 }), "a refusal is an answer");
    let visitor = site.post("/set/500?a=1", None).await;
    assert!(visitor.token().is_none());
    // A request that is cancelled half way.
    let request = Request::builder().method("POST").uri("/meet/200?a=3");
    let request = request.header(COOKIE, format!("__Host-id={token}")).body(Body::empty()).unwrap();
    let cancelled = tokio::time::timeout(Duration::from_millis(20), site.send(request)).await;
    assert!(cancelled.is_err());
    assert_eq!(site.data(&token).await, json!({ "a": 2 }));
    site.post("/set/200?", Some(&token)).await;
    site.post("/set/200?clear&b=1", Some(&token)).await;
    assert_eq!(site.data(&token).await, json!({ "b": 1 }));
}

#[tokio::test]
async fn while_the_store_is_down_nobody_is_let_in() {
    let site = site(Policy::default());
    let token = site.logged_in("alice", None).await;
    site.down(true);
    for path in ["/private", "/admin", "/page", "/whoami"] {
        let answer = site.get(path, Some(&token)).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, ""),
            "{path}"
        );
        assert!(answer.headers.get(SET_COOKIE).is_none(), "the user keeps their cookie");
    }
    assert_eq!(site.get("/public", Some(&token)).await.status, StatusCode::OK);
    for token in [Some(token.as_str()), None] {
        let answer = site.post("/set/200?a=1", token).await;
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "what was not saved is not confirmed"
        );
        assert!(answer.token().is_none());
    }
    let answer = site.ask("POST", "/login", None, "alice").await;
    assert_eq!((answer.status, answer.token()), (StatusCode::SERVICE_UNAVAILABLE, None));
    site.down(false);
    assert_eq!(site.get("/private", Some(&token)).await.text, "alice");
    assert_eq!(site.data(&token).await, json!({}));
}

#[tokio::test]
async fn logging_out_ends_the_session_and_the_cookie() {
    let site = site(Policy::default());
    let token = site.logged_in("alice", None).await;
    let answer = site.post("/logout", Some(&token)).await;
    assert_eq!(answer.text, "true");
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-id=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"),
        "{cookie}"
    );
    assert_eq!(site.get("/whoami", Some(&token)).await.text, "nobody");
    assert_eq!(site.post("/logout", Some(&token)).await.text, "false");
    // On all machines, and on all others.
    let (here, there) = (site.logged_in("alice", None).await, site.logged_in("alice", None).await);
    assert_eq!(site.post("/others", Some(&here)).await.text, "1");
    assert_eq!(site.get("/whoami", Some(&there)).await.text, "nobody");
    let there = site.logged_in("alice", None).await;
    assert_eq!(site.post("/everywhere", Some(&there)).await.text, "2");
    assert_eq!(site.get("/whoami", Some(&here)).await.text, "nobody");
}

#[tokio::test]
async fn a_session_that_ends_during_a_request_stays_ended() {
    let site = site(Policy::default());
    let token = site.logged_in("alice", None).await;
    let slow = async {
        let request = site.post("/meet/200?a=1", Some(&token));
        let log_out = async {
            site.post("/logout", Some(&token)).await;
            site.post("/meet/200?", None).await
        };
        tokio::join!(request, log_out).0
    };
    let answer = slow.await;
    assert_eq!((answer.status, answer.token()), (StatusCode::OK, None));
    assert!(answer.headers.get(SET_COOKIE).is_none(), "the browser may hold a newer cookie by now");
    assert_eq!(site.get("/whoami", Some(&token)).await.text, "nobody");
    assert_eq!(site.sessions.active_count(&shop()).await.unwrap().value, 0);
}

#[tokio::test]
async fn an_old_token_is_renewed_on_the_way() {
    let site = site(Policy::default());
    let token = site.logged_in("alice", None).await;
    for _ in 0..2 {
        site.clock.advance(Duration::from_secs(29 * 60));
        assert_eq!(site.get("/whoami", Some(&token)).await.token(), None);
    }
    site.clock.advance(Duration::from_secs(2 * 60));
    // Two requests at once: one renews, both are answered.
    let (one, other) = tokio::join!(
        site.post("/meet/200?a=1", Some(&token)),
        site.post("/meet/200?b=1", Some(&token)),
    );
    let renewed: Vec<_> = [&one, &other].iter().filter_map(|answer| answer.token()).collect();
    assert_eq!((one.status, other.status, renewed.len()), (StatusCode::OK, StatusCode::OK, 1));
    let cookie =
        [&one, &other].into_iter().find_map(|answer| answer.headers.get(SET_COOKIE)).unwrap();
    assert!(cookie.to_str().unwrap().contains("Max-Age=25200"), "7 of 8 hours: {cookie:?}");
    assert_eq!(site.data(&token).await, json!({ "a": 1, "b": 1 }), "in its grace");
    site.clock.advance(Duration::from_secs(30));
    assert_eq!(site.get("/whoami", Some(&token)).await.text, "nobody");
    assert_eq!(site.get("/whoami", Some(&renewed[0])).await.text, "alice");
}

#[tokio::test]
async fn what_is_no_session_of_ours_is_nobody_and_its_cookie_is_left_alone() {
    let site = site(Policy::default());
    let (one, two) = (site.logged_in("alice", None).await, site.logged_in("bob", None).await);
    let other_tenant = Start::new(UserScope { tenant: Tenant(name("bank")), user: name("alice") });
    let elsewhere = site.sessions.create(other_tenant).await.unwrap().token.expose();
    let long = "x".repeat(1_000_000);
    let cut = &one[..TOKEN_BYTES - 1];
    let cookies = [
        String::new(),
        "__Host-id=".into(),
        "__Host-id=rubbish".into(),
        format!("__Host-id={cut}"),
        format!("__Host-id={long}"),
        format!("__Host-id={elsewhere}"),
        format!("__Host-id={one}; __Host-id={two}"),
        format!("id={one}"),
        "__Host-id=x; ".repeat(50_000),
    ];
    for cookie in cookies {
        let head: String = cookie.chars().take(40).collect();
        let request = Request::get("/private").header(COOKIE, cookie);
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{head}");
        assert!(answer.headers.get(SET_COOKIE).is_none(), "{head}");
    }
    let split =
        Request::get("/whoami").header(COOKIE, "a=b").header(COOKIE, format!("__Host-id={one}"));
    assert_eq!(site.send(split.body(Body::empty()).unwrap()).await.text, "alice");
}

#[tokio::test]
async fn the_guard_answers_as_it_should() {
    let site = site(Policy::default());
    let answer = site.get("/private", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        (&answer.headers[WWW_AUTHENTICATE], &answer.headers[CACHE_CONTROL]),
        (&"Cookie".parse().unwrap(), &"no-store".parse().unwrap())
    );
    let answer = site.get("/page", None).await;
    assert_eq!(
        (answer.status, &answer.headers[LOCATION]),
        (StatusCode::SEE_OTHER, &"/login".parse().unwrap())
    );
    let visitor = site.post("/set/200?admin=1", None).await.token().unwrap();
    assert_eq!(
        site.get("/admin", Some(&visitor)).await.status,
        StatusCode::UNAUTHORIZED,
        "nobody is logged in"
    );
    let token = site.logged_in("alice", None).await;
    assert_eq!(site.get("/admin", Some(&token)).await.status, StatusCode::FORBIDDEN);
    site.post("/set/200?admin=1", Some(&token)).await;
    assert_eq!(site.get("/admin", Some(&token)).await.text, "alice");
    let bare = Router::new().route("/", get(async || "in")).route_layer(Require::user());
    let mut bare = bare;
    let answer = bare.call(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "a guard without the layer");
    assert!(Require::user().or_redirect("/a\r\nSet-Cookie: x").is_err());
}

#[tokio::test]
async fn a_token_lies_in_no_cache_and_its_privileges_change_it() {
    let site = site(Policy::default());
    let answer = site.ask("POST", "/login", None, "alice").await;
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    assert!(answer.headers[SET_COOKIE].is_sensitive());
    let answer = site.get("/cached", None).await;
    let caching: Vec<_> = answer.headers.get_all(CACHE_CONTROL).iter().collect();
    assert_eq!(caching, ["private", "no-cache=\"set-cookie\""]);
    let token = site.logged_in("alice", None).await;
    let answer = site.post("/rotate", Some(&token)).await;
    assert_eq!(answer.text, "true");
    assert_eq!(site.get("/whoami", Some(&token)).await.text, "nobody");
    assert_eq!(site.get("/whoami", answer.token().as_deref()).await.text, "alice");
    assert_eq!(site.post("/rotate", None).await.text, "false");
}

#[tokio::test]
async fn a_session_that_moves_gets_its_new_token_by_the_response() {
    let binding = Binding {
        network: Some(Network::default()),
        user_agent: false,
        on_change: OnChange::Rotate,
    };
    let site = site(Policy { binding: Some(binding), ..Policy::default() });
    let from = async |ip: &str, method: &str, path: &str, token: &str, body: &str| {
        let request = Request::builder().method(method).uri(path).header("x-ip", ip);
        let request = request.header(COOKIE, format!("__Host-id={token}"));
        site.send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let token = from("192.0.2.1", "POST", "/login", "", "alice").await.token().unwrap();
    assert_eq!(from("192.0.2.7", "GET", "/whoami", &token, "").await.token(), None);
    let moved = from("198.51.100.1", "GET", "/whoami", &token, "").await;
    assert_eq!(moved.text, "alice");
    let newer = moved.token().expect("a new token");
    assert_eq!(from("192.0.2.1", "GET", "/whoami", &token, "").await.text, "nobody");
    assert_eq!(from("198.51.100.9", "GET", "/whoami", &newer, "").await.text, "alice");
}

#[test]
fn a_cookie_that_browsers_refuse_is_refused() {
    let clock = Arc::new(ManualClock::default());
    let sessions = Sessions::new(Faulty::new(clock.clone()), clock, Policy::default()).unwrap();
    let layer = SessionLayer::new(sessions, shop());
    let insecure = CookieConfig { secure: false, ..CookieConfig::default() };
    assert!(layer.clone().with_cookie(insecure).is_err());
    assert!(layer.with_cookie(CookieConfig::insecure_for_development()).is_ok());
}
