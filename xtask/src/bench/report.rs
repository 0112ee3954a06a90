//! Criterion's numbers as Markdown.

use serde_json::Value;

/// The name of our side in a group of benchmarks.
const OURS: &str = "hexmem";

/// One benchmark's time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measure {
    /// What is measured.
    pub(crate) group: String,
    /// Who does it.
    pub(crate) function: String,
    /// On what (a size, a batch); empty where there is no choice.
    pub(crate) input: String,
    /// Nanoseconds for one iteration: the mean, and its confidence interval.
    pub(crate) nanos: f64,
    /// The interval's lower bound.
    pub(crate) low: f64,
    /// The interval's upper bound.
    pub(crate) high: f64,
}

/// Ours beside a rival.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    /// Group, input and rival.
    pub(crate) name: String,
    /// How many times as fast ours is.
    pub(crate) ratio: f64,
}

impl Measure {
    /// Reads criterion's two files.
    pub(crate) fn parse(benchmark: &str, estimates: &str) -> serde_json::Result<Self> {
        let benchmark: Value = serde_json::from_str(benchmark)?;
        let estimates: Value = serde_json::from_str(estimates)?;
        let word = |key: &str| benchmark[key].as_str().unwrap_or_default().to_owned();
        let mean = &estimates["mean"];
        let nanos = mean["point_estimate"].as_f64().unwrap_or_default();
        let bound = |key: &str| mean["confidence_interval"][key].as_f64().unwrap_or(nanos);
        Ok(Self {
            group: word("group_id"),
            function: word("function_id"),
            input: word("value_str"),
            nanos,
            low: bound("lower_bound"),
            high: bound("upper_bound"),
        })
    }

    fn title(&self) -> String {
        if self.input.is_empty() {
            self.group.clone()
        } else {
            format!("{} ({})", self.group, self.input)
        }
    }
}

/// Ours beside each rival of the same group and input.
pub(crate) fn pairs(measures: &[Measure]) -> Vec<Pair> {
    let mut found = Vec::new();
    for ours in measures.iter().filter(|measure| measure.function == OURS) {
        let rivals = measures.iter().filter(|other| {
            other.group == ours.group && other.input == ours.input && other.function != OURS
        });
        for rival in rivals {
            found.push(Pair {
                name: format!("{} vs {}", ours.title(), rival.function),
                ratio: rival.nanos / ours.nanos,
            });
        }
    }
    found
}

/// All measures, then the ratios.
pub(crate) fn table(measures: &[Measure]) -> String {
    let mut text =
        String::from("| benchmark | who | time | 95 % interval |\n|---|---|---:|---:|\n");
    for measure in measures {
        text.push_str(&format!(
            "| {} | {} | {} | {} to {} |\n",
            measure.title(),
            measure.function,
            time(measure.nanos),
            time(measure.low),
            time(measure.high)
        ));
    }
    let pairs = pairs(measures);
    if !pairs.is_empty() {
        text.push_str("\n| hexmem against a rival | times as fast |\n|---|---:|\n");
        for Pair { name, ratio } in pairs {
            text.push_str(&format!("| {name} | {ratio:.2} |\n"));
        }
    }
    text
}

fn time(nanos: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    let (size, unit) = units.into_iter().find(|(size, _)| nanos >= *size).unwrap_or((1.0, "ns"));
    format!("{:.2} {unit}", nanos / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(function: &str, nanos: f64) -> Measure {
        let benchmark =
            format!(r#"{{"group_id":"open","function_id":"{function}","value_str":"1k"}}"#);
        let estimates = format!(
            r#"{{"mean":{{"point_estimate":{nanos},"confidence_interval":{{"lower_bound":1.0,"upper_bound":2.0}}}}}}"#
        );
        Measure::parse(&benchmark, &estimates).unwrap()
    }

    #[test]
    fn ours_is_set_against_each_rival() {
        let measures = [measure("hexmem", 1_500.0), measure("raw", 3_000.0)];
        let text = table(&measures);
        assert!(text.contains("| open (1k) | hexmem | 1.50 µs | 1.00 ns to 2.00 ns |"), "{text}");
        assert!(text.contains("| open (1k) vs raw | 2.00 |"), "{text}");
    }
}
