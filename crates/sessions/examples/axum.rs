//! Sessions in axum: `cargo run -p sessions --example axum --features tower`, and then
//!
//! ```text
//! curl -c jar -b jar localhost:3000/cart -X POST -d apples     # a visitor fills a cart
//! curl -c jar -b jar localhost:3000/login -X POST -d alice     # who logs in keeps it, under a new token
//! curl -b jar localhost:3000/me
//! curl -b jar localhost:3000/sessions
//! curl -c jar -b jar localhost:3000/logout -X POST
//! curl -b jar localhost:3000/me -i                             # 401
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hexmem_adapter_memory::{MemoryOutbox, MemorySessions, SystemClock};
use hexmem_ports::{Error, ErrorKind, Limit, Name, Result, Tenant};
use hexmem_sessions::web::{Require, Session, SessionLayer, status};
use hexmem_sessions::{Client, CookieConfig, Event, Policy, Sessions, Watch};
use http::header::USER_AGENT;
use http::request::Parts;

/// A handler's failure: the status for the client, and what is wrong for the log.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("{}", self.0);
        status(&self.0).into_response()
    }
}

type Handled = core::result::Result<String, Failure>;

async fn cart(Extension(session): Extension<Session>, item: String) -> Handled {
    // Made of the old value, so nothing may come between: two requests at once both add their item.
    let mut cart = Vec::new();
    session
        .change(|fields| {
            let old = fields.get("cart").cloned().unwrap_or_default();
            cart = serde_json::from_value(old).unwrap_or_default();
            cart.push(item.clone());
            fields.insert("cart".into(), cart.clone().into());
        })
        .await?;
    Ok(format!("in the cart: {}\n", cart.join(", ")))
}

async fn log_in(Extension(session): Extension<Session>, user: String) -> Handled {
    // A real site checks a password here.
    let user = Name::new(user.trim())?;
    session.log_in(user.clone()).await?;
    Ok(format!("welcome, {user}\n"))
}

async fn me(Extension(session): Extension<Session>) -> Handled {
    let visits: u64 = session.get("visits").await?.unwrap_or(0);
    session.insert("visits", visits + 1)?;
    let user = session.user().await?;
    let cart: Vec<String> = session.get("cart").await?.unwrap_or_default();
    let user = user.map(|user| user.user.to_string()).unwrap_or_default();
    Ok(format!("{user}: visit {}, cart: {}\n", visits + 1, cart.join(", ")))
}

async fn all(
    Extension(session): Extension<Session>,
    Extension(sessions): Extension<Sessions>,
) -> Handled {
    let Some(user) = session.user().await? else { return Ok(String::new()) };
    let page = sessions.list(&user, None, Limit::new(100)?).await?;
    let lines = page.items.into_iter().map(|kept| {
        let from = kept.origin.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let agent = kept.origin.user_agent.map(|name| name.to_string()).unwrap_or_default();
        format!("{} from {from} with {agent}, seen {}\n", kept.id, kept.last_seen_at)
    });
    Ok(lines.collect())
}

async fn log_out(Extension(session): Extension<Session>) -> Handled {
    session.log_out().await?;
    Ok("bye\n".into())
}

fn client(parts: &Parts) -> Client {
    // The peer is the client: there is no proxy before this server.
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    Client::new(peer, agent)
}

struct Log;

impl Watch for Log {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Started { session, .. } => {
                eprintln!("session {} of {} started", session.id, session.owner)
            }
            Event::Rotated { session, why } => {
                eprintln!("session {}: new token ({why:?})", session.id)
            }
            Event::Ended { owner, id, why } => eprintln!("session {id} of {owner} ended ({why:?})"),
            Event::Refused { client, .. } => eprintln!("somebody was refused: {client:?}"),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let clock = Arc::new(SystemClock);
    // In production a store that lasts: hexmem_adapter_sqlite::Database::sessions, or what composition has opened.
    let store = MemorySessions::new(clock.clone(), MemoryOutbox::new(clock.clone()));
    let sessions =
        Sessions::new(Arc::new(store), clock, Policy::default())?.with_watch(Arc::new(Log));
    let layer = SessionLayer::new(sessions.clone(), Tenant(Name::new("shop")?))
        // Plain HTTP on this machine. In production leave this line out.
        .with_cookie(CookieConfig::insecure_for_development())?
        .with_client(client);
    let app = Router::new()
        .route("/me", get(me))
        .route("/sessions", get(all))
        .route_layer(Require::user())
        .route("/cart", post(cart))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .layer(layer)
        .layer(Extension(sessions));
    let serving = async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
        println!("listening on http://{}", listener.local_addr()?);
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
    };
    serving.await.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "example", "cannot serve on 127.0.0.1:3000")
            .caused_by(error)
    })
}
