//! The run ledger: which case ran on which adapter, and how it ended.
//!
//! Where `HEXMEM_LEDGER` names a file, each case appends a line when it starts and one when it ends. A case
//! that started and did not end has failed.

use std::fs::OpenOptions;
use std::io::Write as _;

use hexmem_ports::{Capabilities, Capability};
use serde_json::json;

/// One line. Written with a single append, so that processes do not tear each other's lines.
pub(crate) fn note(
    adapter: &str,
    port: &str,
    case: &str,
    needs: &[Capability],
    declares: &Capabilities,
    outcome: &str,
) {
    let Some(path) = std::env::var_os("HEXMEM_LEDGER") else { return };
    let line = json!({
        "adapter": adapter, "port": port, "case": case, "outcome": outcome,
        "needs": needs, "declares": declares,
    });
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    if let Err(error) = written {
        panic!("cannot append to the ledger {}: {error}", path.display());
    }
}

/// Notes that a test outside the suites (killed processes, several processes) has proved capabilities that a
/// store declares. Call it where the test has passed.
pub fn proved(
    adapter: &str,
    port: &str,
    test: &str,
    needs: &[Capability],
    declares: &Capabilities,
) {
    let missing: Vec<_> = needs.iter().filter(|need| !declares.has(**need)).collect();
    assert!(missing.is_empty(), "{adapter} does not declare {missing:?} for {port}");
    note(adapter, port, test, needs, declares, "passed");
}
