//! Failures of Redis as kinds of error, each with what may have happened and the way out.
//!
//! Codes: <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>.

use crate::directory::TOO_OLD;
use crate::exchange;
use crate::pool::NO_CONNECTION;
use hexmem_ports::{Error, ErrorKind, Retry};
use redis::{ErrorKind as Driver, RedisError, ServerErrorKind as Server};

/// Whether a call changes something: what a failure leaves open depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing changes: every failure leaves everything as it was, and the call may be sent again.
    Reads,
    /// Something may change: an answer that did not come leaves it open.
    Writes,
}

/// Whether the server refused the command before it did anything, and may take it in a moment: the layout of the
/// Cluster or the role of a server is changing, or its data is being loaded.
pub(crate) fn is_refused_for_now(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        Driver::Server(
            Server::Moved
                | Server::Ask
                | Server::TryAgain
                | Server::ClusterDown
                | Server::MasterDown
                | Server::ReadOnly
                | Server::BusyLoading
        ) | Driver::ClusterConnectionNotFound
    ) || names(error, "READONLY")
}

/// Whether the server that answered is a replica: its master is another one now.
pub(crate) fn is_replica(error: &RedisError) -> bool {
    matches!(error.kind(), Driver::Server(Server::ReadOnly | Server::MasterDown))
        || names(error, "READONLY")
}

/// Whether the server does not know the function called: it was never given it, or lost it.
pub(crate) fn is_unknown_function(error: &RedisError) -> bool {
    error.kind() == Driver::Server(Server::ResponseError)
        && error.detail().is_some_and(|detail| detail.starts_with("Function not found"))
}

/// Whether the server is at its `maxmemory`.
pub(crate) fn is_full(error: &RedisError) -> bool {
    names(error, "OOM")
}

/// A failure inside a script carries the code of the command that failed at the head of its text.
fn names(error: &RedisError, code: &str) -> bool {
    error.code() == Some(code)
        || error.detail().is_some_and(|detail| detail.trim_start_matches('-').starts_with(code))
}

/// A failure of `operation`.
pub(crate) fn map(operation: &'static str, access: Access, error: RedisError) -> Error {
    let (kind, open, retry, message) = describe(&error);
    let mapped = Error::new(kind, operation, message).retry(retry);
    let mapped = if open && access == Access::Writes {
        mapped.outcome_unknown()
    } else {
        mapped.not_applied()
    };
    mapped.caused_by(error)
}

/// A call that did not end within its time.
pub(crate) fn timed_out(operation: &'static str, access: Access, millis: u128) -> Error {
    let error = Error::new(ErrorKind::Timeout, operation, "Redis did not answer in time")
        .with("milliseconds", millis);
    if access == Access::Reads { error.not_applied() } else { error.outcome_unknown() }
}

/// The kind, whether something may have been applied, whether a retry helps, and the way out.
fn describe(error: &RedisError) -> (ErrorKind, bool, Retry, &'static str) {
    use ErrorKind::{Denied, Internal, Invalid, Timeout, Unavailable};
    let soon = Retry::Soon;
    let never = Retry::Never;
    if names(error, NO_CONNECTION) {
        let way = "every connection of the pool is in use; raise pool_size";
        return (Unavailable, false, soon, way);
    }
    if is_full(error) {
        let way = "Redis is at its maxmemory; free memory, raise the limit, or sweep";
        return (Unavailable, false, soon, way);
    }
    if names(error, "BUSY") {
        let way = "another script runs too long; end it with SCRIPT KILL or FUNCTION KILL";
        return (Unavailable, false, soon, way);
    }
    if names(error, "MISCONF") {
        let way = "Redis cannot save to its disk and refuses writes; see its log";
        return (Unavailable, false, soon, way);
    }
    if error.code() == Some(exchange::NOT_REPLICATED) {
        let way = "the master has the change, fewer replicas than wait_replicas do; send it again with its key";
        return (Unavailable, true, soon, way);
    }
    if names(error, "NOREPLICAS") {
        let way = "Redis has fewer replicas than min-replicas-to-write asks for";
        return (Unavailable, false, soon, way);
    }
    if names(error, "NOAUTH") || names(error, "WRONGPASS") {
        let way = "Redis wants another user or password; check username and password";
        return (Denied, false, never, way);
    }
    if names(error, "NOPERM") {
        let way = "the ACL user may not do this; allow it the keys of the prefix, the scripts and the data commands";
        return (Denied, false, never, way);
    }
    if error.detail().is_some_and(|detail| detail.contains(TOO_OLD)) {
        let way = "the call took too long to reach Redis; repeat it";
        return (Unavailable, false, soon, way);
    }
    if names(error, "READONLY") {
        let way = "the server is a read-only replica; the master is another one now";
        return (Unavailable, false, soon, way);
    }
    if names(error, "WRONGTYPE") {
        let way = "a key of this prefix holds what this program did not write; use another prefix";
        return (ErrorKind::Corrupt, false, never, way);
    }
    match error.kind() {
        Driver::Server(Server::BusyLoading) => {
            (Unavailable, false, soon, "Redis is loading its data; wait for it")
        }
        Driver::Server(Server::ClusterDown | Server::MasterDown) => {
            (Unavailable, false, soon, "the part of the Cluster with this key is down")
        }
        Driver::Server(Server::TryAgain | Server::Moved | Server::Ask) => {
            (Unavailable, false, soon, "the keys are moving to another node of the Cluster")
        }
        Driver::ClusterConnectionNotFound => {
            (Unavailable, false, soon, "no node of the Cluster with this key can be reached")
        }
        Driver::MasterNameNotFoundBySentinel => {
            (Unavailable, false, soon, "the Sentinels know no running master of this name")
        }
        Driver::NoValidReplicasFoundBySentinel | Driver::EmptySentinelList => {
            (Unavailable, false, soon, "no Sentinel can be reached")
        }
        Driver::AuthenticationFailed => (
            Denied,
            false,
            never,
            "Redis wants another user or password; check username and password",
        ),
        Driver::InvalidClientConfig => (Invalid, false, never, "the settings of Redis are wrong"),
        Driver::RESP3NotSupported => {
            (ErrorKind::Unsupported, false, never, "the server is older than Redis 6")
        }
        // How the driver tells of a Cluster none of whose nodes let it in.
        Driver::Io if error.detail().is_some_and(|why| why.contains("AuthenticationFailed")) => (
            Denied,
            false,
            never,
            "Redis wants another user or password; check username and password",
        ),
        Driver::Io if error.is_connection_refusal() => {
            (Unavailable, false, soon, "nobody listens there; start Redis or check urls")
        }
        Driver::Io if error.is_timeout() => (Timeout, true, soon, "Redis did not answer in time"),
        Driver::Io => (Unavailable, true, soon, "the connection to Redis broke"),
        // A script that fails half-way keeps what it has written.
        Driver::Server(_) | Driver::Extension => {
            (Internal, true, never, "an unexpected answer of Redis")
        }
        _ => (Internal, true, never, "the driver failed"),
    }
}

#[cfg(test)]
mod tests {
    use hexmem_ports::Effectiveness;

    use super::*;

    fn server(text: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn each_answer_has_a_kind_and_says_whether_a_retry_helps() {
        use ErrorKind::{Corrupt, Denied, Internal, Unavailable};
        for (text, kind, retry) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable, Retry::Soon),
            ("OOM command not allowed script: abc, on @user_script:3.", Unavailable, Retry::Soon),
            ("READONLY You can't write against a read only replica.", Unavailable, Retry::Soon),
            ("LOADING Redis is loading the dataset in memory", Unavailable, Retry::Soon),
            ("CLUSTERDOWN The cluster is down", Unavailable, Retry::Soon),
            ("MOVED 1 127.0.0.1:7000", Unavailable, Retry::Soon),
            ("ASK 1 127.0.0.1:7000", Unavailable, Retry::Soon),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Unavailable, Retry::Soon),
            ("BUSY Redis is busy running a script.", Unavailable, Retry::Soon),
            ("MISCONF Errors writing to the AOF file", Unavailable, Retry::Soon),
            ("NOREPLICAS Not enough good replicas to write.", Unavailable, Retry::Soon),
            ("NOAUTH Authentication required.", Denied, Retry::Never),
            ("WRONGPASS invalid username-password pair", Denied, Retry::Never),
            ("NOPERM this user has no permissions", Denied, Retry::Never),
            ("WRONGTYPE Operation against a key", Corrupt, Retry::Never),
            ("ERR unknown command", Internal, Retry::Never),
        ] {
            let error = map("t", Access::Writes, server(text));
            assert_eq!((error.kind(), error.retry_hint()), (kind, retry), "{text}");
            let open =
                if kind == Internal { Effectiveness::Unknown } else { Effectiveness::NotApplied };
            assert_eq!(error.effectiveness(), open, "{text}");
        }
    }

    #[test]
    fn a_lost_connection_leaves_a_write_open_and_a_read_not() {
        let lost = || RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(map("t", Access::Writes, lost()).effectiveness(), Effectiveness::Unknown);
        assert_eq!(map("t", Access::Reads, lost()).effectiveness(), Effectiveness::NotApplied);
        let refused = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        let error = map("t", Access::Writes, refused);
        assert_eq!(error.effectiveness(), Effectiveness::NotApplied);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
