//! Snapshot -> the DNS records to read: those of identities, of WorkMail domains, and of the recipient. No I/O.

use bouncewatch_dns::{
    Dkim, DkimKeys, Identity as SesIdentity, Inbound, InboundService, MailFrom, RecordType, Relay,
    Request, RequiredRecord, Sender,
};

use crate::snapshot::Snapshot;
use crate::snapshot::identity::Identity;
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

/// Returns what to ask DNS servers about an account.
pub fn dns_request(snapshot: &Snapshot, options: &DnsOptions) -> Request {
    let sent = snapshot.account.value().and_then(|account| account.quota.as_ref());
    let is_bulk = sent.is_some_and(|quota| quota.sent_24_hours >= BULK_SENDS);
    let identities = snapshot.identities.value().into_iter().flatten();
    let domains = identities.filter(|identity| identity.is_domain());
    let mut request = Request {
        senders: domains.map(|identity| sender(identity, &snapshot.region, is_bulk)).collect(),
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

fn sender(identity: &Identity, region: &str, is_bulk: bool) -> Sender {
    let details = identity.details.value();
    let dkim = details.and_then(|details| details.dkim.as_ref());
    let mail_from = details.and_then(|details| details.mail_from.as_ref());
    let keys = |dkim: &crate::snapshot::identity::Dkim| match (
        &dkim.hosted_zone,
        dkim.origin.as_deref(),
        dkim.tokens.as_slice(),
    ) {
        (_, Some("EXTERNAL"), [selector]) => Some(DkimKeys::Own { selector: selector.clone() }),
        (Some(zone), _, [_, ..]) => {
            Some(DkimKeys::Easy { tokens: dkim.tokens.clone(), signing_hosted_zone: zone.clone() })
        }
        _ => None,
    };
    Sender {
        domain: identity.name.clone(),
        identity: SesIdentity {
            name: identity.name.clone(),
            dkim: dkim.and_then(|dkim| {
                Some(Dkim { is_signing: dkim.signing_enabled, keys: keys(dkim)? })
            }),
            mail_from: mail_from.filter(|one| !one.domain.is_empty()).map(|mail_from| MailFrom {
                domain: mail_from.domain.clone(),
                region: region.to_owned(),
                rejects_on_mx_failure: mail_from.rejects_on_failure,
            }),
        },
        is_bulk,
    }
}

/// Records of types that are checked.
fn required_records(details: &MailDomainDetails) -> impl Iterator<Item = RequiredRecord> {
    details.records.iter().filter_map(|record| {
        Some(RequiredRecord {
            name: record.hostname.clone(),
            record_type: RecordType::parse(&record.kind)?,
            value: record.value.clone(),
        })
    })
}
