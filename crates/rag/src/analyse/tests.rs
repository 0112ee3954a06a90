use proptest::prelude::*;

use super::*;

fn english(text: &str) -> Vec<String> {
    Analyzer::default().terms(text, Side::Document)
}

#[test]
fn words_are_lowercase_stemmed_and_without_stop_words() {
    assert_eq!(english("The Cats are running!"), ["cat", "run"]);
    assert_eq!(english("the author's don't"), ["author"]);
    assert_eq!(english("boundary-layer"), english("boundary layer"));
}

#[test]
fn identifiers_are_kept_whole_and_in_parts() {
    assert_eq!(english("snake_case"), ["snake_case", "snake", "case"]);
    assert_eq!(english("parseHTTPHeader"), ["parsehttpheader", "pars", "http", "header"]);
    assert_eq!(english("__init__"), ["init"]);
    assert_eq!(english("NASA sha256"), ["nasa", "sha256"]);
    assert_eq!(english("src/lib.rs"), ["src", "lib", "rs"]);
    assert_eq!(english("___"), Vec::<String>::new());
}

#[test]
fn numbers_are_kept_with_their_point() {
    assert_eq!(
        english("mach 2.5, version 1.2.3. In 1999."),
        ["mach", "2.5", "version", "1.2.3", "1999"]
    );
}

#[test]
fn scripts_without_spaces_give_pairs() {
    let analyzer = Analyzer::default();
    assert_eq!(analyzer.terms("東京都", Side::Query), ["東京", "京都"]);
    assert_eq!(analyzer.terms("東京都", Side::Document), ["東", "東京", "京", "京都", "都"]);
    assert_eq!(analyzer.terms("猫", Side::Query), ["猫"]);
    assert_eq!(analyzer.terms("Rustで書く", Side::Query), ["rust", "で書", "書く"]);
    assert_eq!(analyzer.terms("한국어", Side::Query), ["한국", "국어"]);
}

#[test]
fn forms_of_one_letter_are_one_term() {
    assert_eq!(english("café"), english("cafe\u{301}"));
    assert_eq!(english("café"), english("cafe"));
    assert_eq!(english("ＲＵＳＴ ﬁle"), ["rust", "file"]);
    assert_ne!(
        Analyzer::new(Analysis { language: Language::Russian, ..Analysis::default() })
            .terms("й", Side::Query),
        ["и"]
    );
}

#[test]
fn language_is_a_choice() {
    let of = |language, text| {
        Analyzer::new(Analysis { language, stop_words: StopWords::Remove }).terms(text, Side::Query)
    };
    assert_eq!(of(Language::French, "l'homme et les chevaux"), ["homm", "cheval"]);
    assert_eq!(of(Language::German, "die Häuser"), ["haus"]);
    assert_eq!(of(Language::None, "The Cats"), ["the", "cats"]);
    for language in Language::ALL {
        assert_eq!(language.name().parse::<Language>().unwrap(), *language);
        assert_eq!(serde_json::to_value(language).unwrap(), language.name());
    }
    let error = "klingon".parse::<Language>().unwrap_err().to_string();
    assert!(error.contains("klingon") && error.contains("english"), "{error}");
}

#[test]
fn a_text_of_stop_words_is_empty() {
    let counts = TermCounts::of(&Analyzer::default(), "what is the", Side::Query);
    assert!(counts.is_empty());
    assert_eq!(counts.length(), 0.0);
}

#[test]
fn fields_add_up_by_weight() {
    let analyzer = Analyzer::default();
    let mut counts = TermCounts::of(&analyzer, "wing flow flow", Side::Document);
    counts.add(&analyzer, "wing", Side::Document, 2.0);
    counts.add(&analyzer, "wing", Side::Document, f32::NAN);
    let mut expected = vec![(term_index("wing"), 3.0), (term_index("flow"), 2.0)];
    expected.sort_by_key(|&(index, _)| index);
    assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
    assert_eq!(counts.length(), 5.0);
}

#[test]
fn a_very_long_word_is_one_term() {
    assert_eq!(english(&"a".repeat(1_000_000)).len(), 1);
}

proptest! {
    #[test]
    fn any_text_in_any_language_gives_terms(text in any::<String>(), at in 0..Language::ALL.len()) {
        let language = Language::ALL[at];
        for stop_words in [StopWords::Remove, StopWords::Keep] {
            let analyzer = Analyzer::new(Analysis { language, stop_words });
            for term in analyzer.terms(&text, Side::Document) {
                prop_assert!(!term.is_empty());
            }
        }
    }

    #[test]
    fn words_in_any_language_do_not_break_the_stemmer(
        text in "[a-zäöüßéèêçñåøæćșțğışабвгдежзиёйъыьαβγδςάέابتثيةأإஅஆக்ி' ’]{0,60}",
    ) {
        for &language in Language::ALL {
            Analyzer::new(Analysis { language, stop_words: StopWords::Keep })
                .terms(&text, Side::Query);
        }
    }
}
