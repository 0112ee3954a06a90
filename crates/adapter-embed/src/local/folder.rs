//! A model folder in the layout of sentence-transformers, read and checked.

use std::fs;
use std::io;
use std::path::Path;

use hexmem_ports::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(super) const OPEN: &str = "embed.open";

/// What a folder says about its model.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) shape: Shape,
    pub(super) pooling: Pooling,
    pub(super) normalise: bool,
    /// Tokens the model was made for, where it says so.
    pub(super) max_tokens: Option<usize>,
    pub(super) prompts: Prompts,
}

/// `config.json`
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Shape {
    pub(super) model_type: String,
    #[serde(default)]
    pub(super) hidden_act: Activation,
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) max_position_embeddings: usize,
    #[serde(default)]
    pub(super) pad_token_id: usize,
    #[serde(default = "layer_norm_eps")]
    pub(super) layer_norm_eps: f32,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default, rename = "_name_or_path")]
    pub(super) name: Option<String>,
}

fn layer_norm_eps() -> f32 {
    1e-12
}

/// What a layer's inner numbers go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Activation {
    /// The exact one, by the error function.
    #[default]
    Gelu,
    /// Approximated by a hyperbolic tangent.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    Relu,
}

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// That of the first token.
    Cls,
    /// The largest number at each place.
    Max,
}

/// What stands before a text by its use, as the folder has it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Prompts {
    #[serde(default)]
    pub(super) query: Option<String>,
    #[serde(default, alias = "document")]
    pub(super) passage: Option<String>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    r#type: String,
}

#[derive(Deserialize)]
struct PoolingFile {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
}

#[derive(Default, Deserialize)]
struct SentenceFile {
    #[serde(default)]
    max_seq_length: Option<usize>,
}

#[derive(Default, Deserialize)]
struct PromptsFile {
    #[serde(default)]
    prompts: Prompts,
}

impl Folder {
    pub(super) fn read(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::new(
                ErrorKind::NotFound,
                OPEN,
                "there is no such folder; name one with config.json, tokenizer.json and model.safetensors",
            )
            .with("folder", folder.display()));
        }
        let modules: Option<Vec<Module>> = json(folder, "modules.json")?;
        let (mut pooling, mut normalise, mut transformer) = (Pooling::Mean, false, String::new());
        for module in modules.unwrap_or_default() {
            match module.r#type.rsplit('.').next() {
                Some("Transformer") => transformer = module.path,
                Some("Pooling") => pooling = read_pooling(folder, &module.path)?,
                Some("Normalize") => normalise = true,
                _ => {
                    return Err(unsupported(format!(
                        "the step {} of modules.json is not one of Transformer, Pooling and Normalize",
                        module.r#type
                    ))
                    .with("folder", folder.display()));
                }
            }
        }
        if !transformer.is_empty() {
            let what =
                "modules.json keeps the transformer in a folder of its own; name that folder";
            return Err(unsupported(what).with("folder", folder.join(transformer).display()));
        }
        let shape: Shape =
            json(folder, "config.json")?.ok_or_else(|| missing(folder, "config.json"))?;
        shape.check().map_err(|error| error.with("file", folder.join("config.json").display()))?;
        let sentence: SentenceFile = json(folder, "sentence_bert_config.json")?.unwrap_or_default();
        let prompts: PromptsFile =
            json(folder, "config_sentence_transformers.json")?.unwrap_or_default();
        Ok(Self {
            shape,
            pooling,
            normalise,
            max_tokens: sentence.max_seq_length,
            prompts: prompts.prompts,
        })
    }
}

impl Shape {
    fn check(&self) -> Result<()> {
        if !matches!(self.model_type.as_str(), "bert" | "roberta" | "xlm-roberta" | "camembert") {
            return Err(unsupported(format!(
                "the model is of the kind {}; kinds are bert, roberta, xlm-roberta and camembert: serve it by an \
                 endpoint instead",
                self.model_type
            )));
        }
        if let Some(kind) =
            self.position_embedding_type.as_deref().filter(|kind| *kind != "absolute")
        {
            return Err(unsupported(format!(
                "positions of the kind {kind} are not known, only absolute ones"
            )));
        }
        let sizes = [self.hidden_size, self.num_attention_heads, self.max_position_embeddings];
        if sizes.contains(&0) || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::corrupt(OPEN, "hidden_size, heads or positions make no model"));
        }
        Ok(())
    }

    /// Where positions begin: after the one that padding has, in the kin of RoBERTa.
    pub(super) fn first_position(&self) -> usize {
        if self.model_type == "bert" { 0 } else { self.pad_token_id + 1 }
    }
}

fn read_pooling(folder: &Path, path: &str) -> Result<Pooling> {
    // A path of the folder itself: what leads out of it is not followed.
    if path.is_empty() || path.contains("..") || Path::new(path).is_absolute() {
        return Err(Error::corrupt(
            OPEN,
            "modules.json names no folder of the model for its pooling",
        ));
    }
    let file = format!("{path}/config.json");
    let read: PoolingFile = json(folder, &file)?.ok_or_else(|| missing(folder, &file))?;
    let modes = [
        (read.pooling_mode_mean_tokens, Pooling::Mean),
        (read.pooling_mode_cls_token, Pooling::Cls),
        (read.pooling_mode_max_tokens, Pooling::Max),
    ];
    let chosen: Vec<Pooling> =
        modes.into_iter().filter(|(on, _)| *on).map(|(_, mode)| mode).collect();
    match chosen.as_slice() {
        [one] => Ok(*one),
        _ => Err(unsupported(
            "the model pools in a way that is not known; known are mean, cls and max",
        )
        .with("file", folder.join(file).display())),
    }
}

pub(super) fn unsupported(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, OPEN, what)
}

fn missing(folder: &Path, file: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        OPEN,
        format!("the model folder has no {file}; copy the whole folder"),
    )
    .with("folder", folder.display())
}

/// A file of the folder, or what is wrong with it.
pub(super) fn bytes(folder: &Path, file: &str) -> Result<Vec<u8>> {
    match fs::read(folder.join(file)) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(folder, file)),
        Err(error) => {
            Err(Error::new(ErrorKind::Unavailable, OPEN, "a file of the model cannot be read")
                .with("file", folder.join(file).display())
                .caused_by(error))
        }
    }
}

/// A file that may be missing.
fn json<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<Option<T>> {
    let text = match bytes(folder, file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Error::corrupt(OPEN, format!("a file of the model is not what it should be: {error}"))
            .with("file", folder.join(file).display())
    })
}
