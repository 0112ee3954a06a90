//! Where the sessions of tokens lie, remembered by this process.
//!
//! A token belongs to one session for ever, so what is remembered cannot become wrong, only useless. With it a session is
//! found by plain reads in one round trip, which cost the server less than a script does; without it a script looks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hexmem_ports::{Digest, Result, Session, Timestamp, TokenKey};
use redis::Cmd;

use super::{RedisSessions, row};
use crate::reply::Reply;

/// How many are remembered; then all are forgotten.
const REMEMBERED: usize = 10_000;

/// Where sessions lie within their tags, by the hash of a token.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<HashMap<Digest, String>>);

/// What plain reads say.
pub(super) struct Told {
    /// The live session of the token, where it has one.
    pub session: Option<Session>,
    /// At this instant.
    pub at: Timestamp,
}

impl Addresses {
    pub(super) fn address(&self, token: &TokenKey) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&token.hash).cloned()
    }

    pub(super) fn learn(&self, token: &TokenKey, address: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(token.hash, address);
    }
}

impl RedisSessions {
    /// Reads the session at `address`, then the token: what is valid after the session was read was valid when it was, for
    /// a token that ended never opens again. `None`: they say nothing, the script must look.
    pub(super) async fn find_at(&self, token: &TokenKey, address: &str) -> Result<Option<Told>> {
        const OPERATION: &str = "sessions.find";
        let tag = self.tag(token.bucket);
        let mut session = Cmd::new();
        session.arg("HMGET").arg(tag.key(&format!(":s:{address}"))).arg(&row::FIELDS);
        let mut opens = Cmd::new();
        opens.arg("GET").arg(tag.key(&format!(":t:{}", token.hash)));
        let (now, mut answers) = self.0.read_with_time(OPERATION, vec![session, opens]).await?;
        let session = row::live(OPERATION, answers.item()?, now)?;
        let Some(opens) = answers.item()?.some() else { return Ok(None) };
        let opens = opens.text()?;
        let mut words = opens.split(' ');
        if words.next() != Some(address) {
            return Ok(None);
        }
        let valid = match words.next() {
            Some("-") => true,
            Some(ends) => {
                let ends = redis::Value::BulkString(ends.as_bytes().to_vec());
                Reply::new(OPERATION, ends).time()? > now
            }
            None => return Ok(None),
        };
        Ok(Some(Told { session: session.filter(|_| valid), at: now }))
    }
}
