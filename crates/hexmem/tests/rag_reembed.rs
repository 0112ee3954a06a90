//! `hexmem rag reembed`, with endpoints that answer, answer by half, and never answer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    All,
    Half,
    Never,
}

/// An endpoint of embeddings, and how many texts it was asked for.
struct Endpoint {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || serve(stream, answer, &count));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, answer: Answer, asked: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).unwrap() > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let texts = body["input"].as_array().unwrap();
    asked.fetch_add(texts.len(), Ordering::SeqCst);
    if answer == Answer::Never {
        std::thread::park();
    }
    let given = if answer == Answer::Half { texts.len() / 2 } else { texts.len() };
    let has = |text: &Value, word: &str| f64::from(u8::from(text.as_str().unwrap().contains(word)));
    let data: Vec<Value> = texts[..given]
        .iter()
        .enumerate()
        .map(|(index, text)| json!({ "index": index, "embedding": [has(text, "cat"), has(text, "car"), 0.1] }))
        .collect();
    let body = json!({ "data": data }).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
}

fn hexmem(folder: &Path, model: Option<(&str, &Endpoint)>, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexmem"));
    command.current_dir(folder).arg("rag").args(arguments).args(["--collection", "c"]);
    if let Some((model, endpoint)) = model {
        command
            .env("HEXMEM__EMBED__PROVIDER", "endpoint")
            .env("HEXMEM__EMBED__URL", &endpoint.url)
            .env("HEXMEM__EMBED__MODEL", model)
            .env("HEXMEM__EMBED__DIMENSION", "3");
    }
    command
}

fn run(
    folder: &Path,
    model: Option<(&str, &Endpoint)>,
    arguments: &[&str],
) -> Result<Value, String> {
    let output = hexmem(folder, model, &[arguments, &["--json"]].concat()).output().unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_collection_gets_another_space() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("docs")).unwrap();
    for n in 0..20 {
        let topic = if n % 2 == 0 { "cat" } else { "car" };
        fs::write(at.join(format!("docs/{n}.txt")), format!("The {topic} number{n}.")).unwrap();
    }
    let (fine, half, never) = (
        Endpoint::start(Answer::All),
        Endpoint::start(Answer::Half),
        Endpoint::start(Answer::Never),
    );
    let said = run(at, None, &["reembed"]).unwrap_err();
    assert!(said.contains("no embedder"), "{said}");
    let said = run(at, Some(("one", &half)), &["ingest", "docs"]).unwrap_err();
    assert!(said.contains("10") && said.contains("20"), "half a batch is named: {said}");
    run(at, Some(("one", &fine)), &["ingest", "docs"]).unwrap();
    let dense = ["search", "cat", "--mode", "dense", "-k", "10"];
    let cats = |model: &str| {
        let hits = run(at, Some((model, &fine)), &dense)?;
        assert_eq!(hits.as_array().unwrap().len(), 10);
        assert!(
            hits.as_array()
                .unwrap()
                .iter()
                .all(|hit| hit["text"].as_str().unwrap().contains("cat"))
        );
        Ok::<_, String>(())
    };
    cats("one").unwrap();
    let said = cats("two").unwrap_err();
    assert!(
        said.contains("one") && said.contains("two") && said.contains("embed the collection anew"),
        "{said}"
    );

    // Killed while it waits for vectors: the old ones stay.
    let mut child =
        hexmem(at, Some(("two", &never)), &["reembed"]).stderr(Stdio::null()).spawn().unwrap();
    while never.asked() == 0 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    cats("one").unwrap();
    let said = run(at, Some(("two", &half)), &["reembed"]).unwrap_err();
    assert!(said.contains("10") && said.contains("20"), "{said}");
    cats("one").unwrap();
    let done = run(at, Some(("two", &fine)), &["reembed"]).unwrap();
    assert_eq!((done["chunks"].as_u64(), done["embedded"].as_u64()), (Some(20), Some(20)));
    cats("two").unwrap();
    cats("one").unwrap_err();
    let again = run(at, Some(("two", &fine)), &["reembed"]).unwrap();
    assert_eq!(again["unchanged"], true);
    // Documents go on as before.
    let report = run(at, Some(("two", &fine)), &["ingest", "docs"]).unwrap();
    assert_eq!(report["unchanged"], 20);
    let listed = run(at, None, &["reembed", "--abandon"]).unwrap();
    assert_eq!(listed["abandoned"], false);
}
