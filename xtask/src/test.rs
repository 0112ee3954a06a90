//! `cargo xtask test`: every suite on everything that can be had, and one table at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::ledger::Ledger;
use crate::outcome::{Failure, Result, Trying as _};
use crate::process::{cargo_with, quiet, show, watch};
use crate::services::{Service, Session};
use crate::workspace::Workspace;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask test [ARGUMENT OF NEXTEST]...

Runs every test of the workspace and the doc tests, on servers that it starts and stops itself (see cargo
xtask services --help), and ends with a table of the conformance cases: adapter, port, passed, failed, not
run. A suite whose server cannot be had is NOT RUN, with the reason; it is never passed. Installs cargo-nextest
where it is missing, and falls back to cargo test.

  cargo xtask test                      everything
  cargo xtask test sess_touch           the tests whose name contains sess_touch; no doc tests
  cargo xtask test -p adapter-sqlite    the tests of one crate; no doc tests
  cargo xtask test -E 'test(/kv_/)'     the tests of a filter expression; no doc tests

A declared capability that no case needs, and an adapter without cases, fail a whole run. The closing lines are
kept in target/test-summary.txt.";

/// Which adapter needs which server, and which of its tests.
struct Need {
    package: &'static str,
    adapter: &'static str,
    service: Service,
    tests: &'static str,
}

const NEEDS: [Need; 11] = [
    Need {
        package: "adapter-pg",
        adapter: "pg",
        service: Service::Postgres,
        tests: "package(adapter-pg) | (package(hexmem) & binary(postgres))",
    },
    Need {
        package: "adapter-pg",
        adapter: "pg-pgvector",
        service: Service::PgVector,
        tests: "(package(adapter-pg) & binary(pgvector))",
    },
    Need {
        package: "adapter-pg",
        adapter: "pg-pgbouncer",
        service: Service::PgBouncer,
        tests: "(package(adapter-pg) & binary(pgbouncer))",
    },
    Need {
        package: "hexmem",
        adapter: "pg",
        service: Service::Postgres,
        tests: "(package(hexmem) & binary(rag_postgres))",
    },
    Need {
        package: "adapter-redis",
        adapter: "redis",
        service: Service::Redis,
        tests: "((package(adapter-redis) - test(cluster)) | (package(hexmem) & test(redis_server)))",
    },
    Need {
        package: "adapter-redis",
        adapter: "redis-cluster",
        service: Service::RedisCluster,
        tests: "(package(adapter-redis) & test(cluster))",
    },
    Need {
        package: "adapter-qdrant",
        adapter: "qdrant",
        service: Service::Qdrant,
        tests: "(package(adapter-qdrant) - (binary(cluster) | binary(faults)))",
    },
    Need {
        package: "adapter-qdrant",
        adapter: "qdrant",
        service: Service::QdrantProgram,
        tests: "(package(adapter-qdrant) & binary(faults))",
    },
    Need {
        package: "adapter-qdrant",
        adapter: "qdrant-cluster",
        service: Service::QdrantCluster,
        tests: "(package(adapter-qdrant) & binary(cluster))",
    },
    Need {
        package: "hexmem",
        adapter: "qdrant",
        service: Service::Qdrant,
        tests: "(package(hexmem) & binary(rag_qdrant))",
    },
    Need {
        package: "adapter-embed",
        adapter: "embed-minilm",
        service: Service::Model,
        tests: "(package(adapter-embed) & binary(minilm))",
    },
];

impl Need {
    /// Whether nothing of the package can run without it.
    fn is_whole(&self) -> bool {
        let part = [
            Service::PgVector,
            Service::PgBouncer,
            Service::QdrantCluster,
            Service::QdrantProgram,
            Service::Model,
        ];
        self.package != "hexmem" && !part.contains(&self.service)
    }
}

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tests {
    passed: usize,
    failed: usize,
}

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result {
    let workspace = Workspace::here()?;
    let whole = args.is_empty();
    let nextest = has_nextest();

    let needs: Vec<&Need> = NEEDS.iter().filter(|need| workspace.has(need.package)).collect();
    let wanted: Vec<Service> = needs.iter().map(|need| need.service).collect();
    let session = Session::start(&workspace, &wanted)?;
    let missing: Vec<(&Need, String)> = needs
        .iter()
        .zip(&session.had)
        .filter_map(|(need, had)| Some((*need, had.url.as_ref().err()?.clone())))
        .collect();

    let path = workspace.target.join("conformance-ledger.jsonl");
    drop(fs::remove_file(&path));
    fs::create_dir_all(&workspace.target).trying("create the target folder")?;
    let mut run = Run { session: &session, ledger: &path, failures: Vec::new() };
    let excluded: Vec<&Need> = missing.iter().map(|(need, _)| *need).collect();
    let tests = if nextest {
        run.nextest(&workspace, args, &excluded)?
    } else {
        run.cargo_test(args, &excluded)?
    };
    let doc_tests = if whole { Some(run.doc_tests(&excluded)?) } else { None };
    let mut failures = run.failures;
    drop(session);

    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut ledger = Ledger::parse(&text)?;
    for (need, reason) in &missing {
        ledger.not_run(need.adapter, reason);
    }
    println!("\n{}", ledger.table());
    if whole {
        failures.extend(ledger.findings(&adapters(&workspace, &needs)));
    } else {
        println!("(a part of the tests: capabilities and adapters without cases are not checked)");
    }
    close(&workspace, &ledger, tests, doc_tests, &failures)
}

/// The adapters that must have cases, by the names that rigs give.
fn adapters(workspace: &Workspace, needs: &[&Need]) -> Vec<String> {
    let own = workspace.crates.iter().filter_map(|one| one.name.strip_prefix("adapter-"));
    let mut names: Vec<String> = own.map(str::to_owned).collect();
    names.extend(needs.iter().map(|need| need.adapter.to_owned()));
    names.sort();
    names.dedup();
    names
}

/// Prints and keeps the closing lines.
fn close(
    workspace: &Workspace,
    ledger: &Ledger,
    tests: Tests,
    doc_tests: Option<Tests>,
    failures: &[String],
) -> Result {
    for failure in failures {
        println!("FAILED: {failure}");
    }
    let mut lines = format!("tests: {} passed, {} failed\n", tests.passed, tests.failed);
    if let Some(Tests { passed, failed }) = doc_tests {
        lines.push_str(&format!("doc tests: {passed} passed, {failed} failed\n"));
    }
    let cases = ledger.counts();
    lines.push_str(&format!(
        "conformance: {} passed, {} failed, {} skipped\n",
        cases.passed, cases.failed, cases.skipped
    ));
    let summary = workspace.target.join("test-summary.txt");
    fs::write(&summary, format!("{}\n{lines}", ledger.table()))
        .trying(format!("write {}", summary.display()))?;
    print!("{lines}");
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("test: {} finding(s), see the lines FAILED above", failures.len())))
}

fn has_nextest() -> bool {
    let version = || quiet(&mut cargo_with(&["nextest", "--version"]), Duration::from_secs(30));
    if version() {
        return true;
    }
    eprintln!("cargo-nextest is not here: installing it, which takes some minutes, once");
    let installed = show(&mut cargo_with(&["install", "--locked", "cargo-nextest"]));
    if installed.is_ok() && version() {
        return true;
    }
    eprintln!("cargo-nextest could not be installed: falling back to cargo test");
    false
}

/// One run: its servers, its ledger, and what went wrong.
struct Run<'a> {
    session: &'a Session,
    ledger: &'a Path,
    failures: Vec<String>,
}

impl Run<'_> {
    fn set(&self, command: &mut Command) {
        command.env("HEXMEM_LEDGER", self.ledger);
        for had in &self.session.had {
            match &had.url {
                Ok(url) => command.env(had.service.variable(), url),
                Err(_) => command.env_remove(had.service.variable()),
            };
        }
    }

    fn nextest(
        &mut self,
        workspace: &Workspace,
        args: &[String],
        excluded: &[&Need],
    ) -> Result<Tests> {
        // nextest keeps its store here, wherever cargo's target folder is.
        let report = workspace.root.join("target/nextest/default/junit.xml");
        drop(fs::remove_file(&report));
        let mut command = cargo_with(&["nextest", "run", "--all-features", "--no-fail-fast"]);
        if !chooses_packages(args) {
            command.arg("--workspace");
        }
        command.args(with_exclusions(args, excluded));
        self.set(&mut command);
        if let Err(failure) = show(&mut command) {
            self.failures.push(failure.to_string());
        }
        let counted = fs::read_to_string(&report).ok().and_then(|xml| of_junit(&xml));
        if counted.is_none() {
            self.failures.push(format!("nextest left no count of tests in {}", report.display()));
        }
        Ok(counted.unwrap_or_default())
    }

    fn cargo_test(&mut self, args: &[String], excluded: &[&Need]) -> Result<Tests> {
        let mut command = cargo_with(&["test", "--all-features", "--no-fail-fast", "--tests"]);
        if !chooses_packages(args) {
            command.arg("--workspace");
            for need in excluded.iter().filter(|need| need.is_whole()) {
                command.args(["--exclude", need.package]);
            }
        }
        command.args(args);
        self.counted(&mut command)
    }

    fn doc_tests(&mut self, excluded: &[&Need]) -> Result<Tests> {
        let mut command = cargo_with(&["test", "--doc", "--workspace", "--all-features"]);
        for need in excluded.iter().filter(|need| need.is_whole()) {
            command.args(["--exclude", need.package]);
        }
        self.counted(&mut command)
    }

    /// Runs a `cargo test` and adds up its results.
    fn counted(&mut self, command: &mut Command) -> Result<Tests> {
        self.set(command);
        let mut sum = Tests::default();
        let done = watch(command, |line| {
            if let Some(Tests { passed, failed }) = of_result(line) {
                sum.passed += passed;
                sum.failed += failed;
            }
        })?;
        if !done {
            let program = PathBuf::from(command.get_program());
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let args: Vec<_> =
                command.get_args().take(2).map(|arg| arg.to_string_lossy()).collect();
            self.failures.push(format!("{name} {}", args.join(" ")));
        }
        Ok(sum)
    }
}

fn chooses_packages(args: &[String]) -> bool {
    let choices = ["-p", "--package", "--workspace", "--manifest-path"];
    args.iter().any(|arg| {
        let name = arg.split('=').next().unwrap_or(arg);
        choices.contains(&name)
    })
}

/// The arguments for nextest, with the tests of `excluded` taken out of what they choose. Filter expressions
/// given one by one are a union, so they are put into one.
fn with_exclusions(args: &[String], excluded: &[&Need]) -> Vec<String> {
    if excluded.is_empty() {
        return args.to_vec();
    }
    let (mut rest, mut chosen) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-E" | "--filterset" | "--filter-expr" => chosen.extend(args.next().cloned()),
            _ => match arg.strip_prefix("--filterset=").or_else(|| arg.strip_prefix("-E")) {
                Some(expression) => chosen.push(expression.to_owned()),
                None => rest.push(arg.clone()),
            },
        }
    }
    let tests: Vec<&str> = excluded.iter().map(|need| need.tests).collect();
    let without = format!("not ({})", tests.join(" | "));
    let expression =
        if chosen.is_empty() { without } else { format!("({}) & {without}", chosen.join(" | ")) };
    let mut all = vec![String::from("-E"), expression];
    all.append(&mut rest);
    all
}

/// The counts of a JUnit report's head.
fn of_junit(xml: &str) -> Option<Tests> {
    let head = xml.get(xml.find("<testsuites ")?..)?;
    let head = head.get(..head.find('>')?)?;
    let number = |name: &str| -> Option<usize> {
        let (_, rest) = head.split_once(&format!(" {name}=\""))?;
        rest.split('"').next()?.parse().ok()
    };
    let failed = number("failures")? + number("errors")?;
    Some(Tests { passed: number("tests")?.saturating_sub(failed), failed })
}

/// `test result: ok. 3 passed; 0 failed; ...`
fn of_result(line: &str) -> Option<Tests> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts =
        rest.split("; ").map(|part| part.split(' ').next().unwrap_or_default().parse());
    Some(Tests { passed: counts.next()?.ok()?, failed: counts.next()?.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_both_runners() {
        let xml =
            "<?xml?>\n<testsuites name=\"n\" tests=\"9\" failures=\"2\" errors=\"1\" uuid=\"u\">";
        assert_eq!(of_junit(xml), Some(Tests { passed: 6, failed: 3 }));
        let line = "test result: FAILED. 31 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(of_result(line), Some(Tests { passed: 31, failed: 2 }));
        assert_eq!(of_result("running 3 tests"), None);
    }

    #[test]
    fn the_tests_of_missing_servers_are_taken_out_of_any_choice() {
        let args = ["-E", "test(a)", "-p", "x", "--filterset=test(b)"].map(String::from);
        assert_eq!(with_exclusions(&args, &[]), args);
        let all = with_exclusions(&args, &[&NEEDS[0]]);
        let expected = [
            "-E",
            "(test(a) | test(b)) & not (package(adapter-pg) | (package(hexmem) & binary(postgres)))",
            "-p",
            "x",
        ];
        assert_eq!(all, expected);
        assert_eq!(
            with_exclusions(&[], &[&NEEDS[0]]),
            ["-E", "not (package(adapter-pg) | (package(hexmem) & binary(postgres)))"]
        );
    }
}
