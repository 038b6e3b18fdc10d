//! Formats numbers of the page. Percentages and times have the form of the tables of the commands.

pub use bouncewatch_schemas::text::{duration, percent, utc_minute as minute};

/// Formats a threshold without trailing zeros: `5 %`, `0.1 %`.
pub fn threshold(rate: f64) -> String {
    trimmed(rate, 4)
}

/// Formats a rate as percent with at most `decimals` decimals, without trailing zeros.
pub(crate) fn trimmed(rate: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", rate * 100.0);
    format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Formats a number with a comma between thousands: `12,001`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a number; `unknown` for `None`.
pub fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "unknown".to_owned(), number)
}

/// Formats a number with its noun: `1 bounce`, `2 bounces`. `noun` is the plural with a final `s`.
pub fn counted(count: u64, noun: &str) -> String {
    let noun = if count == 1 { noun.strip_suffix('s').unwrap_or(noun) } else { noun };
    format!("{} {noun}", number(count))
}

/// Formats a confidence interval: `5.27 % to 8.45 %`; `unknown` for `None`.
pub fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(
        || "unknown".to_owned(),
        |[low, high]| format!("{} to {}", percent(Some(low)), percent(Some(high))),
    )
}

/// Formats the difference to the previous period with its sign; `unknown` if that is unknown.
pub fn change(count: u64, before: Option<u64>) -> String {
    match before {
        None => "unknown".to_owned(),
        Some(before) if count > before => format!("+{}", number(count - before)),
        Some(before) if count < before => format!("-{}", number(before - count)),
        Some(_) => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_between_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (5_905, "5,905"), (1_234_567, "1,234,567")] {
            assert_eq!(number(count), text);
        }
        assert_eq!(known(None), "unknown");
        assert_eq!(
            (counted(1, "bounces"), counted(2, "bounces")),
            ("1 bounce".into(), "2 bounces".into())
        );
    }

    #[test]
    fn thresholds_have_no_trailing_zeros() {
        for (rate, text) in [(0.05, "5 %"), (0.1, "10 %"), (0.001, "0.1 %"), (0.005, "0.5 %")] {
            assert_eq!(threshold(rate), text);
        }
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!(change(5, Some(3)), "+2");
        assert_eq!(change(3, Some(1_005)), "-1,002");
        assert_eq!((change(3, Some(3)), change(3, None)), ("0".into(), "unknown".into()));
    }
}
