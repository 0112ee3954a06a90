//! The commands on Redis, as on any other store. Tests have `redis_server` in their names: without a server of
//! `HEXMEM_TEST_REDIS_URL` they are not run, and are said not to be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A prefix of keys, removed with this.
struct Space {
    url: String,
    prefix: String,
    folder: tempfile::TempDir,
}

impl Space {
    fn new() -> Self {
        let url = std::env::var("HEXMEM_TEST_REDIS_URL")
            .unwrap_or_else(|_| panic!("HEXMEM_TEST_REDIS_URL is not set: run `cargo xtask test`"));
        let prefix = format!("test:{}:", uuid::Uuid::new_v4().simple());
        Self { url, prefix, folder: tempfile::tempdir().unwrap() }
    }

    fn run(&self, more: &[(&str, &str)], arguments: &[&str]) -> Output {
        let folder: &Path = self.folder.path();
        Command::new(env!("CARGO_BIN_EXE_hexmem"))
            .current_dir(folder)
            .env("REDIS_URL", &self.url)
            .env("HEXMEM__REDIS__PREFIX", &self.prefix)
            .envs(more.iter().copied())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn document(&self, arguments: &[&str]) -> Value {
        let backends = ["KEY_VALUE", "SESSIONS", "CACHE", "QUEUE"]
            .map(|domain| (format!("HEXMEM__{domain}__BACKEND"), "redis"));
        let more: Vec<(&str, &str)> = backends.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let output = self.run(&more, &[&["--json"], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let script = "local c = '0' repeat local r = redis.call('SCAN', c, 'MATCH', ARGV[1], 'COUNT', 1000) c = r[1] for _, k in ipairs(r[2]) do redis.call('UNLINK', k) end until c == '0' return 'done'";
        let address = self.url.trim_start_matches("redis://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        let pattern = format!("{}*", self.prefix);
        for word in ["*4", "EVAL", script, "0", &pattern] {
            let text = if word == "*4" {
                format!("{word}\r\n")
            } else {
                format!("${}\r\n{word}\r\n", word.len())
            };
            stream.write_all(text.as_bytes()).unwrap();
        }
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.starts_with('$'), "{line}");
    }
}

#[test]
fn a_redis_server_carries_sessions_commands_and_the_doctor() {
    let space = Space::new();
    let created = space.document(&["session", "create", "--user", "alice"]);
    let token = created["token"].as_str().unwrap();
    assert_eq!(space.document(&["session", "show", token])["user"], "alice");

    space.document(&["queue", "push", "work", "payload"]);
    let leased = space.document(&["queue", "lease", "work"]);
    let lease = leased[0]["lease"].as_str().unwrap();
    assert_eq!(leased[0]["payload"], "payload");
    space.document(&["queue", "ack", "work", lease]);

    let seen = space.document(&["doctor"]);
    assert_eq!(seen["ok"], true, "{seen}");
    assert_eq!(seen["redis"]["servers"][0]["role"], "master");
    assert!(seen["redis"]["latency_micros"].as_u64().is_some());
    let checks = seen["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["check"] == name).unwrap();
    assert_eq!(of("sessions")["detail"], "redis answers");
    assert_eq!(of("graph")["detail"], "sqlite answers");
}

#[test]
fn an_address_of_a_redis_server_alone_switches_nothing() {
    let space = Space::new();
    let output = space.run(&[], &["--json", "session", "create", "--user", "alice"]);
    assert!(output.status.success());
    assert!(space.folder.path().join(".hexmem/hexmem.db").exists());
    let shown = space.run(&[("HEXMEM__REDIS__PASSWORD", "hush")], &["config", "show"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("redis.url") && !text.contains("hush"), "{text}");
}
