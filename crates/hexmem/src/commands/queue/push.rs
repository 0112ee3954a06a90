//! `hexmem queue push`

use std::io::Read as _;

use clap::Args as ClapArgs;
use hexmem_command_queue::{PushOptions, Pushed};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{CommandId, Dedupe, Name, Result, Timestamp, Ttl, WhenIdle};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::Outcome;
use crate::arguments;
use crate::context::Context;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The queue
    queue: Name,
    /// The payload; `-` reads it from standard input
    payload: String,
    /// The command's id, to repeat a push whose answer was lost
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// Higher goes first
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    priority: i16,
    /// Not before this long from now
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
    delay: Option<Ttl>,
    /// Never handed out from this time on
    #[arg(long, value_name = "TIME")]
    deadline: Option<Timestamp>,
    /// Never handed out later than this long from now
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
    within: Option<Ttl>,
    /// Refuse a second command of the same key
    #[arg(long, value_name = "KEY")]
    dedupe: Option<Name>,
    /// How long the key is remembered
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = arguments::ttl)]
    dedupe_window: Ttl,
    /// Run one at a time, in order, with the others of this group
    #[arg(long, value_name = "NAME")]
    group: Option<Name>,
    /// Deliveries before it goes to the dead letters
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    max_attempts: u32,
    /// How long the outcome is kept
    #[arg(long, value_name = "SPAN", default_value = "1d", value_parser = arguments::ttl)]
    result_ttl: Ttl,
    /// JSON that is kept beside the payload
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = arguments::json)]
    headers: Value,
    /// Fail unless a worker was seen within this span
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
    require_consumer: Option<Ttl>,
}

/// The bytes of an argument; `-` reads standard input.
pub(super) fn bytes(argument: String) -> Result<Vec<u8>> {
    if argument != "-" {
        return Ok(argument.into_bytes());
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(super::stdin_error)?;
    Ok(bytes)
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    let window = args.dedupe_window;
    let options = PushOptions {
        id: args.id.map(CommandId),
        priority: args.priority,
        delay: args.delay,
        deadline: args.deadline,
        within: args.within,
        dedupe: args.dedupe.map(|key| Dedupe { key, window }),
        group: args.group,
        retry: RetryPolicy { max_attempts: args.max_attempts, ..RetryPolicy::default() },
        result_ttl: args.result_ttl,
        headers: args.headers,
        when_idle: args.require_consumer.map_or(WhenIdle::Store, WhenIdle::Refuse),
    };
    let payload = bytes(args.payload)?;
    let pushed = super::open(context, &args.queue).await?.push(payload, &options).await?;
    let (outcome, code) = match pushed {
        Pushed::Queued(_) => ("queued", Outcome::Done),
        Pushed::Duplicate(_) => ("duplicate", Outcome::Done),
        Pushed::NoConsumer(_) => ("no_consumer", Outcome::Failed),
    };
    let id = pushed.id();
    context.emit(&json!({"id": id, "outcome": outcome}), || match code {
        Outcome::Failed | Outcome::WrongUsage => String::new(),
        Outcome::Done => id.to_string(),
    })?;
    if code == Outcome::Failed {
        crate::output::remark(&format!("no worker was seen at {}: not stored", args.queue));
    }
    Ok(code)
}
