//! `hexmem queue ...`

mod cron;
mod dead;
mod push;
mod work;

use std::time::Duration;

use clap::{Args, Subcommand};
use hexmem_command_queue::Commands;
use hexmem_ports::{
    CancelOutcome, CommandId, CommandResult, CommandState, CommandView, Error, FailOutcome,
    Failure, LeaseToken, Leased, Limit, Name, Prefix, QueueId, QueueLimits, Rate, Result, Ttl,
    Verdict, to_base64,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Outcome;
use crate::arguments;
use crate::context::Context;

pub(crate) use work::{Args as WorkArgs, run as work};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put a command into a queue
    #[command(after_help = "Examples:
  hexmem queue push jobs '{\"n\": 1}'
  hexmem queue push jobs - < payload.bin --delay 5m --priority 3
  hexmem queue push jobs deploy --dedupe deploy-42 --group prod --within 1h
  hexmem queue push jobs ping --require-consumer 30s     fails at once when nobody works the queue")]
    Push(push::Args),
    /// Take commands, to be acknowledged under the lease that is printed
    #[command(after_help = "Examples:
  hexmem queue lease jobs -n 10 --visibility 2m --json
  hexmem queue lease jobs --wait 5s")]
    Lease {
        /// The queue
        queue: Name,
        /// At most this many
        #[arg(short = 'n', long = "max", value_name = "N", default_value = "1", value_parser = arguments::limit)]
        max: Limit,
        /// How long each is held before it is handed out again
        #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = arguments::ttl)]
        visibility: Ttl,
        /// How long to wait for the first one
        #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
        wait: Option<Ttl>,
        /// Who asks, for observers
        #[arg(long, value_name = "NAME")]
        worker: Option<Name>,
    },
    /// Hold a command longer; says whether it is to be cancelled
    Extend {
        /// The queue
        queue: Name,
        /// The lease that `lease` printed
        lease: LeaseToken,
        /// From now on
        #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = arguments::ttl)]
        visibility: Ttl,
    },
    /// Complete a command
    #[command(after_help = "Examples:
  hexmem queue ack jobs LEASE '{\"ok\": true}'
  make-result | hexmem queue ack jobs LEASE -")]
    Ack {
        /// The queue
        queue: Name,
        /// The lease that `lease` printed
        lease: LeaseToken,
        /// The result to keep; `-` reads it from standard input
        result: Option<String>,
    },
    /// End an attempt without success
    Fail {
        /// The queue
        queue: Name,
        /// The lease that `lease` printed
        lease: LeaseToken,
        /// What went wrong
        #[arg(long, value_name = "TEXT", default_value = "failed")]
        error: String,
        /// Try again after this long, instead of the command's backoff
        #[arg(long, value_name = "SPAN", value_parser = arguments::ttl, conflicts_with = "dead")]
        retry_after: Option<Ttl>,
        /// Never again: to the dead letters
        #[arg(long)]
        dead: bool,
    },
    /// Hand a command back unprocessed; the attempt does not count
    Release {
        /// The queue
        queue: Name,
        /// The lease that `lease` printed
        lease: LeaseToken,
    },
    /// Show how a command ended
    Result(Id),
    /// Wait until a command ends
    Await {
        #[command(flatten)]
        id: Id,
        /// How long
        #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = arguments::ttl)]
        wait: Ttl,
    },
    /// Show a command as it stands
    Show(Id),
    /// Cancel a waiting command, or ask a running one to stop
    Cancel(Id),
    /// Count what a queue holds
    Stats {
        /// The queue; all queues without it
        queue: Option<Name>,
    },
    /// List the queues
    List {
        /// Those whose name starts with this
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Commands that failed for good
    #[command(subcommand)]
    Dead(dead::Command),
    /// Recurring commands
    #[command(subcommand)]
    Cron(cron::Command),
    /// Show or set what leases keep to
    #[command(after_help = "Examples:
  hexmem queue limits jobs                                 shows them
  hexmem queue limits jobs --max-in-flight 4 --rate 10/1s
  hexmem queue limits jobs --none                          removes them")]
    Limits {
        /// The queue
        queue: Name,
        /// At most this many held at once, over all workers
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max_in_flight: Option<u32>,
        /// At most so many handed out in a span, as COUNT/SPAN
        #[arg(long, value_name = "COUNT/SPAN", value_parser = rate)]
        rate: Option<Rate>,
        /// Remove all limits
        #[arg(long, conflicts_with_all = ["max_in_flight", "rate"])]
        none: bool,
    },
    /// Free what is over: outcomes past their time, remembered keys
    Sweep,
}

/// One command of a queue.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The queue
    queue: Name,
    /// The id that `push` printed
    id: Uuid,
}

fn rate(text: &str) -> std::result::Result<Rate, String> {
    let parts = text.split_once('/').ok_or("write COUNT/SPAN, for example 10/1s")?;
    let count = parts.0.parse().map_err(|_| format!("{:?} is no count", parts.0))?;
    if count == 0 {
        return Err("a rate of 0 hands out nothing; write at least 1, or --none".to_owned());
    }
    Ok(Rate { count, per: arguments::ttl(parts.1)? })
}

/// The queue of the context's tenant.
async fn open(context: &Context, queue: &Name) -> Result<Commands> {
    let store = context.stores.queue().await?;
    let id = QueueId::new(context.tenant.clone(), queue.clone());
    Ok(Commands::new(store, context.stores.clock(), id))
}

/// Bytes under `key` where they are text, else under `key_b64`.
fn put_bytes(document: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => document.insert(key.to_owned(), text.into()),
        Err(_) => document.insert(format!("{key}_b64"), to_base64(bytes).into()),
    };
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn leased_document(leased: &Leased) -> Value {
    let mut document = Map::new();
    document.insert("id".into(), json!(leased.id));
    document.insert("lease".into(), json!(leased.lease));
    document.insert("attempt".into(), json!(leased.attempt));
    put_bytes(&mut document, "payload", &leased.payload);
    document.insert("headers".into(), leased.headers.clone());
    document.insert("group".into(), json!(leased.group));
    document.insert("deadline".into(), json!(leased.deadline));
    document.insert("leased_until".into(), json!(leased.leased_until));
    Value::Object(document)
}

fn view_document(view: &CommandView) -> Value {
    let mut document = Map::new();
    document.insert("id".into(), json!(view.id));
    document.insert("state".into(), json!(view.state));
    document.insert("attempts".into(), json!(view.attempts));
    document.insert("priority".into(), json!(view.priority));
    document.insert("group".into(), json!(view.group));
    document.insert("enqueued_at".into(), json!(view.enqueued_at));
    document.insert("ready_at".into(), json!(view.ready_at));
    document.insert("deadline".into(), json!(view.deadline));
    document.insert("leased_until".into(), json!(view.leased_until));
    document.insert("worker".into(), json!(view.worker));
    document.insert("progress".into(), json!(view.progress));
    document.insert("last_error".into(), json!(view.last_error));
    document.insert("ended_at".into(), json!(view.ended_at));
    put_bytes(&mut document, "payload", &view.payload);
    document.insert("headers".into(), view.headers.clone());
    Value::Object(document)
}

fn view_text(view: &CommandView) -> String {
    let error = view.last_error.as_deref().unwrap_or_default();
    let state = serde_json::to_value(view.state).unwrap_or_default();
    let state = state.as_str().unwrap_or_default().to_owned();
    let payload = text_of(&view.payload);
    format!("{}  {state}  attempt {}  {payload}  {error}\n", view.id, view.attempts)
}

fn result_document(id: CommandId, ended: &CommandResult) -> Value {
    let mut document = Map::new();
    document.insert("id".into(), json!(id));
    document.insert("state".into(), json!(ended.state));
    if let Some(result) = &ended.result {
        put_bytes(&mut document, "result", result);
    }
    document.insert("error".into(), json!(ended.error));
    document.insert("attempts".into(), json!(ended.attempts));
    document.insert("ended_at".into(), json!(ended.ended_at));
    Value::Object(document)
}

/// Prints how a command ended; failed unless it was completed.
fn show_result(context: &Context, id: CommandId, ended: Option<CommandResult>) -> Result<Outcome> {
    let Some(ended) = ended else {
        context.emit(&json!({"id": id, "state": null}), String::new)?;
        crate::output::remark(
            "it has not ended, or is unknown, or its result is not kept any more",
        );
        return Ok(Outcome::Failed);
    };
    let data = match ended.state {
        CommandState::Completed => ended.result.as_deref().unwrap_or_default(),
        _ => &[],
    };
    context.emit_data(&result_document(id, &ended), data)?;
    if ended.state == CommandState::Completed {
        return Ok(Outcome::Done);
    }
    let why = ended.error.unwrap_or_else(|| "it was cancelled".to_owned());
    crate::output::remark(&format!("the command ended without a result: {why}"));
    Ok(Outcome::Failed)
}

fn done(context: &Context, document: &Value, text: &str) -> Result<Outcome> {
    context.emit(document, || text.to_owned())?;
    Ok(Outcome::Done)
}

/// Runs the command.
pub(crate) async fn run(context: &Context, command: Command) -> Result<Outcome> {
    match command {
        Command::Push(args) => push::run(context, args).await,
        Command::Lease { queue, max, visibility, wait, worker } => {
            let fallback = || Name::new(format!("cli-{}", Uuid::new_v4()));
            let worker = worker.map_or_else(fallback, Ok)?;
            let wait = wait.map_or(Duration::ZERO, Ttl::get);
            let leased = open(context, &queue).await?.lease(&worker, max, visibility, wait).await?;
            let documents: Vec<_> = leased.iter().map(leased_document).collect();
            context.emit(&documents, || {
                let line = |one: &Leased| format!("{}\t{}\n", one.lease, text_of(&one.payload));
                leased.iter().map(line).collect()
            })?;
            Ok(Outcome::Done)
        }
        Command::Extend { queue, lease, visibility } => {
            let extended = open(context, &queue).await?.extend(&lease, visibility).await?;
            let document = json!({
                "leased_until": extended.leased_until,
                "cancel_requested": extended.cancel_requested,
            });
            let stop = if extended.cancel_requested { ", and is to be cancelled" } else { "" };
            done(context, &document, &format!("held until {}{stop}", extended.leased_until))
        }
        Command::Ack { queue, lease, result } => {
            let result = result.map(push::bytes).transpose()?;
            open(context, &queue).await?.ack(lease, result).await?;
            done(context, &json!({"id": lease.command, "state": "completed"}), "completed")
        }
        Command::Fail { queue, lease, error, retry_after, dead } => {
            let verdict = match retry_after {
                _ if dead => Verdict::Dead,
                Some(wait) => Verdict::RetryAfter(wait.get()),
                None => Verdict::Retry,
            };
            let failure = Failure { error, verdict };
            let outcome = open(context, &queue).await?.fail(&lease, failure).await?;
            let text = match outcome {
                FailOutcome::RetryAt(at) => format!("handed out again from {at}"),
                FailOutcome::Dead => "in the dead letters".to_owned(),
                FailOutcome::Cancelled => "cancelled".to_owned(),
            };
            done(context, &json!({"id": lease.command, "outcome": outcome}), &text)
        }
        Command::Release { queue, lease } => {
            open(context, &queue).await?.release(&lease).await?;
            done(context, &json!({"id": lease.command, "state": "queued"}), "handed back")
        }
        Command::Result(Id { queue, id }) => {
            let id = CommandId(id);
            show_result(context, id, open(context, &queue).await?.result(id).await?)
        }
        Command::Await { id: Id { queue, id }, wait } => {
            let id = CommandId(id);
            let commands = open(context, &queue).await?;
            let ended = commands.await_result(id, wait.get()).await?;
            if ended.is_some() {
                return show_result(context, id, ended);
            }
            let Some(view) = commands.view(id).await? else {
                return unknown(context, &queue, id.0);
            };
            let document = json!({"id": id, "state": view.state, "timed_out": true});
            context.emit(&document, String::new)?;
            let state = document["state"].as_str().unwrap_or_default();
            let waited = wait.get();
            crate::output::remark(&format!(
                "timed out after {waited:?}: the command is still {state}"
            ));
            Ok(Outcome::Failed)
        }
        Command::Show(Id { queue, id }) => {
            let view = open(context, &queue).await?.view(CommandId(id)).await?;
            let Some(view) = view else { return unknown(context, &queue, id) };
            done(context, &view_document(&view), &view_text(&view))
        }
        Command::Cancel(Id { queue, id }) => {
            let outcome = open(context, &queue).await?.cancel(CommandId(id)).await?;
            let text = match outcome {
                CancelOutcome::Unknown => return unknown(context, &queue, id),
                CancelOutcome::Cancelled => "cancelled".to_owned(),
                CancelOutcome::Requested => "its worker is told at the next heartbeat".to_owned(),
                CancelOutcome::Ended(state) => format!("it had ended before: {state:?}"),
            };
            done(context, &json!({"id": id, "outcome": outcome}), &text)
        }
        Command::Stats { queue } => stats(context, queue).await,
        Command::List { prefix } => {
            let names = names(context, &prefix).await?;
            let text = names.iter().map(|name| format!("{name}\n")).collect::<String>();
            done(context, &json!(names), &text)
        }
        Command::Dead(command) => dead::run(context, command).await,
        Command::Cron(command) => cron::run(context, command).await,
        Command::Limits { queue, max_in_flight, rate, none } => {
            let commands = open(context, &queue).await?;
            if none || max_in_flight.is_some() || rate.is_some() {
                commands.set_limits(QueueLimits { max_in_flight, rate }).await?;
            }
            let limits = commands.limits().await?;
            let cap = limits.max_in_flight.map_or("no cap".to_owned(), |n| format!("{n} at once"));
            let rate = limits.rate.map_or("no rate".to_owned(), |rate| {
                format!("{} per {:?}", rate.count, rate.per.get())
            });
            done(context, &json!(limits), &format!("{cap}, {rate}"))
        }
        Command::Sweep => {
            let store = context.stores.queue().await?;
            let most = Limit::new(1_000)?;
            let mut total = 0;
            loop {
                let swept = store.sweep(most).await?;
                total += swept;
                if swept == 0 {
                    break;
                }
            }
            done(context, &json!({"swept": total}), &format!("{total} swept"))
        }
    }
}

fn unknown(context: &Context, queue: &Name, id: Uuid) -> Result<Outcome> {
    context.emit(&json!({"id": id, "state": null}), String::new)?;
    crate::output::remark(&format!("the queue {queue} has no command {id}"));
    Ok(Outcome::Failed)
}

async fn names(context: &Context, prefix: &str) -> Result<Vec<Name>> {
    let store = context.stores.queue().await?;
    let prefix = Prefix::new(prefix)?;
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.list(&context.tenant, &prefix, cursor, Limit::default()).await?;
        names.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(names);
        }
    }
}

async fn stats(context: &Context, queue: Option<Name>) -> Result<Outcome> {
    let queues = match &queue {
        Some(queue) => vec![queue.clone()],
        None => names(context, "").await?,
    };
    let mut all = Map::new();
    let mut text = String::new();
    for name in &queues {
        let stats = open(context, name).await?.stats().await?;
        text.push_str(&format!(
            "{name}: {} ready, {} delayed, {} in flight, {} dead, {} results, {} consumers\n",
            stats.ready, stats.delayed, stats.in_flight, stats.dead, stats.results, stats.consumers
        ));
        let document = json!({
            "ready": stats.ready, "delayed": stats.delayed, "in_flight": stats.in_flight,
            "dead": stats.dead, "results": stats.results, "consumers": stats.consumers,
            "oldest_ready_seconds": stats.oldest_ready.map(|age| age.as_secs_f64()),
        });
        all.insert(name.to_string(), document);
    }
    let document = match queue {
        Some(queue) => all.remove(queue.as_str()).unwrap_or_default(),
        None => Value::Object(all),
    };
    done(context, &document, &text)
}

/// The failure of reading standard input.
fn stdin_error(error: std::io::Error) -> Error {
    Error::invalid("queue.stdin", "standard input cannot be read").caused_by(error)
}
