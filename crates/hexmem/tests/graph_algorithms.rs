//! `hexmem graph rank` and its like as a script sees them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    /// With a graph of two cities that a person joins, and a pair apart.
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        let nodes: Vec<Value> = [
            ("ada", "person"),
            ("charles", "person"),
            ("engine", "machine"),
            ("london", "city"),
            ("paris", "city"),
            ("seine", "river"),
        ]
        .map(|(id, kind)| json!({"id": id, "type": kind}))
        .to_vec();
        let link = |src: &str, dst: &str, relation: &str, weight: f64| json!({"source": src, "target": dst, "type": relation, "weight": weight});
        let links = [
            link("ada", "charles", "knows", 0.9),
            link("ada", "london", "lives_in", 0.5),
            link("charles", "london", "lives_in", 0.8),
            link("charles", "engine", "builds", 1.0),
            link("ada", "engine", "describes", 0.25),
            link("seine", "paris", "flows_through", 1.0),
        ];
        let file = json!({"directed": true, "multigraph": false, "graph": {}, "nodes": nodes, "links": links});
        std::fs::write(folder.0.path().join("in.json"), file.to_string()).unwrap();
        folder.json(&["import", "in.json"]);
        folder
    }

    fn graph(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_hexmem"))
            .current_dir(self.0.path())
            .env_clear()
            .arg("graph")
            .args(arguments)
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.graph(&[arguments, &["--json"]].concat());
        let err = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{arguments:?}: {err}");
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}"))
    }

    fn text(&self, arguments: &[&str]) -> String {
        let out = self.graph(arguments);
        assert!(out.status.success(), "{arguments:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// What a failing command says.
    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let out = self.graph(arguments);
        let says = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {says}");
        assert!(out.stdout.is_empty(), "{arguments:?}");
        says
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["node"]["id"].as_str().unwrap()).collect()
}

#[test]
fn nodes_are_ranked_by_the_graph_or_by_nearness() {
    let folder = Folder::new();
    let all = folder.json(&["rank"]);
    assert_eq!((ids(&all["nodes"])[0], all["nodes"].as_array().unwrap().len()), ("charles", 6));
    assert_eq!(
        (&all["ranked"], &all["converged"], &all["cut"]),
        (&json!(6), &json!(true), &json!(null))
    );
    let sum: f64 =
        all["nodes"].as_array().unwrap().iter().map(|n| n["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6);

    let near = folder.json(&["rank", "seine", "--others"]);
    assert_eq!(ids(&near["nodes"]), ["paris"]);
    assert_eq!(near["nodes"][0]["via"]["relation"], "flows_through");
    assert_eq!(near["nodes"][0]["distance"], 1);
    let seeded = folder.json(&["rank", "--seed", "seine", "1", "--seed", "ada", "9"]);
    assert_eq!(ids(&seeded["nodes"])[4..], ["seine", "paris"]);

    let whole = ids(&all["nodes"]).join(" ");
    for option in [["--max-nodes", "2"], ["--max-bytes", "500"], ["--max-tokens", "120"]] {
        let part = folder.json(&["rank", option[0], option[1]]);
        let kept = ids(&part["nodes"]);
        assert!(whole.starts_with(&kept.join(" ")) && kept.len() < 6 && !kept.is_empty());
        assert_eq!(part["cut"]["left_out"], 6 - kept.len());
        assert_eq!(part["cut"]["by"].as_str().unwrap(), &option[0][6..]);
        let text = folder.text(&["rank", option[0], option[1]]);
        assert!(text.contains(&format!("raise {}", option[0])), "{text}");
    }

    assert!(folder.fails(&["rank", "londn"], 1).contains("`london`"));
    assert!(folder.fails(&["rank", "--damping", "1"], 2).contains("damping"));
    assert!(folder.fails(&["rank", "--seed", "ada", "much"], 1).contains("--seed"));
    assert!(folder.fails(&["rank", "ada", "--hops", "33"], 2).contains("32"));
    folder.fails(&["rank", "--seed", "ada"], 2);
    assert!(folder.fails(&["rank", "--graph", "none"], 1).contains("no graph `none`"));
}

#[test]
fn components_are_listed_by_size() {
    let folder = Folder::new();
    let weak = folder.json(&["components"]);
    assert_eq!((&weak["count"], &weak["groups"][0]["size"]), (&json!(2), &json!(4)));
    assert_eq!(weak["groups"][1]["members"], json!(["paris", "seine"]));
    assert_eq!(folder.json(&["components", "--strong"])["count"], 6);
    let short = folder.text(&["components", "--limit", "1", "--members", "2"]);
    assert!(short.contains("ada, charles, ...") && short.contains("1 more"), "{short}");
    let people = folder.json(&["components", "--type", "person", "--relation", "knows"]);
    assert_eq!((&people["count"], &people["nodes"]), (&json!(1), &json!(2)));
}

#[test]
fn communities_and_the_middle_are_found() {
    let folder = Folder::new();
    let found = folder.json(&["communities", "--weights", "even"]);
    assert_eq!(found["nodes"], 6);
    assert!(found["modularity"].as_f64().unwrap() > 0.2);
    let groups = found["groups"].as_array().unwrap();
    assert!(groups.iter().any(|group| group["members"] == json!(["paris", "seine"])));
    assert!(folder.fails(&["communities", "--resolution", "0"], 1).contains("resolution"));
    assert!(folder.text(&["communities"]).contains("modularity 0."));

    let middle = folder.json(&["central"]);
    assert_eq!(
        (ids(&middle["nodes"])[..2].to_vec(), &middle["exact"]),
        (vec!["ada", "charles"], &json!(true))
    );
    let degree = folder.json(&["central", "--by", "degree", "--max-nodes", "1"]);
    assert_eq!(
        (&degree["nodes"][0]["score"], &degree["cut"]["left_out"]),
        (&json!(3.0), &json!(5))
    );
    let few = folder.text(&["central", "--by", "harmonic", "--pivots", "2"]);
    assert!(few.contains("estimated from 2 of 6 nodes"), "{few}");
    assert!(folder.fails(&["central", "--pivots", "0"], 1).contains("at least one pivot"));
    folder.fails(&["central", "--by", "fame"], 2);
}

#[test]
fn paths_are_cheapest_by_the_cost_asked_for() {
    let folder = Folder::new();
    let one = folder.json(&["path", "engine", "london"]);
    assert_eq!((&one["nodes"], &one["cost"]), (&json!(["engine", "ada", "london"]), &json!(2.0)));
    let strong = folder.json(&["path", "engine", "london", "--cost", "strength"]);
    assert_eq!(strong["nodes"], json!(["engine", "charles", "london"]));
    let several = folder.json(&["path", "engine", "london", "--paths", "9"]);
    let several = several["paths"].as_array().unwrap();
    assert_eq!((several.len(), &several[0]), (4, &one));
    let text = folder.text(&["path", "engine", "london", "--paths", "2"]);
    assert_eq!(text.matches("2 edges, cost 2").count(), 2, "{text}");
    let big = r#"{"field": "people", "gt": 1000000}"#;
    folder.json(&["add-node", "london", "--merge", "--data", r#"{"people": 8900000}"#]);
    folder.fails(&["path", "ada", "charles", "--relation", "lives_in", "--edge-where", big], 1);
    let met = folder.json(&["path", "ada", "charles", "--relation", "lives_in", "--where", big]);
    assert_eq!(met["nodes"], json!(["ada", "london", "charles"]));
    assert_eq!(ids(&folder.json(&["rank", "--where", big])["nodes"]), ["london"]);
    folder.fails(&["path", "ada", "charles", "--where", "{"], 2);
    folder.fails(&["rank", "--min-weight", "NaN"], 2);
    let over = folder.fails(&["path", "engine", "london", "--type", "city"], 1);
    assert!(over.contains("no path"), "{over}");
    folder.fails(&["path", "engine", "london", "--paths", "0"], 2);
    let says = folder.fails(&["path", "seine", "ada"], 1);
    assert!(says.contains("no path"), "{says}");
}
