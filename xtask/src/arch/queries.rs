//! SQL and Lua live in files, and every such file is used.

use crate::arch::model::{File, Model, Violation};

/// Every `.sql` and `.lua` file is named by Rust code: of its own crate, or for a file outside the crates by any.
pub(crate) fn referenced(model: &Model) -> Vec<Violation> {
    let queries = model
        .files
        .iter()
        .filter(|file| file.path.ends_with(".lua") || file.path.ends_with(".sql"));
    queries
        .filter(|query| {
            let home = model.crate_folder(&query.path).map(|folder| format!("{folder}/"));
            !model.rust(home.as_deref().unwrap_or_default()).any(|file| names(file, &query.path))
        })
        .map(|query| {
            Violation::new(
                &query.path,
                "no Rust file uses it",
                "include it by its literal name (include_str!, query_file!, migrate!) or remove it",
            )
        })
        .collect()
}

/// Whether a literal of `file` is a path that ends like `query`, or is its folder of migrations.
fn names(file: &File, query: &str) -> bool {
    let folder = query.rsplit_once('/').map_or("", |(folder, _)| folder);
    file.source.literals.iter().any(|(_, literal)| {
        let literal = literal.trim_start_matches(['.', '/']);
        let folder_literal = literal.trim_end_matches('/');
        is_tail(query, literal)
            || (folder_literal.contains("migrations") && is_tail(folder, folder_literal))
    })
}

fn is_tail(path: &str, tail: &str) -> bool {
    !tail.is_empty()
        && path.strip_suffix(tail).is_some_and(|head| head.is_empty() || head.ends_with('/'))
}
