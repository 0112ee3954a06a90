//! The encoder of BERT (Devlin and others 2018) and RoBERTa, for one text at a time: without padding there is no mask,
//! and a text has the same vector in any company.

use hexmem_ports::Result;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};

use super::folder::{Activation, Shape};
use super::weights::Weights;

pub(super) struct Bert {
    words: Array2<f32>,
    positions: Array2<f32>,
    kind: Array1<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
    first_position: usize,
    activation: Activation,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    mixed: Linear,
    mixed_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
}

struct Linear {
    /// A row for each number that comes out.
    weight: Array2<f32>,
    bias: Array1<f32>,
}

struct Norm {
    scale: Array1<f32>,
    shift: Array1<f32>,
    epsilon: f32,
}

impl Bert {
    pub(super) fn read(weights: &Weights<'_>, shape: &Shape) -> Result<Self> {
        let size = shape.hidden_size;
        let norm = |name: &str| Norm::read(weights, name, size, shape.layer_norm_eps);
        let layers = (0..shape.num_hidden_layers).map(|n| {
            let at = |name: &str| format!("encoder.layer.{n}.{name}");
            let square = |name: &str| Linear::read(weights, &at(name), Some(size), size);
            let inner = Linear::read(weights, &at("intermediate.dense"), None, size)?;
            let outer = Linear::read(weights, &at("output.dense"), Some(size), inner.bias.len())?;
            Ok(Layer {
                query: square("attention.self.query")?,
                key: square("attention.self.key")?,
                value: square("attention.self.value")?,
                mixed: square("attention.output.dense")?,
                mixed_norm: norm(&at("attention.output.LayerNorm"))?,
                inner,
                outer,
                outer_norm: norm(&at("output.LayerNorm"))?,
            })
        });
        let kinds = weights.matrix("embeddings.token_type_embeddings.weight", None, size)?;
        Ok(Self {
            words: weights.matrix("embeddings.word_embeddings.weight", None, size)?,
            positions: weights.matrix(
                "embeddings.position_embeddings.weight",
                Some(shape.max_position_embeddings),
                size,
            )?,
            // A text alone is of the first kind.
            kind: kinds
                .rows()
                .into_iter()
                .next()
                .map(|row| row.to_owned())
                .unwrap_or_else(|| Array1::zeros(size)),
            norm: norm("embeddings.LayerNorm")?,
            layers: layers.collect::<Result<_>>()?,
            heads: shape.num_attention_heads,
            first_position: shape.first_position(),
            activation: shape.hidden_act,
        })
    }

    /// How many words it has a vector for.
    pub(super) fn vocabulary(&self) -> usize {
        self.words.nrows()
    }

    /// The longest text, in tokens.
    pub(super) fn longest(&self) -> usize {
        self.positions.nrows().saturating_sub(self.first_position)
    }

    /// A row for each token. Tokens beyond the vocabulary or the longest text are left out.
    pub(super) fn encode(&self, tokens: &[u32]) -> Array2<f32> {
        let known: Vec<usize> = tokens
            .iter()
            .filter_map(|token| {
                usize::try_from(*token).ok().filter(|token| *token < self.vocabulary())
            })
            .take(self.longest())
            .collect();
        let mut rows = self.words.select(Axis(0), &known);
        let end = self.first_position + known.len();
        rows += &self.positions.slice(s![self.first_position..end, ..]);
        rows += &self.kind;
        self.norm.apply(&mut rows);
        for layer in &self.layers {
            let mut mixed = layer.mixed.apply(&self.attend(layer, &rows).view());
            mixed += &rows;
            layer.mixed_norm.apply(&mut mixed);
            let mut inner = layer.inner.apply(&mixed.view());
            inner.mapv_inplace(|x| self.activation.apply(x));
            rows = layer.outer.apply(&inner.view());
            rows += &mixed;
            layer.outer_norm.apply(&mut rows);
        }
        rows
    }

    fn attend(&self, layer: &Layer, rows: &Array2<f32>) -> Array2<f32> {
        let [query, key, value] =
            [&layer.query, &layer.key, &layer.value].map(|linear| linear.apply(&rows.view()));
        let width = rows.ncols() / self.heads;
        let scale = 1.0 / count(width).sqrt();
        let mut mixed = Array2::zeros(rows.raw_dim());
        for head in 0..self.heads {
            let part = s![.., head * width..(head + 1) * width];
            let mut shares = query.slice(part).dot(&key.slice(part).t());
            shares *= scale;
            shares
                .rows_mut()
                .into_iter()
                .for_each(|mut row| softmax(row.as_slice_mut().unwrap_or_default()));
            mixed.slice_mut(part).assign(&shares.dot(&value.slice(part)));
        }
        mixed
    }
}

impl Linear {
    fn read(weights: &Weights<'_>, name: &str, out: Option<usize>, size: usize) -> Result<Self> {
        let weight = weights.matrix(&format!("{name}.weight"), out, size)?;
        let bias = weights.vector(&format!("{name}.bias"), weight.nrows())?;
        Ok(Self { weight, bias })
    }

    fn apply(&self, rows: &ArrayView2<'_, f32>) -> Array2<f32> {
        let mut out = rows.dot(&self.weight.t());
        out += &self.bias;
        out
    }
}

impl Norm {
    fn read(weights: &Weights<'_>, name: &str, size: usize, epsilon: f32) -> Result<Self> {
        let part = |part: &str| weights.vector(&format!("{name}.{part}"), size);
        // Old files say gamma and beta.
        let scale = part("weight").or_else(|error| part("gamma").map_err(|_| error))?;
        let shift = part("bias").or_else(|error| part("beta").map_err(|_| error))?;
        Ok(Self { scale, shift, epsilon })
    }

    fn apply(&self, rows: &mut Array2<f32>) {
        for mut row in rows.rows_mut() {
            let mean = row.mean().unwrap_or_default();
            row -= mean;
            let variance = row.fold(0.0, |sum, x| sum + x * x) / count(row.len());
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            Zip::from(&mut row)
                .and(&self.scale)
                .and(&self.shift)
                .for_each(|x, by, plus| *x = *x * scale * by + plus);
        }
    }
}

impl Activation {
    fn apply(self, x: f32) -> f32 {
        match self {
            Self::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::GeluNew => {
                let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Relu => x.max(0.0),
        }
    }
}

fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in &mut *row {
        *x = (*x - most).exp();
        sum += *x;
    }
    row.iter_mut().for_each(|x| *x /= sum);
}

#[allow(clippy::cast_precision_loss, reason = "widths and lengths are far below 2^24")]
pub(super) fn count(n: usize) -> f32 {
    n as f32
}
