//! `hexmem queue cron ...`

use clap::{Args, Subcommand};
use hexmem_command_queue::{
    Missed, NewSchedule, PushOptions, Recurrence, Recurring, Scheduler, SchedulerReport,
};
use hexmem_ports::rules::RetryPolicy;
use hexmem_ports::{Error, Limit, Name, Result, Schedule, Timestamp, Ttl};
use serde_json::{Value, json};

use super::super::Outcome;
use super::{done, names, open, push};
use crate::arguments;
use crate::context::Context;

const ADD_HELP: &str = "\
Examples:
  hexmem queue cron add jobs nightly '{\"do\": \"backup\"}' --line '30 2 * * *' --zone Europe/Berlin
  hexmem queue cron add jobs payday pay --line '0 9 L * *' --missed all:3
  hexmem queue cron add jobs poll ping --every 90s --within 60s

Fields: minute, hour, day of month, month, day of week (0 or 7 is Sunday); lists, ranges, steps, names of three
letters, L (last day), MON#2 (second Monday), FRIL (last Friday); or @hourly, @daily, @weekly, @monthly, @yearly.
Where clocks change: lines that begin with * in minute or hour go by instants; any other fires once a day and time,
a skipped time being moved on by the length of the gap. `hexmem work` and `hexmem queue cron run` fire.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a recurring command, or change the one of this name
    #[command(after_help = ADD_HELP)]
    Add(Box<Add>),
    /// Show them, with the next time of each
    List {
        /// The queue; all queues without it
        queue: Option<Name>,
    },
    /// End one; what it enqueued before stays
    Remove {
        /// The queue
        queue: Name,
        /// Its name
        name: Name,
    },
    /// Show when one fires next, or when a cron line would
    #[command(after_help = "Examples:
  hexmem queue cron next jobs nightly -n 3
  hexmem queue cron next --line '0 9 * * MON-FRI' --zone Asia/Tokyo")]
    Next(Next),
    /// Fire what is due, until Ctrl-C
    Run {
        /// The queues; all queues there are at the start without any
        queues: Vec<Name>,
        /// Fire what is due now, and end
        #[arg(long)]
        once: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The queue
    queue: Name,
    /// Its name, unique within the queue
    name: Name,
    /// The payload of each command; `-` reads it from standard input
    payload: String,
    /// When: a cron line, in quotes
    #[arg(long, value_name = "LINE", value_parser = line, required_unless_present = "every")]
    line: Option<String>,
    /// The time zone of the line
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone, conflicts_with = "every")]
    zone: String,
    /// When: each so often, the first time after that long
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl, conflicts_with = "line")]
    every: Option<Ttl>,
    /// What becomes of times that passed while nothing fired: `one` (the latest), `all:N` (the latest N), or
    /// `skip:SPAN` (none that is later than the span)
    #[arg(long, value_name = "POLICY", default_value = "one", value_parser = missed)]
    missed: Missed,
    /// Higher goes first
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    priority: i16,
    /// Never handed out later than this long after its firing
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
    within: Option<Ttl>,
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
}

#[derive(Debug, Args)]
pub(crate) struct Next {
    /// The queue
    #[arg(required_unless_present = "line")]
    queue: Option<Name>,
    /// The name of the recurring command
    #[arg(required_unless_present = "line")]
    name: Option<Name>,
    /// A cron line to try out
    #[arg(long, value_name = "LINE", value_parser = line, conflicts_with_all = ["queue", "name"])]
    line: Option<String>,
    /// The time zone of the line
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone, requires = "line")]
    zone: String,
    /// So many times
    #[arg(short = 'n', long = "times", value_name = "N", default_value = "5", value_parser = arguments::limit)]
    times: Limit,
}

/// `one`, `all:N` or `skip:SPAN`.
fn missed(text: &str) -> std::result::Result<Missed, String> {
    let wrong = || "write one, all:N (1 to 1000) or skip:SPAN, for example skip:5m".to_owned();
    match text.split_once(':') {
        None if text == "one" => Ok(Missed::One),
        Some(("all", most)) => {
            let most = most.parse().ok().filter(|most| (1..=1_000).contains(most));
            Ok(Missed::All { most: most.ok_or_else(wrong)? })
        }
        Some(("skip", span)) => Ok(Missed::Skip { later_than: arguments::ttl(span)? }),
        _ => Err(wrong()),
    }
}

/// A line that some zone can go by.
fn line(text: &str) -> std::result::Result<String, String> {
    let checked = Recurrence::cron(text, "UTC");
    checked.map(|_| text.to_owned()).map_err(|error| error.message().to_owned())
}

/// A zone that the built-in database knows.
fn zone(text: &str) -> std::result::Result<String, String> {
    let checked = Recurrence::cron("@daily", text);
    checked.map(|_| text.to_owned()).map_err(|error| error.message().to_owned())
}

/// Runs the command.
pub(super) async fn run(context: &Context, command: Command) -> Result<Outcome> {
    match command {
        Command::Add(args) => add(context, *args).await,
        Command::List { queue } => list(context, queue).await,
        Command::Remove { queue, name } => {
            let there = open(context, &queue).await?.remove_schedule(&name).await?;
            context.emit(&json!({ "removed": there }), || "removed".to_owned())?;
            if !there {
                return Ok(no_schedule(&queue, &name));
            }
            Ok(Outcome::Done)
        }
        Command::Next(args) => next(context, args).await,
        Command::Run { queues, once } => fire(context, queues, once).await,
    }
}

async fn add(context: &Context, args: Add) -> Result<Outcome> {
    let commands = open(context, &args.queue).await?;
    let recurrence = match (args.every, args.line) {
        (Some(span), _) => Recurrence::every(span, commands.clock().now().plus(span.get())),
        (None, line) => Recurrence::cron(&line.unwrap_or_default(), &args.zone)?,
    };
    let options = PushOptions {
        priority: args.priority,
        within: args.within,
        group: args.group,
        retry: RetryPolicy { max_attempts: args.max_attempts, ..RetryPolicy::default() },
        result_ttl: args.result_ttl,
        headers: args.headers,
        ..PushOptions::default()
    };
    let schedule = NewSchedule {
        missed: args.missed,
        options,
        ..NewSchedule::new(args.name, recurrence, push::bytes(args.payload)?)
    };
    let kept = commands.put_schedule(schedule).await?;
    let next = next_text(kept.next_at);
    done(context, &document(&args.queue, &kept), &format!("{}: next {next}", kept.name))
}

fn next_text(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| at.to_string())
}

fn document(queue: &Name, kept: &Recurring) -> Value {
    let mut document = serde_json::Map::new();
    document.insert("queue".into(), json!(queue));
    document.insert("name".into(), json!(kept.name));
    document.insert("rule".into(), json!(kept.recurrence.to_string()));
    document.insert("missed".into(), json!(kept.missed));
    document.insert("next_at".into(), json!(kept.next_at));
    super::put_bytes(&mut document, "payload", &kept.template.payload);
    Value::Object(document)
}

async fn list(context: &Context, queue: Option<Name>) -> Result<Outcome> {
    let queues = match queue {
        Some(queue) => vec![queue],
        None => names(context, "").await?,
    };
    let (mut documents, mut text) = (Vec::new(), String::new());
    for queue in &queues {
        let commands = open(context, queue).await?;
        let mut cursor = None;
        loop {
            let page = commands.schedules(cursor, Limit::default()).await?;
            for kept in page.items {
                let (shown, line) = shown(queue, kept);
                documents.push(shown);
                text.push_str(&line);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    done(context, &json!(documents), &text)
}

/// A schedule for the listing; one that cannot be read is listed too, so that it can be removed.
fn shown(queue: &Name, kept: Schedule) -> (Value, String) {
    let (name, spec) = (kept.name.clone(), kept.spec.clone());
    match Recurring::read(kept) {
        Ok(kept) => {
            let (rule, next) = (kept.recurrence.to_string(), next_text(kept.next_at));
            (document(queue, &kept), format!("{queue}\t{name}\t{rule}\tnext {next}\n"))
        }
        Err(error) => {
            let shown =
                json!({"queue": queue, "name": name, "spec": spec, "error": error.message()});
            (shown, format!("{queue}\t{name}\tunreadable: {}\n", error.message()))
        }
    }
}

fn no_schedule(queue: &Name, name: &Name) -> Outcome {
    crate::output::remark(&format!("the queue {queue} has no recurring command {name}"));
    Outcome::Failed
}

async fn next(context: &Context, args: Next) -> Result<Outcome> {
    let clock = context.stores.clock();
    let (recurrence, first) = match (args.line, args.queue, args.name) {
        (Some(line), ..) => (Recurrence::cron(&line, &args.zone)?, None),
        (None, Some(queue), Some(name)) => {
            let Some(kept) = open(context, &queue).await?.schedule(&name).await? else {
                context.emit(&json!(null), String::new)?;
                return Ok(no_schedule(&queue, &name));
            };
            (kept.recurrence, kept.next_at)
        }
        _ => return Err(Error::invalid("queue.cron", "give a queue and a name, or --line")),
    };
    // What is due and not fired yet comes first.
    let after = first.unwrap_or_else(|| clock.now());
    let times: Vec<_> = first
        .into_iter()
        .chain(recurrence.times_after(after))
        .take(args.times.as_usize())
        .collect();
    let text = times.iter().map(|at| format!("{at}\n")).collect::<String>();
    done(context, &json!(times), &text)
}

async fn fire(context: &Context, queues: Vec<Name>, once: bool) -> Result<Outcome> {
    let queues = if queues.is_empty() { names(context, "").await? } else { queues };
    let mut opened = Vec::with_capacity(queues.len());
    for queue in &queues {
        opened.push(open(context, queue).await?);
    }
    let scheduler = Scheduler::new(opened);
    let report = if once {
        let mut report = SchedulerReport::default();
        scheduler.fire_due(&mut report).await?;
        report
    } else {
        scheduler.run(super::super::stop::asked_to_stop(1)).await?
    };
    let document = json!({
        "fired": report.fired, "skipped": report.skipped, "lost": report.lost,
        "unreadable": report.unreadable,
    });
    let text = format!("{} fired, {} skipped", report.fired, report.skipped);
    context.emit(&document, || text)?;
    if report.unreadable > 0 {
        crate::output::remark("some cannot be read; `hexmem queue cron list` names them");
        return Ok(Outcome::Failed);
    }
    Ok(Outcome::Done)
}
