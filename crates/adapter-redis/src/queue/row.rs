//! Commands as scripts answer them, and as a restore gives them to a script.

use hexmem_ports::rules::{CommandCore, RetryPolicy, Settlement, Stage};
use hexmem_ports::{
    CommandId, CommandState, Error, FailOutcome, LeaseToken, Name, Result, StoredCommand,
    Timestamp, Ttl,
};
use serde_json::Value;
use uuid::Uuid;

use crate::reply::Reply;

/// Whole numbers from here on are not exact in scripts.
const EXACT: u64 = 1 << 53;

fn corrupt(operation: &'static str, what: &'static str) -> Error {
    Error::corrupt(operation, what)
}

fn narrow<T: TryFrom<u64>>(operation: &'static str, number: u64) -> Result<T> {
    T::try_from(number).map_err(|_| corrupt(operation, "a number in Redis is out of range"))
}

/// An id as scripts have it.
pub(super) fn id_bytes(id: CommandId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}

/// An id from 16 bytes.
pub(super) fn id_of(operation: &'static str, bytes: &[u8]) -> Result<CommandId> {
    Uuid::from_slice(bytes)
        .map(CommandId)
        .map_err(|_| corrupt(operation, "an id of a command is none"))
}

/// Attempt and secret of a lease, as scripts compare them.
pub(super) fn lease_bytes(lease: &LeaseToken) -> Vec<u8> {
    let mut bytes = format!("{}:", lease.attempt).into_bytes();
    bytes.extend(lease.secret.to_be_bytes());
    bytes
}

fn lease_of(operation: &'static str, id: CommandId, bytes: &[u8]) -> Result<LeaseToken> {
    let read = || {
        let at = bytes.iter().position(|byte| *byte == b':')?;
        let (attempt, secret) = bytes.split_at_checked(at)?;
        let attempt = std::str::from_utf8(attempt).ok()?.parse().ok()?;
        let secret = u128::from_be_bytes(secret.get(1..)?.try_into().ok()?);
        Some(LeaseToken { command: id, attempt, secret })
    };
    read().ok_or_else(|| corrupt(operation, "a lease in Redis is none"))
}

fn settlement_text(settlement: Settlement) -> String {
    match settlement {
        Settlement::Open => "o".into(),
        Settlement::Acked => "a".into(),
        Settlement::Released => "r".into(),
        Settlement::Expired => "e".into(),
        Settlement::Failed(FailOutcome::Dead) => "fd".into(),
        Settlement::Failed(FailOutcome::Cancelled) => "fc".into(),
        Settlement::Failed(FailOutcome::RetryAt(at)) => format!("f{}", at.as_micros()),
    }
}

/// What a failure led to, as a script says it.
pub(super) fn outcome_of(operation: &'static str, text: &str) -> Result<FailOutcome> {
    match text {
        "d" => Ok(FailOutcome::Dead),
        "c" => Ok(FailOutcome::Cancelled),
        micros => micros
            .parse()
            .ok()
            .and_then(Timestamp::from_micros)
            .map(FailOutcome::RetryAt)
            .ok_or_else(|| corrupt(operation, "the outcome of a failure is none")),
    }
}

fn settlement_of(operation: &'static str, text: &str) -> Result<Settlement> {
    match text {
        "o" => Ok(Settlement::Open),
        "a" => Ok(Settlement::Acked),
        "r" => Ok(Settlement::Released),
        "e" => Ok(Settlement::Expired),
        other => {
            let outcome = other.strip_prefix('f').unwrap_or_default();
            outcome_of(operation, outcome).map(Settlement::Failed)
        }
    }
}

/// The stage that `life.lua` numbers as [`Stage::number`] does.
pub(super) fn stage_of(operation: &'static str, number: i64) -> Result<Stage> {
    let place = usize::try_from(number).ok();
    place
        .and_then(|place| Stage::ALL.get(place).copied())
        .ok_or_else(|| corrupt(operation, "a command in Redis has an unknown stage"))
}

fn name(reply: Reply) -> Result<Name> {
    Name::new(reply.text()?)
}

/// JSON that was written as text.
pub(super) fn json(operation: &'static str, text: &[u8]) -> Result<Value> {
    serde_json::from_slice(text)
        .map_err(|error| corrupt(operation, "a JSON text in Redis cannot be read").caused_by(error))
}

/// A command: `core` is the list that `life.lua` lays out, in its order.
pub(super) fn read_core(
    operation: &'static str,
    id: CommandId,
    core: Reply,
    progress: Option<Reply>,
) -> Result<CommandCore> {
    let mut row = core.list()?;
    let version = row.item()?.uint()?;
    let modified_at = row.item()?.time()?;
    let stage = stage_of(operation, row.item()?.int()?)?;
    let sequence = row.item()?.uint()?;
    let priority = i16::try_from(row.item()?.int()?)
        .map_err(|_| corrupt(operation, "a priority in Redis is out of range"))?;
    let group = row.optional()?.map(name).transpose()?;
    let retry = RetryPolicy {
        max_attempts: narrow(operation, row.item()?.uint()?)?,
        base_ms: row.item()?.uint()?,
        cap_ms: row.item()?.uint()?,
        jitter_percent: narrow(operation, row.item()?.uint()?)?,
    };
    let result_ttl = Ttl::try_from(row.item()?.uint()?)?;
    let enqueued_at = row.item()?.time()?;
    let deadline = row.optional()?.map(Reply::time).transpose()?;
    let attempts = narrow(operation, row.item()?.uint()?)?;
    let ready_at = row.item()?.time()?;
    let leased_until = row.optional()?.map(Reply::time).transpose()?;
    let worker = row.optional()?.map(name).transpose()?;
    let lease = row.optional()?.map(Reply::bytes).transpose()?;
    let lease = lease.map(|bytes| lease_of(operation, id, &bytes)).transpose()?;
    let settlement = settlement_of(operation, &row.item()?.text()?)?;
    let cancel_requested = row.optional()?.is_some();
    let last_error = row.optional()?.map(Reply::text).transpose()?;
    let ended_at = row.optional()?.map(Reply::time).transpose()?;
    let deleted_at = row.optional()?.map(Reply::time).transpose()?;
    let progress = progress.map(Reply::bytes).transpose()?;
    Ok(CommandCore {
        id,
        version,
        modified_at,
        sequence,
        priority,
        group,
        retry,
        result_ttl,
        enqueued_at,
        deadline,
        state: stage.state(),
        attempts,
        ready_at,
        leased_until,
        worker,
        lease,
        settlement,
        cancel_requested,
        progress: progress.map(|text| json(operation, &text)).transpose()?,
        last_error,
        ended_at,
        deleted_at,
    })
}

/// The fields of a command that never change, from the priority to the result's time, as `plain.lua` keeps them: MessagePack
/// in which each number has one width, so that each field has one place. No group: `store.lua` sets it.
pub(super) fn packed_fields(priority: i16, retry: &RetryPolicy, result_ttl: Ttl) -> Vec<u8> {
    const INT_16: u8 = 0xd1;
    const UINT_64: u8 = 0xcf;
    const FALSE: u8 = 0xc2;
    let mut packed = Vec::with_capacity(49);
    packed.push(INT_16);
    packed.extend(priority.to_be_bytes());
    packed.push(FALSE);
    let jitter = u64::from(retry.jitter_percent);
    let attempts = u64::from(retry.max_attempts);
    for number in [attempts, retry.base_ms, retry.cap_ms, jitter, u64::from(result_ttl)] {
        packed.push(UINT_64);
        packed.extend(number.to_be_bytes());
    }
    packed
}

/// Headers and payload as one value: the headers' length in four bytes, the headers, the payload.
pub(super) fn body_bytes(headers: &Value, payload: &[u8]) -> Vec<u8> {
    let headers = headers.to_string();
    let mut body = Vec::with_capacity(4 + headers.len() + payload.len());
    // JSON beyond 4 GiB is refused by `NewCommand::check`.
    body.extend(u32::try_from(headers.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend(headers.as_bytes());
    body.extend(payload);
    body
}

/// Payload and headers.
pub(super) fn read_body(operation: &'static str, body: Option<Reply>) -> Result<(Vec<u8>, Value)> {
    let wrong = || corrupt(operation, "the payload of a command in Redis is not as it was written");
    let mut bytes = body.ok_or_else(wrong)?.bytes()?;
    let length = bytes.first_chunk::<4>().map(|length| u32::from_be_bytes(*length));
    let end = length
        .and_then(|length| usize::try_from(length).ok())
        .and_then(|length| length.checked_add(4))
        .filter(|end| *end <= bytes.len())
        .ok_or_else(wrong)?;
    let headers = json(operation, bytes.get(4..end).unwrap_or_default())?;
    bytes.drain(..end);
    Ok((bytes, headers))
}

/// A value that may be absent: empty, or the value behind one byte.
pub(super) fn optional(value: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(value) = value {
        bytes.push(b'+');
        bytes.extend(value);
    }
    bytes
}

fn at(instant: Option<Timestamp>) -> Vec<u8> {
    instant.map(|at| at.as_micros().to_string().into_bytes()).unwrap_or_default()
}

/// The arguments of a command for `restore.lua`, in its order. `Invalid` for numbers that scripts do not hold.
pub(super) fn restore_args(command: &StoredCommand, tombstone: u128) -> Result<Vec<Vec<u8>>> {
    let core = &command.core;
    if core.version >= EXACT || core.sequence >= EXACT {
        return Err(Error::invalid(
            "records.restore",
            "a command's version or sequence is 2^53 or more, which Redis does not hold",
        )
        .with("command", core.id));
    }
    let stage = match core.state {
        _ if core.deleted_at.is_some() => Stage::Purged,
        CommandState::Queued => Stage::Ready,
        CommandState::Leased => Stage::Leased,
        CommandState::Completed => Stage::Completed,
        CommandState::Dead => Stage::Dead,
        CommandState::Cancelled => Stage::Cancelled,
    };
    let number = |number: u64| number.to_string().into_bytes();
    let text = |text: Option<&str>| optional(text.map(str::as_bytes));
    let purged = stage == Stage::Purged;
    // A leased one without an end is as one whose lease ran out when it was last written.
    let until = core.leased_until.or((stage == Stage::Leased).then_some(core.modified_at));
    let ended_at = core.ended_at.or((!stage.is_unfinished()).then_some(core.modified_at));
    let progress = core.progress.as_ref().map(Value::to_string);
    let body = body_bytes(&command.headers, &command.payload);
    Ok(vec![
        id_bytes(core.id),
        number(core.version),
        at(Some(core.modified_at)),
        stage.number().to_string().into_bytes(),
        number(core.sequence),
        core.priority.to_string().into_bytes(),
        text(core.group.as_ref().map(Name::as_str)),
        number(core.retry.max_attempts.into()),
        number(core.retry.base_ms),
        number(core.retry.cap_ms),
        number(core.retry.jitter_percent.into()),
        core.result_ttl.as_micros().to_string().into_bytes(),
        at(Some(core.enqueued_at)),
        at(core.deadline),
        number(core.attempts.into()),
        at(Some(core.ready_at)),
        at(until),
        text(core.worker.as_ref().map(Name::as_str)),
        optional(core.lease.as_ref().map(lease_bytes).as_deref()),
        settlement_text(core.settlement).into_bytes(),
        number(core.cancel_requested.into()),
        text(core.last_error.as_deref()),
        at(ended_at),
        at(core.deleted_at),
        tombstone.to_string().into_bytes(),
        optional(Some(body.as_slice()).filter(|_| !purged)),
        optional(command.result.as_deref().filter(|_| !purged)),
        text(progress.as_deref().filter(|_| !purged)),
    ])
}
