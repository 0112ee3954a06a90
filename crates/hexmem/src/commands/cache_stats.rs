//! `hexmem cache stats`

use hexmem_llm_cache::LlmCache;
use hexmem_ports::{CacheCounts, CacheStats, Result, StatsRoom, TagStats};
use serde_json::{Map, Value, json};

use super::Outcome;
use super::cache::By;
use crate::context::Context;
use crate::output::counted;

/// Names printed for people; the document has all.
const SHOWN: usize = 20;

pub(crate) async fn run(cache: &LlmCache, context: &Context, by: By) -> Result<Outcome> {
    let stats = cache.stats().await?;
    let (key, room) = match by {
        By::Model => ("models", StatsRoom::Models),
        By::Tag => ("tags", StatsRoom::Tags),
    };
    let mut named = cache.stats_by(room).await?;
    let mut document = Map::new();
    document.insert("namespace".into(), json!(cache.namespace().name));
    document.extend(fields(&stats));
    let each = named.iter().map(|named| {
        let mut fields_of = Map::new();
        fields_of.insert("name".into(), json!(named.name));
        fields_of.extend(fields(&named.stats));
        Value::Object(fields_of)
    });
    document.insert(key.into(), each.collect());
    // The most asked first; among equals by name.
    named.sort_by_key(|named| std::cmp::Reverse(asked(&named.stats.counts)));
    context.emit(&Value::Object(document), || text(&stats, key, &named))?;
    Ok(Outcome::Done)
}

fn asked(counts: &CacheCounts) -> u64 {
    counts.answered().saturating_add(counts.misses)
}

#[allow(clippy::cast_precision_loss, reason = "a share, printed with three digits")]
fn rate(counts: &CacheCounts) -> Option<f64> {
    let asked = asked(counts);
    (asked > 0).then(|| counts.answered() as f64 / asked as f64)
}

fn fields(stats: &CacheStats) -> Map<String, Value> {
    let named = CacheCounts::NAMES.into_iter().zip(stats.counts.values());
    let mut fields: Map<String, Value> =
        named.map(|(name, count)| (name.to_owned(), count.into())).collect();
    fields.insert("hit_rate".into(), json!(rate(&stats.counts)));
    fields.insert("entries".into(), stats.entries.into());
    fields.insert("bytes".into(), stats.bytes.into());
    fields.insert("exact".into(), stats.exact.into());
    fields
}

fn percent(counts: &CacheCounts) -> String {
    rate(counts).map_or_else(String::new, |rate| format!(" ({:.1} % answered)", rate * 100.0))
}

fn text(stats: &CacheStats, key: &str, named: &[TagStats]) -> String {
    let counts = &stats.counts;
    let mut lines =
        vec![format!("lookups  {} hits, {} misses{}", counts.hits, counts.misses, percent(counts))];
    for (name, count) in [
        ("stale", counts.stale_hits),
        ("semantic", counts.semantic_hits),
        ("shared", counts.shared),
        ("shadow", counts.shadow_hits),
        ("wrong", counts.false_hits),
        ("bypassed", counts.bypassed),
    ] {
        if count > 0 {
            lines.push(format!("         {count} {name}"));
        }
    }
    let about = if stats.exact { "" } else { "about " };
    let bytes = counted(stats.bytes, "byte");
    lines.push(format!("answers  {about}{} of {about}{bytes}", stats.entries));
    lines.push(format!("saved    {}", saved(counts)));
    if !named.is_empty() {
        lines.push(format!("{key}:"));
    }
    for named in named.iter().take(SHOWN) {
        let name = named
            .name
            .as_ref()
            .map_or("(others)".into(), |n| n.as_str().escape_debug().to_string());
        let counts = &named.stats.counts;
        lines.push(format!(
            "  {name}: {} of {} answered, saved {}; {} of {}",
            counts.answered(),
            asked(counts),
            saved(counts),
            counted(named.stats.entries, "answer"),
            counted(named.stats.bytes, "byte")
        ));
    }
    if named.len() > SHOWN {
        lines.push(format!("  and {} more; --json has all", named.len() - SHOWN));
    }
    lines.join("\n")
}

/// Tokens, and cost in units of the currency.
fn saved(counts: &CacheCounts) -> String {
    let (units, rest) = (counts.cost_saved / 1_000_000, counts.cost_saved % 1_000_000);
    format!(
        "{} + {} tokens, cost {units}.{rest:06}",
        counts.input_tokens_saved, counts.output_tokens_saved
    )
}
