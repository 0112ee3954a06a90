//! Scripts: text in a `.lua` file, loaded once, called by its digest, sent again where the server forgot it.

use std::collections::HashMap;
use std::sync::OnceLock;

use hexmem_ports::{Effect, Result, Timestamp, Ttl};
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

/// A script, made once: `static SET: Script = Script::writes(&[include_str!("..")])`.
#[derive(Debug)]
pub(crate) struct Script {
    access: Access,
    directory: Option<Directory>,
    pushes: bool,
    parts: &'static [&'static str],
    compiled: OnceLock<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    code: String,
    digest: String,
}

impl Script {
    const fn of(access: Access, parts: &'static [&'static str]) -> Self {
        Self { access, directory: None, pushes: false, parts, compiled: OnceLock::new() }
    }

    /// A script that changes something, of parts that follow one another.
    pub(crate) const fn writes(parts: &'static [&'static str]) -> Self {
        Self::of(Access::Writes, parts)
    }

    /// A script that only looks.
    pub(crate) const fn reads(parts: &'static [&'static str]) -> Self {
        Self::of(Access::Reads, parts)
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

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let mut code = String::from(PRELUDE);
            if self.directory.is_some() {
                code.push_str(REGISTER);
            }
            if self.pushes {
                code.push_str(EFFECTS);
            }
            for part in self.parts {
                code.push_str(part);
                code.push('\n');
            }
            let code = folded(&code);
            let digest = redis::Script::new(&code).get_hash().to_owned();
            Compiled { code, digest }
        })
    }
}

/// The text with Lua 5.4's constants (`local NAME <const> = VALUE`, a line each) put in where they are named: in Redis's
/// Lua 5.1 each would be a variable, which every function of every run captures anew.
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
        let Compiled { code, digest } = self.script.compiled();
        let now = self.redis.clock().map(|clock| clock.now().as_micros().to_string());
        let call = |name: &str, what: &str| {
            let mut command = Cmd::new();
            command.arg(name).arg(what);
            if self.redis.is_cluster() {
                // Two keys that never exist: while their slot moves, a node that has not all of it answers "try
                // again" instead of running the script on the part that it has.
                command.arg(2).arg(self.tag.as_str()).arg(self.tag.key(":!"));
            } else {
                command.arg(1).arg(self.tag.as_str());
            }
            command.arg(now.as_deref().unwrap_or_default());
            for arg in head.iter().copied().chain(self.args.iter().map(Vec::as_slice)) {
                command.arg(arg);
            }
            Call { operation, access: self.script.access, command }
        };
        match self.redis.try_send(&call("EVALSHA", digest)).await? {
            Err(refused) if error::is_no_script(&refused) => {
                self.redis.try_send(&call("EVAL", code)).await
            }
            answer => Ok(answer),
        }
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
    use super::folded;

    #[test]
    fn constants_stand_where_they_are_named() {
        let code = "local A <const> = 1\nlocal B <const> = 'b'\nc[A], AA = B, {A}\nreturn A";
        assert_eq!(folded(code), "c[1], AA = 'b', {1}\nreturn 1\n");
    }
}
