//! Recurring commands: the rule, its schedule in the store, and the future that fires what is due.

mod line;
mod rule;
mod schedule;
mod scheduler;

pub use rule::Recurrence;
pub use schedule::*;
pub use scheduler::*;
