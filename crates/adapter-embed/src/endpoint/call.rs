//! One request, repeated as long as that can help.

use std::sync::Arc;
use std::time::Duration;

use hexmem_ports::{Clock, Error, ErrorKind, Result, Retry};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::config::Calls;

/// The longest pause before a repeat.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The largest answer that is read, in bytes: 2,048 vectors of 65,536 numbers would be larger, and no endpoint has both.
const ANSWER_LIMIT: usize = 256 * 1024 * 1024;

/// How much of what an endpoint says about an error is passed on.
const SAID_LIMIT: usize = 300;

/// Who asks an endpoint.
pub(crate) struct Caller {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    calls: Calls,
}

/// Why a request failed, and whether fewer texts may do.
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) too_large: bool,
}

impl Caller {
    pub(crate) fn new(calls: Calls, clock: Arc<dyn Clock>) -> Result<Self> {
        let client = client().map_err(|error| {
            Error::new(ErrorKind::Internal, "embed.new", "the client cannot be made")
                .caused_by(error)
        })?;
        Ok(Self { client, clock, calls })
    }

    /// Posts `body`, and gives the JSON of the answer.
    pub(crate) async fn ask(&self, operation: &'static str, body: &Value) -> Result<Value, Failed> {
        let mut pause = self.calls.backoff;
        for repeat in 0.. {
            let failed = match self.once(operation, body).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let wait = match failed.error.retry_hint() {
                Retry::Never => return Err(failed),
                Retry::Soon => pause,
                Retry::After(span) => span.min(LONGEST_PAUSE),
            };
            if repeat >= self.calls.retries {
                return Err(failed);
            }
            self.clock.sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(self.failed(operation, ErrorKind::Internal, "a request was never made").into())
    }

    async fn once(&self, operation: &'static str, body: &Value) -> Result<Value, Failed> {
        let mut request = self.client.post(self.calls.url.clone()).json(body);
        if !self.calls.api_key.as_str().is_empty() {
            request = request.bearer_auth(self.calls.api_key.as_str());
        }
        let whole = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, read(response).await?))
        };
        match tokio::time::timeout(self.calls.timeout, whole).await {
            Err(_) => {
                let within = format!("no answer within {} ms", self.calls.timeout.as_millis());
                Err(self.failed(operation, ErrorKind::Timeout, &within).not_applied().into())
            }
            Ok(Err(error)) => Err(self.unreachable(operation, error).into()),
            Ok(Ok((status, _, Some(text)))) if status.is_success() => serde_json::from_slice(&text)
                .map_err(|error| {
                    let what = "it answered with something that is no JSON; check the url";
                    self.failed(operation, ErrorKind::Unavailable, what)
                        .caused_by(error)
                        .retry(Retry::Never)
                        .into()
                }),
            Ok(Ok((_, _, None))) => {
                let what = format!("its answer is larger than {ANSWER_LIMIT} bytes; ask for less");
                Err(self.failed(operation, ErrorKind::Invalid, &what).into())
            }
            Ok(Ok((status, headers, Some(text)))) => {
                Err(self.refused(operation, status, &headers, &text))
            }
        }
    }

    fn failed(&self, operation: &'static str, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, operation, format!("the embedding endpoint: {what}"))
            .with("url", &self.calls.url)
    }

    fn unreachable(&self, operation: &'static str, error: reqwest::Error) -> Error {
        let what = if error.is_connect() {
            "it cannot be reached; check the url and whether it runs"
        } else {
            "the connection broke"
        };
        self.failed(operation, ErrorKind::Unavailable, what).caused_by(error.without_url())
    }

    fn refused(
        &self,
        operation: &'static str,
        status: StatusCode,
        headers: &HeaderMap,
        text: &[u8],
    ) -> Failed {
        let (kind, hint) = match status.as_u16() {
            401 | 403 => (ErrorKind::Denied, "check api_key"),
            404 => (ErrorKind::NotFound, "check the url and the model's name"),
            408 | 504 => (ErrorKind::Timeout, "it took too long"),
            413 => {
                (ErrorKind::Invalid, "a text is too large for it; set max_chars or a smaller batch")
            }
            429 => (ErrorKind::RateLimited, "it asks to slow down"),
            400..=499 => (ErrorKind::Invalid, "it refuses the request"),
            _ => (ErrorKind::Unavailable, "it failed; look at its own log"),
        };
        let what = format!("{hint} ({status}: {})", said(text));
        let mut error = self.failed(operation, kind, &what).not_applied();
        if let Some(span) = retry_after(headers).filter(|_| error.retry_hint() != Retry::Never) {
            error = error.retry(Retry::After(span));
        }
        Failed { error, too_large: status == StatusCode::PAYLOAD_TOO_LARGE }
    }

    /// An answer that is JSON and not what was asked for.
    pub(crate) fn odd(&self, operation: &'static str, what: &str) -> Error {
        self.failed(operation, ErrorKind::Unavailable, what).retry(Retry::Never)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, too_large: false }
    }
}

/// Verified by the roots of the machine, with ring; no proxy, and no more than the body follows a redirect: a key is sent to
/// the address it was given for, and nowhere else.
fn client() -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .user_agent("hexmem")
        .build()?;
    Ok(client)
}

/// The body; `None` when it is larger than anything an endpoint says.
async fn read(mut response: reqwest::Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    while let Some(more) = response.chunk().await? {
        if text.len() + more.len() > ANSWER_LIMIT {
            return Ok(None);
        }
        text.extend_from_slice(&more);
    }
    Ok(Some(text))
}

/// Seconds, as endpoints of models send it. A date is not read: the pause is then the usual one.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What an endpoint says about an error, as one short line.
fn said(text: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(text).ok();
    let message = parsed.as_ref().and_then(|value| {
        let error = value.get("error").or_else(|| value.get("detail"))?;
        error.get("message").unwrap_or(error).as_str().map(str::to_owned)
    });
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(text).into_owned());
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SAID_LIMIT) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None if line.is_empty() => "nothing more".to_owned(),
        None => line,
    }
}
