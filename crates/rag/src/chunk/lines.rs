//! Lines of a text as byte ranges.

use std::ops::Range;

/// Every line with what ends it; together they cover the text.
pub(super) fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let range = start..start + line.len();
            start = range.end;
            range
        })
        .collect()
}
