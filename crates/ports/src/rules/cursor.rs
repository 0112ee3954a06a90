//! Where the listings of queues go on.

use uuid::Uuid;

use crate::{CommandId, CommandView, Cursor, Name, Result, Schedule};

const DEAD: &str = "dead";
const QUEUE: &str = "queue";
const SCHEDULE: &str = "schedule";

/// The last dead letter of the page before.
pub fn dead_cursor(cursor: &Cursor) -> Result<CommandId> {
    cursor.key::<Uuid>("queue.dead", DEAD).map(CommandId)
}

/// The cursor after this dead letter.
pub fn dead_cursor_of(view: &CommandView) -> Cursor {
    Cursor::after(DEAD, view.id)
}

/// The last queue of the page before.
pub fn queue_cursor(cursor: &Cursor) -> Result<Name> {
    cursor.key("queue.list", QUEUE)
}

/// The cursor after the queue of this name.
pub fn queue_cursor_of(name: &Name) -> Cursor {
    Cursor::after(QUEUE, name)
}

/// The last schedule of the page before.
pub fn schedule_cursor(cursor: &Cursor) -> Result<Name> {
    cursor.key("queue.schedules", SCHEDULE)
}

/// The cursor after this schedule.
pub fn schedule_cursor_of(schedule: &Schedule) -> Cursor {
    Cursor::after(SCHEDULE, &schedule.name)
}
