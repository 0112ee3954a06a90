//! Failures of Qdrant as kinds of error, each with what may have happened and the way out.
//!
//! Codes: <https://grpc.io/docs/guides/status-codes/>.

use std::time::Duration;

use hexmem_ports::{Error, ErrorKind, Retry};
use qdrant_client::QdrantError;
use tonic::{Code, Status};

/// Whether a call changes something: what a failure leaves open depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing changes: every failure leaves everything as it was.
    Reads,
    /// Something may change: an answer that did not come leaves it open.
    Writes,
}

/// A failure of `operation`.
pub(crate) fn map(operation: &'static str, access: Access, error: QdrantError) -> Error {
    let (kind, open, retry, message) = match &error {
        QdrantError::ResponseError { status } => describe(status),
        QdrantError::ResourceExhaustedError { retry_after_seconds, .. } => (
            ErrorKind::RateLimited,
            false,
            Retry::After(Duration::from_secs(*retry_after_seconds)),
            "Qdrant asks to slow down".to_owned(),
        ),
        QdrantError::InvalidUri(_) => {
            let way = "the URL of Qdrant cannot be read".to_owned();
            (ErrorKind::Invalid, false, Retry::Never, way)
        }
        _ => (ErrorKind::Internal, true, Retry::Never, "the driver failed".to_owned()),
    };
    let mapped = Error::new(kind, operation, message).retry(retry);
    let mapped = if open && access == Access::Writes {
        mapped.outcome_unknown()
    } else {
        mapped.not_applied()
    };
    match error {
        // Its message is told; its metadata may be long and says nothing.
        QdrantError::ResponseError { status }
        | QdrantError::ResourceExhaustedError { status, .. } => {
            mapped.caused_by(format!("{:?}: {}", status.code(), status.message()))
        }
        other => mapped.caused_by(other),
    }
}

/// A call that did not end within its time.
pub(crate) fn timed_out(operation: &'static str, access: Access, limit: Duration) -> Error {
    let what = "Qdrant did not answer in time; see whether it is up, or raise qdrant.timeout_ms";
    let error =
        Error::new(ErrorKind::Timeout, operation, what).with("milliseconds", limit.as_millis());
    if access == Access::Reads { error.not_applied() } else { error.outcome_unknown() }
}

/// Stored bytes are not what was written.
pub(crate) fn corrupt(operation: &'static str, what: &str) -> Error {
    Error::corrupt(operation, format!("{what} is not what was written; restore a backup"))
}

/// The kind, whether something may have been applied, whether a retry helps, and the way out.
fn describe(status: &Status) -> (ErrorKind, bool, Retry, String) {
    use ErrorKind::{
        AlreadyExists, Conflict, Denied, Internal, Invalid, NotFound, RateLimited, Timeout,
        Unavailable, Unsupported,
    };
    let (soon, never) = (Retry::Soon, Retry::Never);
    let said = status.message();
    // The driver tells of a connection that could not be made with an internal error of its own.
    if status.code() == Code::Internal && said.starts_with("Failed to connect") {
        let way = "Qdrant cannot be reached; start it or check qdrant.url (the port of gRPC)";
        return (Unavailable, false, soon, way.to_owned());
    }
    // Of a cluster: a shard has no replica that serves, as in the moment between a collection and its shards.
    if status.code() == Code::Internal && said.contains("read operations failed") {
        let way = "no replica of a shard answers; see whether all peers are up";
        return (Unavailable, false, soon, way.to_owned());
    }
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            let way = "Qdrant refuses the API key for this; check qdrant.api_key and its rights";
            (Denied, false, never, way.to_owned())
        }
        Code::NotFound => (NotFound, false, never, format!("Qdrant does not have it: {said}")),
        Code::AlreadyExists => {
            (AlreadyExists, false, never, format!("Qdrant has it already: {said}"))
        }
        Code::InvalidArgument | Code::OutOfRange => {
            (Invalid, false, never, format!("Qdrant refuses this: {said}"))
        }
        Code::FailedPrecondition => {
            (Conflict, false, soon, format!("Qdrant cannot do this now: {said}"))
        }
        Code::DeadlineExceeded => {
            let way = "Qdrant gave up; raise qdrant.timeout_ms or ask for less";
            (Timeout, true, soon, way.to_owned())
        }
        Code::ResourceExhausted if said.contains("message") => {
            let way =
                "a message is larger than a server on the way takes; lower qdrant.batch_bytes";
            (Invalid, false, never, way.to_owned())
        }
        Code::ResourceExhausted => {
            (RateLimited, false, soon, "Qdrant asks to slow down".to_owned())
        }
        Code::Unavailable => {
            let way = "Qdrant cannot be reached, or a shard of the collection is down";
            (Unavailable, true, soon, way.to_owned())
        }
        Code::Cancelled | Code::Aborted => {
            (Unavailable, true, soon, "the connection to Qdrant broke".to_owned())
        }
        Code::Unknown if broke(said) => {
            (Unavailable, true, soon, "the connection to Qdrant broke".to_owned())
        }
        Code::Unimplemented => {
            let way = "this Qdrant is too old, or this is not its gRPC port";
            (Unsupported, false, never, way.to_owned())
        }
        Code::Internal if broke(said) => {
            (Unavailable, true, soon, "the connection to Qdrant broke".to_owned())
        }
        _ => (Internal, true, never, format!("an unexpected answer of Qdrant: {said}")),
    }
}

/// Whether the transport, not the server, tells of a failure.
fn broke(said: &str) -> bool {
    ["transport error", "h2 protocol error", "error reading a body", "connection", "channel closed"]
        .iter()
        .any(|sign| said.contains(sign))
}

#[cfg(test)]
mod tests {
    use hexmem_ports::Effectiveness;

    use super::*;

    fn mapped(code: Code, said: &str) -> Error {
        map("t", Access::Writes, Status::new(code, said).into())
    }

    #[test]
    fn each_code_has_a_kind_and_says_what_may_have_happened() {
        use Effectiveness::{NotApplied, Unknown};
        for (code, said, kind, retry, effect) in [
            (Code::Unauthenticated, "", ErrorKind::Denied, Retry::Never, NotApplied),
            (Code::PermissionDenied, "", ErrorKind::Denied, Retry::Never, NotApplied),
            (Code::NotFound, "x", ErrorKind::NotFound, Retry::Never, NotApplied),
            (Code::AlreadyExists, "x", ErrorKind::AlreadyExists, Retry::Never, NotApplied),
            (Code::InvalidArgument, "x", ErrorKind::Invalid, Retry::Never, NotApplied),
            (Code::DeadlineExceeded, "", ErrorKind::Timeout, Retry::Soon, Unknown),
            (Code::Unavailable, "", ErrorKind::Unavailable, Retry::Soon, Unknown),
            (Code::ResourceExhausted, "", ErrorKind::RateLimited, Retry::Soon, NotApplied),
            (Code::Internal, "boom", ErrorKind::Internal, Retry::Never, Unknown),
            (Code::Internal, "h2 protocol error", ErrorKind::Unavailable, Retry::Soon, Unknown),
            (Code::Unknown, "transport error", ErrorKind::Unavailable, Retry::Soon, Unknown),
        ] {
            let error = mapped(code, said);
            let seen = (error.kind(), error.retry_hint(), error.effectiveness());
            assert_eq!(seen, (kind, retry, effect), "{code:?} {said}");
        }
        let refused = mapped(Code::Internal, "Failed to connect to http://h: refused");
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        let lost = mapped(Code::Internal, "Service internal error: 0 of 0 read operations failed");
        assert_eq!((lost.kind(), lost.retry_hint()), (ErrorKind::Unavailable, Retry::Soon));
        assert_eq!(refused.effectiveness(), NotApplied);
    }

    #[test]
    fn the_server_says_when_to_come_back() {
        let mut status = Status::resource_exhausted("rate limit");
        status.metadata_mut().insert("retry-after", "7".parse().unwrap());
        let error = map("t", Access::Writes, status.into());
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_hint(), Retry::After(Duration::from_secs(7)));
    }
}
