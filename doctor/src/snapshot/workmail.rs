//! WorkMail, and the receipt rules of SES that pass mail to it.

use serde::{Deserialize, Serialize};

use crate::snapshot::part::Part;

/// An organization of WorkMail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// ID.
    pub id: String,
    /// Alias.
    pub alias: Option<String>,
    /// Mail domains.
    #[serde(default)]
    pub domains: Part<Vec<MailDomain>>,
    /// DMARC policies of senders are enforced on inbound mail.
    #[serde(default)]
    pub dmarc_enforced: Part<bool>,
    /// Log group of message tracing; `None` if tracing is off.
    #[serde(default)]
    pub tracing: Part<Option<String>>,
}

/// A mail domain of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailDomain {
    /// The domain.
    pub name: String,
    /// Response of `GetMailDomain`.
    #[serde(default)]
    pub details: Part<MailDomainDetails>,
}

/// Response of `GetMailDomain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailDomainDetails {
    /// A domain of WorkMail for tests.
    pub is_test_domain: bool,
    /// `PENDING`, `VERIFIED`, `FAILED`.
    pub ownership: String,
    /// `PENDING`, `VERIFIED`, `FAILED`.
    pub dkim: String,
    /// DNS records that WorkMail requires.
    pub records: Vec<RequiredRecord>,
}

/// A DNS record that WorkMail requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredRecord {
    /// Type, such as `MX`.
    pub kind: String,
    /// Name.
    pub hostname: String,
    /// Value.
    pub value: String,
}

/// A receipt rule of the active rule set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRule {
    /// Name.
    pub name: String,
    /// The rule is applied.
    pub enabled: bool,
    /// Addresses and domains; empty: all.
    pub recipients: Vec<String>,
    /// `workmail`, `s3`, `sns`, `lambda`, `bounce`, `stop`, `add_header`, `connect`, in order.
    pub actions: Vec<String>,
}
