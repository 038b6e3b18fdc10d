//! Request -> command line: the path names the command, query parameters are its options. Pure.

use std::net::IpAddr;

/// Options of the commands that a request can set, with the name of their flag. Others read or write files, or send
/// alerts.
const OPTIONS: [&str; 11] = [
    "window",
    "by",
    "at",
    "from",
    "to",
    "every",
    "basis",
    "service",
    "counted-from",
    "own-domain",
    "top",
];

/// A path with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) command: &'static str,
    /// Value of `--format`; none for the page.
    format: Option<&'static str>,
    pub(super) content_type: &'static str,
}

const fn route(
    path: &'static str,
    command: &'static str,
    format: Option<&'static str>,
    content_type: &'static str,
) -> Route {
    Route { path, command, format, content_type }
}

/// The paths with results.
pub(super) const ROUTES: [Route; 5] = [
    route("/", "page", None, "text/html; charset=utf-8"),
    route("/check.json", "check", Some("json"), "application/json"),
    route("/report.json", "report", Some("json"), "application/json"),
    route("/report.csv", "report", Some("csv"), "text/csv; charset=utf-8"),
    route("/metrics", "check", Some("prometheus"), "text/plain; version=0.0.4; charset=utf-8"),
];

/// Returns the arguments of a request, without the name of the program, in an order that does not depend on the order of
/// the query.
///
/// # Errors
/// The name of a query parameter that is no option.
pub(super) fn arguments(route: Route, query: &str) -> Result<Vec<String>, String> {
    let mut options = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let flag = name.replace('_', "-");
        if !OPTIONS.contains(&flag.as_str()) {
            return Err(name.into_owned());
        }
        // one argument, so that a value is never a flag
        options.push(format!("--{flag}={value}"));
    }
    // stable: the order of equal flags counts
    options.sort_by(|a, b| a.split('=').next().cmp(&b.split('=').next()));
    let format = route.format.map(|format| format!("--format={format}"));
    Ok([route.command.to_owned()].into_iter().chain(format).chain(options).collect())
}

/// The names of all options, for an error.
pub(super) fn option_names() -> String {
    OPTIONS.join(", ")
}

/// Whether a request with this header `Host` is accepted: for localhost, an IP address, or one of some names. A name
/// that only an attacker controls can resolve to this machine.
pub(super) fn is_accepted_host(host: &str, names: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_options_of_the_command() {
        let [page, check, ..] = ROUTES;
        assert_eq!(arguments(page, "").unwrap(), ["page"]);
        for query in
            ["window=24h&by=tag%3Acampaign&by=identity", "by=tag:campaign&window=24h&by=identity"]
        {
            let expected =
                ["check", "--format=json", "--by=tag:campaign", "--by=identity", "--window=24h"];
            assert_eq!(arguments(check, query).unwrap(), expected);
        }
        assert_eq!(
            arguments(check, "counted_from=2026-11-01").unwrap()[2],
            "--counted-from=2026-11-01"
        );
        assert_eq!(arguments(check, "by=--alert-exec=rm").unwrap()[2], "--by=--alert-exec=rm");
        for query in ["store=/etc", "output=x", "alert_exec=x", "=x", "format=table", "counts=x"] {
            assert!(arguments(check, query).is_err(), "{query}");
        }
    }

    #[test]
    fn unknown_host_names_are_refused() {
        let names = ["status.example.com".to_owned()];
        for host in [
            "localhost",
            "LOCALHOST:9465",
            "127.0.0.1:1",
            "[::1]:9465",
            "10.0.0.1",
            "Status.example.com:80",
        ] {
            assert!(is_accepted_host(host, &names), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "example.com:9465",
        ] {
            assert!(!is_accepted_host(host, &names), "{host}");
        }
    }
}
