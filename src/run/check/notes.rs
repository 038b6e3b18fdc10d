//! What a check says beside its answer: why something is unknown, and the way out.

use std::collections::BTreeMap;

use bouncewatch_analyze::check::Check;
use bouncewatch_schemas::event::Service;

/// Why something is unknown, and the way out.
pub(super) fn notes(check: &Check) -> Vec<String> {
    let mut notes = Vec::new();
    if check.verdicts.iter().any(|verdict| verdict.denominator.is_none()) {
        notes.push(no_denominator(check.service).to_owned());
    }
    if check
        .verdicts
        .iter()
        .any(|verdict| verdict.denominator.is_some() && verdict.rate.is_none() && verdict.count > 0)
    {
        notes.push("note: a window holds bounces or complaints but no attempts; a longer window tells more".to_owned());
    }
    match &check.feed.newest_event_at {
        None => notes.push(no_event(check)),
        Some(newest) if check.feed.stale => notes.push(silent(check.service, newest)),
        Some(_) => {}
    }
    if check.feed.missing.contains(&"bounce") {
        notes.push(
            "note: not one bounce beside many sends: are bounce events published to this queue?"
                .to_owned(),
        );
    }
    notes.extend(incoming(check));
    notes
}

fn no_denominator(service: Service) -> &'static str {
    match service {
        Service::Ses => {
            "unknown: there are no Send and no Delivery events, so nobody knows how many mails the bounces are out of\n  \
             hint: add SEND (or at least DELIVERY) to the event destination of the configuration set, or switch on \
             delivery notifications of the identity; from then on the rate is known. What was sent until then can be \
             imported: `bouncewatch ingest ses-statistics:REGION`, or a file volumes.csv"
        }
        Service::WorkMail => {
            "unknown: there are no OUTGOING_EMAIL_SENT events, so nobody knows how many recipients the bounces are out of\n  \
             hint: a subscription filter or a query that passes bounces alone leaves them out; ingest the log group itself \
             (cloudwatch-logs:GROUP) or its whole export"
        }
    }
}

fn no_event(check: &Check) -> String {
    match (check.service, check.other_service) {
        (Service::Ses, None) => {
            "unknown: the store holds no event of SES up to this moment".to_owned()
        }
        (Service::Ses, Some(_)) => {
            "unknown: the store holds events of WorkMail, and none of SES up to this moment\n  \
             hint: --service workmail tells WorkMail's rate"
                .to_owned()
        }
        (Service::WorkMail, None) => {
            "unknown: the store holds no event of WorkMail up to this moment".to_owned()
        }
        (Service::WorkMail, Some(_)) => {
            "unknown: the store holds events of SES, and none of WorkMail up to this moment\n  \
             hint: without --service workmail the rate of SES is told"
                .to_owned()
        }
    }
}

fn silent(service: Service, newest: &str) -> String {
    let look = match service {
        Service::Ses => {
            "is the consumer running, and do the topics still have their subscriptions? SES drops a topic to which it cannot publish;"
        }
        Service::WorkMail => {
            "is the consumer running, and does the organisation still log its mail events?"
        }
    };
    format!(
        "unknown: the feed is silent since {newest}\n  hint: {look} --stale-after sets how long silence is ordinary"
    )
}

/// Bounces of others' mail, which are in no rate: of each account those of the window that has most.
fn incoming(check: &Check) -> Vec<String> {
    let mut most: BTreeMap<String, (u64, &str)> = BTreeMap::new();
    for verdict in check.verdicts.iter().filter(|verdict| verdict.scope.0.len() == 2) {
        let count = verdict.incoming_bounces.unwrap_or_default();
        let known = most.entry(verdict.scope.to_string()).or_default();
        if count > known.0 {
            *known = (count, &verdict.window);
        }
    }
    let told = most.iter().filter(|(_, (count, _))| *count > 0);
    told.map(|(scope, (count, window))| {
        format!(
            "note: bounces of incoming mail: {count} in {window}, {scope} (others' mail to mailboxes of yours, full ones often); they are in no rate"
        )
    })
    .collect()
}
