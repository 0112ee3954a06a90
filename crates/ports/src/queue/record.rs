//! The record form of what a queue holds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CommandId, QueueLimits, Schedule};
use crate::rules::CommandCore;
use crate::{
    Error, Name, QueueId, Record, RecordKind, Result, Tenant, Timestamp, from_base64, to_base64,
};

/// The version of the record form.
pub const QUEUE_FORM: u16 = 1;

/// What one record of [`RecordKind::Queue`] carries. Addresses: tenant, queue, then `command` and its id,
/// `dedupe` and its key, `schedule` and its name, or `limits`.
#[derive(Debug, Clone, PartialEq)]
pub enum QueueRecord {
    /// A command with all that belongs to it.
    Command(Box<StoredCommand>),
    /// A dedupe key that is remembered.
    Dedupe(DedupeEntry),
    /// A recurring command.
    Schedule(Box<Schedule>),
    /// The limits of the queue.
    Limits(QueueLimits),
    /// A command that was removed.
    PurgedCommand(CommandId),
    /// A schedule that was deleted.
    DeletedSchedule(Name),
}

/// A command with payload, headers and result.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCommand {
    /// Everything else.
    pub core: CommandCore,
    /// The payload.
    pub payload: Vec<u8>,
    /// What was enqueued beside it.
    pub headers: Value,
    /// The bytes of the acknowledgement.
    pub result: Option<Vec<u8>>,
}

/// A dedupe key that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupeEntry {
    /// The key.
    pub key: Name,
    /// The first command of this key.
    pub command: CommandId,
    /// Until when the key is taken.
    pub until: Timestamp,
}

/// A [`QueueRecord`] with what every record has.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueEntry {
    /// The queue it belongs to.
    pub queue: QueueId,
    /// Its version.
    pub version: u64,
    /// When it last changed.
    pub modified_at: Timestamp,
    /// When it was deleted: set for the tombstones, and only for them.
    pub deleted_at: Option<Timestamp>,
    /// The entity.
    pub what: QueueRecord,
}

#[derive(Serialize, Deserialize)]
struct CommandBody {
    core: CommandCore,
    payload_b64: String,
    headers: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result_b64: Option<String>,
}

impl QueueEntry {
    /// The address of the record.
    pub fn address(&self) -> Vec<String> {
        let (part, key) = match &self.what {
            QueueRecord::Command(command) => ("command", Some(command.core.id.to_string())),
            QueueRecord::PurgedCommand(id) => ("command", Some(id.to_string())),
            QueueRecord::Dedupe(entry) => ("dedupe", Some(entry.key.to_string())),
            QueueRecord::Schedule(schedule) => ("schedule", Some(schedule.name.to_string())),
            QueueRecord::DeletedSchedule(name) => ("schedule", Some(name.to_string())),
            QueueRecord::Limits(_) => ("limits", None),
        };
        let QueueId { tenant, name } = &self.queue;
        [tenant.to_string(), name.to_string(), part.to_owned()].into_iter().chain(key).collect()
    }

    /// The record.
    pub fn into_record(self) -> Result<Record> {
        let address = self.address();
        let mut expires_at = None;
        let body = match self.what {
            QueueRecord::Command(command) => {
                expires_at = command.core.expires_at();
                write(&CommandBody {
                    payload_b64: to_base64(&command.payload),
                    result_b64: command.result.as_deref().map(to_base64),
                    headers: command.headers,
                    core: command.core,
                })?
            }
            QueueRecord::Dedupe(entry) => {
                expires_at = Some(entry.until);
                write(&entry)?
            }
            QueueRecord::Schedule(schedule) => write(&schedule)?,
            QueueRecord::Limits(limits) => write(&limits)?,
            QueueRecord::PurgedCommand(_) | QueueRecord::DeletedSchedule(_) => Value::Null,
        };
        Ok(Record {
            kind: RecordKind::Queue,
            form: QUEUE_FORM,
            address,
            version: self.version,
            modified_at: self.modified_at,
            expires_at,
            deleted_at: self.deleted_at,
            body,
        })
    }

    /// The entry of a record. `Invalid` names the address of a record that cannot be read.
    pub fn from_record(record: Record) -> Result<Self> {
        let address = record.address.join("/");
        Self::parse(record).map_err(|what| {
            Error::invalid("records.restore", what).with("address", address.escape_debug())
        })
    }

    fn parse(record: Record) -> std::result::Result<Self, String> {
        if record.kind != RecordKind::Queue {
            return Err(format!("a record of kind {:?} is no record of a queue", record.kind));
        }
        if record.form != QUEUE_FORM {
            return Err(format!(
                "the record has form {}; this version reads form {QUEUE_FORM}",
                record.form
            ));
        }
        let name = |text: &String| Name::new(text.clone()).map_err(|error| error.to_string());
        let [tenant, queue, part, key @ ..] = record.address.as_slice() else {
            return Err("the address has fewer than three levels".into());
        };
        let queue = QueueId::new(Tenant(name(tenant)?), name(queue)?);
        let deleted = record.deleted_at.is_some();
        let what = match (part.as_str(), key) {
            ("command", [id]) => {
                let id = CommandId(id.parse().map_err(|_| "the address has no command id")?);
                if deleted {
                    QueueRecord::PurgedCommand(id)
                } else {
                    let mut command = command(record.body)?;
                    same(command.core.id == id)?;
                    command.core.version = record.version;
                    command.core.modified_at = record.modified_at;
                    QueueRecord::Command(Box::new(command))
                }
            }
            ("schedule", [key]) if deleted => QueueRecord::DeletedSchedule(name(key)?),
            ("schedule", [key]) => {
                let mut schedule: Schedule = read(record.body)?;
                same(schedule.name.as_str() == key)?;
                schedule.version = record.version;
                QueueRecord::Schedule(Box::new(schedule))
            }
            ("dedupe", [key]) => {
                let entry: DedupeEntry = read(record.body)?;
                same(entry.key.as_str() == key)?;
                QueueRecord::Dedupe(entry)
            }
            ("limits", []) => {
                let limits: QueueLimits = read(record.body)?;
                limits.check("records.restore").map_err(|error| error.to_string())?;
                QueueRecord::Limits(limits)
            }
            _ => return Err("the address names nothing that a queue holds".into()),
        };
        Ok(Self {
            queue,
            version: record.version,
            modified_at: record.modified_at,
            deleted_at: record.deleted_at,
            what,
        })
    }
}

fn command(body: Value) -> std::result::Result<StoredCommand, String> {
    let body: CommandBody = read(body)?;
    let bytes = |text: &str| from_base64(text).ok_or("a field ending in _b64 is not base64");
    Ok(StoredCommand {
        payload: bytes(&body.payload_b64)?,
        result: body.result_b64.as_deref().map(bytes).transpose()?,
        headers: body.headers,
        core: body.core,
    })
}

fn same(equal: bool) -> std::result::Result<(), String> {
    if equal { Ok(()) } else { Err("address and body name different things".into()) }
}

fn read<T: for<'de> Deserialize<'de>>(body: Value) -> std::result::Result<T, String> {
    serde_json::from_value(body).map_err(|error| format!("the body cannot be read: {error}"))
}

fn write<T: Serialize>(body: &T) -> Result<Value> {
    serde_json::to_value(body).map_err(|error| {
        Error::new(crate::ErrorKind::Internal, "records.scan", "a record cannot be written")
            .caused_by(error)
    })
}
