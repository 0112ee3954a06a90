//! Letting go of the past, a little at a time: others write between two steps.

use hexmem_ports::{Compact, GraphId, Result};

use super::{SqliteGraphs, advance, find};
use crate::WriteTx;

/// How many entries one step looks at: a few milliseconds of work.
const STEP: i64 = 2_000;

/// Above every id: neither a UUID nor a name has this byte so often.
const ABOVE: [u8; 17] = [0xff; 17];

/// A table that is walked by id: where a stretch ends, and what goes from it.
struct Walk {
    end: &'static str,
    delete: &'static str,
}

const BATCHES: Walk = Walk {
    end: include_str!("../sql/graph/compact_batch_end.sql"),
    delete: include_str!("../sql/graph/compact_batches.sql"),
};

const NODES: Walk = Walk {
    end: include_str!("../sql/graph/compact_node_end.sql"),
    delete: include_str!("../sql/graph/compact_nodes.sql"),
};

const EDGES: Walk = Walk {
    end: include_str!("../sql/graph/compact_edge_end.sql"),
    delete: include_str!("../sql/graph/compact_edges.sql"),
};

pub(super) async fn compact(store: &SqliteGraphs, graph: &GraphId, compact: Compact) -> Result<()> {
    let mut tx = store.0.write("graph.compact").await?;
    let Some((row, mut life)) = find(&mut tx, graph).await? else { return Ok(()) };
    let work = Work { store, graph, version: life.version };
    if let Some(upto) = compact.log_upto {
        // First of all: whoever reads from before it gets `Gap` from now on, however far the rest has come.
        life.log_start = upto.min(life.revision).max(life.log_start);
        advance(&mut tx, row, &life).await?;
        tx.commit().await?;
        let upto = life.log_start.0.cast_signed();
        work.log(upto).await?;
        work.walk(&BATCHES, upto).await?;
    } else {
        // Rolled back: nothing was written.
        drop(tx);
    }
    if let Some(before) = compact.history_before {
        work.walk(&NODES, before.as_micros()).await?;
        work.walk(&EDGES, before.as_micros()).await?;
    }
    Ok(())
}

/// The graph in the life in which the work began: a deleted one has nothing left, and one made anew is not meant.
struct Work<'a> {
    store: &'a SqliteGraphs,
    graph: &'a GraphId,
    version: u64,
}

impl Work<'_> {
    async fn step(&self) -> Result<Option<(WriteTx, i64)>> {
        let mut tx = self.store.0.write("graph.compact").await?;
        let found = find(&mut tx, self.graph).await?;
        let same = found.filter(|(_, life)| life.version == self.version);
        Ok(same.map(|(row, _)| (tx, row)))
    }

    async fn log(&self, upto: i64) -> Result<()> {
        while let Some((mut tx, row)) = self.step().await? {
            let gone = sqlx::query(include_str!("../sql/graph/compact_log.sql"))
                .bind(row)
                .bind(upto)
                .bind(STEP)
                .execute(tx.connection())
                .await
                .map_err(|e| tx.error(e))?
                .rows_affected();
            if gone == 0 {
                break;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    async fn walk(&self, walk: &Walk, bound: i64) -> Result<()> {
        let mut after = Vec::new();
        while let Some((mut tx, row)) = self.step().await? {
            let end: Option<Vec<u8>> = sqlx::query_scalar(walk.end)
                .bind(row)
                .bind(&after)
                .bind(STEP)
                .fetch_optional(tx.connection())
                .await
                .map_err(|e| tx.error(e))?;
            let last = end.is_none();
            let end = end.unwrap_or_else(|| ABOVE.to_vec());
            let gone = sqlx::query(walk.delete)
                .bind(row)
                .bind(&after)
                .bind(&end)
                .bind(bound)
                .execute(tx.connection())
                .await
                .map_err(|e| tx.error(e))?
                .rows_affected();
            if gone > 0 {
                tx.commit().await?;
            }
            if last {
                break;
            }
            after = end;
        }
        Ok(())
    }
}
