//! The settings of embedder and reranker, and what they describe.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// Who turns texts into vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbedProvider {
    /// Nobody: search is by words.
    #[default]
    None,
    /// An endpoint that answers like OpenAI's `/v1/embeddings`.
    Endpoint,
    /// A model folder, in this process.
    Local,
}

/// The embedder. What is not given has the adapter's default, or is as the model folder says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedSettings {
    /// `none`, `endpoint` or `local`.
    pub provider: EmbedProvider,
    /// Endpoint: the address up to `/embeddings`.
    pub url: Option<String>,
    /// Endpoint: the model, as it names it.
    pub model: Option<String>,
    /// Endpoint: sent as a bearer token.
    pub api_key: Option<Secret>,
    /// Endpoint: numbers a vector.
    pub dimension: Option<u32>,
    /// Endpoint: whether to ask it for that many.
    pub send_dimension: Option<bool>,
    /// Endpoint: longer texts are cut at this many characters.
    pub max_chars: Option<usize>,
    /// Endpoint: texts a request.
    pub batch: Option<usize>,
    /// Endpoint: requests at a time.
    pub parallel: Option<usize>,
    /// Endpoint: for how long one request may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Endpoint: how often a request is repeated.
    pub retries: Option<u32>,
    /// Endpoint: the first pause before a repeat, in milliseconds.
    pub backoff_ms: Option<u64>,
    /// Local: the folder with `config.json`, `tokenizer.json` and `model.safetensors`.
    pub folder: Option<PathBuf>,
    /// Local: longer texts are cut at this many tokens.
    pub max_tokens: Option<usize>,
    /// Local: texts computed at a time.
    pub threads: Option<usize>,
    /// What stands before a question.
    pub query_prefix: Option<String>,
    /// What stands before a text to be found.
    pub passage_prefix: Option<String>,
    /// Whether vectors are brought to length 1.
    pub normalise: Option<bool>,
}

/// The reranker: there is one where it has an address.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RerankSettings {
    /// The address up to `/rerank`.
    pub url: Option<String>,
    /// The model, where the endpoint has several.
    pub model: Option<String>,
    /// Sent as a bearer token.
    pub api_key: Option<Secret>,
    /// Passages a request.
    pub batch: Option<usize>,
    /// Longer passages are cut at this many characters.
    pub max_chars: Option<usize>,
    /// For how long one request may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How often a request is repeated.
    pub retries: Option<u32>,
    /// The first pause before a repeat, in milliseconds.
    pub backoff_ms: Option<u64>,
}

#[cfg(feature = "embed")]
mod open {
    use std::sync::Arc;

    use hexmem_adapter_embed::{ApiKey, Endpoint, EndpointConfig, RerankConfig, RerankEndpoint};
    use hexmem_ports::{Clock, Embedder, Reranker, Result};

    use super::{EmbedSettings, RerankSettings};
    use crate::Secret;

    fn key(secret: Option<&Secret>) -> ApiKey {
        ApiKey::new(secret.map_or("", Secret::expose))
    }

    pub(super) fn endpoint(
        settings: &EmbedSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Embedder>> {
        let usual = EndpointConfig::default();
        let config = EndpointConfig {
            url: settings.url.clone().unwrap_or_default(),
            model: settings.model.clone().unwrap_or_default(),
            api_key: key(settings.api_key.as_ref()),
            dimension: settings.dimension.unwrap_or(usual.dimension),
            send_dimension: settings.send_dimension.unwrap_or(usual.send_dimension),
            query_prefix: settings.query_prefix.clone().unwrap_or_default(),
            passage_prefix: settings.passage_prefix.clone().unwrap_or_default(),
            max_chars: settings.max_chars.unwrap_or(usual.max_chars),
            normalise: settings.normalise.unwrap_or(usual.normalise),
            batch: settings.batch.unwrap_or(usual.batch),
            parallel: settings.parallel.unwrap_or(usual.parallel),
            timeout_ms: settings.timeout_ms.unwrap_or(usual.timeout_ms),
            retries: settings.retries.unwrap_or(usual.retries),
            backoff_ms: settings.backoff_ms.unwrap_or(usual.backoff_ms),
            ..usual
        };
        Ok(Arc::new(Endpoint::new(config, clock)?))
    }

    pub(super) fn reranker(
        url: &str,
        settings: &RerankSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Reranker>> {
        let usual = RerankConfig::default();
        let config = RerankConfig {
            url: url.to_owned(),
            model: settings.model.clone().unwrap_or_default(),
            api_key: key(settings.api_key.as_ref()),
            batch: settings.batch.unwrap_or(usual.batch),
            max_chars: settings.max_chars.unwrap_or(usual.max_chars),
            timeout_ms: settings.timeout_ms.unwrap_or(usual.timeout_ms),
            retries: settings.retries.unwrap_or(usual.retries),
            backoff_ms: settings.backoff_ms.unwrap_or(usual.backoff_ms),
        };
        Ok(Arc::new(RerankEndpoint::new(config, clock)?))
    }
}

#[cfg(feature = "local")]
async fn local(
    settings: &EmbedSettings,
) -> hexmem_ports::Result<std::sync::Arc<dyn hexmem_ports::Embedder>> {
    use hexmem_adapter_embed::{LocalConfig, LocalModel};
    use hexmem_ports::{Error, ErrorKind};

    let folder = settings.folder.clone().ok_or_else(|| {
        Error::invalid("config.open", "embed.folder is missing; name the model's folder")
    })?;
    let config = LocalConfig {
        folder,
        query_prefix: settings.query_prefix.clone(),
        passage_prefix: settings.passage_prefix.clone(),
        max_tokens: settings.max_tokens,
        normalise: settings.normalise,
        threads: settings.threads.unwrap_or(0),
        ..LocalConfig::default()
    };
    let opened = tokio::task::spawn_blocking(move || LocalModel::open(&config)).await;
    let opened = opened.map_err(|error| {
        Error::new(ErrorKind::Internal, "config.open", "reading the model ended early")
            .caused_by(error)
    })?;
    Ok(std::sync::Arc::new(opened?))
}

mod stores {
    use std::sync::Arc;

    use hexmem_ports::{Embedder, Reranker, Result};

    use super::EmbedProvider;
    use crate::Stores;

    impl Stores {
        /// The embedder; `None` where none is configured. A local model is read once.
        pub async fn embedder(&self) -> Result<Option<Arc<dyn Embedder>>> {
            let settings = &self.settings().embed;
            let open = async || match settings.provider {
                EmbedProvider::None => Ok(None),
                #[cfg(feature = "embed")]
                EmbedProvider::Endpoint => super::open::endpoint(settings, self.clock()).map(Some),
                #[cfg(feature = "local")]
                EmbedProvider::Local => super::local(settings).await.map(Some),
                #[cfg(not(all(feature = "embed", feature = "local")))]
                _ => Err(unbuilt("embed.provider")),
            };
            self.embedder_cell().get_or_try_init(open).await.cloned()
        }

        /// The reranker; `None` where none is configured.
        pub fn reranker(&self) -> Result<Option<Arc<dyn Reranker>>> {
            let Some(url) = &self.settings().rerank.url else { return Ok(None) };
            #[cfg(feature = "embed")]
            return super::open::reranker(url, &self.settings().rerank, self.clock()).map(Some);
            #[cfg(not(feature = "embed"))]
            return Err(unbuilt("rerank").with("url", url));
        }
    }

    #[cfg(not(all(feature = "embed", feature = "local")))]
    fn unbuilt(setting: &'static str) -> hexmem_ports::Error {
        let what = "this build has no adapter for it; build with the features embed and local";
        hexmem_ports::Error::new(hexmem_ports::ErrorKind::Unsupported, "config.open", what)
            .with("setting", setting)
    }
}
