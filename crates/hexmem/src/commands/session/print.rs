//! How sessions are printed.

use std::fmt::Write as _;

use hexmem_ports::{Result, Session};
use hexmem_sessions::Issued;
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::remark;

/// The token alone goes to stdout, so that a script can take it.
pub(super) fn issued(context: &Context, issued: &Issued) -> Result<()> {
    let (token, session) = (issued.token.expose(), &issued.session);
    let document = json!({ "token": token, "id": session.id, "evicted": issued.evicted });
    if !context.json() {
        remark(&format!(
            "session {} of {}: ends at {} unless touched, and at {} in any case",
            session.id, session.owner, session.idle_expires_at, session.absolute_expires_at
        ));
        for id in &issued.evicted {
            remark(&format!("session {id} was ended: the user had too many"));
        }
    }
    context.emit(&document, || token)
}

/// All but the auth hash, which is nobody's to read.
pub(super) fn document(session: &Session) -> Value {
    let origin = &session.origin;
    json!({
        "id": session.id,
        "tenant": session.owner.tenant,
        "user": session.owner.user,
        "data": session.data,
        "version": session.version,
        "cluster": origin.cluster,
        "correlation": origin.correlation,
        "service": origin.service,
        "parent": origin.parent,
        "ip": origin.ip,
        "user_agent": origin.user_agent,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "idle_expires_at": session.idle_expires_at,
        "absolute_expires_at": session.absolute_expires_at,
        "token_issued_at": session.token_issued_at,
    })
}

/// A field a line; absent ones are left out.
pub(super) fn lines(session: &Session) -> String {
    let fields = document(session);
    let fields = fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    fields.fold(String::new(), |mut text, (name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(text, "{name:20} ");
        for character in value.chars() {
            // A client's words must not steer the terminal. Writing to a String cannot fail.
            let _ = match character.is_control() {
                true => write!(text, "{}", character.escape_default()),
                false => text.write_char(character),
            };
        }
        text.push('\n');
        text
    })
}

/// A line of a listing.
pub(super) fn line(session: &Session, depth: u32) -> String {
    let indent = "  ".repeat(usize::try_from(depth).unwrap_or(0));
    format!(
        "{indent}{}  {}  seen {}  ends {}",
        session.id, session.owner, session.last_seen_at, session.idle_expires_at
    )
}
