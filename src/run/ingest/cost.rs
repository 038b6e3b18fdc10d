//! Estimated cost of the SQS requests of a run, as text and as JSON.

use std::fmt::Write;
use std::time::Duration;

use bouncewatch_ingest::telemetry::billed_requests::BilledRequests;
use serde_json::{Value, json};

/// Requests of a run.
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// Billed SQS requests.
    pub(super) billed: BilledRequests,
    /// Requests of a month without messages; `None` if the run does not follow a queue.
    pub(super) idle_month: Option<BilledRequests>,
}

impl Cost {
    /// Returns the requests of a month at the pace of this run; `None` if the run does not follow a queue, or was too
    /// short for an estimate.
    fn month(&self, elapsed: Duration) -> Option<BilledRequests> {
        self.idle_month.and(self.billed.month(elapsed))
    }

    /// Returns one line; `None` without SQS requests.
    pub(super) fn text(&self, elapsed: Duration) -> Option<String> {
        if self.billed.requests() == 0 {
            return None;
        }
        let estimate = |billed: BilledRequests| {
            let requests = with_thousands_separators(billed.requests());
            format!("{requests} ({})", format_dollars(billed.dollars()))
        };
        let mut line = format!("SQS requests (estimated cost): {}", estimate(self.billed));
        // writing to a String cannot fail
        if let Some(month) = self.month(elapsed) {
            _ = write!(line, "; per month at this pace: {}", estimate(month));
        }
        if let Some(idle) = self.idle_month {
            _ = write!(line, "; per month without messages: {}", estimate(idle));
        }
        Some(line)
    }

    /// Returns the same as JSON; null without SQS requests.
    pub(super) fn json(&self, elapsed: Duration) -> Value {
        let estimate = |billed: Option<BilledRequests>| {
            billed.map(|billed| json!({"requests": billed.requests(), "usd": billed.dollars()}))
        };
        if self.billed.requests() == 0 {
            return Value::Null;
        }
        json!({
            "service": "sqs", "estimate": true, "run": estimate(Some(self.billed)),
            "month": estimate(self.month(elapsed)), "month_idle": estimate(self.idle_month),
        })
    }
}

/// Returns `1296000` as `1,296,000`.
fn with_thousands_separators(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns an amount with cents; an amount below one cent with one significant digit.
fn format_dollars(dollars: f64) -> String {
    if dollars == 0.0 || dollars >= 0.01 {
        return format!("${dollars:.2}");
    }
    let decimals = (2..9).find(|decimals| dollars * 10_f64.powi(*decimals) >= 0.95);
    decimals.map_or_else(
        || "less than $0.00000001".to_owned(),
        |decimals| format!("${dollars:.*}", decimals.unsigned_abs() as usize),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_below_one_cent_have_one_significant_digit() {
        for (dollars, text) in [
            (0.0, "$0.00"),
            (0.051_84, "$0.05"),
            (1_234.5, "$1234.50"),
            (0.000_481_6, "$0.0005"),
            (0.000_001_6, "$0.000002"),
            (0.009_99, "$0.01"),
            (0.000_000_4, "$0.0000004"),
        ] {
            assert_eq!(format_dollars(dollars), text);
        }
    }

    #[test]
    fn numbers_have_thousands_separators() {
        for (number, text) in [(0, "0"), (999, "999"), (1_204, "1,204"), (1_296_000, "1,296,000")] {
            assert_eq!(with_thousands_separators(number), text);
        }
    }

    #[test]
    fn month_is_estimated_after_a_long_run_that_follows_a_queue() {
        let billed = BilledRequests { standard: 1_204, fifo: 0 };
        let idle = Some(BilledRequests::idle_month(1, 0));
        let (short, long) = (Duration::from_mins(1), Duration::from_hours(1));
        let text = |idle_month, elapsed| Cost { billed, idle_month }.text(elapsed).unwrap();
        assert_eq!(text(None, long), "SQS requests (estimated cost): 1,204 ($0.0005)");
        assert_eq!(
            text(idle, short),
            "SQS requests (estimated cost): 1,204 ($0.0005); per month without messages: 129,600 ($0.05)"
        );
        assert_eq!(
            text(idle, long),
            "SQS requests (estimated cost): 1,204 ($0.0005); per month at this pace: 866,880 ($0.35); per month without messages: 129,600 ($0.05)"
        );
        let json = Cost { billed, idle_month: idle }.json(short);
        assert_eq!(json["month_idle"]["requests"], 129_600);
        assert_eq!((&json["run"]["requests"], &json["month"]), (&json!(1_204), &Value::Null));
    }

    #[test]
    fn no_cost_without_requests() {
        let elapsed = Duration::from_hours(1);
        assert_eq!(Cost::default().text(elapsed), None);
        assert_eq!(Cost::default().json(elapsed), Value::Null);
    }
}
