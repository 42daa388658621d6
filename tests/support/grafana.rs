//! Reads a dashboard as Grafana does, as far as queries are concerned: its expressions and its
//! variables.

use serde_json::Value;

use crate::prometheus_host::PrometheusHost;

/// Variables that Grafana defines itself, for a view of the last minute.
const BUILT_IN: [(&str, &str); 5] = [
    ("__interval", "15s"),
    ("__range", "1m"),
    ("__range_s", "60"),
    ("__rate_interval", "1m"),
    ("__all", ".*"),
];

pub type Chosen = Vec<(String, String)>;

pub struct Dashboard(Value);

impl Dashboard {
    pub fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    /// Returns the expressions of all panels, including collapsed ones.
    pub fn expressions(&self) -> Vec<&str> {
        expressions(&self.0)
    }

    pub fn variables(&self) -> &[Value] {
        self.0["templating"]["list"].as_array().unwrap()
    }

    /// Chooses the first value of each variable, or "All" for those that have it.
    pub fn choose(&self, prometheus_host: &PrometheusHost, are_all_chosen: bool) -> Chosen {
        let built_in = BUILT_IN.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut chosen = Vec::from(built_in);
        for variable in self.variables() {
            let has_all = variable["includeAll"] == true;
            let value = if variable["type"] != "query" {
                continue;
            } else if has_all && are_all_chosen {
                variable["allValue"].as_str().unwrap_or(".*").to_owned()
            } else {
                first_value(prometheus_host, variable, &chosen)
            };
            chosen.push((variable["name"].as_str().unwrap().to_owned(), value));
        }
        chosen
    }
}

fn expressions(part: &Value) -> Vec<&str> {
    match part {
        Value::Array(parts) => parts.iter().flat_map(expressions).collect(),
        Value::Object(parts) => parts
            .iter()
            .flat_map(|(key, part)| match part {
                Value::String(text) if key == "expr" => vec![text.as_str()],
                part => expressions(part),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns the first value of `label_values(SELECTOR, LABEL)`.
fn first_value(prometheus_host: &PrometheusHost, variable: &Value, chosen: &Chosen) -> String {
    let query = variable["query"].as_str().or(variable["query"]["query"].as_str()).unwrap();
    let arguments = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let (selector, label) = arguments.unwrap().rsplit_once(',').unwrap();
    let (selector, label) = (replace(selector, chosen), label.trim());
    let values = format!("group by ({label}) ({selector})");
    let value = |prometheus_host: &PrometheusHost| {
        let mut samples = prometheus_host.query(&values).into_iter();
        samples.find_map(|sample| Some(sample["metric"][label].as_str()?.to_owned()))
    };
    prometheus_host.measure_until(&format!("a value: {query}"), value)
}

/// Replaces `$name`, `${name}` and `${name:format}` by the chosen values.
pub fn replace(text: &str, chosen: &Chosen) -> String {
    let mut parts = text.split('$');
    let mut replaced = parts.next().unwrap().to_owned();
    for part in parts {
        let bare = part.trim_start_matches('{');
        let end = bare.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
        let (name, rest) = bare.split_at(end.unwrap_or(bare.len()));
        let rest = if part == bare { rest } else { rest.split_once('}').unwrap().1 };
        let value = chosen.iter().find(|(known, _)| known == name);
        replaced += &value.unwrap_or_else(|| panic!("no variable {name}: {text}")).1;
        replaced += rest;
    }
    replaced
}
