//! A model of two layers and a few words, with arbitrary numbers, written as a folder.

pub(crate) mod plain;

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

pub(crate) const SIZE: usize = 8;
pub(crate) const HEADS: usize = 2;
pub(crate) const LAYERS: usize = 2;
pub(crate) const INNER: usize = 16;
pub(crate) const POSITIONS: usize = 24;

const WORDS: [&str; 14] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "lease", "ends", "by", "itself", "the", "queue",
    "hands", "out", "##s",
];

/// The numbers of a tensor, by its name: arbitrary, small, and the same every time.
pub(crate) fn numbers(name: &str, count: usize) -> Vec<f32> {
    let mut state = name.bytes().fold(7u64, |state, byte| state.wrapping_mul(31) + u64::from(byte));
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let around = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
    (0..count).map(|_| around + next() * 0.6).collect()
}

/// Names and shapes of all tensors.
pub(crate) fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![WORDS.len(), SIZE]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, SIZE]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, SIZE]),
        ("embeddings.LayerNorm.weight".to_owned(), vec![SIZE]),
        ("embeddings.LayerNorm.bias".to_owned(), vec![SIZE]),
    ];
    for layer in 0..LAYERS {
        let linear = [
            ("attention.self.query", SIZE, SIZE),
            ("attention.self.key", SIZE, SIZE),
            ("attention.self.value", SIZE, SIZE),
            ("attention.output.dense", SIZE, SIZE),
            ("intermediate.dense", INNER, SIZE),
            ("output.dense", SIZE, INNER),
        ];
        for (name, out, into) in linear {
            all.push((format!("encoder.layer.{layer}.{name}.weight"), vec![out, into]));
            all.push((format!("encoder.layer.{layer}.{name}.bias"), vec![out]));
        }
        for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
            for part in ["weight", "bias"] {
                all.push((format!("encoder.layer.{layer}.{name}.{part}"), vec![SIZE]));
            }
        }
    }
    all
}

pub(crate) fn config() -> Value {
    json!({
        "_name_or_path": "somebody/tiny", "model_type": "bert", "hidden_act": "gelu", "hidden_size": SIZE,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    })
}

pub(crate) fn write(folder: &Path) {
    let steps = ["Transformer", "Pooling", "Normalize"].iter().enumerate().map(|(n, name)| {
        let path = if n == 0 { String::new() } else { format!("{n}_{name}") };
        json!({"idx": n, "path": path, "type": format!("sentence_transformers.models.{name}")})
    });
    let put =
        |file: &str, value: Value| std::fs::write(folder.join(file), value.to_string()).unwrap();
    put("modules.json", steps.collect());
    put("config.json", config());
    put("sentence_bert_config.json", json!({"max_seq_length": 16}));
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    put("1_Pooling/config.json", json!({"pooling_mode_mean_tokens": true}));
    let vocabulary: serde_json::Map<String, Value> =
        WORDS.iter().enumerate().map(|(n, word)| ((*word).to_owned(), n.into())).collect();
    let special = |n: usize| {
        json!({"id": n, "content": WORDS[n], "special": true, "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false})
    };
    let framed =
        |id: &str, n: usize| (id.to_owned(), json!({"id": id, "ids": [n], "tokens": [id]}));
    let frames: serde_json::Map<String, Value> =
        [framed("[CLS]", 2), framed("[SEP]", 3)].into_iter().collect();
    put(
        "tokenizer.json",
        json!({
            "version": "1.0",
            "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": [special(0), special(1), special(2), special(3)],
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": frames},
            "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocabulary},
        }),
    );
    std::fs::write(folder.join("model.safetensors"), weights("")).unwrap();
}

/// The weights as a safetensors file; every name after `lead`.
pub(crate) fn weights(lead: &str) -> Vec<u8> {
    let bytes: HashMap<String, (Vec<usize>, Vec<u8>)> = tensors()
        .into_iter()
        .map(|(name, shape)| {
            let all = numbers(&name, shape.iter().product());
            let bytes = all.iter().flat_map(|x| x.to_le_bytes()).collect();
            (format!("{lead}{name}"), (shape, bytes))
        })
        .collect();
    let views = bytes.iter().map(|(name, (shape, bytes))| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes)
                .unwrap();
        (name.clone(), view)
    });
    safetensors::serialize(views, None).unwrap()
}
