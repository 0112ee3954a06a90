//! Numbers from a safetensors file.

use hexmem_ports::{Error, Result};
use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensors};

use super::folder::{OPEN, unsupported};

/// The tensors of a file, under the name that stands before all of them (`bert.`, or nothing).
pub(super) struct Weights<'f> {
    file: SafeTensors<'f>,
    lead: String,
}

impl<'f> Weights<'f> {
    pub(super) fn read(file: &'f [u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(file).map_err(|error| {
            Error::corrupt(OPEN, "model.safetensors is damaged or cut short; copy it again")
                .caused_by(error)
        })?;
        let words = "embeddings.word_embeddings.weight";
        let lead =
            file.names().into_iter().find_map(|name| name.strip_suffix(words).map(str::to_owned));
        let lead = lead.ok_or_else(|| {
            Error::corrupt(
                OPEN,
                format!("model.safetensors has no {words}: it is no encoder of text"),
            )
        })?;
        Ok(Self { file, lead })
    }

    /// A row for each `rows`, `columns` numbers each; any number of rows where `rows` is `None`.
    pub(super) fn matrix(
        &self,
        name: &str,
        rows: Option<usize>,
        columns: usize,
    ) -> Result<Array2<f32>> {
        let (shape, numbers) = self.numbers(name)?;
        let fits = matches!(shape.as_slice(), [r, c] if rows.is_none_or(|rows| *r == rows) && *c == columns);
        let found = shape.first().copied().unwrap_or_default();
        Array2::from_shape_vec((found, columns), numbers)
            .ok()
            .filter(|_| fits)
            .ok_or_else(|| self.misshapen(name, &shape))
    }

    pub(super) fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>> {
        let (shape, numbers) = self.numbers(name)?;
        if numbers.len() == length { Ok(numbers.into()) } else { Err(self.misshapen(name, &shape)) }
    }

    fn misshapen(&self, name: &str, shape: &[usize]) -> Error {
        Error::corrupt(
            OPEN,
            format!("{}{name} has the shape {shape:?}, which config.json does not say", self.lead),
        )
    }

    fn numbers(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let name = format!("{}{name}", self.lead);
        let tensor = self.file.tensor(&name).map_err(|error| {
            Error::corrupt(OPEN, format!("model.safetensors has no {name}")).caused_by(error)
        })?;
        let bytes = tensor.data();
        let numbers: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => {
                bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
            }
            Dtype::F16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|two| half::f16::from_le_bytes(*two).to_f32())
                .collect(),
            Dtype::BF16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|two| half::bf16::from_le_bytes(*two).to_f32())
                .collect(),
            other => {
                return Err(unsupported(format!(
                    "{name} holds numbers of the kind {other:?}; kinds are F32, F16, BF16"
                )));
            }
        };
        Ok((tensor.shape().to_vec(), numbers))
    }
}
