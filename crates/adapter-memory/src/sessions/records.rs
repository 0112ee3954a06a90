//! The records of the sessions.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use hexmem_ports::{
    Cursor, Error, Limit, Page, Record, RecordKind, Records, Restored, Result, SessionId,
    StoredSession, TokenKey, UserScope,
};

use super::MemorySessions;

#[async_trait]
impl Records for MemorySessions {
    fn kind(&self) -> RecordKind {
        RecordKind::Session
    }

    async fn scan(&self, cursor: Option<Cursor>, limit: Limit) -> Result<Page<Record>> {
        let (state, _) = self.lock();
        let (kept, next) = state.all(cursor, limit)?;
        let items = kept.into_iter().map(StoredSession::to_record).collect::<Result<_>>()?;
        Ok(Page { items, next })
    }

    async fn restore(&self, records: Vec<Record>) -> Result<Vec<Restored>> {
        let read = records.into_iter().map(StoredSession::from_record);
        let sessions = read.collect::<Result<Vec<_>>>()?;
        let (mut state, _) = self.lock();
        // All is decided before anything is written: one refusal refuses the batch.
        let mut planned = BTreeMap::<(UserScope, SessionId), StoredSession>::new();
        let mut claimed = HashMap::<TokenKey, SessionId>::new();
        let mut answers = Vec::with_capacity(sessions.len());
        for session in sessions {
            let (owner, id) = (session.session.owner.clone(), session.session.id);
            let kept = planned.get(&(owner.clone(), id)).or_else(|| state.by_id(&owner, id));
            let newer = kept.is_none_or(|kept| {
                (session.revision, session.modified_at) > (kept.revision, kept.modified_at)
            });
            if !newer {
                answers.push(Restored::Kept);
                continue;
            }
            for token in session.token_keys() {
                let elsewhere = claimed.insert(token, id).is_some_and(|holder| holder != id);
                if elsewhere || !state.may_hold(&token, &owner, id) {
                    return Err(Error::conflict(
                        "sessions.restore",
                        "a token of the record belongs to another session here",
                    )
                    .with("owner", &owner)
                    .with("id", id));
                }
            }
            planned.insert((owner, id), session);
            answers.push(Restored::Written);
        }
        for session in planned.into_values() {
            state.replace(session);
        }
        Ok(answers)
    }
}
