//! What to check: the domains, recipients and hosts, with what SES reports about them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::answer::RecordType;

/// Everything that one run checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Domains from which mail is sent by SES.
    pub senders: Vec<Sender>,
    /// Domains that receive mail.
    pub inbound: Vec<Inbound>,
    /// Addresses or domains to which mail is sent.
    pub recipients: Vec<String>,
    /// Hosts other than SES that send mail.
    pub relays: Vec<Relay>,
    /// Records that a service requires, such as those of `GetMailDomain` of WorkMail.
    pub records: Vec<RequiredRecord>,
}

/// A domain in the From header of mail that SES sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    /// The domain in the From header.
    pub domain: String,
    /// The SES identity that covers it.
    pub identity: Identity,
    /// Whether the domain sends bulk mail: the rules for bulk senders are checked.
    #[serde(default)]
    pub is_bulk: bool,
    /// `is_bulk` is known for the account only, which has several identities: the rules give at most warnings.
    #[serde(default)]
    pub is_bulk_assumed: bool,
    /// SES has not verified the identity, so it sends no mail of it: all findings are at most warnings.
    #[serde(default)]
    pub is_unverified: bool,
}

/// An identity of SES (`GetEmailIdentity`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// A domain, or an email address.
    pub name: String,
    /// The DKIM keys; none for an address identity without DKIM of its own.
    #[serde(default)]
    pub dkim: Option<Dkim>,
    /// The custom MAIL FROM domain.
    #[serde(default)]
    pub mail_from: Option<MailFrom>,
}

/// `DkimAttributes` of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    /// SES signs mail: `SigningEnabled`, and the keys are verified.
    pub is_signing: bool,
    /// Where the keys are; `None` if that is not known: whether signatures are valid is unknown too.
    #[serde(default)]
    pub keys: Option<DkimKeys>,
}

/// Where the public keys of an identity are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum DkimKeys {
    /// Keys of SES, to which CNAME records point.
    Easy {
        /// `Tokens`: the first label of each record.
        tokens: Vec<String>,
        /// `SigningHostedZone`: the zone of the keys, which depends on the region.
        signing_hosted_zone: String,
    },
    /// A key of the customer in a TXT record (BYODKIM).
    Own {
        /// The first label of the record.
        selector: String,
    },
}

/// `MailFromAttributes` of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailFrom {
    /// `MailFromDomain`.
    pub domain: String,
    /// The region of the account, such as `eu-west-1`.
    pub region: String,
    /// `BehaviorOnMxFailure` is `REJECT_MESSAGE`: without the MX record no mail is sent.
    #[serde(default)]
    pub rejects_on_mx_failure: bool,
    /// SES does not use the domain, because it has not verified the records: it uses amazonses.com.
    #[serde(default)]
    pub is_unused: bool,
}

/// A domain that receives mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// The domain.
    pub domain: String,
    /// The service that must receive its mail.
    pub service: InboundService,
}

/// A service that receives mail for a domain, and sends mail from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum InboundService {
    /// Amazon WorkMail.
    WorkMail {
        /// The region of the organization.
        region: String,
    },
    /// Microsoft 365.
    ExchangeOnline,
}

/// A host that sends mail without SES.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// Its address.
    pub ip: IpAddr,
    /// An envelope sender that it uses, to evaluate SPF.
    #[serde(default)]
    pub sender: Option<String>,
    /// The name in HELO or EHLO.
    #[serde(default)]
    pub helo: Option<String>,
}

/// A record that a service requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredRecord {
    /// The name of the record.
    pub name: String,
    /// The type of the record.
    pub record_type: RecordType,
    /// The value as in a zone file, without quotes: `10 mx.example.com`.
    pub value: String,
}
