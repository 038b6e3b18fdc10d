//! What SES's words for a delay mean. Delays come hours before the bounces that some of them become.

/// What a delay type means (event publishing, `DeliveryDelay`; facts 2.4), and what to do. `None` for words that are new.
pub(crate) fn meaning(delay_type: &str) -> Option<&'static str> {
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
