//! Bounce and complaint words of SES, and what SES counts (facts 1.5, 1.6, 5.1).

words! {
    /// What a bounce is for the people who act on it.
    BounceClass {
        /// An out-of-office reply; no bounce at all.
        AutoReply = "auto_reply",
        /// Not attempted, because the address is on a suppression list or failed validation.
        Suppressed = "suppressed",
        /// Given up after retries, or refused for now.
        Soft = "soft",
        /// SES could not tell.
        Undetermined = "undetermined",
        /// Refused for good.
        Hard = "hard",
    }
}

/// The domain of SES's mailbox simulator, whose mail is in no rate.
pub const SIMULATOR_DOMAIN: &str = "simulator.amazonses.com";

/// Subtypes of `Permanent` that SES keeps out of its bounce rate. `EmailValidationSuppressed` is not documented
/// either way; nothing was attempted, so it is left out.
const NOT_COUNTED: [&str; 4] = [
    "OnAccountSuppressionList",
    "OnTenantSuppressionList",
    "UnsubscribedRecipient",
    "EmailValidationSuppressed",
];

/// SES's global suppression list: not attempted, but counted.
const GLOBAL_SUPPRESSION: &str = "Suppressed";

/// Class of a bounce, and whether it enters SES's own bounce rate.
///
/// Words are compared without regard to case (the v2 API writes them in upper case). Unknown subtypes of
/// `Permanent` count: a rate that is too high is the safer error. `has_report` says whether a delivery report came
/// with it (action, status or diagnostic); a `Transient/General` without one is an automatic reply.
pub fn classify(
    bounce_type: Option<&str>,
    bounce_subtype: Option<&str>,
    has_report: bool,
) -> (BounceClass, bool) {
    let is =
        |word: Option<&str>, other: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(other));
    if is(bounce_type, "Permanent") {
        if NOT_COUNTED.iter().any(|word| is(bounce_subtype, word)) {
            return (BounceClass::Suppressed, false);
        }
        if is(bounce_subtype, GLOBAL_SUPPRESSION) {
            return (BounceClass::Suppressed, true);
        }
        return (BounceClass::Hard, true);
    }
    if is(bounce_type, "Transient") {
        let replied = is(bounce_subtype, "General") && !has_report;
        return (if replied { BounceClass::AutoReply } else { BounceClass::Soft }, false);
    }
    (BounceClass::Undetermined, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ses_counts() {
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
