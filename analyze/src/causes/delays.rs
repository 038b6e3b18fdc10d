//! Meaning of the delay types of SES. Some delays become bounces, hours later.

/// Returns the meaning of a delay type (SES developer guide, "Contents of event data", `DeliveryDelay`), and what to
/// do; `None` for an unknown type.
pub(super) fn meaning(delay_type: Option<&str>) -> Option<&'static str> {
    let Some(delay_type) = delay_type else {
        return Some("a bounce report of a delay: delivery is still being tried");
    };
    let meaning = match delay_type.to_ascii_lowercase().as_str() {
        "ipfailure" => {
            "the receiver blocks or throttles the sending IP; bounces follow: check block lists, send more slowly"
        }
        "spamdetected" => {
            "the receiver classified much of your mail as spam; bounces follow: stop the campaign and review it"
        }
        "mailboxfull" => "the mailbox is full",
        "recipientservererror" => "the receiver's mail server has a fault",
        "transientcommunicationfailure" => "the connection to the receiver's mail server failed",
        "byoiphostnamelookupunavailable" => {
            "the host name of one of your own IPs (BYOIP) cannot be looked up: fix its PTR record"
        }
        "sendingdeferral" => "SES deferred the mail",
        "internalfailure" => "an internal failure of SES",
        "general" => "the SMTP conversation with the receiver's mail server failed",
        "undetermined" => "SES could not determine the reason",
        _ => return None,
    };
    Some(meaning)
}

/// Whether the sender causes the delay, so that counted bounces can follow.
pub(super) fn is_about_sender(delay_type: &str) -> bool {
    ["IPFailure", "SpamDetected", "BYOIPHostNameLookupUnavailable"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(delay_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_delay_type_of_ses_has_a_meaning_and_an_unknown_one_has_none() {
        let types = [
            "InternalFailure",
            "General",
            "MailboxFull",
            "SpamDetected",
            "RecipientServerError",
            "IPFailure",
            "TransientCommunicationFailure",
            "BYOIPHostNameLookupUnavailable",
            "Undetermined",
            "SendingDeferral",
        ];
        let mut meanings: Vec<_> =
            types.iter().map(|delay_type| meaning(Some(delay_type)).unwrap()).collect();
        meanings.sort_unstable();
        meanings.dedup();
        assert_eq!(meanings.len(), types.len());
        assert_eq!(meaning(Some("Novel")), None);
        assert_eq!(types.iter().filter(|delay_type| is_about_sender(delay_type)).count(), 3);
        assert!(is_about_sender("ipfailure") && !is_about_sender("Novel"));
    }
}
