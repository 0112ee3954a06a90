//! The session of a request, in the hands of its handlers.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hexmem_ports::{Error, ErrorKind, Name, Result, Session as Kept, SessionId, Tenant, UserScope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::changes::{Changes, object};
use crate::{
    Client, Issued, Presented, Refusal, Rotation, Sessions, Start, Token, is_anonymous, merge_patch,
};

/// The session of a request. Clones are of the same request. [`SessionLayer`](super::SessionLayer) puts it into the
/// request's extensions; with axum, take `Extension<Session>`.
///
/// A visitor has none until something is kept for them. Data is an object: a value a key.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    tenant: Tenant,
    client: Client,
    presented: Presented,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Known,
    renewal_due: bool,
    changes: Changes,
    cookie: Outgoing,
}

/// What is known of who asks.
#[derive(Default)]
enum Known {
    /// Nobody has asked.
    #[default]
    NotYet,
    /// No live session.
    Nobody,
    /// A live session when it was last looked at.
    Live(Token, Box<Kept>),
}

/// What the response does to the cookie.
#[derive(Default)]
pub(super) enum Outgoing {
    /// Nothing.
    #[default]
    Keep,
    /// A new token, for a session that ends in any case in that time.
    Set(Token, core::time::Duration),
    /// The user has logged out.
    Clear,
}

/// How a response leaves.
pub(super) struct Closing {
    pub(super) cookie: Outgoing,
    /// Whether the response may depend on the session.
    pub(super) consulted: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let id = match &state.known {
            Known::Live(_, kept) => Some(kept.id),
            Known::NotYet | Known::Nobody => None,
        };
        f.debug_struct("Session").field("id", &id).finish_non_exhaustive()
    }
}

fn ended() -> Error {
    let what = "the session ended during the request; nothing was kept";
    Error::new(ErrorKind::Expired, "sessions.web", what)
}

impl Session {
    pub(super) fn new(
        sessions: Sessions,
        tenant: Tenant,
        client: Client,
        presented: Presented,
    ) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Inner { sessions, tenant, client, presented, state }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session as this request last saw it; `None` for a visitor who has none. The first call asks the store, once
    /// a request.
    ///
    /// # Errors
    /// Those of the store, at this call and at all others that ask it: then nobody knows who asks.
    pub async fn load(&self) -> Result<Option<Kept>> {
        if let Some(known) = self.loaded() {
            return Ok(known);
        }
        let found = self.authenticated().await?;
        let mut state = self.state();
        // A clone may have asked at the same time: what has found a session stands.
        if found.is_some() || matches!(state.known, Known::NotYet) {
            state.known = Known::Nobody;
            if let Some((token, known)) = found {
                state.renewal_due = known.renewal_due;
                if let Some(new_token) = &known.new_token {
                    let left = self.0.sessions.left(&known.session);
                    state.cookie = Outgoing::Set(new_token.clone(), left);
                }
                let token = known.new_token.unwrap_or(token);
                state.known = Known::Live(token, Box::new(known.session));
            }
        }
        drop(state);
        Ok(self.loaded().flatten())
    }

    fn loaded(&self) -> Option<Option<Kept>> {
        match &self.state().known {
            Known::NotYet => None,
            Known::Nobody => Some(None),
            Known::Live(_, kept) => Some(Some(Kept::clone(kept))),
        }
    }

    async fn authenticated(&self) -> Result<Option<(Token, crate::Authenticated)>> {
        let Inner { sessions, client, .. } = &*self.0;
        let token = match &self.0.presented {
            Presented::Token(token) => token.clone(),
            Presented::Nothing => return Ok(None),
            Presented::Foreign => {
                sessions.refuse(Refusal::Foreign, client);
                return Ok(None);
            }
            Presented::Ambiguous => {
                sessions.refuse(Refusal::Ambiguous, client);
                return Ok(None);
            }
        };
        let Some(known) = sessions.authenticate(&token, client).await? else { return Ok(None) };
        if known.session.owner.tenant != self.0.tenant {
            sessions.refuse(Refusal::Tenant(&known.session), client);
            return Ok(None);
        }
        Ok(Some((token, known)))
    }

    /// The public id of the session.
    pub async fn id(&self) -> Result<Option<SessionId>> {
        Ok(self.load().await?.map(|kept| kept.id))
    }

    /// Who is logged in; `None` for a visitor.
    pub async fn user(&self) -> Result<Option<UserScope>> {
        let owner = self.load().await?.map(|kept| kept.owner);
        Ok(owner.filter(|owner| !is_anonymous(owner)))
    }

    /// What a key holds, this request's changes included. `Invalid` when it is not of this type.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let kept = self.load().await?;
        let changed = self.state().changes.get(key).map(Option::<&Value>::cloned);
        let value = match changed {
            Some(value) => value,
            None => object(kept.map_or(Value::Null, |kept| kept.data))?.shift_remove(key),
        };
        value.map(|value| serde_json::from_value(value)).transpose().map_err(|error| {
            let what = "the session holds a value of another type under this key";
            Error::invalid("sessions.web", what).with("key", key.escape_debug()).caused_by(error)
        })
    }

    /// Keeps a value under a key, from the end of the request on. `Invalid` for what is no JSON.
    pub fn insert(&self, key: &str, value: impl Serialize) -> Result<()> {
        let value = serde_json::to_value(value).map_err(|error| {
            let what = "the value cannot be written as JSON";
            Error::invalid("sessions.web", what).with("key", key.escape_debug()).caused_by(error)
        })?;
        hexmem_ports::check_json("sessions.web", &value)?;
        self.state().changes.set(key, Some(value));
        Ok(())
    }

    /// Removes a key, at the end of the request.
    pub fn remove(&self, key: &str) {
        self.state().changes.set(key, None);
    }

    /// Removes all keys, at the end of the request. The session itself lives on.
    pub fn clear(&self) {
        self.state().changes.clear();
    }

    /// Saves the changes now instead of at the end of the request. A visitor gets a session for them.
    ///
    /// # Errors
    /// `Expired` when the session has ended meanwhile: it is not revived. After any other error the changes are still
    /// there.
    pub async fn save(&self) -> Result<()> {
        let changes = std::mem::take(&mut self.state().changes);
        if changes.is_empty() {
            return Ok(());
        }
        let saved = self.apply(&changes).await;
        if saved.as_ref().is_err_and(|error| error.kind() != ErrorKind::Expired) {
            let mut state = self.state();
            state.changes = changes.then(std::mem::take(&mut state.changes));
        }
        saved
    }

    async fn apply(&self, changes: &Changes) -> Result<()> {
        if self.load().await?.is_none() {
            if changes.add_something() {
                self.open(changes.apply(Value::Null)?).await?;
            }
            return Ok(());
        }
        self.changed(|data| changes.apply(data)).await
    }

    /// Changes the data at once, and nothing else comes between: where another request was faster, `change` is called
    /// again with the newer data, so it must do nothing but compute. For counts. This request's other changes are saved
    /// first. A visitor gets a session.
    ///
    /// # Errors
    /// As of [`Self::save`]; `Conflict` when others were faster 1,000 times.
    pub async fn change(
        &self,
        mut change: impl FnMut(&mut Map<String, Value>) + Send,
    ) -> Result<()> {
        self.save().await?;
        let mut changed = |data| {
            let mut fields = object(data)?;
            change(&mut fields);
            Ok(Value::Object(fields))
        };
        if self.load().await?.is_none() {
            let data = changed(Value::Null)?;
            return self.open(data).await;
        }
        self.changed(changed).await
    }

    /// Merges a patch (RFC 7396) at once, deep into objects; otherwise like [`Self::change`].
    pub async fn merge(&self, patch: &Value) -> Result<()> {
        self.change(|fields| {
            if let Value::Object(merged) = merge_patch(Value::Object(std::mem::take(fields)), patch)
            {
                *fields = merged;
            }
        })
        .await
    }

    async fn changed(&self, change: impl FnMut(Value) -> Result<Value> + Send) -> Result<()> {
        let Some(token) = self.token() else { return Err(ended()) };
        match self.0.sessions.change(&token, change).await? {
            Some(kept) => {
                let mut state = self.state();
                if let Known::Live(_, known) = &mut state.known {
                    **known = kept;
                }
                Ok(())
            }
            None => {
                self.state().known = Known::Nobody;
                Err(ended())
            }
        }
    }

    fn token(&self) -> Option<Token> {
        match &self.state().known {
            Known::Live(token, _) => Some(token.clone()),
            Known::NotYet | Known::Nobody => None,
        }
    }

    /// A session for a visitor.
    async fn open(&self, data: Value) -> Result<()> {
        let start = Start::anonymous(self.0.tenant.clone())?.client(self.0.client.clone());
        let issued = self.0.sessions.create(start.data(data)).await?;
        self.adopt(issued);
        Ok(())
    }

    fn adopt(&self, issued: Issued) {
        let left = self.0.sessions.left(&issued.session);
        let mut state = self.state();
        state.cookie = Outgoing::Set(issued.token.clone(), left);
        state.renewal_due = false;
        state.known = Known::Live(issued.token, Box::new(issued.session));
    }

    /// Logs a user in, once the caller has proved who they are: a new session with a new token, at once. What was kept
    /// for the visitor goes with them; what was kept for another user does not, and that session ends. A user who is
    /// logged in already keeps their session and gets a new token.
    ///
    /// # Errors
    /// `Conflict` when the user has as many sessions as allowed and the policy refuses more; `Denied` when they may not
    /// log in. After an error nobody new is logged in.
    pub async fn log_in(&self, user: Name) -> Result<()> {
        let owner = UserScope { tenant: self.0.tenant.clone(), user };
        let before = self.load().await?;
        let data = match before {
            Some(kept) if kept.owner == owner => match self.rotate(Rotation::Credentials).await {
                Ok(true) => return self.save().await,
                Ok(false) => Value::Null,
                // Another request has renewed the token: a new session takes the place of this one.
                Err(error) if error.kind() == ErrorKind::Conflict => kept.data,
                Err(error) => return Err(error),
            },
            Some(kept) if is_anonymous(&kept.owner) => kept.data,
            _ => Value::Null,
        };
        let old = self.token();
        let data = self.state().changes.apply(data)?;
        let start = Start::new(owner).client(self.0.client.clone()).data(data);
        let issued = self.0.sessions.create(start).await?;
        if let Some(old) = old
            && let Err(error) = self.0.sessions.end(&old).await
        {
            // Two sessions would be one too many. The new one has no cookie, so it can only run out.
            let Kept { owner, id, .. } = &issued.session;
            let _ = self.0.sessions.revoke(owner, *id).await;
            return Err(error);
        }
        self.adopt(issued);
        self.drop_changes();
        Ok(())
    }

    /// Gives the session a new token at once: after every change of what the user may do. `false` when there is none.
    pub async fn rotate(&self, why: Rotation) -> Result<bool> {
        self.load().await?;
        let Some(token) = self.token() else { return Ok(false) };
        let rotated = self.0.sessions.rotate(&token, why).await?;
        match rotated {
            Some(issued) => self.adopt(issued),
            None => {
                self.state().known = Known::Nobody;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Logs out: ends the session at once, and the browser forgets its token. Changes not saved are gone. `false` when
    /// there was none.
    pub async fn log_out(&self) -> Result<bool> {
        self.load().await?;
        let ended = match self.token() {
            Some(token) => self.0.sessions.end(&token).await?,
            None => false,
        };
        self.forget();
        Ok(ended)
    }

    /// Logs the user out everywhere; returns how many sessions ended.
    pub async fn log_out_everywhere(&self) -> Result<u64> {
        let Some(kept) = self.load().await? else { return Ok(0) };
        let ended = self.0.sessions.revoke_all(&kept.owner, None).await?;
        self.forget();
        Ok(ended)
    }

    /// Ends the user's other sessions; returns how many.
    pub async fn log_out_others(&self) -> Result<u64> {
        let Some(kept) = self.load().await? else { return Ok(0) };
        self.0.sessions.revoke_all(&kept.owner, Some(kept.id)).await
    }

    fn forget(&self) {
        let mut state = self.state();
        state.known = Known::Nobody;
        state.changes = Changes::default();
        state.cookie = Outgoing::Clear;
    }

    /// Drops the changes that are not saved.
    pub(super) fn drop_changes(&self) {
        self.state().changes = Changes::default();
    }

    /// Renews the token where it is due, and says what the response tells the browser.
    pub(super) async fn close(&self) -> Closing {
        let due = std::mem::take(&mut self.state().renewal_due);
        if due {
            // What failed is due at the next request again; another request may have been first.
            let _ = self.rotate(Rotation::Renewal).await;
        }
        let mut state = self.state();
        let consulted = !matches!(state.known, Known::NotYet);
        Closing { cookie: std::mem::take(&mut state.cookie), consulted }
    }
}
