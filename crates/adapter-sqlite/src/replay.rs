//! Remembered answers: a repeat of a mutation within the window gets the first answer.

use hexmem_ports::{Digest, REPLAY_WINDOW, Result};

use crate::WriteTx;

impl WriteTx {
    /// The answer that [`Self::remember`] kept under `op`, if its window is still open. `op` is
    /// [`Digest::of_parts`] of the port, the method, the full address and the operation's key.
    pub async fn replayed(&mut self, op: &Digest) -> Result<Option<Vec<u8>>> {
        let now = self.now().as_micros();
        sqlx::query_scalar(include_str!("sql/replay/find.sql"))
            .bind(op.0.as_slice())
            .bind(now)
            .fetch_optional(self.connection())
            .await
            .map_err(|e| self.error(e))
    }

    /// Keeps `answer` under `op` for [`REPLAY_WINDOW`], committed with the change, and frees a few
    /// answers whose window has passed.
    pub async fn remember(&mut self, op: &Digest, answer: &[u8]) -> Result<()> {
        let now = self.now();
        sqlx::query(include_str!("sql/replay/prune.sql"))
            .bind(now.as_micros())
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        sqlx::query(include_str!("sql/replay/remember.sql"))
            .bind(op.0.as_slice())
            .bind(answer)
            .bind(now.plus(REPLAY_WINDOW).as_micros())
            .execute(self.connection())
            .await
            .map_err(|e| self.error(e))?;
        Ok(())
    }
}
