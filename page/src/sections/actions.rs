//! Recommended actions: the first match of each rule, at most five.

use super::verdict::{relevant_threshold, worst};
use super::{base_verdicts, capital, dimension, value_text};
use crate::data::{Contributor, Level, PageData, Verdict};
use crate::format::{percent, threshold};
use crate::layout::{Block, Line, Section, Step};
use crate::untrusted_text::argument;

/// Most actions.
const ACTIONS_MAX: usize = 5;
/// Most causes with an action.
const CAUSES_MAX: usize = 2;

/// Returns the section; `None` for an empty page.
pub(super) fn section(data: &PageData) -> Option<Section> {
    let mut steps: Vec<Step> = Vec::new();
    steps.extend(sending(data));
    steps.extend(feed(data));
    steps.extend(denominator(data));
    steps.extend(incident(data));
    steps.extend(contributor(data));
    steps.extend(causes(data));
    steps.extend(suppress(data));
    if steps.iter().all(|step| step.link.as_ref().is_some_and(|(id, _)| id == "suppress")) {
        steps.insert(0, nothing(data)?);
    }
    steps.truncate(ACTIONS_MAX);
    let mut section = Section::new("actions", "What to do", "In order of urgency.");
    section.blocks.push(Block::Steps(steps));
    Some(section)
}

fn step(action: &str, reason: &str) -> Step {
    Step { action: Line::of(action), reason: Line::of(reason), command: None, link: None }
}

fn link(id: &str, name: &str) -> (String, String) {
    (id.to_owned(), name.to_owned())
}

/// A part of the account that may not send.
fn sending(data: &PageData) -> Option<Step> {
    let (at, status) = data.check.sending.disabled().next()?;
    let more = match data.check.sending.disabled().count() {
        1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    let reason = Line::of("Sending is stopped for ")
        .untrusted(&status.part())
        .text(format!("{more} since "))
        .time(&status.since, format!("/check/sending/statuses/{at}/since"))
        .text(": ")
        .untrusted(status.reason.as_deref().unwrap_or("no reason given"));
    let action = if status.changed_by.as_deref() == Some("CUSTOMER_MANAGED") {
        "Find out why sending was stopped, then enable it again."
    } else {
        "Answer the case in the AWS Support Center, and stop the mail that caused it."
    };
    Some(Step { reason, command: Some("bouncewatch doctor".to_owned()), ..step(action, "") })
}

/// A stale feed, no events, or missing event types.
fn feed(data: &PageData) -> Option<Step> {
    let feed = &data.check.feed;
    let is_workmail = data.page.service == "workmail";
    if feed.newest_event_at.is_none() {
        let source = if is_workmail {
            "the log group of the organisation"
        } else {
            "an SES event destination"
        };
        return Some(Step {
            command: Some(
                if is_workmail {
                    "bouncewatch ingest cloudwatch-logs:GROUP --store STORE"
                } else {
                    "bouncewatch ingest SQS_QUEUE_ARN --store STORE"
                }
                .to_owned(),
            ),
            ..step(
                &format!("Connect {source}."),
                "The store has no events up to this time. Without events, no rate is known.",
            )
        });
    }
    if feed.stale {
        return Some(Step {
            command: Some("bouncewatch store stats --store STORE".to_owned()),
            link: Some(link("feed", "Feed and store")),
            ..step(
                "Check that the consumer runs and that events reach its queue.",
                "The newest event is older than the limit (--stale-after). The rates do not include later mail.",
            )
        });
    }
    // without a denominator there is another step
    let has_denominator = base_verdicts(data).all(|(_, verdict)| verdict.denominator.is_some());
    let is_named = |name: &&str| *name == "bounce" || (*name == "delivery" && has_denominator);
    let missing: Vec<&str> = feed.missing.iter().map(String::as_str).filter(is_named).collect();
    if missing.is_empty() {
        return None;
    }
    Some(Step {
        command: Some("bouncewatch store stats --store STORE".to_owned()),
        link: Some(link("feed", "Feed and store")),
        ..step(
            &format!("Publish these event types to the event destination: {}.", missing.join(", ")),
            "The store has mail of this account, but none of these events.",
        )
    })
}

fn denominator(data: &PageData) -> Option<Step> {
    base_verdicts(data).find(|(_, verdict)| verdict.denominator.is_none())?;
    if data.page.service == "workmail" {
        return Some(step(
            "Ingest the complete log group.",
            "There are no OUTGOING_EMAIL_SENT events, so the number of recipients is unknown.",
        ));
    }
    Some(Step {
        command: Some("bouncewatch ingest ses-statistics:REGION --store STORE".to_owned()),
        ..step(
            "Add SEND (or at least DELIVERY) to the event destination of the configuration set.",
            "There are no Send or Delivery events, so the number of attempts is unknown. For earlier mail, import send counts.",
        )
    })
}

/// A provider incident of the last day: the provider fails, not the addresses.
fn incident(data: &PageData) -> Option<Step> {
    let incident = data.check.incidents.first()?;
    let text = incident.text.as_deref().unwrap_or("no text");
    Some(Step {
        action: Line::of("Pause mail to ")
            .untrusted(&incident.provider)
            .text(": provider incident."),
        reason: Line::default()
            .number(incident.addresses, "/check/incidents/0/addresses")
            .text(" addresses that received mail before bounced with the same text: ")
            .untrusted(text)
            .text(". Hold them until ")
            .time(&incident.hold_until, "/check/incidents/0/hold_until")
            .text("."),
        command: Some("bouncewatch suppress --store STORE --release".to_owned()),
        link: Some(link("causes", "Bounce causes")),
    })
}

/// Contributor that alone lifts the rate above its threshold, or a note that there is none.
fn contributor(data: &PageData) -> Option<Step> {
    let (at, verdict) = worst(data).filter(|(_, verdict)| verdict.level >= Level::Warning)?;
    let limit = relevant_threshold(verdict);
    let parts = || {
        verdict
            .contributors
            .iter()
            .enumerate()
            .filter(|(_, part)| part.by != "cause" && part.value.is_some())
    };
    let is_enough = |part: &Contributor| part.rate_without.is_some_and(|rate| rate < limit);
    let base = |part: usize| format!("/check/verdicts/{at}/contributors/{part}");
    if let Some((index, part)) = parts().find(|(_, part)| is_enough(part)) {
        let value = value_text(data, part.value.as_deref());
        let base = base(index);
        return Some(Step {
            action: Line::of(format!("{} {} ", verb(&part.by), dimension(&part.by)))
                .untrusted(&value)
                .text("."),
            reason: Line::default()
                .number(part.count, format!("{base}/count"))
                .text(" of ")
                .number(verdict.count, format!("/check/verdicts/{at}/count"))
                .text(format!(" {}; without it the rate is ", verdict.noun()))
                .percent(part.rate_without, format!("{base}/rate_without"))
                .text(format!(", below {}.", threshold(limit))),
            command: Some(stop_command(verdict, part)),
            link: Some(link("contributors", "Contributors")),
        });
    }
    let (index, part) = parts().max_by_key(|(at, part)| (part.count, std::cmp::Reverse(*at)))?;
    let value = value_text(data, part.value.as_deref());
    Some(Step {
        action: Line::of(
            "Reduce bounces and complaints of all mail: no single contributor explains the rate.",
        ),
        reason: Line::of(format!("The largest, {} ", dimension(&part.by)))
            .untrusted(&value)
            .text(", has ")
            .number(part.count, format!("{}/count", base(index)))
            .text(" of ")
            .number(verdict.count, format!("/check/verdicts/{at}/count"))
            .text(format!(" {}.", verdict.noun())),
        command: Some("bouncewatch causes --store STORE".to_owned()),
        link: Some(link("contributors", "Contributors")),
    })
}

/// What to do with a contributor: mail of the sender is paused, mail to a receiver too.
fn verb(by: &str) -> &'static str {
    match by {
        "recipient_domain" | "provider" => "Pause mail to",
        _ => "Pause",
    }
}

fn stop_command(verdict: &Verdict, part: &Contributor) -> String {
    let value = argument(part.value.as_deref().unwrap_or_default());
    if part.by == "configuration_set" && verdict.level == Level::Critical {
        return format!(
            "aws sesv2 put-configuration-set-sending-options --configuration-set-name {value} --no-sending-enabled"
        );
    }
    format!("bouncewatch report --store STORE --by {} --top 5", argument(&part.by))
}

fn causes(data: &PageData) -> Vec<Step> {
    let is_reached = data.check.status >= Level::Warning;
    let Some(causes) = data.causes.as_ref().filter(|_| is_reached) else { return Vec::new() };
    let advice = causes.advice.iter().enumerate().take(CAUSES_MAX);
    advice
        .map(|(at, advice)| {
            let ses = advice
                .ses
                .as_deref()
                .map_or_else(String::new, |ses| format!(" With SES: {}", sentence(ses)));
            Step {
                action: Line::of(sentence(&advice.remedy)),
                reason: Line::of(format!("Cause {}: ", advice.cause))
                    .number(advice.count, format!("/causes/advice/{at}/count"))
                    .text(" bounces (")
                    .percent(advice.share, format!("/causes/advice/{at}/share"))
                    .text(").")
                    .text(ses),
                command: None,
                link: Some(link("causes", "Bounce causes")),
            }
        })
        .collect()
}

/// Returns a text with a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let stop = if text.is_empty() || text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{stop}", capital(text))
}

fn suppress(data: &PageData) -> Option<Step> {
    let suppress = data.suppress.as_ref().filter(|suppress| suppress.new > 0)?;
    Some(Step {
        action: Line::of("Suppress the addresses that failed for good or complained."),
        reason: Line::default()
            .number(suppress.new, "/suppress/new")
            .text(" new in 7 days, ")
            .number(suppress.addresses, "/suppress/addresses")
            .text(" in total."),
        command: Some("bouncewatch suppress --store STORE -o suppress.csv".to_owned()),
        link: Some(link("suppress", "Addresses to suppress")),
    })
}

/// No action is needed: the rate that is closest to its threshold.
fn nothing(data: &PageData) -> Option<Step> {
    if data.check.status != Level::Ok {
        return Some(Step {
            command: Some("bouncewatch check --store STORE".to_owned()),
            ..step("Find out why the status is not OK.", "No rule of this list applies to it.")
        });
    }
    let closest = base_verdicts(data)
        .filter(|(_, verdict)| verdict.rate.is_some() && verdict.headroom.is_some())
        .max_by(|(_, a), (_, b)| {
            let share = |verdict: &Verdict| verdict.rate.unwrap_or_default() / verdict.warning;
            share(a).total_cmp(&share(b))
        });
    let Some((at, verdict)) = closest else {
        return Some(step("No action needed.", "No mail was sent."));
    };
    let headroom = verdict.headroom?;
    Some(Step {
        action: Line::of("No action needed."),
        reason: Line::of(format!(
            "Closest to its threshold: {} in {} (",
            verdict.metric_name(),
            verdict.window
        ))
        .value(percent(verdict.rate), format!("/check/verdicts/{at}/rate"))
        .text("), ")
        .number(headroom.warning, format!("/check/verdicts/{at}/headroom/warning"))
        .text(format!(" more {} until {}.", verdict.noun(), threshold(verdict.warning))),
        command: None,
        link: Some(link("rates", "Rates")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_start_with_a_capital_and_end_with_a_stop() {
        assert_eq!(sentence("remove the address"), "Remove the address.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), "");
    }
}
