//! Waiting for what others change.

use std::time::Duration;

use hexmem_ports::{GraphId, Result, Revision};
use tokio::time::{Instant, sleep_until};

use super::PgGraphs;
use super::rows::count;
use crate::value::{Hash, micros};
use crate::{Notify, Pooling};

/// How often one who waits looks by itself: where notices come, and where none do.
const LOOK: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(500));

/// How long one look keeps batches telling: some looks.
const WATCH: Duration = Duration::from_secs(40);

impl PgGraphs {
    /// Waits until a graph's revision is another than `seen`, and gives it; after `wait` at the latest gives what it
    /// is then, 0 for a graph that does not exist. Batches of every process wake it by a notice where the settings
    /// let it listen; otherwise, and where a notice is lost, it looks by itself. Cancellation-safe.
    ///
    /// What changed is read with [`changes`](hexmem_ports::GraphStore::changes). Batches send a notice only while
    /// somebody waits: a commit that sends one waits for all others that do.
    pub async fn changed(
        &self,
        graph: &GraphId,
        seen: Revision,
        wait: Duration,
    ) -> Result<Revision> {
        const OP: &str = "graph.changed";
        let config = self.postgres.config();
        let told = config.notify == Notify::Listen && config.pooling == Pooling::Session;
        let pause = if told { LOOK.0 } else { LOOK.1 };
        let deadline = Instant::now().checked_add(wait);
        let mut ear = told.then(|| self.postgres.hear(&format!("g{}", graph.digest().to_hex())));
        loop {
            // Said before it is looked at: whoever changes it after the look tells.
            let revision: Option<(i64,)> = if told {
                let watch = self.postgres.write(OP, include_str!("../sql/graph/watch.sql"));
                watch.bind(Hash(graph.digest())).bind(micros(WATCH)).fetch_optional().await?
            } else {
                let look = self.postgres.read(OP, include_str!("../sql/graph/look.sql"));
                look.bind(Hash(graph.digest())).fetch_optional().await?
            };
            // A graph that never was has no row to say it in: others are looked for more often.
            let pause = if revision.is_some() { pause } else { LOOK.1 };
            let revision = revision.map_or(Revision(0), |(revision,)| Revision(count(revision)));
            let now = Instant::now();
            if revision != seen || deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(revision);
            }
            let next = deadline.map_or(now + pause, |deadline| deadline.min(now + pause));
            match &mut ear {
                None => sleep_until(next).await,
                Some(ear) => {
                    tokio::select! {
                        () = ear.heard() => {}
                        () = sleep_until(next) => {}
                    }
                }
            }
        }
    }
}
