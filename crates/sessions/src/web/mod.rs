//! Sessions in a web server: a `tower` layer for axum and whatever else speaks `http`. Feature `tower`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::routing::{get, post};
//! use axum::{Extension, Router};
//! use hexmem_adapter_memory::{MemoryOutbox, MemorySessions, SystemClock};
//! use hexmem_ports::{Name, Tenant};
//! use hexmem_sessions::web::{Require, Session, SessionLayer, status};
//! use hexmem_sessions::{Policy, Sessions};
//! use http::StatusCode;
//!
//! async fn log_in(Extension(session): Extension<Session>, user: String) -> Result<&'static str, StatusCode> {
//!     let user = Name::new(user).map_err(|_| StatusCode::BAD_REQUEST)?;
//!     // Check the password here.
//!     session.log_in(user).await.map_err(|error| status(&error))?;
//!     Ok("welcome")
//! }
//!
//! async fn visits(Extension(session): Extension<Session>) -> Result<String, StatusCode> {
//!     let visits: u64 = session.get("visits").await.map_err(|error| status(&error))?.unwrap_or(0);
//!     session.insert("visits", visits + 1).map_err(|error| status(&error))?;
//!     Ok(format!("visit {visits}"))
//! }
//!
//! # fn main() -> hexmem_ports::Result<()> {
//! let clock = Arc::new(SystemClock);
//! let store = MemorySessions::new(clock.clone(), MemoryOutbox::new(clock.clone()));
//! let sessions = Sessions::new(Arc::new(store), clock, Policy::default())?;
//! let app: Router = Router::new()
//!     .route("/visits", get(visits))
//!     .route_layer(Require::user())
//!     .route("/login", post(log_in))
//!     .layer(SessionLayer::new(sessions, Tenant(Name::new("shop")?)));
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - **Lazy.** A request whose handlers do not ask for the session costs no look-up.
//! - **No lost changes.** What a request changes is applied to the data as it is at the end of the request, by
//!   compare-and-set: of two requests at once that change different keys both take effect. Where they change the same key
//!   the one that is saved later stands. For a count, or anything made of the old value, use [`Session::change`]: then
//!   nothing comes between.
//! - **No revival.** A session that ends during a request stays ended; the changes go with it.
//! - **Nothing after a failure.** Changes are not saved when the response is a server error (5xx), or when the handler
//!   panics or is cancelled. Logging in and out and [`Session::change`] take effect at once, whatever follows.
//! - **Fail closed.** While the store cannot be asked, nobody is logged in: methods give the error, [`Require`] answers
//!   503, and a response whose changes could not be saved becomes 503. Routes that do not use the session go on.
//! - **Fixation.** A token that the server did not issue is never adopted; at login the token changes.
//! - A stale cookie is left alone: the browser may hold a newer one by the time the response arrives.
//! - A response body that is still streaming comes too late to change the session: call [`Session::save`] yourself.

mod changes;
mod guard;
mod handle;
mod layer;

pub use guard::{Guard, Require};
pub use handle::Session;
pub use layer::{SessionLayer, SessionService};

use hexmem_ports::{Error, ErrorKind};
use http::StatusCode;

/// The status that suits an error of a session: 503 when the store cannot be asked, 409 for a conflict (too many
/// sessions), 403 for a user who may not log in, 401 for a session that has ended, 400 for what cannot be kept, 500 for
/// the rest.
pub fn status(error: &Error) -> StatusCode {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::RateLimited => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Expired => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
