//! The ratios as bars.

use crate::bench::report::Pair;

const ROW: usize = 28;
const LABEL: f64 = 420.0;
const BAR: f64 = 360.0;

/// An SVG with a bar for each ratio and a line at 1, where both are equally fast.
pub(crate) fn bars(pairs: &[Pair]) -> String {
    let longest = pairs.iter().map(|pair| pair.ratio).fold(1.0, f64::max);
    let width = LABEL + BAR + 80.0;
    let height = ROW * (pairs.len() + 2);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"18\">hexmem against rivals: times as fast (more is better)</text>\n"
    );
    for (index, Pair { name, ratio }) in pairs.iter().enumerate() {
        let top = ROW * (index + 1);
        let length = ratio / longest * BAR;
        let fill = if *ratio >= 1.0 { "#2a7f62" } else { "#c0713a" };
        let (text, bar, name) = (top + 17, top + 4, escaped(name));
        let after = LABEL + length + 6.0;
        svg.push_str(&format!(
            "<text x=\"{:.0}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{LABEL}\" y=\"{bar}\" width=\"{length:.1}\" height=\"18\" fill=\"{fill}\"/>\n\
             <text x=\"{after:.1}\" y=\"{text}\">{ratio:.2}</text>\n",
            LABEL - 8.0
        ));
    }
    let even = LABEL + BAR / longest;
    let bottom = ROW * (pairs.len() + 1);
    svg.push_str(&format!(
        "<line x1=\"{even:.1}\" x2=\"{even:.1}\" y1=\"{ROW}\" y2=\"{bottom}\" stroke=\"black\" stroke-dasharray=\"3 3\"/>\n</svg>\n"
    ));
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_a_bar() {
        let pairs = [("a<b vs raw", 2.0), ("c vs raw", 0.5)]
            .map(|(name, ratio)| Pair { name: name.into(), ratio });
        let svg = bars(&pairs);
        assert_eq!(svg.matches("<rect x=").count(), 2);
        assert!(svg.contains("a&lt;b vs raw") && svg.ends_with("</svg>\n"));
    }
}
