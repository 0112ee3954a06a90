//! Other processes of a test: this program again in a role, and servers that are stopped in the middle.

use std::fs;
use std::process::Command;

/// This test program again, which runs only `test` there: what the test does in a process of its own.
///
/// `test` is told by the environment what to do, and does nothing where it is told nothing.
pub fn role_command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]);
    command
}

/// Sends a signal (`STOP`, `CONT`, `KILL`) to processes. One that has ended already is passed over.
///
/// After `STOP` all stand still: a process goes on for a moment after the signal was sent.
pub fn signal(name: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    let ids = pids.iter().map(u32::to_string);
    let output = Command::new("kill").arg(format!("-{name}")).args(ids).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || said.contains("No such process"), "kill -{name}: {said}");
    while name == "STOP" && pids.iter().any(|pid| goes_on(*pid)) {
        std::thread::yield_now();
    }
}

/// Whether a thread of a process neither stands still nor has ended.
fn goes_on(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The name of the program, in brackets, may hold anything.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| !"TtZX".contains(state))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_stopped_process_stands_still() {
        let mut child = Command::new("yes").stdout(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        assert!(goes_on(pid));
        for _ in 0..50 {
            signal("STOP", &[pid]);
            assert!(!goes_on(pid));
            signal("CONT", &[pid]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!goes_on(pid));
        signal("STOP", &[pid]);
    }
}
