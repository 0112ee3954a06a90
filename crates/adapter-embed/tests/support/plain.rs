//! The encoder once more, as loops in 64 bits: what the model's numbers are held against.

use super::{HEADS, INNER, LAYERS, POSITIONS, SIZE, numbers};

type Rows = Vec<Vec<f64>>;

fn matrix(name: &str, rows: usize, columns: usize) -> Rows {
    let all = numbers(name, rows * columns);
    all.chunks(columns).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
}

fn vector(name: &str, count: usize) -> Vec<f64> {
    matrix(name, 1, count).remove(0)
}

fn linear(rows: &Rows, name: &str, out: usize, into: usize) -> Rows {
    let (weight, bias) =
        (matrix(&format!("{name}.weight"), out, into), vector(&format!("{name}.bias"), out));
    let one = |row: &Vec<f64>| {
        let sums = weight.iter().zip(&bias);
        sums.map(|(w, b)| w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + b).collect()
    };
    rows.iter().map(one).collect()
}

fn normed(rows: &Rows, name: &str) -> Rows {
    let (scale, shift) =
        (vector(&format!("{name}.weight"), SIZE), vector(&format!("{name}.bias"), SIZE));
    let one = |row: &Vec<f64>| {
        let mean = row.iter().sum::<f64>() / SIZE as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / SIZE as f64;
        let at = |n: usize| (row[n] - mean) / (variance + 1e-12).sqrt() * scale[n] + shift[n];
        (0..SIZE).map(at).collect()
    };
    rows.iter().map(one).collect()
}

fn sum(a: &Rows, b: &Rows) -> Rows {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(x, y)| x + y).collect()).collect()
}

/// The mean of all tokens' vectors, of length 1.
pub(crate) fn vector_of(tokens: &[usize]) -> Vec<f64> {
    let words = matrix("embeddings.word_embeddings.weight", 14, SIZE);
    let positions = matrix("embeddings.position_embeddings.weight", POSITIONS, SIZE);
    let kinds = matrix("embeddings.token_type_embeddings.weight", 2, SIZE);
    let start = |(at, token): (usize, &usize)| {
        (0..SIZE).map(|n| words[*token][n] + positions[at][n] + kinds[0][n]).collect()
    };
    let mut rows = normed(&tokens.iter().enumerate().map(start).collect(), "embeddings.LayerNorm");
    for layer in 0..LAYERS {
        let at = |name: &str| format!("encoder.layer.{layer}.{name}");
        let [query, key, value] = ["query", "key", "value"]
            .map(|name| linear(&rows, &at(&format!("attention.self.{name}")), SIZE, SIZE));
        let width = SIZE / HEADS;
        let mut mixed = vec![vec![0.0; SIZE]; rows.len()];
        for head in 0..HEADS {
            let part = head * width..(head + 1) * width;
            for (row, asked) in mixed.iter_mut().zip(&query) {
                let likeness = |key: &Vec<f64>| {
                    part.clone().map(|n| asked[n] * key[n]).sum::<f64>() / (width as f64).sqrt()
                };
                let shares: Vec<f64> = key.iter().map(|key| likeness(key).exp()).collect();
                let whole: f64 = shares.iter().sum();
                for n in part.clone() {
                    row[n] = shares
                        .iter()
                        .zip(&value)
                        .map(|(share, value)| share / whole * value[n])
                        .sum();
                }
            }
        }
        let mixed = linear(&mixed, &at("attention.output.dense"), SIZE, SIZE);
        let mixed = normed(&sum(&mixed, &rows), &at("attention.output.LayerNorm"));
        let mut inner = linear(&mixed, &at("intermediate.dense"), INNER, SIZE);
        for x in inner.iter_mut().flatten() {
            *x *= 0.5 * (1.0 + libm::erf(*x / 2f64.sqrt()));
        }
        let outer = linear(&inner, &at("output.dense"), SIZE, INNER);
        rows = normed(&sum(&outer, &mixed), &at("output.LayerNorm"));
    }
    let mean: Vec<f64> =
        (0..SIZE).map(|n| rows.iter().map(|row| row[n]).sum::<f64>() / rows.len() as f64).collect();
    let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
    mean.iter().map(|x| x / length).collect()
}
