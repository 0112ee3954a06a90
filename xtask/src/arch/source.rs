//! Rust text split into code, string literals and tests, as far as the rules need it.

/// A Rust file as the rules read it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// The text with comments and the insides of literals blanked; the lines are where they were.
    pub(crate) code: String,
    /// The string literals, each with the line it starts on (from 1).
    pub(crate) literals: Vec<(usize, String)>,
    /// For each line, whether it belongs to an item under `#[cfg(test)]`.
    pub(crate) in_test: Vec<bool>,
}

impl Source {
    /// Splits `text`. `all_test` marks every line as a test.
    pub(crate) fn of(text: &str, all_test: bool) -> Self {
        let mut scan = Scan { rest: text.chars().collect(), at: 0, line: 1, out: String::new() };
        let mut literals = Vec::new();
        while let Some(ch) = scan.peek(0) {
            match ch {
                '/' if scan.peek(1) == Some('/') => scan.blank_while(|ch| ch != '\n'),
                '/' if scan.peek(1) == Some('*') => scan.block_comment(),
                '"' => literals.push(scan.string()),
                'r' | 'b' if !scan.after_word() && scan.raw_hashes().is_some() => {
                    literals.push(scan.raw_string());
                }
                '\'' => scan.quote(),
                _ => scan.keep(),
            }
        }
        let code = scan.out;
        let in_test = test_lines(&code, all_test);
        Self { code, literals, in_test }
    }

    /// The lines of code that are not tests, with their numbers.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .filter(|(index, _)| !self.in_test.get(*index).copied().unwrap_or(false))
            .map(|(index, line)| (index + 1, line))
    }

    /// The identifiers of the code with their lines, tests included.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().flat_map(|(index, line)| {
            line.split(|ch: char| !is_word(ch))
                .filter(|word| !word.is_empty())
                .map(move |word| (index + 1, word))
        })
    }
}

/// Whether `ch` can be part of an identifier.
pub(crate) fn is_word(ch: char) -> bool {
    ch.is_alphanumeric() || ch == '_'
}

struct Scan {
    rest: Vec<char>,
    at: usize,
    line: usize,
    out: String,
}

impl Scan {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn keep(&mut self) {
        if let Some(ch) = self.peek(0) {
            self.out.push(ch);
            self.step(ch);
        }
    }

    fn blank(&mut self) -> Option<char> {
        let ch = self.peek(0)?;
        self.out.push(if ch == '\n' { '\n' } else { ' ' });
        self.step(ch);
        Some(ch)
    }

    fn step(&mut self, ch: char) {
        self.at += 1;
        if ch == '\n' {
            self.line += 1;
        }
    }

    fn blank_while(&mut self, keep_on: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&keep_on) {
            self.blank();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.blank();
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.blank();
                    if depth == 0 {
                        self.blank();
                        return;
                    }
                }
                (None, _) => return,
                _ => {}
            }
            self.blank();
        }
    }

    fn string(&mut self) -> (usize, String) {
        let (line, mut value) = (self.line, String::new());
        self.keep();
        while let Some(ch) = self.peek(0) {
            match ch {
                '"' => {
                    self.keep();
                    break;
                }
                '\\' => {
                    self.blank();
                    if let Some(escaped) = self.blank() {
                        value.push(escaped);
                    }
                }
                _ => value.extend(self.blank()),
            }
        }
        (line, value)
    }

    /// How many hashes the raw string starting here has; `None` where none starts.
    fn raw_hashes(&self) -> Option<usize> {
        let mut ahead = usize::from(self.peek(0) == Some('b'));
        if self.peek(ahead) != Some('r') {
            return None;
        }
        ahead += 1;
        let hashes = (0..).take_while(|more| self.peek(ahead + more) == Some('#')).count();
        (self.peek(ahead + hashes) == Some('"')).then_some(hashes)
    }

    fn raw_string(&mut self) -> (usize, String) {
        let (line, hashes) = (self.line, self.raw_hashes().unwrap_or_default());
        let mut value = String::new();
        while self.peek(0).is_some_and(|ch| ch != '"') {
            self.blank();
        }
        self.keep();
        while let Some(ch) = self.peek(0) {
            if ch == '"' && (1..=hashes).all(|more| self.peek(more) == Some('#')) {
                self.keep();
                for _ in 0..hashes {
                    self.blank();
                }
                break;
            }
            value.extend(self.blank());
        }
        (line, value)
    }

    /// A character literal is blanked, a lifetime is kept.
    fn quote(&mut self) {
        if self.peek(1) == Some('\\') {
            self.blank();
            self.blank();
            self.blank();
            self.blank_while(|ch| ch != '\'' && ch != '\n');
            self.blank();
        } else if self.peek(2) == Some('\'') {
            self.blank();
            self.blank();
            self.blank();
        } else {
            self.keep();
        }
    }

    fn after_word(&self) -> bool {
        self.at > 0 && self.rest.get(self.at - 1).copied().is_some_and(is_word)
    }
}

fn test_lines(code: &str, all: bool) -> Vec<bool> {
    let mut in_test = vec![all; code.lines().count()];
    for marker in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (start, _) in code.match_indices(marker) {
            let end = item_end(code, start + marker.len());
            let (first, last) = (line_of(code, start), line_of(code, end));
            for line in in_test.iter_mut().take(last).skip(first - 1) {
                *line = true;
            }
        }
    }
    in_test
}

/// Where the item that starts at `from` ends: its closing brace, or the semicolon before any brace.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0usize;
    for (index, ch) in code.bytes().enumerate().skip(from) {
        match ch {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            b';' if depth == 0 => return index,
            _ => {}
        }
    }
    code.len()
}

/// The line (from 1) of a byte offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let source = Source::of(
            "let a = \"std::fs\"; // std::fs\n/* std::fs\n/* x */ */ let b = r#\"q\"#; let c = '\"'; let d: &'a str;\n",
            false,
        );
        assert!(!source.code.contains("std::fs"), "{}", source.code);
        assert!(source.code.contains("let d: &'a str;"), "{}", source.code);
        assert_eq!(source.code.lines().count(), 3);
        assert_eq!(source.literals, [(1, "std::fs".into()), (3, "q".into())]);
    }

    #[test]
    fn escaped_quotes_do_not_end_a_literal() {
        let source = Source::of(r#"f("a\"b", '\'', b"c"); g()"#, false);
        assert_eq!(source.literals, [(1, "a\"b".into()), (1, "c".into())]);
        assert!(source.code.contains("g()"), "{}", source.code);
    }

    #[test]
    fn items_under_cfg_test_are_tests_and_what_follows_is_not() {
        let source = Source::of("a\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nc\n", false);
        assert_eq!(source.in_test, [false, true, true, true, true, false]);
        assert_eq!(source.shipped().map(|(line, _)| line).collect::<Vec<_>>(), [1, 6]);
    }
}
