//! Changing the token.

use hexmem_ports::{Error, Result, Rotate, Session, Ttl};

use super::start::denied;
use super::{Issued, Sessions, lost};
use crate::{Client, Event, GRACE_LIMIT, Token};

/// Why a token changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It is old. The old one stays valid for [`Policy::grace`](crate::Policy::grace).
    Renewal,
    /// The user may do more, or less, than before (became administrator, passed a second factor). The old one stays
    /// valid for [`Policy::privilege_grace`](crate::Policy::privilege_grace): by default not at all.
    Privilege,
    /// The user has just proved and changed what authenticates them. Like [`Self::Privilege`], and the session takes
    /// the present auth hash: it lives on while the user's other sessions end.
    Credentials,
    /// The request comes from elsewhere: the session is tied to where it comes from now. Done by
    /// [`Sessions::authenticate`] under [`OnChange::Rotate`](crate::OnChange::Rotate). The old one stays valid for
    /// [`Policy::grace`](crate::Policy::grace).
    Moved,
}

impl Sessions {
    /// Gives the session a new token. `None` when the old one opens no live session.
    ///
    /// # Errors
    /// `Conflict` when the token was rotated before and is in its grace; `Denied` for new credentials of a user who may
    /// not log in.
    pub async fn rotate(&self, token: &Token, why: Rotation) -> Result<Option<Issued>> {
        let grace = match why {
            Rotation::Renewal | Rotation::Moved => self.policy.grace,
            Rotation::Privilege | Rotation::Credentials => self.policy.privilege_grace,
        };
        self.rotate_with_grace(token, why, grace).await
    }

    /// Like [`Self::rotate`], with a grace other than the policy's: at most [`GRACE_LIMIT`], beyond is `Invalid`.
    pub async fn rotate_with_grace(
        &self,
        token: &Token,
        why: Rotation,
        grace: Option<Ttl>,
    ) -> Result<Option<Issued>> {
        if grace.is_some_and(|grace| grace > GRACE_LIMIT) {
            let what = "a grace is at most an hour: beyond it, the old token would be a second one";
            return Err(Error::invalid("sessions.rotate", what));
        }
        let Some(session) = self.find(token).await? else { return Ok(None) };
        self.replace(token, &session, why, grace, &Client::default()).await
    }

    /// Gives a session that was found a new token; where the client has moved, also where it is tied to.
    pub(super) async fn replace(
        &self,
        token: &Token,
        session: &Session,
        why: Rotation,
        grace: Option<Ttl>,
        client: &Client,
    ) -> Result<Option<Issued>> {
        let auth_hash = match (&self.auth, why) {
            (Some(auth), Rotation::Credentials) => {
                Some(auth.auth_hash(&session.owner).await?.ok_or_else(|| denied(&session.owner))?)
            }
            _ => None,
        };
        let new = Token::random(&session.owner)?;
        let rotate = Rotate {
            old: token.key(),
            new: new.key(),
            grace,
            auth_hash,
            ip: client.ip,
            user_agent: client.user_agent.clone(),
        };
        let mut answer = self.store.rotate(rotate.clone(), vec![]).await;
        if lost(&answer) {
            // The secret is only here: a lost answer would lock its user out.
            answer = self.store.rotate(rotate, vec![]).await;
        }
        let Some(session) = answer? else { return Ok(None) };
        self.tell(&Event::Rotated { session: &session, why });
        Ok(Some(Issued { token: new, session, evicted: vec![] }))
    }
}
