//! What `hexmem doctor` sees of Qdrant.

use hexmem_composition::{CollectionHealth, QdrantInspection};
use hexmem_ports::{Error, ErrorKind, Result};

use crate::context::Context;

/// Collections that are printed; the document of `--json` has all.
const PRINTED: usize = 20;

/// Looks at the server. What keeps it from working is the failure.
pub(super) async fn check(
    context: &Context,
    seen: &mut Option<QdrantInspection>,
) -> Result<String> {
    let found = seen.insert(context.stores.qdrant().await?.inspect().await?);
    if !found.findings.is_empty() {
        return Err(Error::new(ErrorKind::Unavailable, "doctor", found.findings.join("; "))
            .with("server", &found.server));
    }
    let warnings = match found.warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        many => format!(", {many} warnings"),
    };
    Ok(format!(
        "{}: Qdrant {}, {} collection(s), {} points, {} peer(s), {} us there and back{warnings}",
        found.server,
        found.version,
        found.collections.len(),
        found.points,
        found.peers.len().max(1),
        found.latency_micros
    ))
}

/// What is seen of the server, a line each, and what deserves a look.
pub(super) fn look(seen: &QdrantInspection) -> String {
    let mut text = format!("\n{}\n", seen.server);
    let mut line = |name: &str, what: &str| text.push_str(&format!("  {name:<12} {what}\n"));
    let peers: Vec<String> = seen.peers.iter().map(u64::to_string).collect();
    if peers.len() > 1 {
        line("peers", &format!("{}: {}", peers.len(), peers.join(", ")));
    }
    line("indexed", &format!("{} of {} points", share(seen.indexed_share), seen.points));
    for one in seen.collections.iter().take(PRINTED) {
        let name = one.collection.as_deref().unwrap_or(&one.qdrant_name);
        let optimizer = one.optimizer_error.as_deref().unwrap_or("ok");
        text.push_str(&format!(
            "  {name:<32} {:>9} points, {} indexed, {} segment(s), {} shard(s), {}, optimizer {optimizer}\n",
            one.points,
            share(one.indexed_share),
            one.segments,
            one.shards,
            health(one.status),
        ));
        if one.queued > 0 {
            text.push_str(&format!("  {:<32} {} writes wait to be applied\n", "", one.queued));
        }
    }
    if let Some(more) = seen.collections.len().checked_sub(PRINTED).filter(|more| *more > 0) {
        text.push_str(&format!("  and {more} collections more; --json shows all\n"));
    }
    for warning in &seen.warnings {
        text.push_str(&format!("  WARNING: {warning}\n"));
    }
    text
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "nothing".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

fn health(health: CollectionHealth) -> &'static str {
    match health {
        CollectionHealth::Green => "green",
        CollectionHealth::Yellow => "being optimized",
        CollectionHealth::Grey => "not optimized until the next write",
        CollectionHealth::Red => "an operation has failed",
        CollectionHealth::Unknown => "in a state that is not known here",
    }
}
