//! `hexmem doctor`

use std::time::Instant;

use hexmem_composition::{Backend, Inspection, Settings};
use hexmem_ports::{
    BucketId, CollectionId, GraphId, Limit, Name, NamespaceId, Prefix, QueueId, Result,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::Outcome;
use crate::context::Context;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Failed,
}

#[derive(Debug, Serialize)]
struct Check {
    check: String,
    verdict: Verdict,
    /// What was found, or what is wrong and what to do.
    detail: String,
    milliseconds: f64,
}

pub(crate) async fn run(context: &Context) -> Result<Outcome> {
    let mut checks = Vec::new();
    let settings = context.stores.settings();
    if uses(settings, Backend::Sqlite) {
        checks.push(timed("sqlite file", sqlite(context)).await);
    }
    let mut seen = None;
    if uses(settings, Backend::Postgres) {
        checks.push(timed("postgres", postgres(context, &mut seen)).await);
    }
    let mut seen_redis = None;
    if uses(settings, Backend::Redis) {
        checks.push(
            timed("redis", Box::pin(super::doctor_redis::check(context, &mut seen_redis))).await,
        );
    }
    let mut seen_qdrant = None;
    if uses(settings, Backend::Qdrant) {
        let check = super::doctor_qdrant::check(context, &mut seen_qdrant);
        checks.push(timed("qdrant", Box::pin(check)).await);
    }
    let name = Name::new("doctor")?;
    let tenant = context.tenant.clone();
    let one = Limit::new(1)?;
    let bucket = BucketId::new(tenant.clone(), name.clone());
    let namespace = NamespaceId::new(tenant.clone(), name.clone());
    let queue = QueueId::new(tenant.clone(), name.clone());
    let graph = GraphId::new(tenant.clone(), name.clone());
    let collection = CollectionId::new(tenant.clone(), name);
    let owner = context.owner();
    let said = |backend: &dyn std::fmt::Display| format!("{backend} answers");
    checks.push(
        timed("key_value", async {
            context.stores.key_value().await?.scan(&bucket, &Prefix::default(), None, one).await?;
            Ok(said(&settings.key_value.backend))
        })
        .await,
    );
    checks.push(
        timed("graph", async {
            context.stores.graph().await?.head(&graph).await?;
            Ok(said(&settings.graph.backend))
        })
        .await,
    );
    checks.push(
        timed("sessions", async {
            context.stores.sessions().await?.list(&owner, None, one).await?;
            Ok(said(&settings.sessions.backend))
        })
        .await,
    );
    checks.push(
        timed("cache", async {
            context.stores.cache().await?.stats(&namespace).await?;
            Ok(said(&settings.cache.backend))
        })
        .await,
    );
    checks.push(
        timed("queue", async {
            context.stores.queue().await?.stats(&queue).await?;
            Ok(said(&settings.queue.backend))
        })
        .await,
    );
    checks.push(
        timed("rag", async {
            let vectors = context.stores.vectors().await?;
            vectors.info(&collection).await?;
            vectors.list(&tenant, &Prefix::default(), None, one).await?;
            Ok(said(&settings.rag.backend))
        })
        .await,
    );
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
    let mut document: Value = json!({ "data": settings.data, "ok": failed == 0, "checks": checks });
    if let (Some(fields), Some(seen)) = (document.as_object_mut(), &seen) {
        fields.insert("postgres".to_owned(), json!(seen));
    }
    if let (Some(fields), Some(seen)) = (document.as_object_mut(), &seen_redis) {
        fields.insert("redis".to_owned(), json!(seen));
    }
    if let (Some(fields), Some(seen)) = (document.as_object_mut(), &seen_qdrant) {
        fields.insert("qdrant".to_owned(), json!(seen));
    }
    context.emit(&document, || {
        let mut text = format!("data folder: {}\n", settings.data.display());
        for check in &checks {
            let mark = if check.verdict == Verdict::Ok { "ok    " } else { "FAILED" };
            text.push_str(&format!(
                "{mark} {:<12} {:>8.2} ms  {}\n",
                check.check, check.milliseconds, check.detail
            ));
        }
        text.push_str(&seen.as_ref().map(look).unwrap_or_default());
        text.push_str(&seen_redis.as_ref().map(super::doctor_redis::look).unwrap_or_default());
        text.push_str(&seen_qdrant.as_ref().map(super::doctor_qdrant::look).unwrap_or_default());
        text
    })?;
    Ok(if failed == 0 { Outcome::Done } else { Outcome::Failed })
}

fn uses(settings: &Settings, backend: Backend) -> bool {
    [
        &settings.key_value,
        &settings.graph,
        &settings.sessions,
        &settings.cache,
        &settings.queue,
        &settings.rag,
    ]
    .iter()
    .any(|domain| domain.backend == backend)
}

async fn postgres(context: &Context, seen: &mut Option<Inspection>) -> Result<String> {
    let found = seen.insert(context.stores.postgres().await?.inspect().await?);
    if !found.findings.is_empty() {
        return Err(hexmem_ports::Error::new(
            hexmem_ports::ErrorKind::Unavailable,
            "doctor",
            found.findings.join("; "),
        )
        .with("server", &found.server));
    }
    Ok(format!(
        "{}: PostgreSQL {}, schema {}, {:.2} ms there and back",
        found.server,
        found.version,
        found.schema.schema,
        micros(found.latency_micros) / 1_000.0
    ))
}

/// What is seen of the server, a line each.
fn look(seen: &Inspection) -> String {
    let mut text = format!(
        "\n{}\n  connections  {} of {} on the server; here {} used, {} idle, {} at most\n  database     {} kB, {}\n",
        seen.server,
        seen.connections,
        seen.max_connections,
        seen.pool.used,
        seen.pool.idle,
        seen.pool.max,
        seen.database_bytes / 1_000,
        if seen.is_durable {
            "durable"
        } else {
            "a power cut may lose acknowledged writes (fsync, synchronous_commit)"
        },
    );
    let hits = seen.cache_hit_ratio.map_or_else(
        || "nothing was read yet".to_owned(),
        |ratio| format!("{:.1} % of blocks found in memory", ratio * 100.0),
    );
    text.push_str(&format!("  cache        {hits}\n"));
    for follower in &seen.followers {
        let behind =
            follower.behind_bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
        text.push_str(&format!(
            "  follower     {} {}, {behind} bytes behind\n",
            follower.name, follower.state
        ));
    }
    if let Some(replica) = &seen.replica {
        let state = match (replica.lag_bytes, replica.lag_micros) {
            _ if replica.trouble.is_some() => "cannot be asked".to_owned(),
            (None, _) => "follows nobody".to_owned(),
            (Some(0), _) => "not behind".to_owned(),
            (Some(bytes), None) => format!("{bytes} bytes behind"),
            (Some(bytes), Some(lag)) => {
                format!("{bytes} bytes and {:.1} ms behind", micros(lag) / 1_000.0)
            }
        };
        text.push_str(&format!("  replica      {} {state}\n", replica.server));
    }
    for table in seen.tables.iter().take(10) {
        text.push_str(&format!(
            "  {:<24} {:>10} rows {:>8} dead {:>10} kB {:>10} kB of indexes\n",
            table.name,
            table.rows,
            table.dead_rows,
            table.bytes / 1_000,
            table.index_bytes / 1_000
        ));
    }
    text
}

/// For showing only: a million years are exact to the second.
fn micros(span: u64) -> f64 {
    std::time::Duration::from_micros(span).as_secs_f64() * 1_000_000.0
}

async fn sqlite(context: &Context) -> Result<String> {
    let database = context.stores.database().await?;
    let seen = database.inspect().await?;
    if let Some(first) = seen.damage.first() {
        return Err(hexmem_ports::Error::corrupt(
            "doctor",
            format!("{first}; restore the file from a backup"),
        )
        .with("file", database.file().display())
        .with("findings", seen.damage.len()));
    }
    Ok(format!(
        "{}: SQLite {}, schema {}, {} kB ({} kB free), log {} kB, pages well",
        database.file().display(),
        seen.sqlite,
        seen.schema,
        seen.bytes / 1_000,
        seen.free_bytes / 1_000,
        seen.log_bytes / 1_000,
    ))
}

async fn timed(check: &str, work: impl Future<Output = Result<String>>) -> Check {
    let start = Instant::now();
    let outcome = work.await;
    let milliseconds = start.elapsed().as_secs_f64() * 1_000.0;
    let (verdict, detail) = match outcome {
        Ok(detail) => (Verdict::Ok, detail),
        Err(error) => (Verdict::Failed, error.to_string()),
    };
    Check { check: check.to_owned(), verdict, detail, milliseconds }
}
