//! `hexmem work QUEUE -- COMMAND`

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hexmem_command_queue::{
    Commands, Job, JobError, JobResult, Scheduler, WhenCancelled, WhenStopping, Worker,
    WorkerOptions,
};
use hexmem_ports::{BYTES_LIMIT, Error, ErrorKind, Limit, Name, Result, Ttl};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::super::Outcome;
use super::super::stop::asked_to_stop;
use super::open;
use crate::arguments;
use crate::context::Context;

/// sysexits.h: the input was wrong in some way. Another attempt would fare no better.
const EX_DATAERR: i32 = 65;

/// How much of a program's standard error is kept with a failed attempt.
const ERROR_TAIL: usize = 4_096;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The queue
    queue: Name,
    /// Programs at once
    #[arg(long, value_name = "N", default_value = "1", value_parser = arguments::limit)]
    concurrency: Limit,
    /// How long a command is held without a sign of life; renewed while the program runs
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = arguments::ttl)]
    visibility: Ttl,
    /// How long a program may run; then it is ended with all that it started, and the attempt has failed
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
    timeout: Option<Ttl>,
    /// After Ctrl-C let the programs finish for no longer than this [default: as long as they need]
    #[arg(long, value_name = "SPAN", value_parser = arguments::ttl)]
    grace: Option<Ttl>,
    /// End when nothing is left to do, instead of waiting for more
    #[arg(long)]
    until_empty: bool,
    /// Leave the recurring commands of the queue to others
    #[arg(long)]
    no_cron: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    program: Vec<OsString>,
}

/// Runs a program for each command until Ctrl-C, or until nothing is left.
pub(crate) async fn run(context: &Context, args: Args) -> Result<Outcome> {
    // A misspelt name would send every command that waits to the dead letters.
    if let Some(program) = args.program.first().filter(|program| !is_there(program)) {
        let what = format!("there is no program `{}`; nothing was taken", program.display());
        return Err(Error::new(ErrorKind::NotFound, "work", what));
    }
    let commands = open(context, &args.queue).await?;
    let grace = |span: Ttl| WhenStopping::FinishWithin(span.get());
    let options = WorkerOptions {
        name: format!("hexmem-work-{}", std::process::id()),
        concurrency: args.concurrency,
        visibility: args.visibility,
        wait: Duration::from_millis(500),
        timeout: args.timeout,
        when_stopping: args.grace.map_or(WhenStopping::Finish, grace),
        when_cancelled: WhenCancelled::Drop,
    };
    let (once, twice) = (asked_to_stop(1), asked_to_stop(2));
    let stop = async {
        tokio::select! {
            () = once => {
                crate::output::remark("no new commands; finishing what runs (again: hand back)");
            }
            () = emptied(&commands), if args.until_empty => {}
        }
    };
    let queue = args.queue.to_string();
    let handler = |job| execute(job, &queue, &args.program);
    let worker = Worker::new(commands.clone(), options);
    let work = worker.run_until(handler, stop, twice);
    let report = if args.no_cron {
        work.await?
    } else {
        // Recurring commands fire as long as the worker works; each time fires once, whoever does it.
        let scheduler = Scheduler::new(vec![commands.clone()]);
        tokio::select! {
            report = work => report?,
            Err(error) = scheduler.run(std::future::pending()) => return Err(error),
        }
    };
    let document = json!({
        "completed": report.completed, "retried": report.retried, "dead": report.dead,
        "cancelled": report.cancelled, "lost": report.lost, "handed_back": report.handed_back,
    });
    context.emit(&document, || {
        format!(
            "{} completed, {} to be retried, {} dead, {} cancelled, {} lost, {} handed back",
            report.completed,
            report.retried,
            report.dead,
            report.cancelled,
            report.lost,
            report.handed_back
        )
    })?;
    Ok(Outcome::Done)
}

/// Whether a program can be found: by its path, or by its name in a folder of `PATH`. Where that is not set the
/// system has a list of its own, and any name may be in it.
fn is_there(program: &OsStr) -> bool {
    let path = Path::new(program);
    if path.components().count() > 1 || path.is_absolute() {
        return path.exists();
    }
    std::env::var_os("PATH").is_none_or(|folders| {
        std::env::split_paths(&folders).any(|folder| {
            let mut with_suffix = folder.join(path).into_os_string();
            with_suffix.push(std::env::consts::EXE_SUFFIX);
            folder.join(path).exists() || Path::new(&with_suffix).exists()
        })
    })
}

/// The program and all that it started, ended when this is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(leader) =
            self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?))
        {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

/// Ends when the queue holds nothing that waits or runs.
async fn emptied(commands: &Commands) {
    loop {
        if let Ok(stats) = commands.stats().await
            && stats.ready + stats.delayed + stats.in_flight == 0
        {
            return;
        }
        commands.clock().sleep(Duration::from_millis(200)).await;
    }
}

/// Runs the program: payload on standard input, result from standard output. Exit 0 completes, 65 (EX_DATAERR)
/// is dead at once, anything else is tried again. Dropped, the program is killed.
async fn execute(job: Job, queue: &str, program: &[OsString]) -> JobResult {
    let Some((name, arguments)) = program.split_first() else {
        return Err(JobError::dead("no program was given"));
    };
    let mut command = tokio::process::Command::new(name);
    command
        .args(arguments)
        .env("HEXMEM_QUEUE", queue)
        .env("HEXMEM_COMMAND_ID", job.id().to_string())
        .env("HEXMEM_ATTEMPT", job.attempt().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // A group of its own: Ctrl-C on the terminal is for the worker, which hands back what runs.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| {
        JobError::retry(format!("{} cannot be started: {error}", name.to_string_lossy()))
    })?;
    let mut group = Group(child.id());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input is free not to.
            let _ = stdin.write_all(job.payload()).await;
        }
    };
    let (status, (), result, error) = tokio::join!(child.wait(), feed, read(stdout), relay(stderr));
    // All pipes are closed: nobody is left who could write to them.
    group.0 = None;
    let status = status.map_err(|error| JobError::retry(format!("the program: {error}")))?;
    if status.success() {
        let result = result.map_err(|error| JobError::retry(format!("its output: {error}")))?;
        if result.len() > BYTES_LIMIT {
            return Err(JobError::dead(format!("its output is larger than {BYTES_LIMIT} bytes")));
        }
        return Ok(Some(result));
    }
    let text = format!("{status}: {}", error.trim());
    Err(if status.code() == Some(EX_DATAERR) {
        JobError::dead(text)
    } else {
        JobError::retry(text)
    })
}

/// All of a program's output, but no more than one byte over what can be kept.
async fn read(output: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut output) = output {
        let limit = u64::try_from(BYTES_LIMIT).unwrap_or(u64::MAX);
        (&mut output).take(limit + 1).read_to_end(&mut bytes).await?;
        // Read on, so that the program is not stopped by a full pipe.
        tokio::io::copy(&mut output, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// Passes what the program says on, and keeps the end of it.
async fn relay(output: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut output) = output else { return String::new() };
    let mut tail = Vec::new();
    let mut buffer = vec![0; 4_096];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        // Nothing is left to do when our own is closed.
        let _ = std::io::stderr().write_all(&buffer[..count]);
        tail.extend_from_slice(&buffer[..count]);
        let over = tail.len().saturating_sub(ERROR_TAIL);
        tail.drain(..over);
    }
    String::from_utf8_lossy(&tail).into_owned()
}
