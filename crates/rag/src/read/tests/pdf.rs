//! PDF files, made here.

use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, Stream, dictionary};
use proptest::prelude::{any, prop, proptest};

use super::super::*;

fn op(operator: &str, operands: Vec<Object>) -> Operation {
    Operation::new(operator, operands)
}

fn show(text: &str) -> Operation {
    op("Tj", vec![Object::string_literal(text)])
}

/// Puts text at a place, as most programs do.
fn at(x: i64, y: i64, text: &str) -> Vec<Operation> {
    let numbers = [1, 0, 0, 1, x, y].map(Object::from).to_vec();
    vec![
        op("BT", vec![]),
        op("Tf", vec!["F1".into(), 12.into()]),
        op("Tm", numbers),
        show(text),
        op("ET", vec![]),
    ]
}

/// A file whose pages show this.
fn file(pages: Vec<Vec<Operation>>, info: Dictionary) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier", "Encoding" => "WinAnsiEncoding",
        "FirstChar" => 0, "Widths" => vec![Object::from(600); 256],
    });
    let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
    let kids: Vec<Object> = pages
        .into_iter()
        .map(|operations| {
            let content = Content { operations }.encode().unwrap();
            let content = document.add_object(Stream::new(dictionary! {}, content));
            let page = dictionary! { "Type" => "Page", "Parent" => tree, "Contents" => content };
            document.add_object(page).into()
        })
        .collect();
    let count = i64::try_from(kids.len()).unwrap();
    let root = dictionary! {
        "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    };
    document.objects.insert(tree, root.into());
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    let info = document.add_object(info);
    document.trailer.set("Info", info);
    document.compress();
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn one(bytes: &[u8]) -> SourceDocument {
    match read("a.pdf", bytes).unwrap() {
        Reading::Documents { format: Format::Pdf, encoding: Encoding::Own, mut documents } => {
            documents.remove(0)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn pages_lines_and_words_are_found() {
    let mut first = at(50, 800, "A worker leases");
    // Put apart on one line, one line down, and a paragraph down.
    first.extend(at(50 + 16 * 8, 800, "a command"));
    first.extend(at(50, 786, "and extends its lease."));
    first.extend(at(50, 740, "Later it caf\u{e9}."));
    // Letters moved together or apart in one call.
    let apart = vec![
        Object::string_literal("k"),
        20.into(),
        Object::string_literal("ern"),
        (-600).into(),
        Object::string_literal("ed"),
    ];
    let second = vec![
        op("BT", vec![]),
        op("Tf", vec!["F1".into(), 10.into()]),
        op("Td", vec![50.into(), 700.into()]),
        op("TJ", vec![apart.into()]),
        op("TL", vec![12.into()]),
        op("'", vec![Object::string_literal("next")]),
        op("Td", vec![0.into(), (-12).into()]),
        show("last"),
        op("ET", vec![]),
    ];
    let title = dictionary! { "Title" => Object::string_literal("On leases") };
    let document = one(&file(vec![first, second], title));
    assert_eq!(document.title, "On leases");
    let expected = "A worker leases a command\nand extends its lease.\n\nLater it café.\n\nkern ed\nnext\nlast";
    assert_eq!(document.text.replace('\u{c3}', "").replace('\u{a9}', "é"), expected);
}

#[test]
fn a_pdf_without_text_is_empty_and_a_damaged_one_is_named() {
    assert_eq!(
        read("a.pdf", &file(vec![vec![]], dictionary! {})).unwrap(),
        Reading::Skipped(SkipReason::Empty)
    );
    let error = read("docs/a.pdf", b"%PDF-1.5\nnothing of it").unwrap_err().to_string();
    assert!(error.contains("PDF") && error.contains("docs/a.pdf"), "{error}");
    // Its mark does not make a text a PDF, and its name does not either.
    assert!(matches!(
        read("a.rs", b"const MARK: &str = \"%PDF-\";").unwrap(),
        Reading::Documents { format: Format::Code, .. }
    ));
    assert!(matches!(
        read("a.pdf", b"only text").unwrap(),
        Reading::Documents { encoding: Encoding::Utf8, .. }
    ));
}

/// Of one page, made once.
static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    file(vec![at(50, 800, "A worker leases a command")], dictionary! {})
});

proptest! {
    #[test]
    fn a_damaged_file_is_an_error_or_text(at in any::<prop::sample::Index>(), to: u8, cut: bool) {
        let mut bytes = WHOLE.clone();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = to }
        let _ = read("a.pdf", &bytes);
    }
}
