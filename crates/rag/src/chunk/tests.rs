use proptest::prelude::{
    Just, any, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest,
};
use proptest::strategy::Strategy as _;
use unicode_segmentation::UnicodeSegmentation;

use super::*;

fn chunks(strategy: Strategy, size: usize, overlap: usize, text: &str) -> Vec<Chunk> {
    Chunking { strategy, size, overlap }.chunks(text).unwrap()
}

fn texts(strategy: Strategy, size: usize, overlap: usize, text: &str) -> Vec<String> {
    chunks(strategy, size, overlap, text).into_iter().map(|chunk| chunk.text).collect()
}

fn parts(chunks: &[Chunk]) -> impl Iterator<Item = (usize, &str)> {
    chunks.iter().map(|chunk| (chunk.start, chunk.text.as_str()))
}

#[test]
fn nothing_gives_no_chunk() {
    for strategy in [Strategy::Recursive, Strategy::Markdown, Strategy::Whole] {
        assert!(chunks(strategy, 512, 50, "").is_empty());
        assert!(chunks(strategy, 4, 0, " \n\n\t \r\n     ").is_empty());
    }
}

#[test]
fn a_short_document_is_one_chunk() {
    for strategy in [Strategy::Recursive, Strategy::Markdown, Strategy::Whole] {
        assert_eq!(texts(strategy, 512, 50, " one\n\ntwo "), [" one\n\ntwo "]);
    }
}

#[test]
fn the_best_separator_wins() {
    let cut = |text| texts(Strategy::Recursive, 12, 0, text);
    assert_eq!(cut("ab cd ef.\n\ngh ij"), ["ab cd ef.\n\n", "gh ij"]);
    assert_eq!(cut("one two. three four"), ["one two. ", "three four"]);
    assert_eq!(cut("ab cdefgh, ijkl mn"), ["ab cdefgh, ", "ijkl mn"]);
    assert_eq!(cut("今日は晴れ。明日は雨でしょう。"), ["今日は晴れ。", "明日は雨でしょう。"]);
    assert_eq!(cut("one two three four"), ["one two ", "three four"]);
}

#[test]
fn the_overlap_begins_at_a_word() {
    assert_eq!(
        texts(Strategy::Recursive, 20, 8, "alpha beta gamma delta epsilon zeta"),
        ["alpha beta gamma ", "gamma delta epsilon ", "epsilon zeta"]
    );
}

#[test]
fn a_huge_word_is_cut_by_size() {
    let word = "x".repeat(100_000);
    let pieces = chunks(Strategy::Recursive, 512, 50, &word);
    assert_eq!(rebuild(parts(&pieces)).unwrap(), word);
    assert_eq!(pieces[1].start, 462);
    assert!(pieces.iter().all(|chunk| chunk.text.len() <= 512));
}

#[test]
fn clusters_stay_whole_where_they_fit() {
    let family = "👨‍👩‍👧‍👦".repeat(5); // 7 characters each
    assert!(texts(Strategy::Recursive, 10, 0, &family).iter().all(|text| text == "👨‍👩‍👧‍👦"));
    let marks = format!("e{}", "\u{301}".repeat(1000));
    let pieces = chunks(Strategy::Recursive, 100, 10, &marks);
    assert_eq!(rebuild(parts(&pieces)).unwrap(), marks);
}

#[test]
fn markdown_keeps_headings_as_context() {
    let text =
        "intro\n\n# Guide\n\n## Install `now`\n\nRun it.\n\nSetup\n---\nmore\n# Other #\nend\n";
    let pieces = chunks(Strategy::Markdown, 512, 50, text);
    let found: Vec<_> = pieces.iter().map(|c| (c.context.join("/"), c.text.as_str())).collect();
    assert_eq!(
        found,
        [
            ("".to_owned(), "intro\n\n"),
            ("Guide/Install now".to_owned(), "# Guide\n\n## Install `now`\n\nRun it.\n\n"),
            ("Guide/Setup".to_owned(), "Setup\n---\nmore\n"),
            ("Other".to_owned(), "# Other #\nend\n"),
        ]
    );
    assert_eq!(pieces[2].text_in_context(), "Guide > Setup\nSetup\n---\nmore\n");
}

#[test]
fn fenced_code_stays_whole_and_hides_headings() {
    let code = "```sh\n# no heading\n\nrun --all\n```\n";
    let text = format!("# A\nsome words before it\n\n{code}\nand after\n");
    let pieces = texts(Strategy::Markdown, 40, 10, &text);
    assert!(pieces.iter().any(|piece| piece.contains(code)), "{pieces:?}");
    assert!(
        texts(Strategy::Markdown, 12, 4, &text).iter().all(|piece| piece.chars().count() <= 12)
    );
    let open = "~~~\n# still code\n```\n";
    assert_eq!(chunks(Strategy::Markdown, 512, 0, open)[0].context, Vec::<String>::new());
}

#[test]
fn front_matter_is_no_heading() {
    let text = "---\ntitle: T\n---\n\n# H\ntext\n";
    let pieces = chunks(Strategy::Markdown, 512, 0, text);
    assert_eq!(pieces[0].text, "---\ntitle: T\n---\n\n");
    assert_eq!(pieces[1].context, ["H"]);
}

#[test]
fn a_long_heading_is_shortened() {
    let text = format!("# {}\ntext\n", "word ".repeat(100_000));
    let pieces = chunks(Strategy::Markdown, 512, 50, &text);
    assert!(pieces.iter().all(|chunk| chunk.context[0].chars().count() <= 121));
}

const SOURCE: &str = "use std::fmt;

/// A lease.
struct Lease {
    until: u64,
}

impl Lease {
    fn ends(&self, now: u64) -> bool {
        self.until <= now
    }

    fn extend(&mut self, by: u64) {
        self.until += by;
    }
}
";

#[test]
fn code_is_cut_where_definitions_begin() {
    let pieces = chunks(Strategy::Code, 110, 30, SOURCE);
    let starts: Vec<&str> = pieces.iter().map(|piece| piece.text.lines().next().unwrap()).collect();
    assert_eq!(
        starts,
        ["use std::fmt;", "impl Lease {", "    fn extend(&mut self, by: u64) {"],
        "{pieces:#?}"
    );
    assert_eq!(pieces[2].context, ["impl Lease {"]);
    assert!(pieces[0].context.is_empty() && pieces[1].context.is_empty());
    let long = format!("def f():\n    x = '{}'\n    return x\n", "word ".repeat(60));
    let pieces = chunks(Strategy::Code, 80, 20, &long);
    assert!(pieces.len() > 4 && pieces.iter().all(|piece| piece.text.chars().count() <= 80));
    assert_eq!(pieces.last().unwrap().context, ["def f():"]);
}

#[test]
fn a_turn_is_a_chunk() {
    let talk = "Ada: When does it end?\nCharles: At noon.\nOr later.\n\n[12:30] Ada: See http://a.b\nfine\n";
    assert_eq!(
        texts(Strategy::Dialogue, 512, 50, talk),
        [
            "Ada: When does it end?\n",
            "Charles: At noon.\nOr later.\n\n",
            "[12:30] Ada: See http://a.b\nfine\n"
        ]
    );
    // Nobody is named: a line each.
    assert_eq!(texts(Strategy::Dialogue, 512, 50, "one\n\ntwo\n"), ["one\n\n", "two\n"]);
    let long = format!("Ada: {}\nBob: short\n", "word ".repeat(50));
    let pieces = texts(Strategy::Dialogue, 100, 20, &long);
    assert!(pieces.len() > 2 && pieces.last().unwrap() == "Bob: short\n");
}

#[test]
fn sizes_are_checked() {
    for (size, overlap) in [(0, 0), (10, 6)] {
        let chunking = Chunking { size, overlap, ..Chunking::default() };
        assert!(chunking.chunks("text").is_err());
    }
}

#[test]
fn rebuilding_needs_every_chunk() {
    assert_eq!(rebuild([(4, "cdef"), (6, "ef"), (6, "efgh")]).unwrap(), "cdefgh");
    assert!(rebuild([(0, "ab"), (3, "d")]).unwrap_err().to_string().contains("2 to 3"));
    assert!(rebuild([(0, "ab"), (1, "é")]).is_err());
    assert_eq!(rebuild([]).unwrap(), "");
}

fn document() -> impl proptest::strategy::Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z]{1,12}",
        Just("日本語の文章。".to_owned()),
        Just("👩‍🚀🇫🇷🇩🇪".to_owned()),
        Just("e\u{301}\u{323}".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("\n# Head\n".to_owned()),
        Just("\n### Deep\n".to_owned()),
        Just("\n```\n".to_owned()),
        Just("\nTitle\n===\n".to_owned()),
        Just("\nAda: ".to_owned()),
        Just("\n    indented {\n".to_owned()),
        Just("\n}\n".to_owned()),
        Just(". ".to_owned()),
        Just(" \u{301}".to_owned()),
        Just(" ".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec(word, 0..80).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn chunks_cover_the_document_in_order(
        text in document(), size in 1_usize..60, share in 0_usize..=30, which in 0_usize..4,
    ) {
        let all = [Strategy::Recursive, Strategy::Markdown, Strategy::Code, Strategy::Dialogue];
        let strategy = all[which];
        let overlap = share.min(size / 2);
        let pieces = chunks(strategy, size, overlap, &text);
        if text.trim().is_empty() {
            prop_assert!(pieces.is_empty());
            return Ok(());
        }
        let mut covered = 0;
        for (at, chunk) in pieces.iter().enumerate() {
            prop_assert_eq!(chunk.index, at);
            prop_assert_eq!(&text[chunk.start..chunk.end], &chunk.text);
            prop_assert!(chunk.start <= covered && chunk.end > covered);
            prop_assert!(text[chunk.start..covered].chars().count() <= overlap);
            prop_assert!(chunk.text.chars().count() <= size);
            covered = chunk.end;
        }
        prop_assert_eq!(covered, text.len());
        prop_assert_eq!(rebuild(parts(&pieces)).unwrap(), text);
    }

    #[test]
    fn cuts_lie_between_clusters(text in document(), overlap in 0_usize..10) {
        prop_assume!(text.graphemes(true).all(|cluster| cluster.chars().count() <= 8));
        let bounds: std::collections::HashSet<usize> =
            text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
        for chunk in chunks(Strategy::Recursive, 30, overlap, &text) {
            prop_assert!(bounds.contains(&chunk.start) && bounds.contains(&chunk.end));
        }
    }
}
