//! Readers of the BEIR layout: `corpus.jsonl`, `queries.jsonl` and judgements as TSV.
//!
//! Each takes the name of its input, for errors: they say file and line.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, ErrorKind as IoErrorKind};

use hexmem_ports::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

const OPERATION: &str = "rag.eval";

/// A longer line is taken for a file that is not JSONL at all.
const LONGEST_LINE: usize = 64 << 20;

/// A document of a corpus.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CorpusDocument {
    /// Its id, which judgements refer to.
    #[serde(rename = "_id", deserialize_with = "id")]
    pub id: String,
    /// Its title, often empty.
    #[serde(default)]
    pub title: String,
    /// Its text.
    pub text: String,
    /// Anything else about it.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

impl CorpusDocument {
    /// The dialogue that the document is a turn of (`metadata.thread`), if any.
    pub fn thread(&self) -> Option<&str> {
        self.metadata.get("thread").and_then(Value::as_str)
    }
}

/// A query of a test collection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Query {
    /// Its id, which judgements refer to.
    #[serde(rename = "_id", deserialize_with = "id")]
    pub id: String,
    /// What is looked for.
    pub text: String,
}

/// Judgements by query and document: above 0 is relevant.
pub type Qrels = BTreeMap<String, BTreeMap<String, i32>>;

/// A JSON string, or an integer that some collections use instead.
fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`_id` must be a string or an integer")]
    enum Id {
        Text(String),
        Number(i64),
    }
    Ok(match Id::deserialize(deserializer)? {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    })
}

/// The documents of `corpus.jsonl`, one by one: a corpus may be larger than memory.
///
/// After an error there is nothing more. An id that comes twice is an error.
#[derive(Debug)]
pub struct Corpus<R> {
    lines: Lines<R>,
    seen: HashSet<String>,
    failed: bool,
}

impl<R: BufRead> Corpus<R> {
    /// Reads from `reader`, which errors call `name`.
    pub fn new(reader: R, name: impl Into<String>) -> Self {
        Self { lines: Lines::new(reader, name.into()), seen: HashSet::new(), failed: false }
    }

    fn read(&mut self) -> Result<Option<CorpusDocument>> {
        let Some(document) = self.lines.json::<CorpusDocument>()? else { return Ok(None) };
        if !self.seen.insert(document.id.clone()) {
            return Err(self.lines.error(format!("the id {:?} was there before", document.id)));
        }
        Ok(Some(document))
    }
}

impl<R: BufRead> Iterator for Corpus<R> {
    type Item = Result<CorpusDocument>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.read();
        self.failed = read.is_err();
        read.transpose()
    }
}

/// The queries of `queries.jsonl` in the order of the file. An id that comes twice is an error.
pub fn read_queries(reader: impl BufRead, name: impl Into<String>) -> Result<Vec<Query>> {
    let mut lines = Lines::new(reader, name.into());
    let mut seen = HashSet::new();
    let mut queries = Vec::new();
    while let Some(query) = lines.json::<Query>()? {
        if !seen.insert(query.id.clone()) {
            return Err(lines.error(format!("the id {:?} was there before", query.id)));
        }
        queries.push(query);
    }
    Ok(queries)
}

/// The judgements of a TSV file with a header: query id, document id, integer. The four columns of
/// `trec_eval` (query, anything, document, judgement; no header) are read too.
///
/// Two different judgements of one pair are an error.
pub fn read_qrels(reader: impl BufRead, name: impl Into<String>) -> Result<Qrels> {
    let mut lines = Lines::new(reader, name.into());
    let mut qrels = Qrels::new();
    let mut first = true;
    while let Some(line) = lines.next_line()? {
        let header = std::mem::take(&mut first) && line.starts_with("query");
        if header {
            continue;
        }
        let columns: Vec<&str> = if line.contains('\t') {
            line.split('\t').map(str::trim).collect()
        } else {
            line.split_whitespace().collect()
        };
        let (query, document, judgement) = match columns.as_slice() {
            &[query, document, judgement] | &[query, _, document, judgement] => {
                (query, document, judgement)
            }
            other => {
                let message =
                    format!("{} columns; expected query, document, judgement", other.len());
                return Err(lines.error(message));
            }
        };
        let judgement: i32 = judgement.parse().map_err(|cause| {
            lines.error(format!("the judgement {judgement:?} is no integer")).caused_by(cause)
        })?;
        let (query, document) = (query.to_owned(), document.to_owned());
        let of_query: &mut BTreeMap<_, _> = qrels.entry(query).or_default();
        if of_query.insert(document, judgement).is_some_and(|before| before != judgement) {
            return Err(lines.error("this pair was judged differently before"));
        }
    }
    Ok(qrels)
}

/// Lines of a file, counted, without blank ones.
#[derive(Debug)]
struct Lines<R> {
    reader: R,
    name: String,
    number: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, name: String) -> Self {
        Self { reader, name, number: 0, buffer: Vec::new() }
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::invalid(OPERATION, message).with("file", &self.name).with("line", self.number)
    }

    fn next_line(&mut self) -> Result<Option<String>> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
            let mut limited = std::io::Read::take(&mut self.reader, limit);
            let read = limited.read_until(b'\n', &mut self.buffer).map_err(|cause| {
                let kind = match cause.kind() {
                    IoErrorKind::InvalidData => ErrorKind::Invalid,
                    _ => ErrorKind::Unavailable,
                };
                Error::new(kind, OPERATION, "cannot be read")
                    .with("file", &self.name)
                    .with("line", self.number)
                    .caused_by(cause)
            })?;
            if read == 0 {
                return Ok(None);
            }
            if read == LONGEST_LINE && !self.buffer.ends_with(b"\n") {
                return Err(self.error(format!("the line has more than {LONGEST_LINE} bytes")));
            }
            let line = std::str::from_utf8(&self.buffer)
                .map_err(|cause| self.error("the line is not UTF-8").caused_by(cause))?;
            let line = if self.number == 1 { line.trim_start_matches('\u{feff}') } else { line };
            let line = line.trim_end_matches(['\r', '\n']);
            if !line.trim().is_empty() {
                return Ok(Some(line.to_owned()));
            }
        }
    }

    fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let Some(line) = self.next_line()? else { return Ok(None) };
        serde_json::from_str(&line).map(Some).map_err(|cause| {
            let message = match cause.classify() {
                serde_json::error::Category::Data => format!("not of the expected form: {cause}"),
                _ => format!("not JSON: {cause}"),
            };
            self.error(message).caused_by(cause)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(text: &str) -> Result<Vec<CorpusDocument>> {
        Corpus::new(text.as_bytes(), "corpus.jsonl").collect()
    }

    #[test]
    fn the_beir_layout_is_read() {
        let text = "\u{feff}{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"x\",\"metadata\":{\"thread\":\"t\"}}\r\n\n\
                    {\"_id\":7,\"text\":\"y\",\"url\":\"ignored\"}";
        let documents = corpus(text).unwrap();
        assert_eq!(documents[0].thread(), Some("t"));
        assert_eq!((documents[1].id.as_str(), documents[1].title.as_str()), ("7", ""));
        let queries = read_queries(&b"{\"_id\":\"q\",\"text\":\"what\"}\n"[..], "q").unwrap();
        assert_eq!(queries, [Query { id: "q".into(), text: "what".into() }]);
        let beir =
            read_qrels(&b"query-id\tcorpus-id\tscore\nq\td1\t2\nq\td2\t-1\n"[..], "t").unwrap();
        assert_eq!(beir["q"]["d1"], 2);
        assert_eq!(read_qrels(&b"q 0 d1 2\nq 0 d2 -1\n"[..], "t").unwrap(), beir);
    }

    #[test]
    fn errors_name_file_and_line() {
        let good = "{\"_id\":\"1\",\"text\":\"x\"}\n";
        for (bad, says) in [
            ("{\"_id\":", "not JSON"),
            ("{\"_id\":\"2\"}", "missing field `text`"),
            ("{\"_id\":[],\"text\":\"x\"}", "_id"),
            ("[]", "expected form"),
            (good, "was there before"),
        ] {
            let error = corpus(&format!("{good}{bad}")).unwrap_err().to_string();
            assert!(
                error.contains(says) && error.contains("file: corpus.jsonl, line: 2"),
                "{error}"
            );
        }
        let bytes = [good.as_bytes(), b"\xff\xfe\n", good.as_bytes()].concat();
        let mut reader = Corpus::new(bytes.as_slice(), "c");
        assert!(reader.next().unwrap().is_ok());
        assert!(reader.next().unwrap().unwrap_err().to_string().contains("UTF-8"));
        assert!(reader.next().is_none());
        for bad in ["q\td\n", "q\td\tyes\n", "q\td\t1\nq\td\t2\n"] {
            let error = read_qrels(bad.as_bytes(), "test.tsv").unwrap_err().to_string();
            assert!(error.contains("file: test.tsv, line: "), "{error}");
        }
    }

    #[test]
    fn empty_files_are_empty() {
        assert!(corpus("").unwrap().is_empty());
        assert!(read_queries(&b"\n\n"[..], "q").unwrap().is_empty());
        assert!(read_qrels(&b"query-id\tcorpus-id\tscore\n"[..], "t").unwrap().is_empty());
    }
}
