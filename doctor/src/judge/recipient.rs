//! One recipient that the operator asks about: the sandbox, the suppression list, and what became of earlier mail.

use bouncewatch_dns::is_within;
use bouncewatch_schemas::address;

use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::finding::{Check, Finding};
use crate::judge::figures::{RecipientEvent, RecipientFigures};
use crate::judge::report::Report;
use crate::snapshot::Snapshot;
use crate::snapshot::identity::Identity;
use crate::snapshot::part::Part;

const SANDBOX: &str = "SES developer guide, request production access";
const STORE: &str = "events in the store";
/// Kinds of events that state what became of mail.
const OUTCOMES: [&str; 7] =
    ["send", "delivery", "bounce", "complaint", "delivery_delay", "reject", "rendering_failure"];
const SUPPRESSED: &str = "SES API v2, GetSuppressedDestination";

/// Domain of the mailbox simulator, to which every account may send.
const SIMULATOR: &str = "simulator.amazonses.com";

/// Most events in the evidence.
const EVENTS_MAX: usize = 5;

pub(super) fn judge(snapshot: &Snapshot, history: Option<&RecipientFigures>, report: &mut Report) {
    // no recipient given
    if matches!(snapshot.recipient, Part::Skipped(_) | Part::Missing) {
        return;
    }
    let recipient = report.read(Check::RecipientSuppressed, "", &snapshot.recipient, SUPPRESSED);
    let Some(recipient) = recipient else { return };
    let address = recipient.address.as_str();
    if let Some(reason) =
        report.read(Check::RecipientSuppressed, address, &recipient.suppressed, SUPPRESSED)
    {
        let problem = reason.as_ref().map(|reason| suppressed(reason, snapshot));
        report.check(Check::RecipientSuppressed, address, SUPPRESSED, problem);
    }
    if let Some(history) = history {
        report.add(judge_history(history).about(address));
    }
    let is_sandbox = snapshot
        .account
        .value()
        .is_some_and(|account| !account.is_empty_response() && !account.production_access);
    if !is_sandbox {
        return;
    }
    let Some(identities) =
        report.read(Check::RecipientAllowed, address, &snapshot.identities, SANDBOX)
    else {
        return;
    };
    let normal = address::normalise(address.into());
    let normal = normal.as_deref().unwrap_or(address);
    let is_allowed = address::domain(normal) == Some(SIMULATOR)
        || identities.iter().any(|identity| identity.is_verified() && covers(identity, normal));
    let problem = (!is_allowed).then(|| {
        let what =
            "the account is in the sandbox, and neither the address nor its domain is verified";
        Check::RecipientAllowed
            .found(Critical, what, SANDBOX)
            .fix("Request production access, or verify the address in this region")
    });
    report.check(Check::RecipientAllowed, address, SANDBOX, problem);
}

/// The address is in the list; the account uses only entries of the reasons that are in force.
fn suppressed(reason: &str, snapshot: &Snapshot) -> Finding {
    let account = snapshot.account.value().filter(|account| !account.is_empty_response());
    let is_in_force = account.is_none_or(|account| {
        account.suppressed_reasons.iter().flatten().any(|in_force| in_force == reason)
    });
    if !is_in_force {
        let what = format!(
            "the address is in the suppression list since a {reason}, but the account does not suppress after {reason}"
        );
        return Check::RecipientSuppressed.found(Note, what, SUPPRESSED);
    }
    let what = format!(
        "the account suppresses the address since a {reason}: SES accepts mail and does not send it"
    );
    Check::RecipientSuppressed.found(Critical, what, SUPPRESSED).fix(
        "If the address works, run `aws sesv2 delete-suppressed-destination --email-address ADDRESS`",
    )
}

/// What became of the last mail to the address.
fn judge_history(history: &RecipientFigures) -> Finding {
    let last = history.events.iter().rev().find(|event| OUTCOMES.contains(&event.kind.as_str()));
    let cause = |event: &RecipientEvent| match &event.cause {
        Some(cause) => format!(": {}", cause.replace('_', " ")),
        None => String::new(),
    };
    let remedy = |event: &RecipientEvent| sentence(event.remedy.as_deref().unwrap_or_default());
    let (level, what, fix) = match last.map(|event| (event.kind.as_str(), event)) {
        None => (
            Note,
            "the store has no event of mail to this address".to_owned(),
            "Check the spelling; if it is right, SES did not accept the mail, or its events are not published".to_owned(),
        ),
        Some(("bounce", event)) => {
            (Warning, format!("the last mail to this address bounced{}", cause(event)), remedy(event))
        }
        Some(("complaint", _)) => (
            Warning,
            "the recipient reported the last mail as spam".to_owned(),
            "Do not send to this address again".to_owned(),
        ),
        Some(("delivery_delay", event)) => (
            Warning,
            format!("the last mail to this address is delayed{}; SES tries again", cause(event)),
            remedy(event),
        ),
        Some(("delivery", _)) => (
            Note,
            "the server of the recipient accepted the last mail".to_owned(),
            "Look in the spam folder and the quarantine of the recipient".to_owned(),
        ),
        Some(("send", _)) => (
            Note,
            "SES accepted the last mail, and its outcome is not known yet".to_owned(),
            String::new(),
        ),
        Some((kind, event)) => {
            let text = event.text.as_deref().unwrap_or("no reason given");
            let kind = kind.replace('_', " ");
            (Warning, format!("SES did not send the last mail ({kind}): {text}"), remedy(event))
        }
    };
    let mut problem = Check::RecipientHistory.found(level, what, STORE).fix(fix);
    for event in history.events.iter().rev().take(EVENTS_MAX).rev() {
        let text = event.text.as_ref().map_or_else(String::new, |text| format!(": {text}"));
        problem = problem.with(format!(
            "{} {}{}{text}",
            event.at.to_minute(),
            event.kind.replace('_', " "),
            cause(event)
        ));
    }
    if let Some(reason) = &history.suppressed {
        problem = problem.with(format!("`bouncewatch suppress`: {reason}"));
    }
    problem
}

/// A text with a capital letter at its start.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().chain(chars));
    first.map(Iterator::collect).unwrap_or_default()
}

/// Whether an identity covers a normalised address: the address itself, its domain or a parent of the domain.
fn covers(identity: &Identity, address: &str) -> bool {
    if identity.is_domain() {
        let name = address::normalise_domain(&identity.name);
        return address::domain(address).is_some_and(|domain| is_within(domain, &name));
    }
    address::normalise(identity.name.as_str().into()).as_deref() == Some(address)
}
