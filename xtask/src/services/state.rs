//! What was started: kept in a file from the first process on, so that anyone can stop it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::outcome::{Failure, Result, Trying as _};
use crate::process::{quiet, wait_until};
use crate::services::Apart as _;

/// The servers of one session, and the folder of their data.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    folder: PathBuf,
    started: Vec<Started>,
}

#[derive(Debug)]
enum Started {
    /// A process group: its leader, when that began, and the signal that ends it well.
    Process { name: String, pid: u32, began: String, signal: String },
    /// A container.
    Container { name: String, id: String },
}

impl State {
    /// A session without servers, kept at `path`.
    pub(super) fn new(path: PathBuf) -> Result<Self> {
        let name = format!("hexmem-services-{}-{}", std::process::id(), super::net::free_port()?);
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).trying(format!("create {}", folder.display()))?;
        let state = Self { path, folder, started: Vec::new() };
        state.write()?;
        Ok(state)
    }

    /// The session kept at `path`, if there is one.
    pub(super) fn read(path: PathBuf) -> Result<Option<Self>> {
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let value: Value =
            serde_json::from_str(&text).trying(format!("read {}", path.display()))?;
        let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let started = value["started"].as_array().map_or(&[][..], Vec::as_slice);
        let started = started
            .iter()
            .map(|one| match one["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) {
                Some(pid) => Started::Process {
                    name: string(&one["name"]),
                    pid,
                    began: string(&one["began"]),
                    signal: string(&one["signal"]),
                },
                None => Started::Container { name: string(&one["name"]), id: string(&one["id"]) },
            })
            .collect();
        Ok(Some(Self { path, folder: PathBuf::from(string(&value["folder"])), started }))
    }

    fn write(&self) -> Result {
        let started: Vec<Value> = self
            .started
            .iter()
            .map(|one| match one {
                Started::Process { name, pid, began, signal } => {
                    json!({"name": name, "pid": pid, "began": began, "signal": signal})
                }
                Started::Container { name, id } => json!({"name": name, "id": id}),
            })
            .collect();
        let text = json!({"folder": self.folder, "started": started}).to_string();
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent).trying(format!("create {}", parent.display()))?;
        }
        fs::write(&self.path, text).trying(format!("write {}", self.path.display()))
    }

    /// Where the session is kept.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where `name` is kept beyond this session.
    pub(super) fn kept(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// A new folder for the data of `name`.
    pub(super) fn data_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).trying(format!("create {}", folder.display()))?;
        Ok(folder)
    }

    /// Starts `command` apart from this process, its output in the log of `name`, and notes it.
    pub(super) fn spawn(
        &mut self,
        name: &str,
        signal: &str,
        command: &mut Command,
    ) -> Result<Server> {
        let log = self.folder.join(format!("{name}.log"));
        let file = fs::File::create(&log).trying(format!("create {}", log.display()))?;
        let copy = file.try_clone().trying("share the log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .apart()
            .spawn()
            .trying(format!("start {name}"))?;
        self.started.push(Started::Process {
            name: name.to_owned(),
            pid: child.id(),
            began: began(child.id()).unwrap_or_default(),
            signal: signal.to_owned(),
        });
        self.write()?;
        Ok(Server { child, log })
    }

    /// Notes a container.
    pub(super) fn contain(&mut self, name: &str, id: &str) -> Result {
        self.started.push(Started::Container { name: name.to_owned(), id: id.to_owned() });
        self.write()
    }

    /// One line per server.
    pub(super) fn report(&self) -> Vec<String> {
        let line = |one: &Started| match one {
            Started::Process { name, pid, began, .. } => {
                let how = if lives(*pid, began) { "running" } else { "ended" };
                format!("{name}: {how}, process {pid}, data and log in {}", self.folder.display())
            }
            Started::Container { name, id } => format!("{name}: container {id}"),
        };
        self.started.iter().map(line).collect()
    }

    /// Stops every server and removes its data and this session.
    pub(super) fn stop(&self) -> Result {
        for one in &self.started {
            match one {
                Started::Process { pid, began, signal, .. } if lives(*pid, began) => {
                    send(signal, *pid);
                }
                Started::Process { .. } => {}
                Started::Container { id, .. } => {
                    let mut docker = Command::new("docker");
                    quiet(docker.args(["rm", "--force", "--volumes", id]), Duration::from_secs(30));
                }
            }
        }
        for one in &self.started {
            let Started::Process { pid, began, .. } = one else { continue };
            if !wait_until(Duration::from_secs(10), || !lives(*pid, began)) {
                send("KILL", *pid);
            }
        }
        let ours = self
            .folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("hexmem-services-"));
        if ours {
            drop(fs::remove_dir_all(&self.folder));
        }
        fs::remove_file(&self.path).trying(format!("remove {}", self.path.display()))
    }
}

/// A server that was just started.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Waits until `ready` says yes; an error with the end of the log where the server ends or takes too long.
    pub(super) fn wait(mut self, mut ready: impl FnMut() -> bool) -> Result {
        let mut ended = false;
        let done = wait_until(Duration::from_secs(30), || {
            ended = matches!(self.child.try_wait(), Ok(Some(_)));
            ended || ready()
        });
        if done && !ended {
            return Ok(());
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join(" | ");
        let how = if ended { "ended at once" } else { "did not answer within 30 s" };
        Err(Failure::new(format!("{how}; its log ends: {last}")))
    }
}

/// Signals a process group.
fn send(signal: &str, pid: u32) {
    // The shell's own kill: the program of that name is not on every machine.
    let script = format!("kill -s {signal} -- -{pid} || kill -s {signal} {pid}");
    quiet(Command::new("sh").args(["-c", &script]), Duration::from_secs(5));
}

/// Whether process `pid` is still the one that began at `since`, and not only waits to be collected.
fn lives(pid: u32, since: &str) -> bool {
    if Path::new("/proc/self").exists() {
        return began(pid).is_some_and(|now| now == since);
    }
    let script = format!("kill -0 {pid}");
    quiet(Command::new("sh").args(["-c", &script]), Duration::from_secs(5))
}

/// When `pid` began, in ticks since boot; `None` for a process that is gone or a zombie. Tells a process
/// from a later one that was given its number.
fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?; // the name before it may hold anything
    let fields: Vec<&str> = fields.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19).map(|ticks| (*ticks).to_owned())
}
