//! Leased, fenced command dispatch with results.
//!
//! **The promise: at-least-once delivery, fenced completion.** A command that was acknowledged as stored is
//! handed out until somebody completes it, it is cancelled, or it lies in the dead letters. It may be handed
//! out more than once: when a worker dies, or is slower than its lease. But only the holder of the current
//! lease can complete it, so one result is kept, and whoever came late is told so (`StaleLease`). What a
//! handler does outside should therefore be idempotent; the command's id is a good key for it.
//!
//! A crash counts as an attempt: a command that kills every worker ends in the dead letters.
//!
//! ```
//! use std::sync::Arc;
//! use hexmem_adapter_memory::{MemoryOutbox, MemoryQueue, SystemClock};
//! use hexmem_command_queue::{Commands, Job, JobError, PushOptions, Worker, WorkerOptions};
//! use hexmem_ports::{Name, QueueId, Tenant};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> hexmem_ports::Result<()> {
//! let clock = Arc::new(SystemClock);
//! let store = Arc::new(MemoryQueue::new(clock.clone(), MemoryOutbox::new(clock.clone())));
//! let queue = QueueId::new(Tenant(Name::new("acme")?), Name::new("greetings")?);
//! let commands = Commands::new(store, clock, queue);
//!
//! let id = commands.push_json(&"Ada", &PushOptions::default()).await?.id();
//!
//! // A worker is a future that you drive; it ends when `stop` does, having finished what it holds.
//! let worker = Worker::new(commands.clone(), WorkerOptions::default());
//! let greet = |job: Job| async move {
//!     let name: String = job.json()?;
//!     Ok::<_, JobError>(Some(format!("Hello, {name}").into_bytes()))
//! };
//! let stop = async { commands.await_result(id, std::time::Duration::from_secs(5)).await.ok(); };
//! let report = worker.run(greet, stop).await?;
//!
//! assert_eq!(report.completed, 1);
//! let result = commands.result(id).await?.expect("it ended");
//! assert_eq!(result.result.as_deref(), Some(b"Hello, Ada".as_slice()));
//! # Ok(())
//! # }
//! ```

mod commands;
mod job;
mod options;
#[cfg(feature = "cron")]
mod recurring;
mod relay;
mod worker;

pub use commands::*;
pub use job::*;
pub use options::*;
#[cfg(feature = "cron")]
pub use recurring::*;
pub use relay::*;
pub use worker::*;
