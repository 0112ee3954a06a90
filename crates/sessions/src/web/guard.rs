//! The guard of routes: who may enter.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hexmem_ports::{Error, Result, Session as Kept};
use http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::{Session, status};
use crate::is_anonymous;

type Rule = Arc<dyn Fn(&Kept) -> bool + Send + Sync>;

/// Lets only those into a route who may enter; inside [`SessionLayer`](super::SessionLayer). With axum, `route_layer`.
///
/// Who is not logged in gets 401 or a redirection to a page where they can; who is and may not, 403. While the store
/// cannot be asked it is 503 for all: nobody is let in unseen.
#[derive(Clone)]
pub struct Require {
    rule: Option<Rule>,
    log_in: Option<HeaderValue>,
}

impl fmt::Debug for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require").field("log_in", &self.log_in).finish_non_exhaustive()
    }
}

impl Require {
    /// A user who is logged in.
    pub fn user() -> Self {
        Self { rule: None, log_in: None }
    }

    /// A user who is logged in and whose session passes: a role in its data, a recent `token_issued_at`.
    pub fn user_who(rule: impl Fn(&Kept) -> bool + Send + Sync + 'static) -> Self {
        Self { rule: Some(Arc::new(rule)), log_in: None }
    }

    /// Sends those who are not logged in to a page (303) instead of answering 401. The page is always the same one:
    /// where they wanted to go is not passed on. `Invalid` for what is no header's value.
    pub fn or_redirect(self, page: &str) -> Result<Self> {
        let page = HeaderValue::try_from(page).map_err(|error| {
            let what = "the page to log in at is no address; write /login";
            Error::invalid("sessions.web", what).caused_by(error)
        })?;
        Ok(Self { log_in: Some(page), ..self })
    }

    /// `None` to let in.
    async fn answer<B: Default>(&self, session: Option<Session>) -> Option<Response<B>> {
        let Some(session) = session else {
            // No session layer around the guard: a mistake of the application's, and no reason to let in.
            return Some(refusal(StatusCode::INTERNAL_SERVER_ERROR, &[]));
        };
        match session.load().await {
            Ok(Some(kept)) if !is_anonymous(&kept.owner) => {
                let passes = self.rule.as_ref().is_none_or(|rule| rule(&kept));
                (!passes).then(|| refusal(StatusCode::FORBIDDEN, &[]))
            }
            Ok(_) => Some(match &self.log_in {
                Some(page) => refusal(StatusCode::SEE_OTHER, &[(LOCATION, page.clone())]),
                // RFC 9110, section 15.5.2: a 401 names a scheme. None is registered for cookies.
                None => {
                    let scheme = HeaderValue::from_static("Cookie");
                    refusal(StatusCode::UNAUTHORIZED, &[(WWW_AUTHENTICATE, scheme)])
                }
            }),
            Err(error) => {
                let soon = HeaderValue::from_static("1");
                Some(refusal(status(&error), &[(RETRY_AFTER, soon)]))
            }
        }
    }
}

fn refusal<B: Default>(status: StatusCode, headers: &[(HeaderName, HeaderValue)]) -> Response<B> {
    let mut response = Response::<B>::default();
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().extend(headers.iter().cloned());
    response
}

impl<S> Layer<S> for Require {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guard { inner, require: self.clone() }
    }
}

/// What [`Require`] makes of a service.
#[derive(Debug, Clone)]
pub struct Guard<S> {
    inner: S,
    require: Require,
}

impl<S, In, Out> Service<Request<In>> for Guard<S>
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
        let session = request.extensions().get::<Session>().cloned();
        let require = self.require.clone();
        // The service that was polled is the one that is ready; the clone need not be.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            match require.answer(session).await {
                Some(refused) => Ok(refused),
                None => inner.call(request).await,
            }
        })
    }
}
