//! Metrics as text, in the form that a scraper asks for: `OpenMetrics`, or the text format that Prometheus had before
//! and that everything reads.

use std::fmt::Write;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// A form in which metrics are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.0, which Prometheus asks for first.
    OpenMetrics,
    /// Prometheus's text format 0.0.4.
    Text,
}

impl Format {
    /// The form for an `Accept` header: `OpenMetrics` where it is named and liked at least as much as text, else text.
    pub fn accepted(accept: &str) -> Self {
        let mut open_metrics: f32 = 0.0;
        let mut text: f32 = 0.0;
        for range in accept.split(',') {
            let mut parameters = range.split(';').map(str::trim);
            let media_type = parameters.next().unwrap_or_default();
            let (mut quality, mut version) = (1.0, None);
            for parameter in parameters {
                match parameter.split_once('=') {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value.trim_matches('"')),
                    _ => {}
                }
            }
            match (media_type, version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => {
                    open_metrics = open_metrics.max(quality);
                }
                ("text/plain", None | Some("0.0.4")) => text = text.max(quality),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The metrics of a registry.
    pub fn encode(self, registry: &Registry) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // writing to a String cannot fail, and no metric of ours does
        _ = encode(&mut text, registry);
        match self {
            Self::OpenMetrics => text,
            Self::Text => plain(&text),
        }
    }
}

/// `OpenMetrics` as text of before: a counter is described under the name of its sample, and there is no unit, no end
/// mark and no type `info`.
fn plain(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let next =
            [words.next(), words.next(), words.next(), words.next()].map(Option::unwrap_or_default);
        // writing to a String cannot fail
        match next {
            ["#", "HELP", _, text] => help = text,
            ["#", "TYPE", name, kind] => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                _ = writeln!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
            }
            ["#", ..] => {}
            _ => _ = writeln!(out, "{line}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_what_they_ask_for() {
        for (accept, format) in [
            // Prometheus 2
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            // Prometheus 3
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=\"1.0.0\"", Format::OpenMetrics),
            (
                "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5",
                Format::Text,
            ),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.9", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
            (";;q=,,=;", Format::Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn text_of_before_describes_counters_by_the_name_of_their_sample() {
        let open_metrics = "# HELP b Version of it.\n# TYPE b info\nb_info{version=\"1\"} 1\n# HELP a Some help.\n# TYPE a counter\na_total{r=\"x y\"} 1\n# HELP g_seconds Age.\n# TYPE g_seconds gauge\n# UNIT g_seconds seconds\ng_seconds 0.5\n# EOF\n";
        let text = "# HELP b_info Version of it.\n# TYPE b_info gauge\nb_info{version=\"1\"} 1\n# HELP a_total Some help.\n# TYPE a_total counter\na_total{r=\"x y\"} 1\n# HELP g_seconds Age.\n# TYPE g_seconds gauge\ng_seconds 0.5\n";
        assert_eq!(plain(open_metrics), text);
    }
}
