//! What SES's words for a delay mean. Delays come hours before the bounces that some of them become.

/// What a delay type means (event publishing, `DeliveryDelay`; facts 2.4), and what to do. `None` for words that are new.
pub(crate) fn meaning(delay_type: Option<&str>) -> Option<&'static str> {
    let Some(delay_type) = delay_type else {
        return Some("a bounce report says that the mail is still tried");
    };
    let meaning = match delay_type.to_ascii_lowercase().as_str() {
        "ipfailure" => {
            "the receiver blocks or slows the IP that sends: bounces follow; look for block lists, slow down"
        }
        "spamdetected" => {
            "the receiver took much of your mail for unwanted: bounces follow; stop the campaign and look at it"
        }
        "mailboxfull" => "the mailbox is full",
        "recipientservererror" => "the receiver's server has a fault",
        "transientcommunicationfailure" => "the connection to the receiver broke",
        "byoiphostnamelookupunavailable" => {
            "the host name of an IP of your own cannot be looked up: mend its PTR record"
        }
        "sendingdeferral" => "SES itself holds the mail back for a while",
        "internalfailure" => "a fault in SES",
        "general" => "the talk with the receiver's server failed",
        "undetermined" => "SES cannot say why",
        _ => return None,
    };
    Some(meaning)
}

/// Whether it is about the sender: what comes next are bounces that count.
pub(crate) fn is_about_sender(delay_type: &str) -> bool {
    ["IPFailure", "SpamDetected", "BYOIPHostNameLookupUnavailable"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(delay_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_of_ses_has_a_meaning_and_a_new_one_has_none() {
        let words = [
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
        let mut meanings: Vec<_> = words.iter().map(|word| meaning(Some(word)).unwrap()).collect();
        meanings.sort_unstable();
        meanings.dedup();
        assert_eq!(meanings.len(), words.len());
        assert_eq!(meaning(Some("Novel")), None);
        assert_eq!(words.iter().filter(|word| is_about_sender(word)).count(), 3);
        assert!(is_about_sender("ipfailure") && !is_about_sender("Novel"));
    }
}
