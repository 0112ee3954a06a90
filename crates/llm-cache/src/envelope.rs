//! The form in which answers are kept in a store.

use hexmem_ports::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::{Answer, ChunkMark, ToolCalls, Usage};

/// The version of the form written here.
const FORM: u64 = 1;

/// The longest text of a remembered failure, in bytes.
const FAILURE_BYTES: usize = 4_096;

/// What a store keeps beside the bytes of an answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    /// The form.
    hexmem: u64,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    meta: Value,
    #[serde(default, skip_serializing_if = "Usage::is_zero")]
    usage: Usage,
    /// Length in bytes and milliseconds after the chunk before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<(u32, u32)>,
    #[serde(default, skip_serializing_if = "ToolCalls::is_none")]
    tool_calls: ToolCalls,
    #[serde(default, skip_serializing_if = "Kind::is_answer")]
    kind: Kind,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Answer,
    Failure,
}

impl Kind {
    fn is_answer(&self) -> bool {
        *self == Self::Answer
    }
}

/// What was kept.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    Answer(Answer),
    Failure(String),
}

/// What is kept beside an answer.
pub(crate) fn of_answer(answer: &Answer) -> hexmem_ports::Result<Value> {
    write(Envelope {
        hexmem: FORM,
        meta: answer.meta.clone(),
        usage: answer.usage,
        chunks: answer.chunks.iter().map(|chunk| (chunk.bytes, chunk.after_ms)).collect(),
        tool_calls: answer.tool_calls,
        kind: Kind::Answer,
    })
}

/// The bytes of a failure, cut to their limit, and what is kept beside them.
pub(crate) fn of_failure(text: &str) -> hexmem_ports::Result<(Vec<u8>, Value)> {
    let cut = text.floor_char_boundary(FAILURE_BYTES);
    let envelope = write(Envelope {
        hexmem: FORM,
        meta: Value::Null,
        usage: Usage::default(),
        chunks: Vec::new(),
        tool_calls: ToolCalls::None,
        kind: Kind::Failure,
    })?;
    Ok((text.as_bytes()[..cut].to_vec(), envelope))
}

fn write(envelope: Envelope) -> hexmem_ports::Result<Value> {
    serde_json::to_value(envelope).map_err(|error| {
        Error::invalid("llm_cache.put", "the answer cannot be written").caused_by(error)
    })
}

/// Reads what was kept. What was not written here is an answer with that meta.
pub(crate) fn read(value: Vec<u8>, meta: Value) -> Kept {
    let known = meta.get("hexmem").and_then(Value::as_u64) == Some(FORM);
    let envelope = if known { serde_json::from_value::<Envelope>(meta.clone()).ok() } else { None };
    let Some(envelope) = envelope else {
        return Kept::Answer(Answer { meta, ..Answer::new(value) });
    };
    if envelope.kind == Kind::Failure {
        return Kept::Failure(String::from_utf8_lossy(&value).into_owned());
    }
    let mut chunks: Vec<ChunkMark> = envelope
        .chunks
        .into_iter()
        .map(|(bytes, after_ms)| ChunkMark { bytes, after_ms })
        .collect();
    let marked: u64 = chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum();
    if u64::try_from(value.len()) != Ok(marked) {
        // Marks of other bytes: replayed as one chunk.
        chunks.clear();
    }
    Kept::Answer(Answer {
        value,
        meta: envelope.meta,
        usage: envelope.usage,
        tool_calls: envelope.tool_calls,
        chunks,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn back(answer: &Answer) -> Answer {
        match read(answer.value.clone(), of_answer(answer).unwrap()) {
            Kept::Answer(answer) => answer,
            Kept::Failure(text) => panic!("{text}"),
        }
    }

    #[test]
    fn answers_read_as_written() {
        let plain = Answer::new("v");
        assert_eq!(of_answer(&plain).unwrap(), json!({ "hexmem": 1 }), "as little as there is");
        let chunks = [(1, 0), (3, 40)].map(|(bytes, after_ms)| ChunkMark { bytes, after_ms });
        let full = Answer {
            chunks: chunks.to_vec(),
            tool_calls: ToolCalls::Some,
            ..Answer::new("vvvv").meta(json!({"hexmem": 1})).tokens(3, 4).cost(5)
        };
        for answer in [plain, full] {
            assert_eq!(back(&answer), answer);
        }
    }

    #[test]
    fn what_others_wrote_is_an_answer_with_that_meta() {
        for meta in [json!(null), json!({"hexmem": 9}), json!({"hexmem": 1, "else": 2}), json!([1])]
        {
            let Kept::Answer(answer) = read(b"v".to_vec(), meta.clone()) else { panic!("{meta}") };
            assert_eq!((answer.value.as_slice(), answer.meta), (&b"v"[..], meta));
        }
        let wrong = json!({"hexmem": 1, "chunks": [[7, 0]]});
        let Kept::Answer(answer) = read(b"v".to_vec(), wrong) else { panic!() };
        assert!(answer.chunks.is_empty());
    }

    #[test]
    fn failures_are_cut_between_characters() {
        let (bytes, meta) = of_failure(&"é".repeat(4_000)).unwrap();
        assert!(bytes.len() <= 4_096);
        let Kept::Failure(text) = read(bytes, meta) else { panic!() };
        assert!(text.chars().all(|c| c == 'é'));
    }
}
