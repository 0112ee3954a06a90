//! The layer: reads the cookie before a request, saves and sets the cookie after it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hexmem_ports::{ErrorKind, Result, Tenant};
use http::header::{CACHE_CONTROL, COOKIE, RETRY_AFTER, SET_COOKIE, USER_AGENT, VARY};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::handle::{Closing, Outgoing, Session};
use super::status;
use crate::{Client, CookieConfig, Sessions};

type ClientOf = Arc<dyn Fn(&Parts) -> Client + Send + Sync>;
type TenantOf = Arc<dyn Fn(&Parts) -> Tenant + Send + Sync>;

/// Gives each request its [`Session`]. Cheap to clone.
#[derive(Clone)]
pub struct SessionLayer {
    sessions: Sessions,
    cookie: Arc<CookieConfig>,
    tenant: TenantOf,
    client: ClientOf,
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SessionLayer");
        debug.field("sessions", &self.sessions).field("cookie", &self.cookie);
        debug.finish_non_exhaustive()
    }
}

impl SessionLayer {
    /// With the cookie of [`CookieConfig::default`], for the users of one tenant; sessions of other tenants are
    /// nobody's here. Of the client only the user agent is known.
    pub fn new(sessions: Sessions, tenant: Tenant) -> Self {
        Self {
            sessions,
            cookie: Arc::default(),
            tenant: Arc::new(move |_| tenant.clone()),
            client: Arc::new(|parts| Client::new(None, user_agent(parts))),
        }
    }

    /// With another cookie. `Invalid` when browsers would refuse it.
    pub fn with_cookie(self, cookie: CookieConfig) -> Result<Self> {
        cookie.check()?;
        Ok(Self { cookie: Arc::new(cookie), ..self })
    }

    /// With a tenant that depends on the request, by its host for example.
    #[must_use]
    pub fn with_tenant(self, tenant: impl Fn(&Parts) -> Tenant + Send + Sync + 'static) -> Self {
        Self { tenant: Arc::new(tenant), ..self }
    }

    /// With a client whose address is known. The layer looks at no `X-Forwarded-For`: anybody can write one, and which
    /// proxies tell the truth only the application knows. With axum, the peer's address is in `ConnectInfo`.
    #[must_use]
    pub fn with_client(self, client: impl Fn(&Parts) -> Client + Send + Sync + 'static) -> Self {
        Self { client: Arc::new(client), ..self }
    }

    fn session(&self, parts: &Parts) -> Session {
        let headers = parts.headers.get_all(COOKIE);
        let presented = self.cookie.read(headers.iter().map(HeaderValue::as_bytes));
        Session::new(self.sessions.clone(), (self.tenant)(parts), (self.client)(parts), presented)
    }

    /// Saves what the request has changed, and writes the cookie.
    async fn close<B: Default>(&self, session: &Session, mut response: Response<B>) -> Response<B> {
        if response.status().is_server_error() {
            session.drop_changes();
        }
        match session.save().await {
            Ok(()) => {}
            // Ended by another request: there is nothing to save any more.
            Err(error) if error.kind() == ErrorKind::Expired => {}
            Err(error) => {
                session.drop_changes();
                response = Response::default();
                *response.status_mut() = status(&error);
                response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
        }
        let Closing { cookie, consulted } = session.close().await;
        let headers = response.headers_mut();
        if consulted {
            headers.append(VARY, HeaderValue::from_static("Cookie"));
        }
        let text = match cookie {
            Outgoing::Keep => return response,
            Outgoing::Set(token, left) => self.cookie.set(&token, left),
            Outgoing::Clear => self.cookie.clear(),
        };
        // The layer's cookie was checked: it is ASCII without controls.
        if let Ok(mut value) = HeaderValue::try_from(text) {
            value.set_sensitive(true);
            headers.append(SET_COOKIE, value);
        }
        // A token must not lie in a cache (OWASP, "Web Content Caching").
        let caching = match headers.contains_key(CACHE_CONTROL) {
            true => "no-cache=\"set-cookie\"",
            false => "no-store",
        };
        headers.append(CACHE_CONTROL, HeaderValue::from_static(caching));
        response
    }
}

fn user_agent(parts: &Parts) -> Option<&str> {
    parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok())
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, layer: self.clone() }
    }
}

/// What [`SessionLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct SessionService<S> {
    inner: S,
    layer: SessionLayer,
}

impl<S, In, Out> Service<Request<In>> for SessionService<S>
where
    S: Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    In: Send + 'static,
    Out: Default + Send,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future =
        Pin<Box<dyn Future<Output = core::result::Result<Response<Out>, S::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<core::result::Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let session = self.layer.session(&parts);
        parts.extensions.insert(session.clone());
        let layer = self.layer.clone();
        // The service that was polled is the one that is ready; the clone need not be.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let response = inner.call(Request::from_parts(parts, body)).await?;
            Ok(layer.close(&session, response).await)
        })
    }
}
