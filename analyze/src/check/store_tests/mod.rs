//! Checks and reconciliations of small stores.

mod reconciliation;

use bouncewatch_schemas::event::{EventKind, Service};

use crate::check::level::AlertLevel;
use crate::check::request::CheckRequest;
use crate::check::run::{CheckReport, check};
use crate::check::thresholds::{Limits, ThresholdRule, ThresholdRules, Thresholds};
use crate::check::verdict::Verdict;
use crate::scan::test_store::{TestRow, publish};
use crate::timeline::{Basis, Dimension, Grouping};

/// 2026-11-20 12:00 UTC.
const AT: i64 = 1_795_176_000_000;
const HOUR: i64 = 3_600_000;

/// Messages of one recipient, sent in one millisecond.
#[derive(Debug, Clone, Copy)]
struct Mail {
    number: u64,
    recipient: &'static str,
    identity: &'static str,
    provider: &'static str,
    hours_ago: i64,
    has_send: bool,
    outcome: TestRow,
    /// Hours from the send to the outcome.
    outcome_after: i64,
}

const DELIVERED: TestRow = TestRow { kind: Some("delivery"), ..NO_FIELDS };
const HARD: TestRow =
    TestRow { kind: Some("bounce"), class: Some("hard"), counts: Some(true), ..NO_FIELDS };
const COMPLAINED: TestRow = TestRow { kind: Some("complaint"), ..NO_FIELDS };
const NO_FIELDS: TestRow = TestRow {
    service: None,
    channel: None,
    message: 0,
    key: 0,
    at: 0,
    sent_at: None,
    kind: None,
    class: None,
    counts: None,
    complaint_type: None,
    complaint_subtype: None,
    feedback_id: None,
    recipient: None,
    provider: None,
    identity: None,
    tags: &[],
    smtp_code: None,
    cause: None,
    bounce_type: None,
    bounce_subtype: None,
    diagnostic: None,
};

#[expect(clippy::large_types_passed_by_value, reason = "a row of a test is a value")]
const fn mail(number: u64, recipient: &'static str, outcome: TestRow) -> Mail {
    Mail {
        number,
        recipient,
        identity: "i.example",
        provider: "other",
        hours_ago: 6,
        has_send: true,
        outcome,
        outcome_after: 0,
    }
}

const fn hard(cause: &'static str) -> TestRow {
    TestRow { cause: Some(cause), ..HARD }
}

fn store(all: &[Mail]) -> tempfile::TempDir {
    let store = tempfile::tempdir().unwrap();
    let mut message = 0;
    for (at, mail) in all.iter().enumerate() {
        let sent_at = AT - mail.hours_ago * HOUR;
        let mut sends = Vec::new();
        let mut outcomes = Vec::new();
        for _ in 0..mail.number {
            message += 1;
            let row = |fields: TestRow, key: u64, at: i64| TestRow {
                message,
                key,
                at,
                sent_at: Some(sent_at),
                recipient: Some(mail.recipient),
                identity: Some(mail.identity),
                provider: Some(mail.provider),
                ..fields
            };
            if mail.has_send {
                let send = TestRow { kind: Some(EventKind::Send.as_str()), ..NO_FIELDS };
                sends.push(row(send, 1, sent_at));
            }
            outcomes.push(row(mail.outcome, 2, sent_at + mail.outcome_after * HOUR));
        }
        for (name, rows) in [("sends", sends), ("outcomes", outcomes)] {
            if !rows.is_empty() {
                publish(store.path(), &format!("{name}-{at}.parquet"), &rows);
            }
        }
    }
    store
}

fn request(store: &tempfile::TempDir, windows: &[&str]) -> CheckRequest {
    let contributors = ["identity", "recipient_domain", "provider", "cause"];
    CheckRequest {
        store: store.path().into(),
        service: Service::Ses,
        at: AT,
        windows: windows.iter().map(|text| text.parse().unwrap()).collect(),
        basis: Basis::Event,
        groupings: vec![Grouping::parse("identity").unwrap()],
        counted_from: None,
        contributors: contributors.map(|text| Dimension::parse_contributor(text).unwrap()).into(),
        own_domains: Vec::new(),
        bounce: Thresholds { warning: 0.05, critical: 0.10, minimum_count: 5 },
        complaint: Thresholds { warning: 0.001, critical: 0.005, minimum_count: 3 },
        minimum_volume: 1_000,
        rules: ThresholdRules::default(),
        stale_after: 24 * HOUR,
        incidents: None,
    }
}

/// The verdict of a metric of the account, or of an identity.
fn verdict<'r>(
    report: &'r CheckReport,
    metric: &str,
    window: &str,
    identity: Option<&str>,
) -> &'r Verdict {
    let is_wanted = |one: &&Verdict| {
        let last = one.scope.0.get(2).and_then(|(_, value)| value.as_deref());
        one.metric == metric && one.window == window && last == identity
    };
    report.verdicts.iter().find(is_wanted).unwrap()
}

type Listed<'v> = (&'v str, Option<&'v str>, u64, Option<u64>);

fn contributors(verdict: &Verdict) -> Vec<Listed<'_>> {
    let listed = verdict.contributors.iter();
    listed.map(|one| (one.by.as_str(), one.value.as_deref(), one.count, one.attempts)).collect()
}

/// 105 bounces of 1,000 messages, and more of them earlier.
fn mails() -> Vec<Mail> {
    let gmail = |mail: Mail| Mail { provider: "gmail", ..mail };
    let of_j = |mail: Mail| Mail { identity: "j.example", ..mail };
    vec![
        gmail(mail(60, "ann@a.example", hard("mailbox_unknown"))),
        gmail(mail(140, "ann@a.example", DELIVERED)),
        of_j(mail(30, "bob@b.example", hard("policy_rejected"))),
        of_j(mail(760, "bob@b.example", DELIVERED)),
        mail(10, "bob@b.example", HARD),
        // sent before the windows
        Mail { has_send: false, ..of_j(mail(5, "carl@c.example", HARD)) },
        Mail { hours_ago: 62, ..mail(1_600, "ann@a.example", DELIVERED) },
        Mail { hours_ago: 62, ..of_j(mail(400, "dan@d.example", hard("mailbox_full"))) },
    ]
}

#[test]
fn contributors_are_the_parts_of_each_scope_and_window() {
    let store = store(&mails());
    let report = check(&request(&store, &["24h", "3d"])).unwrap();
    let account = verdict(&report, "bounce_rate", "24h", None);
    assert_eq!((account.count, account.attempts), (105, Some(1_000)));
    let expected = [
        ("identity", Some("i.example"), 70, Some(210)),
        ("recipient_domain", Some("a.example"), 60, Some(200)),
        ("provider", Some("gmail"), 60, Some(200)),
        ("recipient_domain", Some("c.example"), 5, Some(0)),
        ("recipient_domain", Some("b.example"), 40, Some(800)),
        ("identity", Some("j.example"), 35, Some(790)),
        ("cause", Some("mailbox_unknown"), 60, None),
        ("cause", Some("policy_rejected"), 30, None),
    ];
    assert_eq!(contributors(account), expected);
    let of_identity = verdict(&report, "bounce_rate", "24h", Some("i.example"));
    let expected = [
        ("recipient_domain", Some("b.example"), 10, Some(10)),
        ("recipient_domain", Some("a.example"), 60, Some(200)),
        ("provider", Some("gmail"), 60, Some(200)),
        ("cause", Some("mailbox_unknown"), 60, None),
    ];
    assert_eq!(contributors(of_identity), expected);
    // below the threshold
    let of_identity = verdict(&report, "bounce_rate", "24h", Some("j.example"));
    assert_eq!(contributors(of_identity), []);
    let longer = contributors(verdict(&report, "bounce_rate", "3d", None));
    assert!(
        longer.contains(&("recipient_domain", Some("d.example"), 400, Some(400))),
        "{longer:?}"
    );
    assert!(longer.contains(&("recipient_domain", Some("a.example"), 60, Some(1_800))));
    // the same without send events
    let without_sends: Vec<Mail> =
        mails().into_iter().map(|mail| Mail { has_send: false, ..mail }).collect();
    let report = check(&request(&self::store(&without_sends), &["24h"])).unwrap();
    let listed = contributors(verdict(&report, "bounce_rate", "24h", None));
    assert!(listed.contains(&("recipient_domain", Some("a.example"), 60, Some(200))), "{listed:?}");
}

#[test]
fn contributors_are_listed_from_the_warning_threshold_on_and_by_the_basis_of_the_check() {
    let late = Mail { hours_ago: 30, outcome_after: 29, ..mail(50, "carl@c.example", HARD) };
    let all = [mail(50, "ann@a.example", HARD), mail(950, "bob@b.example", DELIVERED), late];
    let store = store(&all);
    let request = CheckRequest { basis: Basis::Send, ..request(&store, &["24h"]) };
    let report = check(&request).unwrap();
    let account = verdict(&report, "bounce_rate", "24h", None);
    assert_eq!((account.level, account.count), (AlertLevel::Warning, 50));
    let expected = [
        ("recipient_domain", Some("a.example"), 50, Some(50)),
        ("identity", Some("i.example"), 50, Some(1_000)),
    ];
    assert_eq!(contributors(account), expected);
}

#[test]
fn feed_is_stale_after_a_time_without_events() {
    let feed = |hours_ago: i64, stale_after: i64| {
        let store = store(&[Mail { hours_ago, ..mail(1, "ann@a.example", DELIVERED) }]);
        let request = CheckRequest { stale_after, ..request(&store, &["7d", "1h"]) };
        let report = check(&request).unwrap();
        for verdict in &report.verdicts {
            assert_eq!(verdict.headroom.is_some(), verdict.window == "7d");
        }
        (report.feed.silent_seconds, report.feed.stale, report.status)
    };
    assert_eq!(feed(5, 5 * HOUR), (Some(18_000), false, AlertLevel::Ok));
    assert_eq!(feed(5, 5 * HOUR - 1), (Some(18_000), true, AlertLevel::Unknown));
    // the only event is after the evaluation
    assert_eq!(feed(-1, 5 * HOUR), (None, true, AlertLevel::Unknown));
}

#[test]
fn status_is_the_worst_level_of_accounts_and_of_known_groups() {
    let bounces = Mail { has_send: false, ..mail(2, "ann@a.example", HARD) };
    let of_j = Mail { identity: "j.example", ..mail(300, "bob@b.example", DELIVERED) };
    let opened = mail(1, "ann@a.example", TestRow { kind: Some("open"), ..NO_FIELDS });
    let opened = Mail { has_send: false, ..opened };
    for (mails, expected) in [
        (vec![of_j], AlertLevel::Ok),
        // a group without attempts does not count, an account does
        (vec![bounces, of_j], AlertLevel::Ok),
        (vec![bounces], AlertLevel::Unknown),
        // no rate at all
        (vec![opened], AlertLevel::Unknown),
        (vec![mail(300, "ann@a.example", HARD), of_j], AlertLevel::Critical),
    ] {
        let report = check(&request(&store(&mails), &["24h"])).unwrap();
        assert_eq!(report.status, expected, "{mails:?}");
        assert_eq!(report.exit_code, expected.exit_code());
    }
}

#[test]
fn check_of_a_store_of_the_other_service_names_it() {
    let sent = |service| TestRow { service: Some(service), ..DELIVERED };
    for (stored, evaluated, expected) in [
        (Service::WorkMail, Service::Ses, Some(Service::WorkMail)),
        (Service::Ses, Service::WorkMail, Some(Service::Ses)),
        (Service::Ses, Service::Ses, None),
    ] {
        let store = store(&[Mail { has_send: false, ..mail(1, "ann@a.example", sent(stored)) }]);
        let request = CheckRequest { service: evaluated, ..request(&store, &["24h"]) };
        assert_eq!(check(&request).unwrap().other_service, expected, "{evaluated:?}");
    }
}

/// 40 bounces of 1,200 messages, all in the last minutes.
fn rising() -> Vec<Mail> {
    let recent = |mail: Mail| Mail { hours_ago: 0, ..mail };
    vec![
        Mail { hours_ago: 20, ..mail(1_000, "ann@a.example", DELIVERED) },
        recent(mail(40, "ann@a.example", HARD)),
        recent(mail(150, "ann@a.example", DELIVERED)),
        recent(Mail { provider: "gmail", ..mail(9, "bob@b.example", DELIVERED) }),
        recent(Mail {
            identity: "j.example",
            provider: "gmail",
            ..mail(1, "bob@b.example", COMPLAINED)
        }),
        Mail { hours_ago: 100, ..mail(10, "ann@a.example", HARD) },
        Mail { hours_ago: 142, ..mail(30, "ann@a.example", DELIVERED) },
        Mail { hours_ago: 145, ..mail(30, "ann@a.example", DELIVERED) },
    ]
}

#[test]
fn verdict_has_headroom_pace_projection_and_previous_period() {
    let store = store(&rising());
    let report = check(&request(&store, &["24h", "3d"])).unwrap();
    let account = verdict(&report, "bounce_rate", "24h", None);
    assert_eq!((account.count, account.attempts, account.level), (40, Some(1_200), AlertLevel::Ok));
    let headroom = account.headroom.unwrap();
    assert_eq!((headroom.warning, headroom.critical), (20, 80));
    let pace = account.pace.as_ref().unwrap();
    assert_eq!((pace.long.count, pace.long.attempts, pace.burn), (40, 200, Some(2.0)));
    let crossings = (account.crosses_warning_at.as_deref(), account.crosses_critical_at.as_deref());
    assert!(crossings.0.unwrap() < crossings.1.unwrap(), "{crossings:?}");
    assert!(account.with_feedback.is_none() && account.incoming_bounces.is_none());
    assert!(account.mature.is_none());
    // mail 142 hours ago is in the three days before the window, mail 145 hours ago is not
    let before = verdict(&report, "bounce_rate", "3d", None).before.as_ref().unwrap();
    assert_eq!((before.count, before.attempts), (10, 40));
    for (identity, attempts, count) in
        [(None, 1_190, 1), (Some("i.example"), 1_190, 0), (Some("j.example"), 0, 1)]
    {
        let complaints = verdict(&report, "complaint_rate", "24h", identity);
        assert_eq!(complaints.count, count, "{identity:?}");
        assert_eq!(complaints.with_feedback.unwrap().attempts, attempts, "{identity:?}");
    }
}

#[test]
fn verdict_by_send_time_states_the_mature_part_and_no_pace() {
    let mut mails = rising();
    mails.push(Mail { hours_ago: 15, ..mail(300, "ann@a.example", DELIVERED) });
    let store = store(&mails);
    for basis in [Basis::Send, Basis::Event] {
        let request = CheckRequest { basis, ..request(&store, &["3d", "1h"]) };
        let report = check(&request).unwrap();
        let account = verdict(&report, "bounce_rate", "3d", None);
        assert_eq!(account.attempts, Some(1_500));
        let is_send = basis == Basis::Send;
        assert_eq!(account.mature, is_send.then_some(1_300.0 / 1_500.0));
        assert_eq!(account.pace.is_none(), is_send);
        assert_eq!(account.before.is_none(), is_send);
        // mail of the last hour is not mature
        let recent = verdict(&report, "bounce_rate", "1h", None);
        assert_eq!(recent.mature, is_send.then_some(0.0));
    }
}

#[test]
fn verdict_of_a_group_needs_a_minimum_count_and_follows_its_rule() {
    let of_j = Mail { identity: "j.example", ..mail(4, "ann@a.example", HARD) };
    let late = Mail { identity: "k.example", has_send: false, ..of_j };
    let store = store(&[of_j, mail(996, "bob@b.example", DELIVERED), late]);
    let default = request(&store, &["24h"]);
    let level = |request: &CheckRequest| {
        let report = check(request).unwrap();
        let account = report.verdicts.iter().filter(|one| one.scope.is_account()).count();
        assert_eq!(account, 2);
        verdict(&report, "bounce_rate", "24h", Some("j.example")).level
    };
    assert_eq!(level(&default), AlertLevel::Ok);
    let thresholds = Thresholds { warning: 0.5, critical: 1.0, minimum_count: 1 };
    let limits = Limits { thresholds, minimum_volume: 1 };
    let scope = [("identity", Some("j.example"))].into_iter();
    let rule = ThresholdRule::new("bounce_rate", scope, limits).unwrap();
    let rules = ThresholdRules::new(vec![rule]).unwrap();
    let groupings = vec![Grouping::account(), Grouping::parse("identity").unwrap()];
    assert_eq!(level(&CheckRequest { groupings, rules, ..default }), AlertLevel::Critical);
}
