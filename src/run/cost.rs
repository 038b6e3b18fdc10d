//! What an ingest run asked of AWS, and what that costs, as text and as JSON. All of it is an estimate.

use std::fmt::Write;
use std::time::Duration;

use bouncewatch_ingest::source::sqs::cost::Billed;
use serde_json::{Value, json};

/// What is known of the requests of a run.
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// Requests to SQS that are charged.
    pub(super) billed: Billed,
    /// What the run makes in a month in which nothing comes; `None`, if it does not run on.
    pub(super) idle: Option<Billed>,
}

impl Cost {
    /// A month at the pace of this run, if it runs on and took long enough to tell.
    fn month(&self, took: Duration) -> Option<Billed> {
        self.idle.and(self.billed.month(took))
    }

    /// A line, if there is anything to tell.
    pub(super) fn text(&self, took: Duration) -> Option<String> {
        let shown = |billed: Billed| (grouped(billed.requests()), dollars(billed.dollars()));
        if self.billed.requests() == 0 {
            return None;
        }
        let (requests, cost) = shown(self.billed);
        let mut line = format!("{requests} requests to SQS ({cost})");
        // writing to a String cannot fail
        if let Some(month) = self.month(took) {
            let (requests, cost) = shown(month);
            _ = write!(line, "; at this pace {requests} a month ({cost})");
        }
        if let Some(idle) = self.idle {
            let (requests, cost) = shown(idle);
            _ = write!(line, "; idle, this consumer makes {requests} a month ({cost})");
        }
        Some(line)
    }

    /// The same for machines; null, where nothing was asked of SQS.
    pub(super) fn json(&self, took: Duration) -> Value {
        let shown = |billed: Option<Billed>| {
            billed.map(|billed| json!({"requests": billed.requests(), "usd": billed.dollars()}))
        };
        if self.billed.requests() == 0 {
            return Value::Null;
        }
        json!({
            "service": "sqs", "estimate": true, "run": shown(Some(self.billed)),
            "month": shown(self.month(took)), "month_idle": shown(self.idle),
        })
    }
}

/// A number with commas.
fn grouped(number: u64) -> String {
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

/// Cents from a cent on, and one digit of what is less.
fn dollars(dollars: f64) -> String {
    if dollars == 0.0 || dollars >= 0.01 {
        return format!("${dollars:.2}");
    }
    let digits = (2..9).find(|digits| dollars * 10_f64.powi(*digits) >= 0.95);
    digits.map_or_else(
        || "less than $0.00000001".to_owned(),
        |digits| format!("${dollars:.*}", digits.unsigned_abs() as usize),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_money_have_the_digits_that_matter() {
        for (sum, shown) in [
            (0.0, "$0.00"),
            (0.051_84, "$0.05"),
            (1_234.5, "$1234.50"),
            (0.000_481_6, "$0.0005"),
            (0.000_001_6, "$0.000002"),
            (0.009_99, "$0.01"),
            (0.000_000_4, "$0.0000004"),
        ] {
            assert_eq!(dollars(sum), shown);
        }
        assert_eq!([0, 999, 1_204, 1_296_000].map(grouped), ["0", "999", "1,204", "1,296,000"]);
    }

    #[test]
    fn the_cost_of_a_month_is_told_where_it_is_known() {
        let billed = Billed { standard: 1_204, fifo: 0 };
        let idle = Some(Billed::idle_month(1, 0));
        let (short, long) = (Duration::from_mins(1), Duration::from_hours(1));
        let text = |idle, took| Cost { billed, idle }.text(took).unwrap();
        assert_eq!(text(None, long), "1,204 requests to SQS ($0.0005)");
        assert_eq!(
            text(idle, short),
            "1,204 requests to SQS ($0.0005); idle, this consumer makes 129,600 a month ($0.05)"
        );
        assert_eq!(
            text(idle, long),
            "1,204 requests to SQS ($0.0005); at this pace 866,880 a month ($0.35); idle, this consumer makes 129,600 a month ($0.05)"
        );
        assert_eq!(Cost::default().text(long), None);
        assert_eq!(Cost::default().json(long), Value::Null);
        let json = Cost { billed, idle }.json(short);
        assert_eq!(json["month_idle"]["requests"], 129_600);
        assert_eq!((&json["run"]["requests"], &json["month"]), (&json!(1_204), &Value::Null));
    }
}
