//! A corpus for tests.

use serde_json::json;

/// Documents of made words, a few of which are in most.
pub(crate) fn corpus(documents: u32, words: u32) -> String {
    let mut state = 7u64;
    let mut below = |end: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let mut lines = String::new();
    for n in 0..documents {
        let text: Vec<String> = (0..words)
            .map(|_| {
                let bound = 2_000 >> below(9);
                format!("word{}", below(bound))
            })
            .collect();
        let language = ["en", "de", "fr"][n as usize % 3];
        let line = json!({"_id": format!("d{n}"), "title": format!("word{n} title"), "text": text.join(" "), "lang": language, "year": 2000 + n % 9});
        lines.push_str(&format!("{line}\n"));
    }
    lines
}
