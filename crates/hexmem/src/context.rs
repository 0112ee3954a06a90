//! What a command works with: stores, scope, and where its output goes.

use std::fmt::Write as _;

use hexmem_composition::{Settings, Sources, Stores};
use hexmem_ports::{Error, ErrorKind, Name, Result, Tenant, UserScope};
use serde::Serialize;

use crate::cli::Cli;
use crate::output::{self, Progress};

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) stores: Stores,
    pub(crate) tenant: Tenant,
    pub(crate) user: Name,
    json: bool,
}

impl Context {
    pub(crate) fn new(cli: &Cli) -> Result<Self> {
        let sources = Sources::from_process(cli.config.as_deref(), cli.data.clone())?;
        Ok(Self {
            stores: Stores::new(Settings::load(&sources)?),
            tenant: Tenant(cli.tenant.clone()),
            user: cli.user.clone(),
            json: cli.json,
        })
    }

    /// The tenant and user.
    pub(crate) fn owner(&self) -> UserScope {
        UserScope { tenant: self.tenant.clone(), user: self.user.clone() }
    }

    /// Prints the result of a command, once: `document` with `--json`, `text` without.
    pub(crate) fn emit(
        &self,
        document: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        let mut out = if self.json {
            serde_json::to_string_pretty(document).map_err(|error| {
                Error::new(ErrorKind::Internal, "output", "the result cannot be written as JSON")
                    .caused_by(error)
            })?
        } else {
            output::shown(&text())
        };
        if !out.is_empty() && !out.ends_with('\n') {
            let _ = out.write_char('\n');
        }
        output::print(&out)
    }

    /// Prints data that a caller kept: `document` with `--json`, without it the bytes as they are, and a line's end
    /// behind text that has none.
    pub(crate) fn emit_data(&self, document: &impl Serialize, data: &[u8]) -> Result<()> {
        if self.json {
            return self.emit(document, String::new);
        }
        let text = std::str::from_utf8(data).is_ok();
        let end: &[u8] =
            if text && !data.is_empty() && !data.ends_with(b"\n") { b"\n" } else { b"" };
        output::print_bytes(&[data, end].concat())
    }

    /// A progress display on stderr: a bar where stderr is a terminal, nothing in a pipe.
    pub(crate) fn progress(&self, what: &'static str, total: Option<u64>) -> Progress {
        Progress::new(what, total)
    }

    /// Whether `--json` was given.
    pub(crate) fn json(&self) -> bool {
        self.json
    }
}
