//! What names a session on the command line.

use std::io::Read as _;

use hexmem_ports::{Error, ErrorKind, Result, Session, SessionId};
use hexmem_sessions::{TOKEN_BYTES, Token};

use super::{policy, service};
use crate::context::Context;

/// What names a session.
pub(super) enum Handle {
    Token(Token),
    Id(SessionId),
}

/// A token or an id. The error does not repeat the text: it may be most of a secret.
pub(super) fn handle(text: &str) -> Result<Handle> {
    let text = given(text)?;
    if let Some(token) = Token::parse(&text) {
        return Ok(Handle::Token(token));
    }
    text.parse().map(|id| Handle::Id(SessionId(id))).map_err(|_| {
        Error::invalid(
            "session",
            format!(
                "neither a token ({TOKEN_BYTES} characters from `session create`) \
                 nor an id (from `session list`)"
            ),
        )
        .with("characters", text.chars().count())
    })
}

pub(super) fn token_only(text: &str) -> Result<Token> {
    match handle(text)? {
        Handle::Token(token) => Ok(token),
        Handle::Id(_) => Err(Error::invalid(
            "session",
            "this takes the token: an id is public and proves nothing",
        )),
    }
}

/// The argument, or what stdin holds: a token in the arguments can be seen by others on the machine.
fn given(text: &str) -> Result<String> {
    if text != "-" {
        return Ok(text.trim().to_owned());
    }
    let mut read = String::new();
    std::io::stdin().lock().take(1_024).read_to_string(&mut read).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "session", "cannot read standard input").caused_by(error)
    })?;
    Ok(read.trim().to_owned())
}

pub(super) async fn find(context: &Context, text: &str) -> Result<Session> {
    let sessions = service(context, policy()).await?;
    let found = match handle(text)? {
        Handle::Token(token) => sessions.find(&token).await?,
        Handle::Id(id) => sessions.get(&context.owner(), id).await?,
    };
    found.ok_or_else(not_live)
}

pub(super) fn not_live() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "session",
        "no such live session: it never was, has ended, or is another user's (--tenant, --user)",
    )
}
