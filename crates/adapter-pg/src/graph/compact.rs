//! Letting go of the past, and of deleted graphs, a little at a time: no step holds the graph's row, so that others
//! read and write beside it.

use hexmem_ports::{Compact, GraphId, Result};
use uuid::Uuid;

use super::rows::column;
use crate::Postgres;
use crate::value::{At, Hash};

const OP: &str = "graph.compact";

/// How many entries one step looks at: some milliseconds of work.
const STEP: i64 = 2_000;

pub(super) async fn compact(postgres: &Postgres, graph: &GraphId, compact: Compact) -> Result<()> {
    // What a deletion that was cut off has left.
    clear(postgres, OP).await?;
    // First of all: whoever reads from before it gets `Gap` from now on, however far the rest has come. The steps are
    // about this body: a deleted graph has another one, and one made anew is not meant.
    let found: Option<(i64, i64)> = postgres
        .write(OP, include_str!("../sql/graph/compact_start.sql"))
        .bind(Hash(graph.digest()))
        .bind(compact.log_upto.map(|upto| column(upto.0)))
        .fetch_optional()
        .await?;
    let Some((body, start)) = found else { return Ok(()) };
    if compact.log_upto.is_some() {
        log(postgres, body, start).await?;
        batches(postgres, body, start).await?;
    }
    if let Some(before) = compact.history_before {
        past(postgres, body, At(before)).await?;
    }
    Ok(())
}

/// Clears what deleted graphs left.
pub(super) async fn clear(postgres: &Postgres, operation: &'static str) -> Result<()> {
    loop {
        let (more,): (bool,) = postgres
            .write(operation, include_str!("../sql/graph/clear.sql"))
            .bind(STEP)
            .fetch_one()
            .await?;
        if !more {
            return Ok(());
        }
    }
}

async fn log(postgres: &Postgres, body: i64, upto: i64) -> Result<()> {
    loop {
        let gone = postgres
            .write(OP, include_str!("../sql/graph/compact_log.sql"))
            .bind(body)
            .bind(upto)
            .bind(STEP)
            .execute()
            .await?;
        if gone == 0 {
            return Ok(());
        }
    }
}

async fn batches(postgres: &Postgres, body: i64, upto: i64) -> Result<()> {
    let mut after: Option<Uuid> = None;
    loop {
        let end: Option<(Uuid,)> = postgres
            .write(OP, include_str!("../sql/graph/compact_batches.sql"))
            .bind(body)
            .bind(after)
            .bind(STEP)
            .bind(upto)
            .fetch_optional()
            .await?;
        let Some((end,)) = end else { return Ok(()) };
        after = Some(end);
    }
}

async fn past(postgres: &Postgres, body: i64, before: At) -> Result<()> {
    loop {
        let (gone,): (i64,) = postgres
            .write(OP, include_str!("../sql/graph/compact_past.sql"))
            .bind(body)
            .bind(before)
            .bind(STEP)
            .fetch_one()
            .await?;
        if gone == 0 {
            return Ok(());
        }
    }
}
