//! Scripts: text in a `.lua` file, loaded once, called by its digest, sent again where the server forgot it.

use std::collections::HashMap;
use std::sync::OnceLock;

use hexmem_ports::{Digest, Effect, Result, Timestamp, Ttl, to_hex};
use redis::{Cmd, ToRedisArgs};

use crate::directory::{Anew, Directory, TOO_OLD};
use crate::error::{self, Access};
use crate::keys::Tag;
use crate::outbox;
use crate::reply::Reply;
use crate::{Call, Redis};

/// The arguments in order and the present: what every script starts with.
const PRELUDE: &str = include_str!("lua/prelude.lua");
/// What a script that pushes effects goes on with.
const EFFECTS: &str = include_str!("lua/outbox/push.lua");
/// What a script goes on with that may be the first to write under its tag.
const REGISTER: &str = include_str!("lua/directory/register.lua");
/// How `register.lua` asks for a stamp, before anything is written.
const ANNOUNCE: &[u8] = b"ANNOUNCE";

/// The line of a part above which it is done when the server takes the script in, and below which with each call. A part
/// without it is done with each call as a whole.
const EACH_CALL: &str = "-- With each call:";
/// The line of a part below which it is done when a call has ended: what a call made must not be kept until the next.
const AT_THE_END: &str = "-- At its end:";
/// How often a server is given a script that it does not know: it may have lost it again, or its slot may have moved.
const TRIES: usize = 4;

/// A script, made once: `static SET: Script = Script::writes(&[include_str!("..")])`. The server keeps it as a function
/// of a library of its own, named by its digest, so that what does not differ between calls is made once.
#[derive(Debug)]
pub(crate) struct Script {
    access: Access,
    frees: bool,
    directory: Option<Directory>,
    pushes: bool,
    parts: &'static [&'static str],
    library: OnceLock<Library>,
}

#[derive(Debug)]
struct Library {
    name: String,
    code: String,
    flag: &'static str,
}

impl Library {
    /// What gives it to a server.
    fn text(&self) -> String {
        let Self { name, code, flag } = self;
        format!(
            "#!lua name={name}\n{code}redis.register_function{{function_name = '{name}', callback = run, flags = {{{flag}}}}}\n"
        )
    }

    /// The same as a script for once.
    fn script(&self) -> String {
        let Self { code, flag, .. } = self;
        format!("#!lua flags={}\n{code}return run(KEYS, ARGV)\n", flag.trim_matches('\''))
    }
}

impl Script {
    const fn of(access: Access, parts: &'static [&'static str]) -> Self {
        let library = OnceLock::new();
        Self { access, frees: false, directory: None, pushes: false, parts, library }
    }

    /// A script that changes something, of parts that follow one another. A server at its `maxmemory` refuses it.
    pub(crate) const fn writes(parts: &'static [&'static str]) -> Self {
        Self::of(Access::Writes, parts)
    }

    /// A script that only looks; the server sees to that.
    pub(crate) const fn reads(parts: &'static [&'static str]) -> Self {
        Self::of(Access::Reads, parts)
    }

    /// A script that changes something and leads to less being kept: a server at its `maxmemory` runs it too.
    pub(crate) const fn frees(parts: &'static [&'static str]) -> Self {
        let mut script = Self::of(Access::Writes, parts);
        script.frees = true;
        script
    }

    /// It calls `push_effects()` where it succeeds.
    pub(crate) const fn with_effects(mut self) -> Self {
        self.pushes = true;
        self
    }

    /// It may be the first to write under its tag: it keeps the key `:b` as long as something is there, and readers
    /// find the tag in `directory`.
    pub(crate) const fn in_directory(mut self, directory: Directory) -> Self {
        self.directory = Some(directory);
        self
    }

    fn library(&self) -> &Library {
        self.library.get_or_init(|| {
            let shared = [(self.directory.is_some(), REGISTER), (self.pushes, EFFECTS)];
            let shared = shared.into_iter().filter(|(wanted, _)| *wanted).map(|(_, part)| part);
            let parts = [PRELUDE].into_iter().chain(shared).chain(self.parts.iter().copied());
            let flag = match (self.access, self.frees) {
                (Access::Reads, _) => "'no-writes'",
                (Access::Writes, true) => "'allow-oom'",
                (Access::Writes, false) => "",
            };
            let code = folded(&assembled(parts));
            let digest = Digest::of(format!("{flag}{code}").as_bytes());
            let (head, _) = digest.0.split_at(16);
            Library { name: format!("hexmem_{}", to_hex(head)), code, flag }
        })
    }
}

/// Parts as one function `run`, and what it needs before it.
fn assembled<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let (mut once, mut each, mut end) = (String::new(), String::new(), String::new());
    for part in parts {
        let (before, call) = part.split_once(EACH_CALL).unwrap_or(("", part));
        let (during, after) = call.split_once(AT_THE_END).unwrap_or((call, ""));
        for (text, section) in [(&mut once, before), (&mut each, during), (&mut end, after)] {
            text.push_str(section);
            text.push('\n');
        }
    }
    format!(
        "{once}local function call_of(KEYS, ARGV)\n{each}\nend\n\
         local function run(keys, args)\n  local answer = call_of(keys, args)\n{end}  return answer\nend\n"
    )
}

/// The text with Lua 5.4's constants (`local NAME <const> = VALUE`, a line each) put in where they are named: in Redis's
/// Lua 5.1 each would be a variable, which every function captures anew.
fn folded(code: &str) -> String {
    let constant = |line| str::strip_prefix(line, "local ")?.split_once(" <const> = ");
    let constants: HashMap<&str, &str> = code.lines().filter_map(constant).collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut folded = String::with_capacity(code.len());
    for line in code.lines().filter(|line| constant(line).is_none()) {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let end = rest.find(|other| is_word(other) != is_word(c)).unwrap_or(rest.len());
            let (part, behind) = rest.split_at(end);
            folded.push_str(constants.get(part).copied().unwrap_or(part));
            rest = behind;
        }
        folded.push('\n');
    }
    folded
}

impl Redis {
    /// A call of `script` on the keys of `tag`.
    pub(crate) fn script<'a>(&'a self, script: &'a Script, tag: &'a Tag) -> ScriptCall<'a> {
        ScriptCall { redis: self, script, tag, effects: None, args: Vec::new() }
    }
}

/// A script with its arguments, which the script takes in this order.
pub(crate) struct ScriptCall<'a> {
    redis: &'a Redis,
    script: &'a Script,
    tag: &'a Tag,
    effects: Option<Vec<Vec<u8>>>,
    args: Vec<Vec<u8>>,
}

impl ScriptCall<'_> {
    /// One or more arguments more.
    #[must_use]
    pub(crate) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    /// How many, then each of them.
    #[must_use]
    pub(crate) fn list(self, args: &[impl AsRef<str>]) -> Self {
        args.iter().fold(self.arg(args.len()), |call, arg| call.arg(arg.as_ref()))
    }

    /// Bytes, without a copy.
    #[must_use]
    pub(crate) fn bytes(mut self, arg: Vec<u8>) -> Self {
        self.args.push(arg);
        self
    }

    /// An instant, or nothing, which the script sees as an empty text.
    #[must_use]
    pub(crate) fn time(self, at: Option<Timestamp>) -> Self {
        self.arg(at.map(|at| at.as_micros().to_string()).unwrap_or_default())
    }

    /// A span in microseconds, or nothing, which the script sees as an empty text.
    #[must_use]
    pub(crate) fn ttl(self, ttl: Option<Ttl>) -> Self {
        self.arg(ttl.map(|ttl| ttl.as_micros().to_string()).unwrap_or_default())
    }

    /// The effects of the change, for a script with [`Script::with_effects`]. The caller has checked them.
    #[must_use]
    pub(crate) fn effects(mut self, effects: &[Effect]) -> Self {
        let mut args = Vec::new();
        outbox::write_args(effects, &mut args);
        self.effects = (!effects.is_empty()).then_some(args);
        self
    }

    /// Runs it. A Cluster sends it to the master of the tag's slot. Where the script needs announcements, they are made
    /// first.
    pub(crate) async fn run(self, operation: &'static str) -> Result<Reply> {
        let mut anew = Anew::IfOld;
        let mut registered = None;
        loop {
            let mut pushed = None;
            if self.effects.is_some() {
                let announced = outbox::DIRECTORY.announce(self.redis, self.tag, operation, anew);
                pushed = Some(announced.await?);
            }
            let mut head: Vec<&[u8]> = Vec::new();
            if self.script.directory.is_some() {
                head.push(registered.as_ref().map_or(b"", |stamp: &String| stamp.as_bytes()));
            }
            if let (Some(stamp), Some(effects)) = (&pushed, &self.effects) {
                head.push(stamp.as_bytes());
                head.extend(effects.iter().map(Vec::as_slice));
            } else if self.script.pushes {
                head.extend([b"0".as_slice(), b"0"]);
            }
            let answer = self.call(operation, &head).await?;
            match (self.script.directory, &answer) {
                (Some(directory), Ok(redis::Value::BulkString(text))) if text == ANNOUNCE => {
                    let stamp = directory.announce(self.redis, self.tag, operation, anew);
                    registered = Some(stamp.await?);
                }
                _ if is_too_old(&answer) && anew == Anew::IfOld => {
                    (anew, registered) = (Anew::Always, None);
                }
                _ => return self.answer(operation, answer),
            }
        }
    }

    /// Runs a script that needs no announcement.
    pub(crate) async fn run_alone(self, operation: &'static str) -> Result<Reply> {
        let answer = self.call(operation, &[]).await?;
        self.answer(operation, answer)
    }

    fn answer(&self, operation: &'static str, answer: Answer) -> Result<Reply> {
        let value = answer.map_err(|refused| error::map(operation, self.script.access, refused))?;
        Ok(Reply::new(operation, value))
    }

    async fn call(&self, operation: &'static str, head: &[&[u8]]) -> Result<Answer> {
        let library = self.script.library();
        let call = self.command(operation, "FCALL", &library.name, head);
        for _ in 1..TRIES {
            match self.redis.try_send(&call).await? {
                Err(refused) if error::is_unknown_function(&refused) => {
                    let taught = self.redis.teach(operation, self.tag, &library.text()).await?;
                    match taught {
                        // It takes nothing new: what frees it must run all the same.
                        Err(refused) if error::is_full(&refused) && !library.flag.is_empty() => {
                            let once = self.command(operation, "EVAL", &library.script(), head);
                            return self.redis.try_send(&once).await;
                        }
                        Err(refused) => return Ok(Err(refused)),
                        Ok(_) => {}
                    }
                }
                answer => return Ok(answer),
            }
        }
        self.redis.try_send(&call).await
    }

    fn command(&self, operation: &'static str, name: &str, what: &str, head: &[&[u8]]) -> Call {
        let mut command = Cmd::new();
        command.arg(name).arg(what);
        if self.redis.is_cluster() {
            // Two keys that never exist: while their slot moves, a node that has not all of it answers "try
            // again" instead of running the script on the part that it has.
            command.arg(2).arg(self.tag.as_str()).arg(self.tag.key(":!"));
        } else {
            command.arg(1).arg(self.tag.as_str());
        }
        match self.redis.clock() {
            Some(clock) => command.arg(clock.now().as_micros()),
            None => command.arg(""),
        };
        for arg in head.iter().copied().chain(self.args.iter().map(Vec::as_slice)) {
            command.arg(arg);
        }
        Call { operation, access: self.script.access, command }
    }
}

type Answer = std::result::Result<redis::Value, redis::RedisError>;

/// Whether the script refused the stamp of an announcement, before it wrote anything.
fn is_too_old(answer: &Answer) -> bool {
    let detail = answer.as_ref().err().and_then(redis::RedisError::detail);
    detail.is_some_and(|detail| detail.contains(TOO_OLD))
}

#[cfg(test)]
mod tests {
    use super::{assembled, folded};

    #[test]
    fn what_does_not_differ_between_calls_stands_before_the_function() {
        let parts = ["local a\n-- With each call:\na = {}\n-- At its end:\na = nil", "return a"];
        let text = assembled(parts.into_iter());
        let place = |what: &str| text.find(what).unwrap();
        let in_order =
            ["local a", "function call_of", "a = {}", "return a", "function run", "a = nil"];
        assert!(in_order.windows(2).all(|two| place(two[0]) < place(two[1])), "{text}");
    }

    #[test]
    fn constants_stand_where_they_are_named() {
        let code = "local A <const> = 1\nlocal B <const> = 'b'\nc[A], AA = B, {A}\nreturn A";
        assert_eq!(folded(code), "c[1], AA = 'b', {1}\nreturn 1\n");
    }
}
