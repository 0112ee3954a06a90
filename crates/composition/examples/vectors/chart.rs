//! Bars side by side.

const WIDTH: f64 = 360.0;
const ROW: f64 = 26.0;
const LABEL: f64 = 140.0;
const BAR: f64 = 140.0;

/// One measure of all stores.
pub(crate) struct Panel {
    /// The measure and its unit.
    pub(crate) title: String,
    /// Whose, and how much.
    pub(crate) bars: Vec<(String, f64)>,
}

/// An SVG with two panels in a row, each with a scale of its own.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let most = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or_default();
    let tall = ROW * (most as f64 + 2.0);
    let rows = panels.len().div_ceil(2) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH * 2.0,
        tall * rows
    );
    for (index, panel) in panels.iter().enumerate() {
        let (left, top) = (WIDTH * (index % 2) as f64, tall * (index / 2) as f64);
        let longest = panel.bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        svg.push_str(&format!(
            "<text x=\"{:.0}\" y=\"{:.0}\" font-weight=\"bold\">{} (less is better)</text>\n",
            left + 10.0,
            top + 18.0,
            panel.title
        ));
        for (row, (who, value)) in panel.bars.iter().enumerate() {
            let top = top + ROW * (row as f64 + 1.0);
            let length = value / longest * BAR;
            let fill = if who.starts_with("embedded") { "#2a7f62" } else { "#c0713a" };
            svg.push_str(&format!(
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{who}</text>\n\
                 <rect x=\"{:.0}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"18\" fill=\"{fill}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.0}\">{value:.2}</text>\n",
                left + LABEL - 8.0,
                top + 17.0,
                left + LABEL,
                top + 4.0,
                left + LABEL + length + 6.0,
                top + 17.0
            ));
        }
    }
    svg.push_str("</svg>\n");
    svg
}
