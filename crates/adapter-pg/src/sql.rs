//! Statements: static text, with the name of the schema put in where it is another one.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// How the schema is written in the files.
const MARK: &str = "hexmem.";

/// The statements for one schema. Every table, index and function in the files stands behind the literal
/// prefix `hexmem.`: a search path is state of a session, which a pooler does not keep.
#[derive(Debug)]
pub(crate) struct Statements {
    /// The checked name; `None` for `hexmem`, whose statements are taken as they are.
    other: Option<String>,
    /// By address: the texts are constants of the program.
    rendered: RwLock<HashMap<usize, Arc<str>>>,
}

impl Statements {
    /// For the schema `name`, which [`check_schema`](crate::config::check_schema) has accepted.
    pub(crate) fn new(name: &str) -> Self {
        let other = (name != "hexmem").then(|| name.to_owned());
        Self { other, rendered: RwLock::default() }
    }

    /// The statement for the schema of this handle.
    pub(crate) fn get(&self, text: &'static str) -> SqlStr {
        let Some(schema) = &self.other else { return text.into_sql_str() };
        let key = text.as_ptr().addr();
        let known = self.rendered.read().ok().and_then(|texts| texts.get(&key).cloned());
        let rendered = known.unwrap_or_else(|| {
            let rendered: Arc<str> = render(text, schema).into();
            if let Ok(mut texts) = self.rendered.write() {
                texts.insert(key, Arc::clone(&rendered));
            }
            rendered
        });
        // A static text, and a name of checked characters.
        AssertSqlSafe(rendered).into_sql_str()
    }
}

/// `text` with the schema `name` in place of `hexmem`.
pub(crate) fn render(text: &str, name: &str) -> String {
    text.replace(MARK, &format!("\"{name}\"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_schema_is_put_in() {
        const SQL: &str = "SELECT hexmem.now() FROM hexmem.t";
        let own = Statements::new("hexmem").get(SQL);
        assert_eq!(own.as_str(), SQL);
        let other = Statements::new("team");
        for _ in 0..2 {
            assert_eq!(other.get(SQL).as_str(), "SELECT \"team\".now() FROM \"team\".t");
        }
    }
}
