//! What is asked of a model, and its fingerprint.

use hexmem_ports::{Digest, Name, Result, Tenant, check_json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::canonical;

/// The version of what a fingerprint is made of. Grows when that changes, so that old answers are not found.
const FORM: u64 = 1;

/// Everything that an answer depends on. Two questions have one fingerprint exactly when they are equal by
/// value: the order of object keys and the way a number is written make no difference, all else does.
///
/// ```
/// use hexmem_llm_cache::Question;
/// use hexmem_ports::Tenant;
///
/// # fn main() -> hexmem_ports::Result<()> {
/// let question = Question::new("openai".try_into()?, "gpt-4o".try_into()?)
///     .system("Answer in one word.")
///     .message("user", "What is the capital of France?")
///     .parameter("temperature", 0.0);
/// let tenant = Tenant("acme".try_into()?);
/// assert_eq!(question.fingerprint(&tenant)?.to_hex().len(), 64);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Who is asked (`openai`, `anthropic`, `local`, ...).
    pub provider: Name,
    /// The model with its revision; also a tag of the answer.
    pub model: Name,
    /// The system prompt: a string, or the provider's blocks. Null where there is none.
    #[serde(default)]
    pub system: Value,
    /// The conversation so far, as the provider takes it.
    #[serde(default)]
    pub messages: Vec<Value>,
    /// The tools on offer, as the provider takes them.
    #[serde(default)]
    pub tools: Vec<Value>,
    /// Temperature, top_p, the most tokens, a seed, the response format, ... A parameter of null is an absent
    /// one.
    #[serde(default)]
    pub parameters: Map<String, Value>,
}

impl Question {
    /// A question without words yet.
    pub fn new(provider: Name, model: Name) -> Self {
        Self {
            provider,
            model,
            system: Value::Null,
            messages: Vec::new(),
            tools: Vec::new(),
            parameters: Map::new(),
        }
    }

    /// With a system prompt.
    #[must_use]
    pub fn system(mut self, prompt: impl Into<Value>) -> Self {
        self.system = prompt.into();
        self
    }

    /// With one more message, as `{"role": ..., "content": ...}`.
    #[must_use]
    pub fn message(mut self, role: &str, content: impl Into<Value>) -> Self {
        self.messages.push(json!({ "role": role, "content": content.into() }));
        self
    }

    /// With one more tool.
    #[must_use]
    pub fn tool(mut self, tool: impl Into<Value>) -> Self {
        self.tools.push(tool.into());
        self
    }

    /// With a parameter.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// The canonical text that the fingerprint is the SHA-256 of: RFC 8785, with integers beyond 2^53 as tagged
    /// strings.
    ///
    /// # Errors
    /// `Invalid` where a part is no JSON that stores accept ([`check_json`]).
    pub fn canonical(&self, tenant: &Tenant) -> Result<String> {
        let operation = "llm_cache.fingerprint";
        for part in [&self.system].into_iter().chain(&self.messages).chain(&self.tools) {
            check_json(operation, part)?;
        }
        for (name, value) in &self.parameters {
            // The name is checked as a key.
            check_json(operation, &Value::Object(Map::from_iter([(name.clone(), Value::Null)])))?;
            check_json(operation, value)?;
        }
        let given = self.parameters.iter().filter(|(_, value)| !value.is_null());
        // The fields in their canonical order, without a copy of the conversation.
        let mut out = String::from("{\"messages\":");
        canonical::write_array(&self.messages, &mut out);
        out.push_str(",\"model\":");
        canonical::write_string(self.model.as_str(), &mut out);
        out.push_str(",\"parameters\":");
        canonical::write_fields(given.map(|(name, value)| (name.as_str(), value)), &mut out);
        out.push_str(",\"provider\":");
        canonical::write_string(self.provider.as_str(), &mut out);
        out.push_str(",\"system\":");
        canonical::write(&self.system, &mut out);
        out.push_str(",\"tenant\":");
        canonical::write_string(tenant.as_str(), &mut out);
        out.push_str(",\"tools\":");
        canonical::write_array(&self.tools, &mut out);
        out.push_str(",\"v\":");
        canonical::write(&Value::from(FORM), &mut out);
        out.push('}');
        Ok(out)
    }

    /// SHA-256 of the canonical text, all of it.
    ///
    /// # Errors
    /// As [`Question::canonical`].
    pub fn fingerprint(&self, tenant: &Tenant) -> Result<Digest> {
        Ok(Digest::of(self.canonical(tenant)?.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(text: &str) -> Tenant {
        Tenant(Name::new(text).unwrap())
    }

    fn question() -> Question {
        Question::new(Name::new("p").unwrap(), Name::new("m").unwrap())
            .system("s")
            .message("user", "Hi")
            .tool(json!({"name": "t"}))
            .parameter("temperature", 0.5)
    }

    #[test]
    fn the_canonical_text_and_its_hash_never_change() {
        let text = question().canonical(&tenant("t")).unwrap();
        assert_eq!(
            text,
            "{\"messages\":[{\"content\":\"Hi\",\"role\":\"user\"}],\"model\":\"m\",\
             \"parameters\":{\"temperature\":0.5},\"provider\":\"p\",\"system\":\"s\",\"tenant\":\"t\",\
             \"tools\":[{\"name\":\"t\"}],\"v\":1}"
        );
        // It is what the general writer makes of the same object.
        let mut again = String::new();
        canonical::write(&serde_json::from_str(&text).unwrap(), &mut again);
        assert_eq!(again, text);
        assert_eq!(question().fingerprint(&tenant("t")).unwrap(), Digest::of(text.as_bytes()));
    }

    #[test]
    fn each_part_makes_a_difference() {
        let name = |text| Name::new(text).unwrap();
        let mut all = vec![
            question(),
            Question { provider: name("p2"), ..question() },
            Question { model: name("m2"), ..question() },
            question().system("s2"),
            question().system(Value::Null),
            question().message("user", "Hi"),
            question().tool(json!({"name": "t"})),
            question().parameter("temperature", 0.51),
            question().parameter("top_p", 1),
            question().parameter("top_p", true),
            question().parameter("top_p", "1"),
            question().parameter("seed", (1i64 << 53) + 1),
            question().parameter("seed", (1i64 << 53) + 2),
        ];
        all.push(Question { messages: vec![json!("Hi")], ..question() });
        let mut prints: Vec<_> = all.iter().map(|q| q.fingerprint(&tenant("t")).unwrap()).collect();
        prints.push(question().fingerprint(&tenant("t2")).unwrap());
        let count = prints.len();
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), count);
    }

    #[test]
    fn equal_by_value_is_equal() {
        let read = |text| serde_json::from_str::<Question>(text).unwrap();
        let one = read(
            r#"{"provider": "p", "model": "m", "messages": [{"a": 1, "b": 2.0}],
                "parameters": {"max_tokens": null, "temperature": 1.0}}"#,
        );
        let two = read(
            r#"{"model": "m", "messages": [{"b": 2, "a": 1}], "provider": "p",
                "parameters": {"temperature": 1}, "tools": []}"#,
        );
        let print = |q: &Question| q.fingerprint(&tenant("t")).unwrap();
        assert_eq!(print(&one), print(&two));
    }

    #[test]
    fn what_no_store_accepts_has_no_fingerprint() {
        for bad in [
            question().system("a\0b"),
            question().parameter("a\0b", 1),
            question().parameter("seed", u64::MAX),
        ] {
            assert!(bad.fingerprint(&tenant("t")).is_err());
        }
    }
}
