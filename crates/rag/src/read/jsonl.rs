//! JSON Lines: one document a line.

use std::collections::HashSet;

use hexmem_ports::{Error, Result};
use serde_json::{Map, Value};

use super::SourceDocument;

/// The documents of a file: `text` (or `content`, `body`), `title`, `_id` (or `id`), `metadata`. All
/// other members join the metadata. An object without a text member is its own text, as JSON.
pub(super) fn documents(name: &str, text: &str) -> Result<Vec<SourceDocument>> {
    let mut seen = HashSet::new();
    let mut documents = Vec::new();
    for (line, number) in text.lines().zip(1_u64..) {
        if line.trim().is_empty() {
            continue;
        }
        let invalid = |message: String| {
            Error::invalid("rag.read", message).with("file", name).with("line", number)
        };
        let object: Map<String, Value> = serde_json::from_str(line)
            .map_err(|cause| invalid("not a JSON object".to_owned()).caused_by(cause))?;
        let document = document(object, line);
        if let Some(id) = &document.id
            && !seen.insert(id.clone())
        {
            return Err(invalid(format!("the id {id:?} was there before")));
        }
        documents.push(document);
    }
    Ok(documents)
}

fn document(mut object: Map<String, Value>, line: &str) -> SourceDocument {
    let id = ["_id", "id"].iter().find_map(|name| match object.get(*name) {
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    });
    object.shift_remove("_id");
    let text = ["text", "content", "body"].iter().find_map(|name| take_string(&mut object, name));
    let title = take_string(&mut object, "title").unwrap_or_default();
    let text = text.unwrap_or_else(|| line.trim().to_owned());
    let mut metadata = match object.shift_remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(other) => Map::from_iter([("metadata".to_owned(), other)]),
        None => Map::new(),
    };
    for (name, value) in object {
        if id.is_none() || name != "id" {
            metadata.entry(name).or_insert(value);
        }
    }
    SourceDocument { id, title, text, metadata }
}

/// Takes a member away if it is a string.
fn take_string(object: &mut Map<String, Value>, name: &str) -> Option<String> {
    match object.get_mut(name) {
        Some(Value::String(text)) => {
            let text = std::mem::take(text);
            object.shift_remove(name);
            Some(text)
        }
        _ => None,
    }
}
