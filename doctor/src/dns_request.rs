//! Snapshot -> the DNS records to read: those of identities, of WorkMail domains, and of the recipient. No I/O.

use bouncewatch_dns::{
    Dkim, DkimKeys, Identity as SesIdentity, Inbound, InboundService, MailFrom, RecordType, Relay,
    Request, RequiredRecord, Sender,
};

use crate::snapshot::Snapshot;
use crate::snapshot::identity::{self, Identity, IdentityDetails, is_in_use};
use crate::snapshot::workmail::MailDomainDetails;

/// Sends in 24 hours from which the rules for bulk senders apply (Gmail, Microsoft).
const BULK_SENDS: f64 = 5_000.0;

/// What the operator asks about besides the account.
#[derive(Debug, Clone, Default)]
pub struct DnsOptions {
    /// Hosts other than SES that send mail.
    pub relays: Vec<Relay>,
    /// A recipient.
    pub recipient: Option<String>,
}

/// Returns what to ask DNS servers about an account. An identity of which the details were not read is left out: its
/// records would be compared with nothing.
pub fn dns_request(snapshot: &Snapshot, options: &DnsOptions) -> Request {
    let identities = snapshot.identities.value().map(Vec::as_slice).unwrap_or_default();
    let sent = snapshot.account.value().and_then(|account| account.quota);
    let is_bulk = sent.is_some_and(|quota| quota.sent_24_hours >= BULK_SENDS);
    let sender = |identity: &Identity| {
        Some(Sender {
            domain: identity.name.clone(),
            identity: ses_identity(identity, identity.details.value()?, &snapshot.region),
            is_bulk,
            is_bulk_assumed: identities.len() > 1,
            is_unverified: !identity.is_verified(),
        })
    };
    let domains = identities.iter().filter(|identity| identity.is_domain());
    let mut request = Request {
        senders: domains.filter_map(sender).collect(),
        recipients: options.recipient.iter().cloned().collect(),
        relays: options.relays.clone(),
        ..Request::default()
    };
    let organizations = snapshot.workmail.value().into_iter().flatten();
    for domain in organizations.filter_map(|one| one.domains.value()).flatten() {
        let Some(details) = domain.details.value().filter(|details| !details.is_test_domain) else {
            continue;
        };
        request.inbound.push(Inbound {
            domain: domain.name.clone(),
            service: InboundService::WorkMail { region: snapshot.region.clone() },
        });
        request.records.extend(required_records(details));
    }
    request
}

fn ses_identity(identity: &Identity, details: &IdentityDetails, region: &str) -> SesIdentity {
    SesIdentity {
        name: identity.name.clone(),
        dkim: details.dkim.as_ref().map(|dkim| Dkim {
            is_signing: dkim.signing_enabled && is_in_use(&dkim.status),
            keys: keys(dkim),
        }),
        mail_from: details.mail_from.as_ref().map(|mail_from| MailFrom {
            domain: mail_from.domain.clone(),
            region: region.to_owned(),
            rejects_on_mx_failure: mail_from.rejects_on_failure,
            is_unused: !is_in_use(&mail_from.status),
        }),
    }
}

fn keys(dkim: &identity::Dkim) -> Option<DkimKeys> {
    match (&dkim.hosted_zone, dkim.origin.as_deref(), dkim.tokens.as_slice()) {
        (_, Some("EXTERNAL"), [selector]) => Some(DkimKeys::Own { selector: selector.clone() }),
        (Some(zone), _, [_, ..]) => {
            Some(DkimKeys::Easy { tokens: dkim.tokens.clone(), signing_hosted_zone: zone.clone() })
        }
        _ => None,
    }
}

/// Records of types that are checked.
fn required_records(details: &MailDomainDetails) -> impl Iterator<Item = RequiredRecord> {
    details.records.iter().filter_map(|record| {
        Some(RequiredRecord {
            name: record.hostname.clone(),
            record_type: RecordType::parse(&record.kind.to_ascii_uppercase())?,
            value: record.value.clone(),
        })
    })
}
