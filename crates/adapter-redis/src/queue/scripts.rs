//! The scripts of a queue: each method is one, of the shared parts and its own.

use crate::script::Script;

const LIFE: &str = include_str!("../lua/queue/life.lua");
const LISTED: &str = include_str!("../lua/queue/listed.lua");
const STORE: &str = include_str!("../lua/queue/store.lua");

macro_rules! own {
    ($name:literal) => {
        include_str!(concat!("../lua/queue/", $name, ".lua"))
    };
}

pub(super) static ENQUEUE: Script =
    Script::writes(&[LIFE, LISTED, STORE, own!("enqueue")]).with_effects();
pub(super) static LEASE: Script = Script::writes(&[LIFE, own!("lease")]);
pub(super) static EXTEND: Script = Script::writes(&[LIFE, own!("extend")]);
pub(super) static ACK: Script = Script::writes(&[LIFE, own!("ack")]).with_effects();
pub(super) static FAIL: Script = Script::writes(&[LIFE, own!("fail")]);
pub(super) static RELEASE: Script = Script::writes(&[LIFE, own!("release")]);
pub(super) static PROGRESS: Script = Script::writes(&[LIFE, own!("progress")]);
pub(super) static CANCEL: Script = Script::writes(&[LIFE, own!("cancel")]);
pub(super) static READ: Script = Script::reads(&[own!("read")]);
pub(super) static SETTLE: Script = Script::writes(&[LIFE, own!("settle")]);
pub(super) static DEAD: Script = Script::reads(&[LIFE, own!("dead")]);
pub(super) static DEAD_IDS: Script = Script::reads(&[own!("dead_ids")]);
pub(super) static REQUEUE: Script = Script::writes(&[LIFE, own!("requeue")]);
pub(super) static PURGE: Script = Script::writes(&[LIFE, own!("purge")]);
pub(super) static STATS: Script = Script::reads(&[own!("stats")]);
pub(super) static SET_LIMITS: Script = Script::writes(&[LIFE, LISTED, own!("set_limits")]);
pub(super) static PUT_SCHEDULE: Script = Script::writes(&[LIFE, LISTED, own!("put_schedule")]);
pub(super) static DELETE_SCHEDULE: Script = Script::writes(&[LIFE, own!("delete_schedule")]);
pub(super) static SCHEDULES: Script = Script::reads(&[own!("schedules")]);
pub(super) static FIRE: Script = Script::writes(&[LIFE, STORE, own!("fire")]);
pub(super) static SWEEP: Script = Script::writes(&[LIFE, own!("sweep")]);
pub(super) static HOLDS: Script = Script::writes(&[LIFE, own!("holds")]);
pub(super) static DROP: Script = Script::writes(&[own!("drop")]);
pub(super) static SCAN: Script = Script::reads(&[LIFE, own!("scan")]);
pub(super) static RESTORE: Script = Script::writes(&[LIFE, LISTED, own!("restore")]);
