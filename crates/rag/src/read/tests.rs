#[cfg(feature = "pdf")]
mod pdf;

use proptest::prelude::{any, prop_assert, proptest};

use super::*;

fn documents(name: &str, bytes: &[u8]) -> (Encoding, Vec<SourceDocument>) {
    match read(name, bytes).unwrap() {
        Reading::Documents { encoding, documents, .. } => (encoding, documents),
        Reading::Skipped(reason) => panic!("{name} was skipped: {}", reason.name()),
    }
}

fn text(name: &str, bytes: &[u8]) -> (Encoding, String) {
    let (encoding, mut documents) = documents(name, bytes);
    (encoding, documents.remove(0).text)
}

#[test]
fn encodings_are_found() {
    let cases: [(&[u8], Encoding, &str); 10] = [
        ("né".as_bytes(), Encoding::Utf8, "né"),
        (b"\xef\xbb\xbfn\xc3\xa9", Encoding::Utf8, "né"),
        (b"\xff\xfen\0\xe9\0", Encoding::Utf16Le, "né"),
        (b"\xfe\xff\0n\0\xe9", Encoding::Utf16Be, "né"),
        (b"\xff\xfen\0\x00\xd8n", Encoding::Utf16Le, "n\u{fffd}\u{fffd}"),
        (b"n\xe9 \x93ok\x94", Encoding::Legacy("windows-1252"), "né “ok”"),
        (b"n\0\xe9\0!\0", Encoding::Utf16Le, "né!"),
        (b"\0n\0\xe9\0!", Encoding::Utf16Be, "né!"),
        (
            b"\x83\x8f\x81[\x83J\x81[\x82\xcd\x83R\x83}\x83\x93\x83h\x82\xf0\x8e\xe6\x82\xe9\x81B",
            Encoding::Legacy("Shift_JIS"),
            "ワーカーはコマンドを取る。",
        ),
        (b"\xc3\xa9\xc3\xa9\xc3", Encoding::Utf8Repaired, "éé\u{fffd}"),
    ];
    for (bytes, encoding, expected) in cases {
        assert_eq!(text("a.txt", bytes), (encoding, expected.to_owned()));
    }
}

#[test]
fn what_is_no_text_is_skipped() {
    for bytes in [&b"PK\x03\x04\0\0"[..], b"\x89PNG\r\n\x1a\n\0\0", b"\x01\x02\x03\x04 words"] {
        assert_eq!(read("a", bytes).unwrap(), Reading::Skipped(SkipReason::Binary));
    }
    for (name, source) in
        [("a", ""), ("a", " \n"), ("a.html", "<p> </p>"), ("a.jsonl", "\n"), ("a", "\u{feff}")]
    {
        assert_eq!(read(name, source.as_bytes()).unwrap(), Reading::Skipped(SkipReason::Empty));
    }
}

#[test]
fn the_extension_decides_the_format() {
    for (name, format) in [
        ("docs/README.MD", Format::Markdown),
        ("C:\\x\\page.HTM", Format::Html),
        ("log.ndjson", Format::Jsonl),
        ("src/lib.rs", Format::Code),
        ("dir.md/LICENSE", Format::Text),
    ] {
        assert_eq!(Format::of(name), format, "{name}");
    }
}

#[test]
fn old_encodings_are_told_apart() {
    // "Ein Dienst löscht müde Sätze" in Latin-1; "Рабочий берёт команду из очереди" in KOI8-R and windows-1251.
    let cases: [(&[u8], &str); 3] = [
        (b"Ein Dienst l\xf6scht m\xfcde S\xe4tze", "löscht müde Sätze"),
        (
            b"\xf2\xc1\xc2\xcf\xde\xc9\xca \xc2\xc5\xd2\xa3\xd4 \xcb\xcf\xcd\xc1\xce\xc4\xd5 \xc9\xda \xcf\xde\xc5\xd2\xc5\xc4\xc9",
            "команду из очереди",
        ),
        (
            b"\xd0\xe0\xe1\xee\xf7\xe8\xe9 \xe1\xe5\xf0\xb8\xf2 \xea\xee\xec\xe0\xed\xe4\xf3 \xe8\xe7 \xee\xf7\xe5\xf0\xe5\xe4\xe8",
            "команду из очереди",
        ),
    ];
    for (bytes, expected) in cases {
        let (encoding, text) = text("a.txt", bytes);
        assert!(text.contains(expected), "{}: {text}", encoding.name());
    }
}

#[test]
fn utf_16_without_a_mark_is_told_from_binary() {
    let text: Vec<u8> =
        "A worker leases a command.".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(
        read("a", &text).unwrap(),
        Reading::Documents { encoding: Encoding::Utf16Le, .. }
    ));
    let numbers: Vec<u8> = (0..200_u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(read("a", &numbers).unwrap(), Reading::Skipped(SkipReason::Binary));
    let odd = [&text[..], b"x"].concat();
    assert_eq!(read("a", &odd).unwrap(), Reading::Skipped(SkipReason::Binary));
    let surrogate: Vec<u8> = [&text[..], b"\x01\xd8"].concat();
    assert_eq!(read("a", &surrogate).unwrap(), Reading::Skipped(SkipReason::Binary));
}

#[test]
fn markdown_gives_its_title() {
    let (_, documents) = documents("a.md", b"```\n# no\n```\n# The `one` #\ntext");
    assert_eq!(documents[0].title, "The `one`");
    assert!(documents[0].text.starts_with("```\n# no"));
}

#[test]
fn html_loses_its_tags() {
    let source = "<!DOCTYPE html><html><head><title>A &amp; B</title><style>p{}</style>\
        <script>if (a < b) { '</p>' }</script></head><body><!-- no --><h1 class=\"a>b\">Top</h1>\
        <p>One <b>bold</b>\n  word&nbsp;&#233; &unknown; 1 < 2</p><ul><li>x<li>y</ul>\
        <pre>a\n  b &lt;c&gt;</pre><table><tr><td>1</td><td>2</td></tr></table></body></html>";
    let (_, documents) = documents("a.html", source.as_bytes());
    assert_eq!(documents[0].title, "A & B");
    assert_eq!(
        documents[0].text,
        "# Top\n\nOne bold word é &unknown; 1 < 2\n\n- x\n- y\n\n```\na\n  b <c>\n```\n\n1 2"
    );
}

#[test]
fn broken_html_gives_its_text() {
    for (source, expected) in [
        ("a <b", "a <b"),
        ("x<!-- open", "x"),
        ("x<script>never closed", "x"),
        ("<pre>code", "```\ncode\n```"),
        ("&#x0; &#99999999; &", "\u{fffd} \u{fffd} &"),
        ("</pre></h1>x", "x"),
        ("<a href=\"x>y", "y"),
        ("<a <b>x</b>", "<a x"),
    ] {
        assert_eq!(text("a.html", source.as_bytes()).1, expected, "{source}");
    }
}

#[test]
fn hostile_html_takes_linear_time() {
    for unit in ["<a ", "<a '", "<a '\"", "&", "</", "<!-", "<script", "<pre>", "<h1>", "&#"] {
        let source = unit.repeat(300_000);
        read("a.html", source.as_bytes()).unwrap();
    }
}

#[test]
fn json_lines_give_documents() {
    let source = concat!(
        "{\"_id\":\"1\",\"title\":\"T\",\"text\":\"x\",\"metadata\":{\"a\":1},\"b\":2}\n\n",
        "{\"id\":2,\"content\":\"y\"}\n",
        "{\"level\":\"warn\",\"msg\":\"disk full\"}\n",
    );
    let (_, documents) = documents("a.jsonl", source.as_bytes());
    let ids: Vec<_> = documents.iter().map(|document| document.id.as_deref()).collect();
    assert_eq!(ids, [Some("1"), Some("2"), None]);
    assert_eq!(Value::Object(documents[0].metadata.clone()), serde_json::json!({"a": 1, "b": 2}));
    assert_eq!((documents[0].title.as_str(), documents[1].text.as_str()), ("T", "y"));
    assert!(documents[1].metadata.is_empty());
    assert!(documents[2].text.contains("disk full"));
}

#[test]
fn bad_json_lines_name_file_and_line() {
    for bad in ["nonsense", "[1]", "{\"_id\":\"1\",\"text\":\"again\"}"] {
        let source = format!("{{\"_id\":\"1\",\"text\":\"x\"}}\n{bad}\n");
        let error = read("a.jsonl", source.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("file: a.jsonl, line: 2"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_skipped(bytes: Vec<u8>, at in 0..5_usize) {
        let name = ["a.txt", "a.md", "a.html", "a.jsonl", "a.pdf"][at];
        if let Ok(Reading::Documents { documents, .. }) = read(name, &bytes) {
            prop_assert!(documents.iter().all(|document| !document.text.contains('\0')));
        }
    }

    #[test]
    fn any_markup_gives_text_without_nul(source in "[<>/!a-z&;#0-9\"' =-]{0,200}", rest in any::<String>()) {
        let page = html::extract(&format!("{source}{rest}").replace('\0', ""));
        prop_assert!(!page.text.contains('\0'));
    }
}
