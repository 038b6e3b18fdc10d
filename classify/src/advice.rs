//! Advice for each cause: meaning, remedy, and the options that SES has.

use bouncewatch_schemas::cause::Cause;

/// Advice for a cause, in one or two sentences each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What happened.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// What SES offers or does; `None` if there is nothing specific.
    pub ses: Option<&'static str>,
}

/// The advice for a cause.
#[expect(clippy::too_many_lines, reason = "a table, by cause")]
pub const fn advice(cause: Cause) -> Advice {
    let (meaning, remedy, ses) = match cause {
        Cause::MailboxUnknown => (
            "The mailbox does not exist. A retry does not help, and each attempt counts as a hard bounce.",
            "Stop sending to these addresses, and find out where they came from: often most of them come from one import, or from one form without confirmation.",
            Some(
                "Enable the account-level suppression list for BOUNCE, so that SES does not attempt such addresses again. Confirm new addresses by email.",
            ),
        ),
        Cause::MailboxDisabled => (
            "The mailbox exists, but it is closed, suspended or abandoned.",
            "Stop sending to these addresses. Resume only if the recipient signs up again. Recipients that have opened nothing for a year are the most likely to have such a mailbox.",
            Some("Enable the account-level suppression list for BOUNCE."),
        ),
        Cause::MailboxFull => (
            "The mailbox is full. Some recipients free space within days; a mailbox that stays full is abandoned.",
            "Pause the address for some days. Remove it if it was full three times within a month.",
            None,
        ),
        Cause::DomainInvalid => (
            "The domain does not exist or does not accept mail. The most frequent reason is a typing error such as gmial.com.",
            "Ask the recipient for the correct address, or remove it. Check the domain when an address is entered.",
            Some(
                "SES reports `Invalid domain` as Transient although the failure is permanent. Do not wait for SES to suppress the address.",
            ),
        ),
        Cause::AddressSyntax => (
            "The address is not valid, for example because of an additional blank, comma or bracket.",
            "Fix the import or the form that accepted it, and remove the address.",
            None,
        ),
        Cause::RecipientRestricted => (
            "The recipient, or the operator of the mailbox, accepts mail from selected senders only.",
            "Ask the recipient through another channel to allow your address. Send no automated mail there until then.",
            None,
        ),
        Cause::AutoReply => (
            "An out-of-office message or another automatic reply. Your message arrived.",
            "Do nothing. Do not count it, and do not suppress the address.",
            None,
        ),
        Cause::Suppressed => (
            "Nothing was sent. The address is on a suppression list because of an earlier bounce or complaint.",
            "Remove the address from the source of your mailing, so that you do not pay for attempts that cannot arrive.",
            Some(
                "`aws sesv2 get-suppressed-destination` shows the reason. Use `delete-suppressed-destination` only if you know that the address works again.",
            ),
        ),
        Cause::SenderAuth => (
            "The receiver could not verify that the message is yours: SPF, DKIM or DMARC failed, or none of them is aligned with the From address.",
            "Pause the identity until this is fixed: publish the DKIM records, align SPF, and check the requirements of your DMARC policy.",
            Some(
                "Enable Easy DKIM for the identity. Set a custom MAIL FROM domain below the From domain, so that SPF is aligned as well.",
            ),
        ),
        Cause::SenderDns => (
            "The receiver does not accept the DNS of the sender: PTR or HELO does not match, or the sender domain does not resolve or accepts no replies.",
            "Give the domain of the envelope sender an MX and an A record, and check that its name servers answer from everywhere.",
            Some(
                "SES controls PTR and HELO: on shared IPs, contact AWS support. With a custom MAIL FROM domain, check its MX record. On your own IPs (BYOIP) you control the PTR record.",
            ),
        ),
        Cause::TlsRequired => (
            "One side requires an encrypted connection, and the other side did not establish it.",
            "If the receiver requires TLS, check that your TLS policy permits TLS for it. If your policy requires TLS, the receiver's server does not support it, or its certificate is invalid.",
            Some(
                "Check the TLS policy of the configuration set: with REQUIRE, SES does not deliver if the receiver has no TLS; with OPTIONAL, it delivers without TLS.",
            ),
        ),
        Cause::IpBlocklisted => (
            "The sending IP address is on a block list. The recipients are valid: do not suppress them.",
            "Find out which list it is, and whether other senders share the IP. Remove the reason, then request removal on the page of the list.",
            Some(
                "On shared IPs, AWS handles the removal: open a support case if the listing stays for more than a day. Otherwise send from a dedicated IP or another pool. For Microsoft's own list, use sendersupport.olc.protection.outlook.com.",
            ),
        ),
        Cause::DomainBlocklisted => (
            "Your domain, or a domain that the message links to, is on a block list. The recipients are valid: do not suppress them.",
            "Check each link of the message, including short links and click-tracking links, and ask the list to remove the domain.",
            Some(
                "If it is the click-tracking domain, set a custom domain for open and click tracking in the configuration set.",
            ),
        ),
        Cause::ReputationLow => (
            "Your IP or domain has a low reputation at the receiver because of complaints, invalid addresses or sudden volume.",
            "Send more slowly to this receiver, and only to recipients with recent opens. Make it easy to unsubscribe, and watch complaints.",
            Some(
                "Check the reputation at this receiver in Virtual Deliverability Manager and Google Postmaster Tools. Warm up a new dedicated IP; managed dedicated IPs warm up automatically.",
            ),
        ),
        Cause::ContentSpam => (
            "The receiver's filter classified the message as spam.",
            "Compare it with a campaign that arrived: subject, links, share of images, copied text. Send the changed message to a small group first.",
            Some(
                "Use the SES mailbox simulator to test your own code only. To test spam filters, use seed addresses of your own at each provider.",
            ),
        ),
        Cause::ContentMalware => (
            "The receiver classified the message as malware, or does not accept this type of attachment.",
            "Remove the attachment and send a link instead. If you sent no attachment, look for a compromised machine or account.",
            Some(
                "SES rejects viruses itself (event Reject), and does not accept some file extensions. A bounce with this cause comes from the receiver.",
            ),
        ),
        Cause::MessageTooLarge => (
            "The message is larger than the receiver accepts. Base64 makes an attachment a third larger than the file.",
            "Reduce images, and link to files instead of attaching them. Many servers accept at most 10 or 25 MB.",
            Some(
                "SES accepts messages of up to 40 MB (v2 API and SMTP). Above 10 MB it limits the sending rate.",
            ),
        ),
        Cause::MessageMalformed => (
            "The message violates the format of mail (RFC 5322): missing or repeated headers, bare line feeds, or lines that are too long.",
            "Fix the software that composes the message: one From, Date and Message-ID header, CRLF line ends, lines of at most 998 bytes.",
            Some("If you send raw messages, compose them with an SDK or a mail library."),
        ),
        Cause::RateLimited => (
            "Too many messages, connections or recipients at a time for this receiver or mailbox.",
            "Spread the campaign over hours, and raise the volume day by day.",
            Some(
                "SES retries for hours. Split large campaigns by provider. Add dedicated IPs only as fast as the warm-up allows.",
            ),
        ),
        Cause::Greylisted => (
            "The receiver defers first attempts of unknown senders as a test. Mail servers retry, and so does SES.",
            "Do nothing. If login codes arrive too late because of this, ask the receiver to allow your domain.",
            None,
        ),
        Cause::PolicyRejected => (
            "A rule of the receiver forbids the message, and the text does not name the rule. The address can be valid: do not suppress it.",
            "Read the text, follow its link, and send the complete reply and its time to the receiver's postmaster.",
            None,
        ),
        Cause::RelayDenied => (
            "The server does not accept mail for this domain: the hosting of the domain has expired, or its MX record is wrong.",
            "Treat the domain as invalid if this happens on two days. On a single day the domain may be moving.",
            None,
        ),
        Cause::ServerError => (
            "The receiver's server has a fault, or is full or overloaded. Neither you nor the address is the reason.",
            "Wait. Check again if many domains on one server fail for more than a day.",
            Some(
                "SES retries for up to 14 hours, and reports delays in that time (DeliveryDelay).",
            ),
        ),
        Cause::NetworkTimeout => (
            "The receiver's server could not be reached or did not answer, or SES gave up after hours of retries.",
            "Ignore a single failure. A domain that fails three times within a month is most likely abandoned.",
            Some(
                "A domain with broken DNS or MX records gives the same result. Check its MX record before you look for network problems.",
            ),
        ),
        Cause::Unknown => (
            "No rule matches the text.",
            "Read it. `bouncewatch causes --unknown` groups such texts without personal data. Add a rule for them (`cause_rules` in the settings).",
            None,
        ),
    };
    Advice { meaning, remedy, ses }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_complete_sentences() {
        let mut all = Vec::new();
        for cause in Cause::ALL {
            let Advice { meaning, remedy, ses } = advice(*cause);
            for text in [Some(meaning), Some(remedy), ses].into_iter().flatten() {
                assert!(text.ends_with('.') && text.len() > 7, "{text}");
            }
            assert!(!all.contains(&meaning), "{meaning}");
            all.push(meaning);
        }
    }

    #[test]
    fn blocklist_and_policy_rejections_advise_against_suppression() {
        for cause in [Cause::IpBlocklisted, Cause::DomainBlocklisted, Cause::PolicyRejected] {
            assert!(advice(cause).meaning.contains("do not suppress"), "{cause:?}");
        }
    }
}
