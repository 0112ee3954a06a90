//! `cargo xtask bench`: runs the benchmarks and sets each of ours against its rival of the same run.

mod plot;
mod report;

use std::fs;
use std::path::Path;

use crate::bench::report::{Measure, pairs, table};
use crate::outcome::{Failure, Result, Trying as _};
use crate::process::{cargo_with, show};
use crate::workspace::Workspace;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask bench [-p CRATE]... [--peers] [FILTER]

Runs the criterion benchmarks of the crates that have some, and prints Markdown: each benchmark GROUP/hexmem beside the other functions of its group.
A ratio above 1 means that hexmem is faster. Also writes target/bench/report.md and target/bench/ratios.svg.

  -p CRATE    the benchmarks of one crate
  --peers     those beside other libraries, alone: benches/peers, a workspace of its own whose dependencies are
              downloaded; said so, and no failure, where they cannot be had
  FILTER      the benchmarks whose name contains it";

/// Runs the command.
pub(crate) fn main(args: &[String]) -> Result {
    let (mut chosen, mut filter, mut peers) = (Vec::new(), None, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-p" => {
                chosen.push(args.next().ok_or_else(|| Failure::usage("-p needs a crate"))?.clone());
            }
            "--peers" => peers = true,
            option if option.starts_with('-') => {
                return Err(Failure::usage(format!("unknown argument {option}")));
            }
            name if filter.is_none() => filter = Some(name.to_owned()),
            more => return Err(Failure::usage(format!("a second filter: {more}"))),
        }
    }
    let workspace = Workspace::here()?;
    let home = workspace.target.join("criterion");
    drop(fs::remove_dir_all(&home)); // only what this run measured is reported
    let with_benches = workspace.crates.iter().filter(|package| package.benches);
    let mut names: Vec<&str> = with_benches.map(|package| package.name.as_str()).collect();
    if let Some(unknown) = chosen.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Failure::usage(format!("{unknown} has no benchmarks")));
    }
    names.retain(
        |name| {
            if chosen.is_empty() { !peers } else { chosen.iter().any(|one| one == name) }
        },
    );
    for name in &names {
        let mut bench = cargo_with(&["bench", "-p", name, "--benches", "--all-features"]);
        show(bench.arg("--").args(&filter).env("CRITERION_HOME", &home))?;
    }
    if peers {
        let manifest = workspace.root.join("benches").join("peers").join("Cargo.toml");
        let with_manifest = |words: &[&str]| {
            let mut cargo = cargo_with(words);
            cargo.arg("--manifest-path").arg(&manifest);
            cargo
        };
        if show(&mut with_manifest(&["fetch"])).is_err() {
            println!("NOT RUN: the dependencies of {} cannot be had here", manifest.display());
            return Ok(());
        }
        let mut bench = with_manifest(&["bench", "--benches"]);
        let built = workspace.target.join("peers");
        bench.arg("--").args(&filter).env("CRITERION_HOME", &home).env("CARGO_TARGET_DIR", built);
        show(&mut bench)?;
    }
    if names.is_empty() && !peers {
        println!("no crate has benchmarks yet");
        return Ok(());
    }
    let mut measures = Vec::new();
    collect(&home, &mut measures)?;
    if measures.is_empty() {
        return Err(Failure::new("the benchmarks measured nothing: does the filter name one?"));
    }
    measures.sort_by(|a, b| (&a.group, &a.input).cmp(&(&b.group, &b.input)));
    let report = table(&measures);
    println!("{report}");
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder).trying("create target/bench")?;
    fs::write(folder.join("report.md"), report).trying("write target/bench/report.md")?;
    fs::write(folder.join("ratios.svg"), plot::bars(&pairs(&measures)))
        .trying("write target/bench/ratios.svg")
}

/// The measures in criterion's folders: `.../new/benchmark.json` beside `estimates.json`.
fn collect(folder: &Path, measures: &mut Vec<Measure>) -> Result {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        let read = |name: &str| fs::read_to_string(path.join(name));
        match (read("benchmark.json"), read("estimates.json")) {
            (Ok(benchmark), Ok(estimates)) if path.ends_with("new") => {
                let measure = Measure::parse(&benchmark, &estimates);
                measures.push(measure.trying(format!("read {}", path.display()))?);
            }
            _ => collect(&path, measures)?,
        }
    }
    Ok(())
}
