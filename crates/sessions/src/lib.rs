//! Web and agent sessions: 256 random bits in the user's hand, their SHA-256 in the store.
//!
//! [`Sessions`] issues, authenticates, rotates and revokes over any `SessionStore`. A [`Policy`] says when
//! sessions end. The [`Token`] is a secret and is shown once; the `SessionId` is public: list it, log it, revoke
//! by it. The feature `tower` brings the module `web`: a layer for axum that loses no change.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hexmem_adapter_memory::{MemoryOutbox, MemorySessions, SystemClock};
//! use hexmem_ports::{Name, Tenant, UserScope};
//! use hexmem_sessions::{Client, Policy, Rotation, Sessions, Start, Token};
//! use serde_json::json;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let clock = Arc::new(SystemClock);
//! let store = MemorySessions::new(clock.clone(), MemoryOutbox::new(clock.clone()));
//! let sessions = Sessions::new(Arc::new(store), clock, Policy::default())?;
//!
//! // Somebody logs in.
//! let alice = UserScope { tenant: Tenant(Name::new("acme")?), user: Name::new("alice")? };
//! let issued = sessions.create(Start::new(alice.clone()).data(json!({ "cart": [] }))).await?;
//! let cookie: String = issued.token.expose();
//!
//! // A request comes with the cookie. What is no token of ours is nobody.
//! let token = Token::parse(&cookie).expect("a token that we have issued");
//! let known = sessions.authenticate(&token, &Client::default()).await?.expect("live");
//! assert_eq!(known.session.owner, alice);
//! assert!(Token::parse("' OR 1=1 --").is_none());
//!
//! // They become an administrator: a new token, and the old one ends at once.
//! let issued = sessions.rotate(&token, Rotation::Privilege).await?.expect("live");
//! assert!(sessions.authenticate(&token, &Client::default()).await?.is_none());
//!
//! // Log out everywhere.
//! assert_eq!(sessions.revoke_all(&alice, None).await?, 1);
//! assert!(sessions.authenticate(&issued.token, &Client::default()).await?.is_none());
//! # Ok::<(), hexmem_ports::Error>(())
//! # }).unwrap();
//! ```

mod binding;
mod client;
mod cookie;
mod patch;
mod policy;
mod service;
mod token;
mod watch;
#[cfg(feature = "tower")]
pub mod web;

pub use binding::{Binding, Network, OnChange};
pub use client::Client;
pub use cookie::{CookieConfig, Keep, Presented, SameSite};
pub use patch::merge_patch;
pub use policy::{GRACE_LIMIT, Policy, Reuse};
pub use service::{AuthHash, Authenticated, Issued, Link, Rotation, Sessions, Start, is_anonymous};
pub use token::{TOKEN_BYTES, Token};
pub use watch::{End, Event, Refusal, Watch};

/// The guide, so that what it shows is tested.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/sessions.md")]
struct Guide;
