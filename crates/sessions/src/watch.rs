//! What an application hears of its sessions: for its log, its alerts and its metrics.

use hexmem_ports::{Session, SessionId, Timestamp, UserScope};

use crate::{Client, Rotation};

/// Hears of the life of sessions (OWASP, "Logging Sessions Life Cycle"). Called in the request, so it must be quick and
/// must not block: write to a log, a counter, a bounded channel. It learns no token.
pub trait Watch: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// What happened. The store has done it already.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A session was started, and others ended because the user had too many.
    Started {
        /// The new one.
        session: &'a Session,
        /// The others.
        evicted: &'a [SessionId],
    },
    /// A session has a new token.
    Rotated {
        /// The session.
        session: &'a Session,
        /// Why.
        why: Rotation,
    },
    /// A session was ended.
    Ended {
        /// Whose it was.
        owner: &'a UserScope,
        /// Its id.
        id: SessionId,
        /// Why.
        why: End,
    },
    /// Sessions of a user were ended.
    EndedAll {
        /// Whose they were.
        owner: &'a UserScope,
        /// The one that was spared.
        except: Option<SessionId>,
        /// How many.
        count: u64,
    },
    /// A request was not let in.
    Refused {
        /// Why.
        why: Refusal<'a>,
        /// Who asked.
        client: &'a Client,
    },
}

/// Why a session was ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The user or the application ended it.
    Revoked,
    /// What authenticates its user has changed.
    Credentials,
    /// A token of it was presented that had been replaced: one of two holds a copy.
    Reused,
}

/// Why a request was not let in.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Refusal<'a> {
    /// A text that is no token of hexmem: forged, cut, or another program's.
    Foreign,
    /// Different tokens in one request: somebody may have planted one.
    Ambiguous,
    /// A token that opens nothing: never issued, run out, or ended.
    Unknown,
    /// A token that was replaced, and its grace is over.
    Reused {
        /// The session that it once opened.
        session: &'a Session,
        /// When it ended.
        ended_at: Timestamp,
    },
    /// What authenticates the user has changed, or they may not log in.
    Credentials(&'a Session),
    /// It comes from elsewhere than the session is tied to.
    Moved(&'a Session),
    /// The session is of another tenant than the one served here.
    Tenant(&'a Session),
}
