//! PDF to text: what its pages show, line by line.
//!
//! Lines and words are found by where text is put: a PDF knows neither. Text in pictures is not seen.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hexmem_ports::{Error, Result};
use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Encoding, Object};

use super::Format;

/// What every PDF has near its start.
const MARK: &[u8] = b"%PDF-";

/// The most bytes of one unpacked page: a small file may unpack to a large one.
const PAGE: usize = 32 << 20;
/// The most bytes of text of a whole file.
const TEXT: usize = 64 << 20;

/// By its mark: at the start, or, in a file that is called one, among the first 1,024 bytes, as readers of PDF allow.
pub(super) fn is_pdf(name: &str, bytes: &[u8]) -> bool {
    let start = bytes.get(..1_024).unwrap_or(bytes);
    start.starts_with(MARK)
        || (Format::of(name) == Format::Pdf && start.windows(MARK.len()).any(|part| part == MARK))
}

/// Title and text. `Invalid` where it is damaged, or locked by a password.
pub(super) fn extract(name: &str, bytes: &[u8]) -> Result<(String, String)> {
    let wrong = |what: &str| Error::invalid("rag.read", what).with("file", name);
    // The parser is of others: should it ever panic on a file, that file is damaged.
    let read = catch_unwind(AssertUnwindSafe(|| -> Result<(String, String)> {
        let document = Document::load_mem(bytes)
            .map_err(|cause| wrong("the PDF cannot be read").caused_by(cause))?;
        if document.is_encrypted() && document.encryption_state.is_none() {
            return Err(wrong("the PDF is locked by a password; save it without one"));
        }
        let mut text = String::new();
        for (number, page) in document.get_pages() {
            let shown = page_text(&document, page).map_err(|cause| {
                wrong("a page of the PDF cannot be read").with("page", number).caused_by(cause)
            })?;
            if text.len() + shown.len() > TEXT {
                return Err(wrong("the PDF holds more than 64 MiB of text; split it"));
            }
            if !text.is_empty() && !shown.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(&shown);
        }
        Ok((title(&document), text))
    }));
    read.unwrap_or_else(|_| Err(wrong("the PDF is damaged")))
}

fn title(document: &Document) -> String {
    let title = (|| {
        let (_, info) = document.dereference(document.trailer.get(b"Info").ok()?).ok()?;
        let (_, title) = document.dereference(info.as_dict().ok()?.get(b"Title").ok()?).ok()?;
        lopdf::decode_text_string(title).ok()
    })();
    let title = title.unwrap_or_default().replace(char::is_control, " ");
    title.trim().chars().take(200).collect()
}

struct Font<'d> {
    encoding: Option<Encoding<'d>>,
    /// The first code and the widths from it on, in thousandths of the size.
    widths: Option<(usize, Vec<f32>)>,
}

impl<'d> Font<'d> {
    fn of(document: &'d Document, font: &'d Dictionary) -> Self {
        let encoding = font.get_font_encoding_with_limit(document, PAGE).ok();
        let widths = (|| {
            let first = font.get_deref(b"FirstChar", document).ok()?.as_i64().ok()?;
            let widths = font.get_deref(b"Widths", document).ok()?.as_array().ok()?;
            let width = |width: &Object| {
                let found =
                    document.dereference(width).ok().and_then(|(_, width)| width.as_float().ok());
                found.unwrap_or(0.0)
            };
            Some((usize::try_from(first).ok()?, widths.iter().map(width).collect()))
        })();
        Self { encoding, widths }
    }

    /// The text of `bytes`, and how wide it is at size 1.
    fn show(&self, bytes: &[u8]) -> (String, f32) {
        let text =
            self.encoding.as_ref().and_then(|encoding| Document::decode_text(encoding, bytes).ok());
        let text = text.unwrap_or_default();
        let width = match &self.widths {
            Some((first, widths)) => bytes
                .iter()
                .map(|byte| {
                    let at = usize::from(*byte).checked_sub(*first);
                    at.and_then(|at| widths.get(at)).copied().unwrap_or(500.0) / 1_000.0
                })
                .sum(),
            // About what a letter takes.
            None => text.chars().map(|c| if c.is_ascii() { 0.5 } else { 0.8 }).sum(),
        };
        (text, width)
    }
}

fn page_text(document: &Document, page: lopdf::ObjectId) -> lopdf::Result<String> {
    let fonts: BTreeMap<Vec<u8>, Font<'_>> = document
        .get_page_fonts(page)?
        .into_iter()
        .map(|(name, font)| (name, Font::of(document, font)))
        .collect();
    let content = document.get_page_content_with_limit(page, PAGE)?;
    let mut pen = Pen::default();
    for operation in Content::decode(&content)?.operations {
        pen.follow(&fonts, &operation);
    }
    Ok(pen.finish())
}

/// Where text goes, and what went.
#[derive(Default)]
struct Pen {
    text: String,
    font: Vec<u8>,
    /// As set, and how the text matrix scales it.
    size: f32,
    scale: f32,
    leading: f32,
    /// Where the line starts.
    line: (f32, f32),
    /// How far into it the next text goes.
    along: f32,
    /// Where the last text ended.
    end: Option<(f32, f32)>,
}

impl Pen {
    fn follow(&mut self, fonts: &BTreeMap<Vec<u8>, Font<'_>>, operation: &Operation) {
        let number = |at: usize| -> f32 {
            operation
                .operands
                .get(at)
                .and_then(|n| n.as_float().ok())
                .filter(|n| n.is_finite())
                .unwrap_or(0.0)
        };
        match operation.operator.as_str() {
            "BT" => {
                (self.line, self.along, self.scale) = ((0.0, 0.0), 0.0, 1.0);
            }
            "Tf" => {
                if let Some(name) = operation.operands.first().and_then(|name| name.as_name().ok())
                {
                    self.font = name.to_vec();
                }
                self.size = number(1).abs();
            }
            "TL" => self.leading = number(0),
            "Td" => self.step(number(0), number(1)),
            "TD" => {
                self.leading = -number(1);
                self.step(number(0), number(1));
            }
            "T*" => self.step(0.0, -self.leading),
            "Tm" => {
                self.scale = number(2).hypot(number(3));
                (self.line, self.along) = ((number(4), number(5)), 0.0);
            }
            "Tj" | "TJ" => self.show_all(fonts, operation.operands.first()),
            "'" => {
                self.step(0.0, -self.leading);
                self.show_all(fonts, operation.operands.first());
            }
            "\"" => {
                self.step(0.0, -self.leading);
                self.show_all(fonts, operation.operands.get(2));
            }
            _ => {}
        }
    }

    fn step(&mut self, x: f32, y: f32) {
        let scale = if self.scale > 0.0 { self.scale } else { 1.0 };
        self.line = (self.line.0 + x * scale, self.line.1 + y * scale);
        self.along = 0.0;
    }

    fn height(&self) -> f32 {
        let height = self.size * self.scale;
        if height > 0.0 { height } else { 1.0 }
    }

    fn show_all(&mut self, fonts: &BTreeMap<Vec<u8>, Font<'_>>, shown: Option<&Object>) {
        let Some(font) = fonts.get(&self.font) else { return };
        match shown {
            Some(Object::String(bytes, _)) => self.show(font, bytes),
            Some(Object::Array(parts)) => {
                for part in parts {
                    match part {
                        Object::String(bytes, _) => self.show(font, bytes),
                        other => {
                            let back = other.as_float().ok().filter(|n| n.is_finite());
                            self.along -= back.unwrap_or(0.0) / 1_000.0 * self.height();
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn show(&mut self, font: &Font<'_>, bytes: &[u8]) {
        let (text, width) = font.show(bytes);
        let height = self.height();
        let (x, y) = (self.line.0 + self.along, self.line.1);
        if let Some((end, row)) = self.end.filter(|_| !self.text.is_empty()) {
            let (down, gap) = ((row - y).abs(), x - end);
            if down > height * 1.8 {
                self.separate("\n\n");
            } else if down > height * 0.5 {
                self.separate("\n");
            } else if gap > height * 0.15 || gap < -height {
                self.separate(" ");
            }
        }
        self.text.push_str(&text);
        self.along += width * height;
        self.end = Some((x + width * height, y));
    }

    /// Ends a word, a line or a paragraph, where that has not been done.
    fn separate(&mut self, by: &str) {
        let kept = self.text.trim_end_matches(' ').len();
        if by != " " {
            self.text.truncate(kept);
        }
        if !self.text.ends_with(char::is_whitespace) {
            self.text.push_str(by);
        }
    }

    fn finish(self) -> String {
        // Control characters come from fonts without a table of what their codes mean.
        let text: String =
            self.text.chars().filter(|c| !c.is_control() || *c == '\n' || *c == '\t').collect();
        text.trim().to_owned()
    }
}
