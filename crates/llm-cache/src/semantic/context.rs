//! What two questions must share to be compared.

use hexmem_ports::{CacheTags, Digest, Result, TagRef, Tenant};
use serde_json::Value;

use crate::Question;

/// A question as the semantic tier sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Similarly {
    /// Everything but the words.
    pub(crate) context: Digest,
    /// The words of the last user message.
    pub(crate) text: String,
}

impl Similarly {
    /// `None` where the words are not all that the last message says.
    pub(crate) fn of(
        question: &Question,
        tenant: &Tenant,
        tags: &CacheTags,
        sample: Option<u64>,
    ) -> Result<Option<Self>> {
        // The arguments of a tool call follow the words.
        if !question.tools.is_empty() {
            return Ok(None);
        }
        let mut rest = question.clone();
        let Some(text) = rest.messages.last_mut().and_then(take_words) else {
            return Ok(None);
        };
        let canonical = rest.canonical(tenant)?;
        let mut parts = vec![b"context".to_vec(), canonical.into_bytes()];
        parts.push(sample.map(|n| n.to_be_bytes().to_vec()).unwrap_or_default());
        // Served under a tag that it is not bound by, an answer would outlive that tag's invalidation.
        for tag in tags.refs() {
            if let TagRef::Tag(name) = tag {
                parts.push(name.as_str().as_bytes().to_vec());
            }
        }
        let context = Digest::of_parts(parts.iter().map(Vec::as_slice));
        Ok(Some(Self { context, text }))
    }
}

/// Takes the words out of a user's message; `None` where it has more than words, or none.
fn take_words(message: &mut Value) -> Option<String> {
    let message = message.as_object_mut()?;
    if message.get("role").and_then(Value::as_str) != Some("user") {
        return None;
    }
    let text = match message.get_mut("content")? {
        Value::String(text) => std::mem::take(text),
        Value::Array(blocks) => {
            let mut words = Vec::with_capacity(blocks.len());
            for block in blocks {
                let block = block.as_object_mut()?;
                if block.get("type").and_then(Value::as_str) != Some("text") {
                    return None;
                }
                match block.get_mut("text")? {
                    Value::String(text) => words.push(std::mem::take(text)),
                    _ => return None,
                }
            }
            words.join("\n")
        }
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use hexmem_ports::Name;
    use serde_json::json;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn question(content: impl Into<Value>) -> Question {
        let mut question =
            Question::new(name("p"), name("m")).system("s").message("assistant", "Hi");
        question.messages.push(json!({"role": "user", "content": content.into()}));
        question.parameter("temperature", 0)
    }

    fn of(
        question: &Question,
        tenant: &str,
        tags: &[&str],
        sample: Option<u64>,
    ) -> Option<Similarly> {
        let tags = CacheTags { model: None, tags: tags.iter().map(|tag| name(tag)).collect() };
        Similarly::of(question, &Tenant(name(tenant)), &tags, sample).unwrap()
    }

    #[test]
    fn only_the_words_may_differ() {
        let base = of(&question("a"), "t", &["x", "y"], None).unwrap();
        assert_eq!(base.text, "a");
        let same = of(&question("b"), "t", &["y", "x"], None).unwrap();
        assert_eq!((same.context, same.text.as_str()), (base.context, "b"));
        let q = || question("a");
        for other in [
            of(&q(), "t2", &["x", "y"], None),
            of(&q(), "t", &["x"], None),
            of(&q(), "t", &["x", "y"], Some(0)),
            of(&q().system("s2"), "t", &["x", "y"], None),
            of(&q().parameter("temperature", 1), "t", &["x", "y"], None),
            of(&Question { model: name("m2"), ..q() }, "t", &["x", "y"], None),
            of(&Question { provider: name("p2"), ..q() }, "t", &["x", "y"], None),
            of(&Question::new(name("p"), name("m")).message("user", "a"), "t", &["x", "y"], None),
            of(&question(json!([{"type": "text", "text": "a"}])), "t", &["x", "y"], None),
        ] {
            assert_ne!(other.unwrap().context, base.context);
        }
    }

    #[test]
    fn what_is_not_words_alone_is_not_compared() {
        let image = json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": "x"}]);
        for content in
            [image, json!(null), json!(7), json!(""), json!(" \n"), json!([]), json!([1])]
        {
            assert_eq!(of(&question(content.clone()), "t", &[], None), None, "{content}");
        }
        let blocks = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(of(&question(blocks), "t", &[], None).unwrap().text, "a\nb");
        assert_eq!(of(&question("a").tool(json!({})), "t", &[], None), None);
        assert_eq!(of(&question("a").message("tool", "x"), "t", &[], None), None);
        assert_eq!(of(&Question::new(name("p"), name("m")), "t", &[], None), None);
    }
}
