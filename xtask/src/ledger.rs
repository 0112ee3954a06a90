//! The ledger of a conformance run: what each case did on each adapter, as a table and as findings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::outcome::{Result, Trying as _};

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Started,
    Passed,
    Failed,
    Skipped,
}

/// The cases of one adapter and port.
#[derive(Debug, Default)]
struct Suite {
    cases: BTreeMap<String, Outcome>,
    declares: BTreeSet<String>,
    needed: BTreeSet<String>,
}

/// A whole run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    suites: BTreeMap<(String, String), Suite>,
    not_run: Vec<(String, String)>,
}

/// How many cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Passed.
    pub(crate) passed: usize,
    /// Failed, or started and never ended.
    pub(crate) failed: usize,
    /// Skipped, for want of a capability.
    pub(crate) skipped: usize,
}

impl Ledger {
    /// Reads JSON lines; a line that is none is an error that names it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut ledger = Self::default();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let value: Value = serde_json::from_str(line)
                .trying(format!("read line {} of the ledger", index + 1))?;
            let word = |key: &str| value[key].as_str().unwrap_or("?").to_owned();
            let words = |key: &str| -> Vec<String> {
                let list = value[key].as_array().map_or(&[][..], Vec::as_slice);
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let outcome = match value["outcome"].as_str() {
                Some("started") => Outcome::Started,
                Some("passed") => Outcome::Passed,
                Some("skipped") => Outcome::Skipped,
                _ => Outcome::Failed,
            };
            let suite = ledger.suites.entry((word("adapter"), word("port"))).or_default();
            suite.declares.extend(words("declares"));
            if outcome != Outcome::Skipped {
                suite.needed.extend(words("needs"));
            }
            suite.cases.insert(word("case"), outcome); // the last line of a case counts
        }
        Ok(ledger)
    }

    /// Notes that the suites of `adapter` were not run, and why.
    pub(crate) fn not_run(&mut self, adapter: &str, reason: &str) {
        let entry = (adapter.to_owned(), reason.to_owned());
        // Once, however many packages have tests of it.
        if !self.not_run.contains(&entry) {
            self.not_run.push(entry);
        }
    }

    /// All cases together.
    pub(crate) fn counts(&self) -> Counts {
        self.suites.values().map(Suite::counts).fold(Counts::default(), |sum, more| Counts {
            passed: sum.passed + more.passed,
            failed: sum.failed + more.failed,
            skipped: sum.skipped + more.skipped,
        })
    }

    /// The table: adapter, port, passed, failed, not run.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![["adapter", "port", "passed", "failed", "not run"].map(str::to_owned)];
        for ((adapter, port), suite) in &self.suites {
            let Counts { passed, failed, skipped } = suite.counts();
            let [passed, failed, skipped] =
                [passed, failed, skipped].map(|count| count.to_string());
            rows.push([adapter.clone(), port.clone(), passed, failed, skipped]);
        }
        for (adapter, _) in &self.not_run {
            let dash = || String::from("-");
            rows.push([adapter.clone(), String::from("all"), dash(), dash(), "NOT RUN".into()]);
        }
        let mut width = [0; 5];
        for row in &rows {
            for (width, cell) in width.iter_mut().zip(row) {
                *width = (*width).max(cell.len());
            }
        }
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            let cells: Vec<String> =
                row.iter()
                    .zip(width)
                    .enumerate()
                    .map(|(column, (cell, width))| {
                        if column < 2 {
                            format!("{cell:<width$}")
                        } else {
                            format!("{cell:>width$}")
                        }
                    })
                    .collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
            if index == 0 {
                let rules: Vec<String> = width.iter().map(|width| "-".repeat(*width)).collect();
                text.push_str(&format!("| {} |\n", rules.join(" | ")));
            }
        }
        for (adapter, reason) in &self.not_run {
            text.push_str(&format!("NOT RUN: {adapter}: {reason}\n"));
        }
        text
    }

    /// What makes the run a failure: failed cases, capabilities that no case used, adapters without cases.
    pub(crate) fn findings(&self, adapters: &[String]) -> Vec<String> {
        let mut findings = Vec::new();
        for ((adapter, port), suite) in &self.suites {
            for (case, outcome) in &suite.cases {
                match outcome {
                    Outcome::Failed => findings.push(format!("{adapter} {port}: {case} failed")),
                    Outcome::Started => {
                        findings.push(format!("{adapter} {port}: {case} started and never ended"));
                    }
                    Outcome::Passed | Outcome::Skipped => {}
                }
            }
            for capability in suite.declares.difference(&suite.needed) {
                findings.push(format!(
                    "{adapter} declares {capability} for {port}, and no case that ran needs it: write one, or do not declare it"
                ));
            }
        }
        for adapter in adapters {
            let ran = self.suites.keys().any(|(name, _)| name == adapter);
            let excused = self.not_run.iter().any(|(name, _)| name == adapter);
            if !ran && !excused {
                findings.push(format!(
                    "adapter-{adapter} ran no conformance case: register its ports in tests/conformance.rs"
                ));
            }
        }
        findings
    }
}

impl Suite {
    fn counts(&self) -> Counts {
        let count = |wanted: &[Outcome]| {
            self.cases.values().filter(|outcome| wanted.contains(outcome)).count()
        };
        Counts {
            passed: count(&[Outcome::Passed]),
            failed: count(&[Outcome::Failed, Outcome::Started]),
            skipped: count(&[Outcome::Skipped]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(adapter: &str, case: &str, outcome: &str, needs: &str, declares: &str) -> String {
        format!(
            r#"{{"adapter":"{adapter}","port":"sessions","case":"{case}","outcome":"{outcome}","needs":[{needs}],"declares":[{declares}]}}"#
        )
    }

    fn ledger(lines: &[String]) -> Ledger {
        Ledger::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn the_last_outcome_of_a_case_counts() {
        let ledger = ledger(&[
            line("memory", "A-1", "started", "", ""),
            line("memory", "A-1", "failed", "", ""),
            line("memory", "A-1", "started", "", ""),
            line("memory", "A-1", "passed", "", ""),
            line("memory", "A-2", "skipped", "", ""),
        ]);
        assert_eq!(ledger.counts(), Counts { passed: 1, failed: 0, skipped: 1 });
        assert!(ledger.findings(&["memory".into()]).is_empty());
    }

    #[test]
    fn a_case_that_never_ended_has_failed() {
        let ledger = ledger(&[line("memory", "A-1", "started", "", "")]);
        assert_eq!(ledger.counts().failed, 1);
        assert_eq!(ledger.findings(&[]), ["memory sessions: A-1 started and never ended"]);
    }

    #[test]
    fn a_declared_capability_that_no_case_used_is_named() {
        let used = line("memory", "A-1", "passed", "\"effects\"", "\"effects\",\"durable\"");
        let skipped = line("memory", "A-2", "skipped", "\"durable\"", "\"effects\",\"durable\"");
        let findings = ledger(&[used, skipped]).findings(&[]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("declares durable for sessions"), "{findings:?}");
    }

    #[test]
    fn an_adapter_without_cases_is_named_unless_it_could_not_run() {
        let mut ledger = ledger(&[line("memory", "A-1", "passed", "", "")]);
        let adapters = ["memory", "pg", "sqlite"].map(String::from);
        ledger.not_run("pg", "no server");
        let findings = ledger.findings(&adapters);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with("adapter-sqlite ran no"), "{findings:?}");
        assert!(ledger.table().contains("NOT RUN: pg: no server"), "{}", ledger.table());
    }

    #[test]
    fn a_torn_line_is_an_error_that_names_it() {
        let error = Ledger::parse("\n{\"adapter\":\n").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
