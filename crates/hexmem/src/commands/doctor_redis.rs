//! What `hexmem doctor` sees of Redis.

use hexmem_composition::{Durability, RedisInspection};
use hexmem_ports::{Error, ErrorKind, Result};

use crate::context::Context;

/// Looks at the servers. What keeps them from working is the failure.
pub(super) async fn check(context: &Context, seen: &mut Option<RedisInspection>) -> Result<String> {
    let found = seen.insert(context.stores.redis().await?.inspect().await?);
    if !found.findings.is_empty() {
        return Err(Error::new(ErrorKind::Unavailable, "doctor", found.findings.join("; "))
            .with("urls", &found.urls));
    }
    let version = found.servers.first().map_or("", |server| server.version.as_str());
    let warnings = match found.warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        many => format!(", {many} warnings"),
    };
    Ok(format!(
        "{}: {version}, {:?}, {} server(s), {} us there and back{warnings}",
        found.urls,
        found.mode,
        found.servers.len(),
        found.latency_micros
    ))
}

/// What is seen of the servers, a line each, and what may lose data.
pub(super) fn look(seen: &RedisInspection) -> String {
    let mut text = format!("\n{}\n", seen.urls);
    for server in &seen.servers {
        let limit = match server.max_bytes {
            0 => "no limit".to_owned(),
            bytes => format!("{} kB at most, {}", bytes / 1_000, server.eviction),
        };
        text.push_str(&format!(
            "  {:<22} {} {}, {} kB ({limit}), {} replica(s), {} bytes behind\n  {:<22} {}\n",
            server.address,
            server.version,
            server.role,
            server.used_bytes / 1_000,
            server.replicas,
            server.replica_lag_bytes,
            "",
            loses(server.durability)
        ));
    }
    if let Some(cluster) = &seen.cluster {
        text.push_str(&format!(
            "  cluster                {}, {} of 16384 slots, {} nodes\n",
            cluster.state, cluster.slots_ok, cluster.nodes
        ));
    }
    for warning in &seen.warnings {
        text.push_str(&format!("  WARNING: {warning}\n"));
    }
    text
}

fn loses(durability: Durability) -> &'static str {
    match durability {
        Durability::EachWrite => "a crash loses nothing that was acknowledged",
        Durability::LastSecond => "a crash can lose about the last second",
        Durability::SystemBuffers => "a crash of the machine can lose what it had not written",
        Durability::SinceSnapshot => "a crash loses what came after the last snapshot",
        Durability::Everything => "a restart loses everything",
        Durability::Unknown => "it does not tell what a crash can lose",
    }
}
