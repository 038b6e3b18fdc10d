//! Reconciliations of small stores.

use bouncewatch_schemas::time::DAY_MS;

use crate::check::reconcile::{ReconcileRequest, ReconciledScope, ReconciliationStep, reconcile};
use crate::check::store_tests::{AT, DELIVERED, HARD, Mail, mail, store};
use crate::scan::test_store::TestRow;

/// Bounces of every class, also of mail that SES does not count.
fn bounces_of_all_classes() -> Vec<Mail> {
    let class = |class, counts| TestRow { class, counts: Some(counts), ..HARD };
    let one = "ann@a.example";
    vec![
        mail(5, "success@simulator.amazonses.com", HARD),
        mail(1, "success@simulator.amazonses.com", DELIVERED),
        mail(10, "dan@own.example", HARD),
        mail(20, "dan@own.example", DELIVERED),
        mail(1, one, class(Some("auto_reply"), false)),
        mail(7, one, class(Some("soft"), false)),
        mail(3, one, class(Some("undetermined"), false)),
        mail(4, one, class(Some("suppressed"), false)),
        mail(2, one, class(None, false)),
        mail(30, one, HARD),
        mail(6, one, class(Some("suppressed"), true)),
        mail(947, one, DELIVERED),
        Mail { hours_ago: 62, ..mail(100, "dan@own.example", HARD) },
        Mail { hours_ago: 62, ..mail(100, one, DELIVERED) },
    ]
}

fn reconciled(mails: &[Mail], change: impl Fn(&mut ReconcileRequest)) -> Vec<ReconciledScope> {
    let store = store(mails);
    let mut request = ReconcileRequest {
        store: store.path().into(),
        at: AT,
        windows: ["24h", "3d"].map(|text| text.parse().unwrap()).into(),
        groupings: Vec::new(),
        own_domains: vec!["own.example".to_owned()],
        counted_from: None,
        aws_account: None,
        aws_rate: None,
    };
    change(&mut request);
    reconcile(&request).unwrap().accounts
}

fn steps(steps: &[ReconciliationStep]) -> Vec<(&'static str, u64, u64)> {
    steps.iter().map(|one| (one.step, one.count, one.left)).collect()
}

#[test]
fn reconcile_subtracts_mail_and_classes_that_ses_does_not_count() {
    let all = bounces_of_all_classes();
    let without_sends: Vec<Mail> =
        all.iter().map(|mail| Mail { has_send: false, ..*mail }).collect();
    let bounces = [
        ("all_bounces", 68, 68),
        ("mailbox_simulator", 5, 63),
        ("own_domains", 10, 53),
        ("automatic_replies", 1, 52),
        ("soft", 7, 45),
        ("undetermined", 3, 42),
        ("suppressed_by_your_lists", 4, 38),
        ("of_unknown_class", 2, 36),
        ("counted_hard", 30, 36),
        ("counted_suppressed_by_ses", 6, 36),
    ];
    // steps `counted_` split what is left, and subtract nothing; without sends, mail with an automatic reply or a bounce of
    // unknown class proves no attempt
    let excluded = 6 + 30;
    for (mails, attempts) in [(all, 1_000), (without_sends, 997)] {
        let scopes = reconciled(&mails, |_| {});
        assert_eq!(steps(&scopes[0].bounces), bounces);
        let expected = [
            ("all_attempts", attempts + excluded, attempts + excluded),
            ("mailbox_simulator", 6, attempts + 30),
            ("own_domains", 30, attempts),
        ];
        assert_eq!(steps(&scopes[0].attempts), expected);
        assert_eq!(steps(&scopes[1].bounces)[2], ("own_domains", 110, 53));
        assert_eq!(steps(&scopes[1].attempts)[2], ("own_domains", 130, attempts + 100));
    }
}

#[test]
fn reconcile_names_the_step_nearest_to_the_rate_of_aws() {
    for (aws_rate, difference, nearest) in [
        (0.036, 0.0, "of_unknown_class"),
        (0.053, -0.017, "own_domains"),
        (0.5, -0.464, "all_bounces"),
        (0.044, -0.008, "soft"),
    ] {
        let scopes = reconciled(&bounces_of_all_classes(), |request| {
            request.aws_rate = Some(aws_rate);
        });
        assert_eq!(scopes[0].nearest, Some(nearest), "{aws_rate}");
        assert!((scopes[0].difference.unwrap() - difference).abs() < 1e-9, "{aws_rate}");
    }
}

#[test]
fn reconcile_ignores_events_before_counted_from() {
    let scopes = reconciled(&bounces_of_all_classes(), |request| {
        request.counted_from = Some(AT - DAY_MS);
    });
    assert_eq!(steps(&scopes[1].bounces)[2], ("own_domains", 10, 53));
}
