//! Identities: `ListEmailIdentities`, `GetEmailIdentity`, `GetIdentityNotificationAttributes`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::snapshot::part::Part;
use crate::snapshot::time::Time;

/// Value of [`Identity::verification`] of an identity of `--identity` that does not exist in the region.
pub const MISSING: &str = "MISSING";

/// An identity of `ListEmailIdentities`, with its details if they were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Domain or email address.
    pub name: String,
    /// `DOMAIN` or `EMAIL_ADDRESS`.
    pub kind: String,
    /// `PENDING`, `SUCCESS`, `FAILED`, `TEMPORARY_FAILURE`, `NOT_STARTED`, or [`MISSING`].
    pub verification: String,
    /// Response of `GetEmailIdentity`.
    #[serde(default)]
    pub details: Part<IdentityDetails>,
    /// Response of `GetIdentityNotificationAttributes`.
    #[serde(default)]
    pub notifications: Part<Notifications>,
}

impl Identity {
    /// Whether the identity is a domain.
    pub fn is_domain(&self) -> bool {
        self.kind != "EMAIL_ADDRESS"
    }

    /// Whether SES sends mail of the identity: it is verified, or its DNS record disappeared less than 72 hours ago
    /// (`TEMPORARY_FAILURE`).
    pub fn is_verified(&self) -> bool {
        is_in_use(&self.verification)
    }
}

/// Whether SES still uses an identity, DKIM key or MAIL FROM domain with this status: it is verified, or its DNS record
/// disappeared less than 72 hours ago.
pub fn is_in_use(status: &str) -> bool {
    ["SUCCESS", "TEMPORARY_FAILURE"].contains(&status)
}

/// Response of `GetEmailIdentity`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdentityDetails {
    /// Default configuration set.
    pub configuration_set: Option<String>,
    /// Bounces and complaints are sent by email (`FeedbackForwardingStatus`).
    pub feedback_forwarding: bool,
    /// Time of the last successful check of the verification.
    pub last_success: Option<Time>,
    /// Why the verification failed, such as `HOST_NOT_FOUND`.
    pub verification_error: Option<String>,
    /// DKIM.
    pub dkim: Option<Dkim>,
    /// Custom MAIL FROM domain.
    pub mail_from: Option<MailFrom>,
    /// Sending authorization policies: name and JSON text.
    pub policies: BTreeMap<String, String>,
}

/// DKIM of an identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dkim {
    /// SES signs mail.
    pub signing_enabled: bool,
    /// `PENDING`, `SUCCESS`, `FAILED`, `TEMPORARY_FAILURE`, `NOT_STARTED`.
    pub status: String,
    /// DKIM selectors: three with Easy DKIM, one with your own key (BYODKIM).
    pub tokens: Vec<String>,
    /// Zone that the three CNAME records point to.
    pub hosted_zone: Option<String>,
    /// `AWS_SES`, `EXTERNAL`, `AWS_SES_REGION`.
    pub origin: Option<String>,
    /// `RSA_1024_BIT`, `RSA_2048_BIT`.
    pub key_length: Option<String>,
}

/// Custom MAIL FROM domain of an identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailFrom {
    /// The domain.
    pub domain: String,
    /// `PENDING`, `SUCCESS`, `FAILED`, `TEMPORARY_FAILURE`.
    pub status: String,
    /// SES rejects mail if the MX record is wrong (`REJECT_MESSAGE`).
    pub rejects_on_failure: bool,
}

/// Response of `GetIdentityNotificationAttributes`: ARNs of the topics that receive feedback of an identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notifications {
    /// Topic for bounces.
    pub bounce_topic: Option<String>,
    /// Topic for complaints.
    pub complaint_topic: Option<String>,
    /// Topic for deliveries.
    pub delivery_topic: Option<String>,
    /// Bounces and complaints are sent by email (`ForwardingEnabled`).
    pub forwarding: bool,
}

impl Notifications {
    /// Topics, each with the name of its event.
    pub fn topics(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("BOUNCE", &self.bounce_topic),
            ("COMPLAINT", &self.complaint_topic),
            ("DELIVERY", &self.delivery_topic),
        ]
        .into_iter()
        .filter_map(|(event, topic)| Some((event, topic.as_deref()?)))
    }
}
