//! The input of the classifier.

use bouncewatch_schemas::bounce::BounceClass;
use bouncewatch_schemas::diagnostic::Diagnostic;
use bouncewatch_schemas::event::EventRow;

/// The fields of a bounce or delivery delay that the classifier reads. Each may be missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct FailureFacts<'a> {
    /// SES bounce type: `Permanent`, `Transient`, `Undetermined`.
    pub bounce_type: Option<&'a str>,
    /// SES bounce subtype: `General`, `MailboxFull`, `OnAccountSuppressionList`, ...
    pub bounce_subtype: Option<&'a str>,
    /// SES delay type: `IPFailure`, `SpamDetected`, ...
    pub delay_type: Option<&'a str>,
    /// SMTP reply code, 400 to 599.
    pub smtp_code: Option<u16>,
    /// Enhanced status code such as `5.1.1`.
    pub enhanced_status: Option<&'a str>,
    /// Reply of the remote server, or text of SES, in one line (see [`bouncewatch_schemas::diagnostic::parse`]).
    pub text: Option<&'a str>,
    /// IP address of the remote server. Any other IP address in the text counts as the sender's.
    pub remote_mta: Option<&'a str>,
    /// Domain of the recipient.
    pub recipient_domain: Option<&'a str>,
}

impl<'a> FailureFacts<'a> {
    /// The facts in a diagnostic, without SES types.
    pub fn from_diagnostic(diagnostic: &'a Diagnostic<'_>) -> Self {
        Self {
            smtp_code: diagnostic.smtp_code,
            enhanced_status: diagnostic.enhanced_status.as_deref(),
            text: diagnostic.text.as_deref(),
            ..Self::default()
        }
    }

    /// The facts in a row of the event table.
    pub fn from_event(row: &EventRow<'a>) -> Self {
        // `General` stands for an automatic reply only if no delivery report came with the bounce
        let has_report = row.class.is_some_and(|class| class != BounceClass::AutoReply);
        let is_general = |subtype: &str| subtype.eq_ignore_ascii_case("General");
        Self {
            bounce_type: row.bounce_type,
            bounce_subtype: row
                .bounce_subtype
                .filter(|subtype| !(has_report && is_general(subtype))),
            delay_type: row.delay_type,
            smtp_code: row.smtp_code,
            enhanced_status: row.enhanced_status,
            text: row.diagnostic,
            remote_mta: row.remote_mta,
            recipient_domain: row.recipient_domain,
        }
    }
}
