//! Changing the data: by version, by merge, by a function.

use hexmem_ports::{Effect, Error, ErrorKind, OpId, Result, Retry, Session, check_json};
use serde_json::Value;

use super::{Sessions, lost};
use crate::{Token, merge_patch};

/// How often a change is tried again when others keep changing the session. Each failure is another's success.
const ATTEMPTS: usize = 1_000;

impl Sessions {
    /// Replaces the data where the session still has this version. `Conflict` when it has another. `None` when the
    /// token opens no live session.
    pub async fn update(
        &self,
        token: &Token,
        expected: u64,
        data: Value,
        effects: Vec<Effect>,
    ) -> Result<Option<Session>> {
        let (key, op) = (token.key(), OpId::random());
        let answer = self.store.update(&key, expected, data.clone(), op, effects.clone()).await;
        if lost(&answer) {
            return self.store.update(&key, expected, data, op, effects).await;
        }
        answer
    }

    /// Merges `patch` (RFC 7396) into the data. Concurrent merges all take effect, one after the other: of two that
    /// name the same member the later one stands.
    pub async fn patch(&self, token: &Token, patch: &Value) -> Result<Option<Session>> {
        check_json("sessions.patch", patch)?;
        self.change(token, |data| Ok(merge_patch(data, patch))).await
    }

    /// Replaces the data by what `change` makes of it, and nothing else comes between: when another change did, `change`
    /// is called again with the newer data, up to 1,000 times. So it must do nothing but compute. Data that it leaves as
    /// it was is not written. Its error is given back, and nothing is changed.
    ///
    /// # Errors
    /// `Conflict` when others were faster each time; `Invalid` for data that cannot be kept.
    pub async fn change(
        &self,
        token: &Token,
        mut change: impl FnMut(Value) -> Result<Value> + Send,
    ) -> Result<Option<Session>> {
        for _ in 0..ATTEMPTS {
            let Some(session) = self.find(token).await? else { return Ok(None) };
            let data = change(session.data.clone())?;
            if data == session.data {
                return Ok(Some(session));
            }
            match self.update(token, session.version, data, vec![]).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                answer => return answer,
            }
        }
        let what = format!("others changed the session {ATTEMPTS} times meanwhile; try again");
        Err(Error::conflict("sessions.change", what).retry(Retry::Soon))
    }
}
