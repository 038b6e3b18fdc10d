//! Converts arguments and settings to the types of the analyses.

use std::path::Path;

use anyhow::{Context, ensure};
use bouncewatch_analyze::error::AnalyzeError;
use bouncewatch_analyze::report::text::utc_second;
use bouncewatch_analyze::suppress::AddressList;
use bouncewatch_analyze::timeline::{self, Basis, Dimension, Grouping, Window};
use bouncewatch_schemas::address::normalise_domain;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;

use super::times::time_ms;
use crate::cli::{BasisArg, ServiceArg};
use crate::config::Config;

pub(super) fn service(argument: ServiceArg) -> Service {
    match argument {
        ServiceArg::Ses => Service::Ses,
        ServiceArg::Workmail => Service::WorkMail,
    }
}

pub(super) fn basis(argument: BasisArg) -> Basis {
    match argument {
        BasisArg::Event => Basis::Event,
        BasisArg::Send => Basis::Send,
    }
}

/// Parses a duration above 0; returns milliseconds. `name` is the flag, for the error.
pub(super) fn positive_duration_ms(name: &str, text: &str) -> anyhow::Result<i64> {
    timeline::parse_duration_ms(text).with_context(|| {
        format!("{name}: invalid duration `{text}`\n  hint: write 90s, 15m, 24h or 7d")
    })
}

/// Parses a rate such as `6.2%` or `0.062`. `name` is the flag, for the error.
///
/// # Errors
/// If the text is no rate.
pub(super) fn fraction(name: &str, text: Option<&str>) -> anyhow::Result<Option<f64>> {
    let parse = |text: &str| {
        let (number, scale) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent.trim(), 100.0),
            None => (text.trim(), 1.0),
        };
        let rate = number.parse::<f64>().ok().map(|rate| rate / scale);
        rate.filter(|rate| (0.0..=1.0).contains(rate))
            .with_context(|| format!("{name}: invalid rate `{text}`\n  hint: write 6.2% or 0.062"))
    };
    text.map(parse).transpose()
}

/// Reads a list of addresses. `flag` is for the error.
///
/// # Errors
/// If the file cannot be read, or is no list.
pub(super) fn address_list(flag: &str, path: Option<&Path>) -> anyhow::Result<Option<AddressList>> {
    let read = |path: &Path| {
        let flag = || format!("{flag} `{}`", path.display());
        let text = std::fs::read(path).with_context(flag)?;
        AddressList::parse(&String::from_utf8_lossy(&text)).with_context(flag)
    };
    path.map(read).transpose()
}

/// Returns the own domains of settings and arguments, in the form of the event table.
///
/// # Errors
/// If a text is not a domain. It would match nothing.
pub(super) fn own_domains(config: &Config, arguments: &[String]) -> anyhow::Result<Vec<String>> {
    let domain = |text: &String| {
        let domain = normalise_domain(text.trim().trim_start_matches(['.', '@'])).into_owned();
        let is_valid = !domain.is_empty() && !domain.contains([',', '@', ' ', '/']);
        ensure!(
            is_valid,
            "invalid own domain `{text}`\n  hint: write example.com; repeat --own-domain for several domains"
        );
        Ok(domain)
    };
    config.own_domains.iter().chain(arguments).map(domain).collect()
}

/// Parses the groupings of --by, or of `by` in the settings if there are none; duplicates are removed.
pub(super) fn groupings(
    arguments: &[String],
    settings: &[String],
) -> anyhow::Result<Vec<Grouping>> {
    let parse =
        |texts: &[String]| without_duplicates(texts.iter().map(|text| Grouping::parse(text)));
    if arguments.is_empty() {
        return parse(settings).context("`by` in the settings");
    }
    parse(arguments)
}

/// Parses the windows of --window, or of `windows` in the settings if there are none; duplicates are removed.
pub(super) fn windows(arguments: &[String], settings: &[String]) -> anyhow::Result<Vec<Window>> {
    let parse = |texts: &[String]| without_duplicates(texts.iter().map(|text| text.parse()));
    if arguments.is_empty() {
        ensure!(
            !settings.is_empty(),
            "`windows` in the settings: no window\n  hint: omit `windows` for the default, or write windows = [\"24h\"]"
        );
        return parse(settings).context("`windows` in the settings");
    }
    parse(arguments)
}

/// Returns the time before which events are ignored, milliseconds since 1970.
pub(super) fn counted_from(argument: Option<&str>, config: &Config) -> anyhow::Result<Option<i64>> {
    match argument {
        Some(argument) => time_ms("--counted-from", Some(argument)),
        None => time_ms("`counted_from` in the settings", config.counted_from.as_deref()),
    }
}

/// Returns the hint for a result without events.
pub(super) fn no_events_hint(counted_from: Option<i64>) -> String {
    not_counted_hint(counted_from).unwrap_or_else(|| {
        "\n  hint: `bouncewatch store stats` prints the first and last day with events".to_owned()
    })
}

/// Returns the hint for a result without events if a start of counting is set.
pub(super) fn not_counted_hint(counted_from: Option<i64>) -> Option<String> {
    let from = utc_second(&format_ms(counted_from?));
    Some(format!(
        "\n  hint: events before {from} do not count (--counted-from, or `counted_from` in the settings); use an earlier time, or omit it"
    ))
}

/// Returns the dimensions by which contributors are listed.
pub(super) fn contributors(config: &Config) -> anyhow::Result<Vec<Dimension>> {
    without_duplicates(config.contributors.iter().map(|text| Dimension::parse_contributor(text)))
        .context("`contributors` in the settings")
}

/// Collects parsed values in their order, each once.
pub(super) fn without_duplicates<T: PartialEq>(
    parsed: impl Iterator<Item = Result<T, AnalyzeError>>,
) -> anyhow::Result<Vec<T>> {
    let mut unique = Vec::new();
    for value in parsed {
        let value = value?;
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    Ok(unique)
}

/// Returns the minimum number of addresses of a provider incident.
pub(super) fn mass_guard(argument: Option<u32>, config: &Config) -> usize {
    argument.unwrap_or(config.suppress.mass_guard) as usize
}
