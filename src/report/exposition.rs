//! Writes Prometheus' text format, version 0.0.4: gauges, labels, escaping. Does not choose the
//! metrics.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{self, Display, Write as _};

/// The name of a label, and its value before escaping.
pub type MetricLabel<'a> = (&'a str, &'a dyn Display);

const MEMORY: &str = "writing to a String cannot fail";

/// The text of one scrape.
#[derive(Default)]
pub struct Exposition(String);

impl Exposition {
    pub fn comment(&mut self, text: &str) {
        writeln!(self.0, "# {text}").expect(MEMORY);
    }

    /// Writes a metric with all its samples. Writes nothing if the metric has no samples.
    pub fn gauge(&mut self, name: &str, help: &str, samples: impl FnOnce(&mut Samples<'_>)) {
        let start = self.0.len();
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge").expect(MEMORY);
        let head = self.0.len();
        samples(&mut Samples { text: &mut self.0, name });
        if self.0.len() == head {
            self.0.truncate(start);
        }
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

/// Writes the samples of one metric.
pub struct Samples<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Samples<'_> {
    /// Adds a sample. Its labels must differ from those of every other sample of the metric.
    pub fn add<'l>(&mut self, labels: impl IntoIterator<Item = MetricLabel<'l>>, value: f64) {
        self.text.push_str(self.name);
        let mut separator = '{';
        for (name, shown) in labels {
            write!(self.text, "{separator}{name}=\"").expect(MEMORY);
            write!(Escaping(self.text), "{shown}").expect(MEMORY);
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        writeln!(self.text, " {}", Value(value)).expect(MEMORY);
    }
}

/// Escapes what is written through it for use as the value of a label.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// The value of a sample in the notation of Go's ParseFloat, as the format requires.
struct Value(f64);

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            value => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_a_metric_without_samples_is_left_out() {
        let mut exposition = Exposition::default();
        exposition.comment("us");
        exposition.gauge("none", "No samples.", |_| {});
        exposition.gauge("some", "A \\ and\nmore.", |samples| {
            samples.add([], 1.5);
            let labels: [MetricLabel<'_>; 2] = [("port", &443), ("owner", &"a\\b \"c\"\nd")];
            samples.add(labels, f64::INFINITY);
        });
        let wanted = "# us\n# HELP some A \\\\ and\\nmore.\n# TYPE some gauge\nsome 1.5\n\
                      some{port=\"443\",owner=\"a\\\\b \\\"c\\\"\\nd\"} +Inf\n";
        assert_eq!(exposition.into_text(), wanted);
    }
}
