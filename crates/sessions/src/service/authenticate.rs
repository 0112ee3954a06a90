//! Letting in, and not.

use hexmem_ports::{Digest, ErrorKind, Result, Session, TokenKey, Touch, UserScope};

use async_trait::async_trait;

use super::{Rotation, Sessions, is_anonymous};
use crate::{Client, End, Event, OnChange, Refusal, Reuse, Token};

/// Tells what authenticates a user at present, for example the SHA-256 of their password's hash. A session made
/// under another answer ends at its next use: so a changed password logs out everywhere.
#[async_trait]
pub trait AuthHash: Send + Sync {
    /// The digest; `None` for a user who cannot log in (unknown, locked): they start no session, and those they have
    /// end at their next use. Not asked of anonymous visitors.
    async fn auth_hash(&self, owner: &UserScope) -> Result<Option<Digest>>;
}

/// A session whose token was presented.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// The session.
    pub session: Session,
    /// Whether its token is old enough to be renewed: rotate it with [`Rotation::Renewal`].
    pub renewal_due: bool,
    /// A token that has taken the place of the presented one, because the session was tied to somewhere else
    /// ([`OnChange::Rotate`]). It is nowhere else: give it to the user now.
    pub new_token: Option<Token>,
}

impl Sessions {
    /// The session of a token, which is marked as seen (at most once per [`Policy::coalesce`](crate::Policy)). `None`
    /// when the token opens no live session, when what authenticates its user has changed (then the session is
    /// ended), and when it comes from elsewhere than the session is tied to; a [`Watch`](crate::Watch) hears which.
    ///
    /// # Errors
    /// Those of the store and of [`AuthHash`]. Then nobody knows who asks: let nobody in.
    pub async fn authenticate(
        &self,
        token: &Token,
        client: &Client,
    ) -> Result<Option<Authenticated>> {
        let key = token.key();
        let found = match self.policy.binding {
            None => {
                let (ip, user_agent) = (client.ip, client.user_agent.clone());
                let touch = Touch { ip, user_agent, coalesce: self.policy.coalesce };
                self.store.touch(&key, touch).await?
            }
            // Looked at first: a request from elsewhere must not keep the session alive.
            Some(_) => self.store.find(&key).await?,
        };
        let Some(session) = found else {
            self.unopened(&key, client).await?;
            return Ok(None);
        };
        if !self.credentials_stand(&session).await? {
            self.refuse(Refusal::Credentials(&session), client);
            self.ended(&session.owner, session.id, End::Credentials).await?;
            return Ok(None);
        }
        let Some(binding) = self.policy.binding else {
            return Ok(Some(self.known(session, None)));
        };
        if binding.holds(&session.origin, client) {
            return Ok(self.seen(&key).await?.map(|session| self.known(session, None)));
        }
        self.refuse(Refusal::Moved(&session), client);
        if binding.on_change == OnChange::Refuse {
            return Ok(None);
        }
        let grace = self.policy.grace;
        let moved = match self.replace(token, &session, Rotation::Moved, grace, client).await {
            // Another request from there was first, and this is the token that it replaced.
            Err(error) if error.kind() == ErrorKind::Conflict => None,
            answer => answer?,
        };
        let Some(moved) = moved else { return Ok(None) };
        let session = self.seen(&moved.token.key()).await?.unwrap_or(moved.session);
        Ok(Some(self.known(session, Some(moved.token))))
    }

    fn known(&self, session: Session, new_token: Option<Token>) -> Authenticated {
        let age = self.clock.now().since(session.token_issued_at);
        Authenticated { renewal_due: self.policy.renewal_due(age), session, new_token }
    }

    /// Marks a session as seen, and leaves where it is tied to.
    async fn seen(&self, key: &TokenKey) -> Result<Option<Session>> {
        let touch = Touch { coalesce: self.policy.coalesce, ..Touch::default() };
        self.store.touch(key, touch).await
    }

    /// Whether what authenticated the user when the session was made still does.
    async fn credentials_stand(&self, session: &Session) -> Result<bool> {
        let Some(auth) = &self.auth else { return Ok(true) };
        let kept = session.origin.auth_hash;
        if is_anonymous(&session.owner) && kept.is_none() {
            return Ok(true);
        }
        Ok(same(auth.auth_hash(&session.owner).await?, kept))
    }

    /// A token that opens nothing. Where it was replaced, somebody holds an old copy.
    async fn unopened(&self, key: &TokenKey, client: &Client) -> Result<()> {
        let Some(spent) = self.store.spent(key).await? else {
            self.refuse(Refusal::Unknown, client);
            return Ok(());
        };
        let (session, ended_at) = (&spent.session, spent.ended_at);
        self.refuse(Refusal::Reused { session, ended_at }, client);
        let Reuse::Revoke { after } = self.policy.reuse else { return Ok(()) };
        if self.clock.now().since(ended_at) > after.get() {
            self.ended(&session.owner, session.id, End::Reused).await?;
        }
        Ok(())
    }

    pub(crate) fn refuse(&self, why: Refusal<'_>, client: &Client) {
        self.tell(&Event::Refused { why, client });
    }
}

/// Whether both are known and equal. Compares all bytes, whichever differ.
fn same(present: Option<Digest>, kept: Option<Digest>) -> bool {
    let (Some(present), Some(kept)) = (present, kept) else { return false };
    present.0.iter().zip(kept.0).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_hashes_are_compared_as_a_whole_and_absence_is_no_match() {
        let hash = |text: &str| Some(Digest::of(text.as_bytes()));
        assert!(same(hash("a"), hash("a")));
        assert!(!same(None, None) && !same(hash("a"), hash("b")));
        assert!(!same(hash("a"), None) && !same(None, hash("a")));
    }
}
