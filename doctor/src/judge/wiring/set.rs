//! Configuration sets: existence, pauses, event destinations and their event types.

use std::collections::BTreeSet;

use bouncewatch_schemas::text::duration;

use crate::finding::Check;
use crate::finding::FindingLevel::{self, Critical, Note, Warning};
use crate::judge::report::{Report, first_names};
use crate::judge::wiring::publishers::{Paths, level_of};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{ConfigurationSet, Destination, SetOptions, Target};
use crate::snapshot::part::Part;

const LIST: &str = "SES API v2, ListConfigurationSets";
const SET: &str = "SES API v2, GetConfigurationSet";
const DESTINATIONS: &str = "SES API v2, GetConfigurationSetEventDestinations";

const ADD_DESTINATION: &str =
    "Add an event destination of SNS for the topic that the queue subscribes to";

/// A shorter time to deliver turns delays into bounces.
const DELIVERY_SECS_MIN: i64 = 3_600;

/// Judges all sets that were read.
pub(super) fn judge_sets(snapshot: &Snapshot, paths: &Paths<'_>, report: &mut Report) {
    unread_sets(snapshot, report);
    let identities = snapshot.identities.value().into_iter().flatten();
    let defaults =
        identities.filter_map(|identity| identity.details.value()?.configuration_set.as_deref());
    for name in defaults.filter(|name| !snapshot.sets.contains_key(*name)) {
        _ = report.read(Check::SetDeleted, name, None::<&Part<SetOptions>>, SET);
    }
    for (name, set) in &snapshot.sets {
        let is_used = paths.used_sets.contains(name.as_str());
        if let Part::Absent(action) = &set.options {
            let problem = Check::SetDeleted.found(if is_used { Critical } else { Note },
                "the configuration set does not exist: every send that names it fails, and every send of an identity that has it as default",
                SET,
            )
            .with(format!("{action}: not found"))
            .fix("Create the set again, or set another default (put-email-identity-configuration-set-attributes)");
            report.add(problem.about(name));
            continue;
        }
        if let Some(options) = report.read(Check::SetPaused, name, &set.options, SET) {
            report.pass(Check::SetDeleted, name, SET);
            judge_options(name, options, is_used, report);
        }
        judge_destinations(snapshot, name, set, is_used, report);
    }
}

/// Names the sets that were listed and not read.
fn unread_sets(snapshot: &Snapshot, report: &mut Report) {
    let Some(names) = report.read(Check::DestinationMissing, "", &snapshot.set_names, LIST) else {
        return;
    };
    let unread: Vec<&String> =
        names.iter().filter(|name| !snapshot.sets.contains_key(*name)).collect();
    if unread.is_empty() {
        return;
    }
    let what =
        format!("not checked: {} configuration sets that no identity has as default", unread.len());
    let mut problem = Check::DestinationMissing.found(Note, what, LIST);
    problem.evidence = first_names(unread.into_iter().cloned());
    report.add(problem);
}

fn judge_options(name: &str, options: &SetOptions, is_used: bool, report: &mut Report) {
    let paused = (!options.sending_enabled).then(|| {
        let what = "the configuration set is paused: SES refuses mail that names it";
        Check::SetPaused
            .found(level_of(is_used), what, SET)
            .with("SendingOptions.SendingEnabled = false")
            .fix(
                "Find out why it was paused (a brake, or a template), then run \
                 `aws sesv2 put-configuration-set-sending-options --sending-enabled`",
            )
    });
    report.check(Check::SetPaused, name, SET, paused);
    let tls = options.tls_required.then(|| {
        let what = "mail to servers without TLS bounces";
        Check::SetTls.found(Note, what, SET).with("DeliveryOptions.TlsPolicy = REQUIRE")
    });
    report.check(Check::SetTls, name, SET, tls);
    let short = options.max_delivery_secs.filter(|secs| *secs < DELIVERY_SECS_MIN).map(|secs| {
        let what = format!(
            "SES tries to deliver for {} only: a delay becomes a bounce early",
            duration(secs)
        );
        Check::SetDeliveryTime
            .found(Warning, what, SET)
            .fix("Raise DeliveryOptions.MaxDeliverySeconds")
    });
    report.check(Check::SetDeliveryTime, name, SET, short);
    let suppression = options.suppressed_reasons.as_ref().filter(|reasons| reasons.is_empty());
    let suppression = suppression.map(|_| {
        let what = "the configuration set switches suppression off: mail to known invalid addresses is sent";
        Check::SetSuppression.found(Warning, what, SET)
            .fix("Run `aws sesv2 put-configuration-set-suppression-options --configuration-set-name NAME --suppressed-reasons BOUNCE COMPLAINT`")
    });
    report.check(Check::SetSuppression, name, SET, suppression);
}

fn judge_destinations(
    snapshot: &Snapshot,
    name: &str,
    set: &ConfigurationSet,
    is_used: bool,
    report: &mut Report,
) {
    let check = Check::DestinationMissing;
    let Some(destinations) = report.read(check, name, &set.destinations, DESTINATIONS) else {
        return;
    };
    let feeds: Vec<&Destination> =
        destinations.iter().filter(|destination| destination.target.is_feed()).collect();
    let missing = feeds.is_empty().then(|| {
        let what = "the configuration set has no event destination: its mail produces no events";
        check
            .found(level_of(is_used), what, DESTINATIONS)
            .with(format!(
                "destinations: {}, none of SNS, EventBridge or Firehose",
                destinations.len()
            ))
            .fix(ADD_DESTINATION)
    });
    report.check(check, name, DESTINATIONS, missing);
    if feeds.is_empty() {
        return;
    }
    let (enabled, disabled): (Vec<&Destination>, Vec<&Destination>) =
        feeds.into_iter().partition(|destination| destination.enabled);
    let problem = disabled.first().map(|destination| {
        let level = if enabled.is_empty() { level_of(is_used) } else { Note };
        let what = format!("the event destination `{}` is disabled", destination.name);
        Check::DestinationDisabled
            .found(level, what, DESTINATIONS)
            .with("Enabled = false (the default of CloudFormation)")
            .fix("Run `aws sesv2 update-configuration-set-event-destination` with Enabled = true")
    });
    report.check(Check::DestinationDisabled, name, DESTINATIONS, problem);
    let is_stream = |one: &&Destination| matches!(one.target, Target::Firehose(_));
    let has_queue = is_used && !snapshot.own_queues.is_empty();
    if has_queue && !enabled.is_empty() && enabled.iter().all(is_stream) {
        let what = "the configuration set publishes to Firehose only: no event reaches the queue";
        let problem = check.found(Warning, what, DESTINATIONS).about(name);
        report.add(problem.fix(ADD_DESTINATION));
    }
    if !enabled.is_empty() {
        event_types(name, &enabled, is_used, report);
    }
}

fn event_types(name: &str, enabled: &[&Destination], is_used: bool, report: &mut Report) {
    let published: BTreeSet<&str> = enabled
        .iter()
        .flat_map(|destination| &destination.event_types)
        .map(String::as_str)
        .collect();
    let without_sends = if published.contains("DELIVERY") {
        "rates are computed from deliveries and bounces instead of sends"
    } else {
        "rates have no denominator"
    };
    let groups: [(Check, FindingLevel, &[&str], &str); 3] = [
        (
            Check::FeedbackEvents,
            level_of(is_used),
            &["BOUNCE", "COMPLAINT"],
            "bounces and complaints are not reported completely",
        ),
        (Check::SendEvents, Warning, &["SEND"], without_sends),
        (
            Check::OtherEvents,
            Note,
            &["DELIVERY", "DELIVERY_DELAY", "REJECT", "RENDERING_FAILURE"],
            "delays, rejects, failed templates or deliveries are not visible",
        ),
    ];
    for (check, level, needed, effect) in groups {
        let missing: Vec<&str> =
            needed.iter().copied().filter(|kind| !published.contains(kind)).collect();
        let problem = (!missing.is_empty()).then(|| {
            let what =
                format!("the configuration set does not publish {}: {effect}", missing.join(", "));
            check
                .found(level, what, DESTINATIONS)
                .fix(format!("Add {} to MatchingEventTypes", missing.join(", ")))
        });
        report.check(check, name, DESTINATIONS, problem);
    }
}
