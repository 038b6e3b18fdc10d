//! One recipient that the operator asks about: the sandbox and the suppression list.

use crate::finding::Check;
use crate::finding::FindingLevel::Critical;
use crate::judge::report::{Problem, Report};
use crate::snapshot::Snapshot;
use crate::snapshot::part::Part;

const SANDBOX: &str = "SES developer guide, request production access";
const SUPPRESSED: &str = "SES API v2, GetSuppressedDestination";

pub(super) fn judge(snapshot: &Snapshot, report: &mut Report) {
    // no recipient was asked about
    if matches!(snapshot.recipient, Part::Skipped(_)) {
        return;
    }
    let recipient = report.read(Check::RecipientSuppressed, "", &snapshot.recipient, SUPPRESSED);
    let Some(recipient) = recipient else { return };
    let address = recipient.address.as_str();
    if let Some(reason) =
        report.read(Check::RecipientSuppressed, address, &recipient.suppressed, SUPPRESSED)
    {
        let problem = reason.as_ref().map(|reason| {
            let what = format!("the account suppresses the address since a {reason}: SES accepts mail and does not send it");
            Problem::new(Check::RecipientSuppressed, Critical, what, SUPPRESSED).fix(
                "if the address works: aws sesv2 delete-suppressed-destination --email-address ADDRESS",
            )
        });
        report.check(Check::RecipientSuppressed, address, SUPPRESSED, problem);
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
    let is_verified = identities.iter().any(|identity| {
        identity.is_verified() && covers(&identity.name, identity.is_domain(), address)
    });
    let problem = (!is_verified).then(|| {
        let what =
            "the account is in the sandbox, and neither the address nor its domain is verified";
        Problem::new(Check::RecipientAllowed, Critical, what, SANDBOX)
            .fix("request production access, or verify the address in this region")
    });
    report.check(Check::RecipientAllowed, address, SANDBOX, problem);
}

/// Whether a verified identity covers an address: the address itself, its domain or a parent of the domain.
fn covers(identity: &str, is_domain: bool, address: &str) -> bool {
    let (identity, address) = (identity.to_lowercase(), address.to_lowercase());
    if !is_domain {
        return identity == address;
    }
    address.rsplit_once('@').is_some_and(|(_, domain)| {
        domain == identity || domain.strip_suffix(&identity).is_some_and(|sub| sub.ends_with('.'))
    })
}
