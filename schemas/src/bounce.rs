//! Bounce classes, and the rule by which SES counts a bounce in its bounce rate.
//!
//! Sources: SES developer guide, pages "Amazon SNS notification contents", "Reputation metrics" and "Global
//! suppression list"; Amazon SES FAQ on sending reviews.

text_enum! {
    /// Class of a bounce.
    BounceClass {
        /// An automatic reply, such as an out-of-office message. The message was delivered.
        AutoReply = "auto_reply",
        /// Not attempted: the address is on a suppression list or failed validation.
        Suppressed = "suppressed",
        /// Temporary failure, or given up after retries.
        Soft = "soft",
        /// SES could not determine the reason.
        Undetermined = "undetermined",
        /// Permanent failure.
        Hard = "hard",
    }
}

/// Domain of the SES mailbox simulator. Messages to it are in no rate.
pub const SIMULATOR_DOMAIN: &str = "simulator.amazonses.com";

/// Subtypes of `Permanent` that SES excludes from its bounce rate. `EmailValidationSuppressed` is not documented; it is
/// excluded because SES does not attempt delivery.
const UNCOUNTED_SUBTYPES: [&str; 4] = [
    "OnAccountSuppressionList",
    "OnTenantSuppressionList",
    "UnsubscribedRecipient",
    "EmailValidationSuppressed",
];

/// Subtype of the SES global suppression list: not attempted, but counted.
const GLOBAL_SUPPRESSION: &str = "Suppressed";

/// Class of a bounce, and whether SES counts it in its bounce rate.
///
/// Types are compared without case: the v2 API writes them in upper case. Unknown subtypes of `Permanent` count,
/// because a rate that is too high is the safer error. `has_report` is true if a delivery report (action, status or
/// diagnostic) came with the bounce; a `Transient/General` bounce without one is an automatic reply.
pub fn classify(
    bounce_type: Option<&str>,
    bounce_subtype: Option<&str>,
    has_report: bool,
) -> (BounceClass, bool) {
    let is = |value: Option<&str>, other: &str| {
        value.is_some_and(|value| value.eq_ignore_ascii_case(other))
    };
    if is(bounce_type, "Permanent") {
        if UNCOUNTED_SUBTYPES.iter().any(|subtype| is(bounce_subtype, subtype)) {
            return (BounceClass::Suppressed, false);
        }
        if is(bounce_subtype, GLOBAL_SUPPRESSION) {
            return (BounceClass::Suppressed, true);
        }
        return (BounceClass::Hard, true);
    }
    if is(bounce_type, "Transient") {
        let is_auto_reply = is(bounce_subtype, "General") && !has_report;
        return (if is_auto_reply { BounceClass::AutoReply } else { BounceClass::Soft }, false);
    }
    (BounceClass::Undetermined, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_bounces_count_except_account_level_suppressions() {
        use BounceClass::{AutoReply, Hard, Soft, Suppressed, Undetermined};
        for (bounce_type, subtype, has_report, expected) in [
            ("Permanent", "General", true, (Hard, true)),
            ("Permanent", "NoEmail", false, (Hard, true)),
            ("Permanent", "Suppressed", false, (Suppressed, true)),
            ("Permanent", "OnAccountSuppressionList", true, (Suppressed, false)),
            ("Permanent", "OnTenantSuppressionList", true, (Suppressed, false)),
            ("Permanent", "UnsubscribedRecipient", true, (Suppressed, false)),
            ("Permanent", "EmailValidationSuppressed", true, (Suppressed, false)),
            ("Permanent", "SomethingNew", true, (Hard, true)),
            ("PERMANENT", "GENERAL", true, (Hard, true)),
            ("Transient", "General", true, (Soft, false)),
            ("Transient", "General", false, (AutoReply, false)),
            ("Transient", "MailboxFull", false, (Soft, false)),
            ("Undetermined", "Undetermined", true, (Undetermined, false)),
            ("Novel", "Novel", true, (Undetermined, false)),
        ] {
            let got = classify(Some(bounce_type), Some(subtype), has_report);
            assert_eq!(got, expected, "{bounce_type}/{subtype}");
        }
        assert_eq!(classify(None, None, true), (Undetermined, false));
    }
}
