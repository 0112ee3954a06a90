//! The scripts of a queue: each method is one, of the shared parts and its own.

use crate::script::Script;

const LIFE: &str = include_str!("../lua/queue/life.lua");
const LISTED: &str = include_str!("../lua/queue/listed.lua");
const PLAIN: &str = include_str!("../lua/queue/plain.lua");
const STORE: &str = include_str!("../lua/queue/store.lua");

pub(super) static ENQUEUE: Script =
    Script::writes(&[LIFE, PLAIN, STORE, include_str!("../lua/queue/enqueue.lua")]).with_effects();
pub(super) static LEASE: Script =
    Script::frees(&[LIFE, PLAIN, include_str!("../lua/queue/lease.lua")]);
pub(super) static EXTEND: Script = Script::frees(&[LIFE, include_str!("../lua/queue/extend.lua")]);
pub(super) static ACK: Script =
    Script::frees(&[LIFE, PLAIN, include_str!("../lua/queue/ack.lua")]).with_effects();
pub(super) static FAIL: Script = Script::frees(&[LIFE, include_str!("../lua/queue/fail.lua")]);
pub(super) static RELEASE: Script =
    Script::frees(&[LIFE, include_str!("../lua/queue/release.lua")]);
pub(super) static PROGRESS: Script =
    Script::writes(&[LIFE, include_str!("../lua/queue/progress.lua")]);
pub(super) static CANCEL: Script = Script::frees(&[LIFE, include_str!("../lua/queue/cancel.lua")]);
pub(super) static READ: Script = Script::reads(&[include_str!("../lua/queue/read.lua")]);
pub(super) static SETTLE: Script = Script::frees(&[LIFE, include_str!("../lua/queue/settle.lua")]);
pub(super) static DEAD: Script = Script::reads(&[LIFE, include_str!("../lua/queue/dead.lua")]);
pub(super) static DEAD_IDS: Script = Script::reads(&[include_str!("../lua/queue/dead_ids.lua")]);
pub(super) static REQUEUE: Script =
    Script::writes(&[LIFE, include_str!("../lua/queue/requeue.lua")]);
pub(super) static PURGE: Script = Script::frees(&[LIFE, include_str!("../lua/queue/purge.lua")]);
pub(super) static STATS: Script = Script::reads(&[include_str!("../lua/queue/stats.lua")]);
pub(super) static SET_LIMITS: Script =
    Script::writes(&[LIFE, LISTED, include_str!("../lua/queue/set_limits.lua")]);
pub(super) static PUT_SCHEDULE: Script =
    Script::writes(&[LIFE, LISTED, include_str!("../lua/queue/put_schedule.lua")]);
pub(super) static DELETE_SCHEDULE: Script =
    Script::frees(&[LIFE, include_str!("../lua/queue/delete_schedule.lua")]);
pub(super) static SCHEDULES: Script = Script::reads(&[include_str!("../lua/queue/schedules.lua")]);
pub(super) static FIRE: Script =
    Script::writes(&[LIFE, PLAIN, STORE, include_str!("../lua/queue/fire.lua")]);
pub(super) static SWEEP: Script = Script::frees(&[LIFE, include_str!("../lua/queue/sweep.lua")]);
pub(super) static HOLDS: Script = Script::frees(&[LIFE, include_str!("../lua/queue/holds.lua")]);
pub(super) static DROP: Script = Script::frees(&[include_str!("../lua/queue/drop.lua")]);
pub(super) static SCAN: Script = Script::reads(&[LIFE, include_str!("../lua/queue/scan.lua")]);
pub(super) static RESTORE: Script =
    Script::writes(&[LIFE, LISTED, include_str!("../lua/queue/restore.lua")]);
