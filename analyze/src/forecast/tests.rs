//! Forecasts on small stores, and a backtest of random campaigns.

use std::collections::BTreeMap;
use std::path::Path;

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use bouncewatch_store::addresses::{AddressRedactor, RedactionPolicy};

use crate::check::CheckRequest;
use crate::check::level::AlertLevel;
use crate::check::thresholds::{ThresholdRules, Thresholds};
use crate::forecast::evaluation::{AddressForecast, HoldReason};
use crate::forecast::model::BacktestReport;
use crate::forecast::{
    BacktestRequest, ForecastRequest, ListForecast, RecipientList, backtest, forecast,
};
use crate::scan::test_store::{TestRow, publish};
use crate::suppress::{AddressList, SoftLimit, SuppressRequest};
use crate::timeline::Basis;

/// 2026-11-20 00:00 UTC.
const AT: i64 = 1_795_132_800_000;
const HOUR: i64 = 3_600_000;
const KEY: &[u8] = b"0123456789abcdef";

/// A stream of numbers (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn is_one_of(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// Rows of a store, by day.
#[derive(Default)]
struct Rows {
    messages: u64,
    days: BTreeMap<i64, Vec<TestRow>>,
}

impl Rows {
    /// Adds a message to an address, its delivery or its hard bounce.
    fn send(&mut self, recipient: &str, at: i64, campaign: &'static str, is_bounce: bool) {
        self.messages += 1;
        let recipient: &'static str = Box::leak(recipient.to_owned().into_boxed_str());
        let tags: &'static [(&str, &str)] = Box::leak(Box::new([("campaign", campaign)]));
        let send = TestRow {
            message: self.messages,
            key: 1,
            at,
            recipient: Some(recipient),
            kind: Some("send"),
            tags,
            ..TestRow::default()
        };
        let delivery = TestRow { key: 2, at: at + 500, kind: Some("delivery"), ..send };
        let bounce = TestRow {
            kind: Some("bounce"),
            class: Some("hard"),
            counts: Some(true),
            bounce_type: Some("Permanent"),
            diagnostic: Some("smtp; 550 5.1.1 user unknown"),
            ..delivery
        };
        let rows = self.days.entry(day_of(at)).or_default();
        rows.extend([send, if is_bounce { bounce } else { delivery }]);
    }

    fn store(&self) -> tempfile::TempDir {
        let store = tempfile::tempdir().unwrap();
        for rows in self.days.values() {
            publish(store.path(), "a.parquet", rows);
        }
        store
    }
}

/// 3,000 messages in ten days: at `good.example` none bounces, at `bad.example` every second one.
fn history(address: impl Fn(String) -> String) -> Rows {
    let mut rows = Rows::default();
    for number in 0..3_000 {
        let at = AT - 12 * DAY_MS + number * (10 * DAY_MS / 3_000);
        let is_bad = number % 10 == 0;
        let domain = if is_bad { "bad.example" } else { "good.example" };
        let name = address(format!("u{number}@{domain}"));
        rows.send(&name, at, "news", is_bad && number % 20 == 0);
    }
    rows
}

fn check_request(store: &Path) -> CheckRequest {
    let windows = ["24h", "7d", "volume:1000"];
    CheckRequest {
        store: store.into(),
        service: Service::Ses,
        at: AT,
        windows: windows.into_iter().map(|one| one.parse().unwrap()).collect(),
        basis: Basis::Event,
        groupings: Vec::new(),
        counted_from: None,
        contributors: Vec::new(),
        own_domains: vec!["own.example".to_owned()],
        bounce: Thresholds { warning: 0.05, critical: 0.10, minimum_count: 5 },
        complaint: Thresholds { warning: 0.001, critical: 0.005, minimum_count: 3 },
        minimum_volume: 1_000,
        rules: ThresholdRules::default(),
        stale_after: DAY_MS,
        incidents: None,
    }
}

fn request(store: &Path) -> ForecastRequest {
    ForecastRequest {
        check: check_request(store),
        suppress: SuppressRequest {
            store: store.into(),
            at: AT,
            soft: SoftLimit::default(),
            mass_guard: 20,
            known: None,
        },
        campaign: "tag:campaign".parse().unwrap(),
        over_ms: 0,
        hasher: None,
        ses_list: None,
        no_mail_domains: BTreeMap::new(),
        columns: Vec::new(),
        keep_below: None,
        top: 5,
    }
}

fn forecast_of(request: &ForecastRequest, list: &str) -> ListForecast {
    forecast(request, &RecipientList::parse(list.as_bytes()), Classifier::builtin()).unwrap()
}

/// New addresses at a domain.
fn numbered(count: usize, domain: &str) -> String {
    let lines: Vec<String> = (0..count).map(|number| format!("n{number}@{domain}\n")).collect();
    lines.concat()
}

/// Evidence and hold of each address.
fn results(forecast: &ListForecast) -> Vec<(&str, Option<&str>)> {
    let texts = |one: &AddressForecast| (one.evidence.as_str(), one.hold.map(HoldReason::as_str));
    forecast.addresses.iter().map(texts).collect()
}

#[test]
fn probability_follows_the_evidence_of_the_address_then_of_its_domain() {
    let store = history(|address| address).store();
    let list =
        "u1@good.example\nx@good.example\nx@elsewhere.example\nx@bad.example\nu20@bad.example\n";
    let found = forecast_of(&request(store.path()), list);
    let expected = [
        ("delivered_30d", None),
        ("new", None),
        ("new", None),
        ("new", None),
        ("bounced", Some("hard_bounce")),
    ];
    assert_eq!(results(&found), expected);
    let probabilities: Vec<f64> = found.addresses.iter().map(|one| one.rated.probability).collect();
    assert!(probabilities[1..].is_sorted(), "{probabilities:?}");
    assert!(probabilities[1] < 0.01 && (0.4..0.6).contains(&probabilities[3]), "{probabilities:?}");
    assert!(!found.summary.knowledge.is_low);
}

#[test]
fn addresses_that_get_no_mail_or_are_not_counted_are_held_or_left_out() {
    let store = history(|address| address).store();
    let mut request = request(store.path());
    request.ses_list = Some(AddressList::parse("listed@good.example\n").unwrap());
    request.no_mail_domains = [("gone.example".to_owned(), "no such domain".to_owned())].into();
    let list =
        "listed@good.example\nx@gone.example\nx@own.example\nx@gmial.com\ninfo@good.example\n";
    let found = forecast_of(&request, list);
    let expected = [
        ("on_ses_list", Some("on_ses_list")),
        ("no_mail_domain", Some("no_mail_domain")),
        ("new", None),
        ("mistyped_domain", None),
        ("new_role", None),
    ];
    assert_eq!(results(&found), expected);
    assert_eq!((found.summary.list.addresses, found.summary.list.not_counted), (4, 1));
    let removed: Vec<_> = found.summary.remaining.iter().map(|one| one.removed).collect();
    assert_eq!(
        removed[..3],
        ["suppressed addresses", "domains that accept no mail", "mistyped domains"]
    );
}

#[test]
fn hashed_addresses_are_found_with_the_key() {
    let hasher = || AddressRedactor::new(RedactionPolicy::Hash, Some(KEY)).unwrap();
    let hash = |address: String| hasher().hashes(&address).remove(0);
    let store = history(hash).store();
    let list = "u1@good.example\nu20@bad.example\n";
    let mut request = request(store.path());
    assert_eq!(results(&forecast_of(&request, list)), [("new", None), ("new", None)]);
    request.hasher = Some(hasher());
    let found = forecast_of(&request, list);
    assert_eq!(results(&found), [("delivered_30d", None), ("bounced", Some("hard_bounce"))]);
}

#[test]
fn account_without_history_is_never_ok_and_its_interval_is_wide() {
    let mut rows = Rows::default();
    rows.send("a@good.example", AT - HOUR, "news", false);
    let list = numbered(2_000, "new.example");
    let summary = forecast_of(&request(rows.store().path()), &list).summary;
    let [low, high] = summary.bounces.rate_interval.unwrap();
    assert!(low < 0.01 && high > 0.12, "{low} {high}");
    assert!(summary.knowledge.is_low && summary.status != AlertLevel::Ok, "{:?}", summary.status);
    // a few addresses that change no window
    let summary = forecast_of(&request(rows.store().path()), "a@good.example\n").summary;
    assert_eq!((summary.status, summary.exit_code), (AlertLevel::Unknown, 3));
}

#[test]
fn windows_after_the_send_contain_the_list_and_lose_what_is_older() {
    use AlertLevel::Critical;

    let store = history(|address| address).store();
    let list = numbered(500, "bad.example");
    let windows = |over_ms| {
        let summary =
            forecast_of(&ForecastRequest { over_ms, ..request(store.path()) }, &list).summary;
        let bounces = summary.windows.into_iter().filter(|one| one.metric == "bounce_rate");
        let attempts: Vec<_> = bounces.map(|one| (one.attempts.unwrap(), one.level)).collect();
        (summary.status, attempts)
    };
    // 1,500 of the 3,000 messages are in the last 7 days, none in the last 24 hours
    let (status, now) = windows(0);
    assert_eq!(status, Critical);
    assert_eq!(now, [(500, Critical), (1_999, Critical), (1_000, Critical)]);
    // at the end of four days, half of the list is older than 24 hours, and 900 messages have left 7 days
    let (_, later) = windows(2 * DAY_MS);
    assert_eq!((later[0].0, later[1].0, later[2].0), (250, 1_399, 1_000));
}

#[test]
fn split_holds_suppressed_addresses_and_the_riskiest() {
    let store = history(|address| address).store();
    let list = numbered(900, "good.example") + &numbered(100, "bad.example") + "u20@bad.example\n";
    let found =
        forecast_of(&ForecastRequest { keep_below: Some(0.04), ..request(store.path()) }, &list);
    let split = found.summary.split.as_ref().unwrap();
    assert!((900..960).contains(&split.send), "{split:?}");
    assert!(split.bounces.rate_interval.unwrap()[1] < 0.04, "{split:?}");
    assert!(!found.send.contains(&1_000));
    let probabilities: Vec<f64> =
        found.send.iter().map(|at| found.addresses[*at].rated.probability).collect();
    assert!(probabilities.is_sorted());
    // the list as it is
    let [low, high] = found.summary.bounces.interval;
    assert!(low < 52.0 && high > 48.0, "{low} {high}");
}

/// Forty campaigns on forty days: to 300 addresses that are known or new, at domains with different rates.
fn random_campaigns(seed: u64) -> BacktestReport {
    let (mut rows, mut random) = (Rows::default(), Random(seed));
    for day in 0..40 {
        // each campaign has up to twice as many bounces as usual
        let luck = 1 + random.next() % 2;
        for number in 0..300 {
            let domain = random.next() % 30;
            let user = random.next() % 400;
            let is_dead = user % 20 == domain % 20 || random.is_one_of(60 / luck);
            let address = format!("u{user}@d{domain}.example");
            let at = AT - (41 - day) * DAY_MS + number * 60_000;
            rows.send(&address, at, "news", is_dead);
        }
    }
    let store = rows.store();
    let request = BacktestRequest {
        check: check_request(store.path()),
        campaign: "tag:campaign".parse().unwrap(),
        from: AT - 25 * DAY_MS,
        attempts_min: 100,
        keep_below: 0.04,
    };
    backtest(&request).unwrap()
}

#[test]
fn backtest_of_random_campaigns_is_calibrated_and_beats_the_rates_of_account_and_domain() {
    let reports: Vec<BacktestReport> = (1..=2).map(random_campaigns).collect();
    let (mut covered, mut below, mut all) = (0, 0, 0);
    for report in &reports {
        assert!(report.mailings.len() >= 23, "{}", report.mailings.len());
        let brier = report.brier;
        assert!(
            brier.forecast < brier.account_rate && brier.forecast < brier.domain_rate,
            "{brier:?}"
        );
        covered += report.mailings.iter().filter(|one| one.is_covered).count();
        below += report.split.below;
        all += report.split.mailings;
    }
    assert!(covered as u64 * 100 >= all * 80, "{covered} of {all}");
    assert!(below * 100 >= all * 85, "{below} of {all}");
}
