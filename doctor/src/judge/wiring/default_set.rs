//! Default configuration sets of identities: mail that names no set produces no events.

use crate::finding::FindingLevel::{Critical, Note, Warning};
use crate::finding::{Check, Finding};
use crate::judge::figures::StoreFigures;
use crate::judge::report::Report;
use crate::snapshot::Snapshot;
use crate::snapshot::identity::Identity;

const SOURCE: &str = "SES developer guide, default configuration sets";

/// What is known about mail that names a configuration set itself.
#[derive(Debug, Clone, Copy)]
enum Senders {
    /// The store has no event of these delivery attempts.
    Silent(i64),
    /// Senders name a set: the settings list one, or the store has the Send events of the mail.
    NameSet,
    /// Not known.
    Unknown,
}

fn senders(snapshot: &Snapshot, store: Option<&StoreFigures>) -> Senders {
    let attempts = store.and_then(|store| store.attempts_of_ses(snapshot)).unwrap_or_default();
    match (store, attempts) {
        (Some(store), 1..) if store.events == 0 => Senders::Silent(attempts),
        // nine of ten: both sides count at slightly different times
        (Some(store), 1..)
            if store.sends.saturating_mul(10) >= attempts.unsigned_abs().saturating_mul(9) =>
        {
            Senders::NameSet
        }
        _ if !snapshot.own_sets.is_empty() => Senders::NameSet,
        _ => Senders::Unknown,
    }
}

pub(super) fn judge_defaults(
    snapshot: &Snapshot,
    store: Option<&StoreFigures>,
    report: &mut Report,
) {
    let senders = senders(snapshot, store);
    for identity in snapshot.identities.value().into_iter().flatten() {
        let name = identity.name.as_str();
        if !identity.is_verified() {
            continue;
        }
        let details = report.read(Check::DefaultSet, name, &identity.details, SOURCE);
        let Some(details) = details else { continue };
        let problem = details.configuration_set.is_none().then(|| missing(identity, senders));
        report.check(Check::DefaultSet, name, SOURCE, problem);
    }
}

fn missing(identity: &Identity, senders: Senders) -> Finding {
    let notifications = identity.notifications.value();
    let topics = notifications.map_or(0, |notifications| notifications.topics().count());
    let what = if topics >= 2 {
        "the identity has no default configuration set: its identity feedback has no Send events, so rates have no denominator"
    } else {
        "the identity has no default configuration set: mail that names none produces no events"
    };
    let (level, evidence) = match senders {
        Senders::Silent(attempts) => (
            if topics < 2 { Critical } else { Warning },
            format!("{attempts} delivery attempts, and no event in the store"),
        ),
        Senders::NameSet => (Note, "senders of this account name a configuration set".to_owned()),
        Senders::Unknown => {
            (Warning, "whether senders name a configuration set is not known".to_owned())
        }
    };
    let problem = Check::DefaultSet.found(level, what, SOURCE).with(evidence).fix(
        "Run `aws sesv2 put-email-identity-configuration-set-attributes --email-identity NAME --configuration-set-name SET`",
    );
    if topics == 0 && notifications.is_some_and(|notifications| notifications.forwarding) {
        return problem.with(
            "email feedback is on and no topic is set: SES also changes an identity to this state if it cannot publish to its topic",
        );
    }
    problem
}
