//! What to tell a worried sender: what happened, what to do, and what SES offers for it.

use bouncewatch_schemas::cause::Cause;

/// Plain words about a cause. Each is one or two sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What happened.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// The way out that SES has, where it has one.
    pub ses: Option<&'static str>,
}

/// What to say about a cause.
#[expect(clippy::too_many_lines, reason = "a table, by cause")]
pub const fn advice(cause: Cause) -> Advice {
    let (meaning, remedy, ses) = match cause {
        Cause::MailboxUnknown => (
            "There is no such mailbox. Trying again will not help, and each try counts as a hard bounce.",
            "Stop mailing these addresses, and look at where they came from: one import or one form without confirmation often brings most of them.",
            Some(
                "Turn on the account-level suppression list for BOUNCE, so that SES does not try such addresses again; confirm new addresses by mail.",
            ),
        ),
        Cause::MailboxDisabled => (
            "The mailbox existed and is closed, suspended or abandoned.",
            "Stop mailing these addresses. Write again only if the person signs up anew; people who have not opened for a year end here first.",
            Some("Turn on the account-level suppression list for BOUNCE."),
        ),
        Cause::MailboxFull => (
            "The mailbox has no room left. Some people make room within days, a mailbox that stays full is abandoned.",
            "Leave the address alone for a few days; take it out when it was full three times within a month.",
            None,
        ),
        Cause::DomainInvalid => (
            "The domain does not exist or takes no mail: most often a typo such as gmial.com.",
            "Correct the typo with the person, or remove the address. Check domains when addresses are typed in.",
            Some(
                "SES reports `Invalid domain` as Transient although it does not pass: do not wait for SES to suppress it.",
            ),
        ),
        Cause::AddressSyntax => (
            "The address is not written as an address: a blank, a comma or a bracket too much.",
            "Mend the import or the form that let it in, and remove the address.",
            None,
        ),
        Cause::RecipientRestricted => (
            "The recipient, or who runs the mailbox, takes mail from some senders only.",
            "Ask the recipient to allow your address by another way, and send no automatic mail there meanwhile.",
            None,
        ),
        Cause::AutoReply => (
            "An out-of-office or another automatic answer. Your mail arrived.",
            "Nothing. Do not count it, and do not suppress the address.",
            None,
        ),
        Cause::Suppressed => (
            "Nothing was sent: the address is on a suppression list since an earlier bounce or complaint.",
            "Take the address out of the source of your mailing, so that you do not pay for tries that cannot arrive.",
            Some(
                "`aws sesv2 get-suppressed-destination` tells why; `delete-suppressed-destination` lifts it, only when you know that the address works again.",
            ),
        ),
        Cause::SenderAuth => (
            "The receiver could not verify that the mail is yours: SPF, DKIM or DMARC failed, or none is aligned with the From address.",
            "Pause the identity until it is mended: publish the DKIM records, align SPF, and look at what your DMARC policy asks for.",
            Some(
                "Turn on Easy DKIM for the identity, and set a custom MAIL FROM domain below the From domain, so that SPF is aligned as well.",
            ),
        ),
        Cause::SenderDns => (
            "The receiver does not accept the DNS of the sender: no PTR or HELO that fits, or a sender domain that does not resolve or takes no answers.",
            "Give the domain of the envelope sender an MX and an A record, and see that its name servers answer from everywhere.",
            Some(
                "PTR and HELO are SES's: on shared IPs write to AWS support. With a custom MAIL FROM domain check that its MX record is there; on your own IPs (BYOIP) the PTR is yours.",
            ),
        ),
        Cause::TlsRequired => (
            "One side demands an encrypted connection that the other did not make.",
            "If the receiver demands TLS, see that you do not send there in the clear; if you demand it, the receiver's server cannot do it or its certificate is wrong.",
            Some(
                "See the TLS policy of the configuration set: REQUIRE gives up where the receiver has no TLS, OPTIONAL falls back.",
            ),
        ),
        Cause::IpBlocklisted => (
            "The IP address that sent is on a block list. The recipients are fine: do not suppress them.",
            "See which list, whether other senders share the IP, and ask for removal at the list's own page when the reason is gone.",
            Some(
                "On SES's shared IPs AWS handles delisting: open a case if it lasts. Else send from a dedicated IP or another pool, and ask Microsoft at sendersupport.olc.protection.outlook.com for its own list.",
            ),
        ),
        Cause::DomainBlocklisted => (
            "Your domain, or one that the message links to, is on a block list. The recipients are fine: do not suppress them.",
            "Check every link of the message, also those of shorteners and of click tracking, and ask the list to remove the domain.",
            Some(
                "If it is the domain of click tracking, set a custom domain of your own for open and click tracking in the configuration set.",
            ),
        ),
        Cause::ReputationLow => (
            "The receiver thinks badly of your IP or domain, because of complaints, dead addresses or sudden volume.",
            "Slow down to this receiver, mail only people who opened lately, make it easy to unsubscribe, and watch complaints.",
            Some(
                "See the reputation of the receiver in Virtual Deliverability Manager and Google Postmaster Tools. A new dedicated IP must be warmed up; managed dedicated IPs do that by themselves.",
            ),
        ),
        Cause::ContentSpam => (
            "The message looks like spam to the receiver's filter.",
            "Compare with a campaign that arrived: subject, links, proportion of pictures, text copied from elsewhere. Send the changed message to few first.",
            Some(
                "Try it with SES's mailbox simulator only for your own code; for filters use seed addresses of your own at each provider.",
            ),
        ),
        Cause::ContentMalware => (
            "The message was taken for malware, or has a kind of attachment that is not accepted.",
            "Take the attachment out and offer a link instead. If you sent none, look for a machine or an account that was broken into.",
            Some(
                "SES rejects viruses by itself (event Reject); attachments of some kinds are refused by receivers only.",
            ),
        ),
        Cause::MessageTooLarge => (
            "The message is larger than the receiver takes. Base64 makes an attachment a third larger than the file.",
            "Shrink pictures, and link to files instead of attaching them. Many servers stop at 10 or 25 MB.",
            Some("SES itself sends up to 40 MB (v2 API and SMTP); above 10 MB it limits how fast."),
        ),
        Cause::MessageMalformed => (
            "The message breaks the rules of its format: headers twice or missing, bare line feeds, lines that are too long.",
            "Mend what makes the message: one From, Date and Message-ID, CRLF line ends, lines below 998 bytes.",
            Some("If you send raw messages, let an SDK's or a mail library's composer build them."),
        ),
        Cause::RateLimited => (
            "Too many messages, connections or recipients at a time for this receiver, or for this mailbox.",
            "Spread the campaign over hours and raise volume by day, not at once.",
            Some(
                "SES tries again for hours. Split large campaigns by provider; with dedicated IPs add IPs only as warm-up allows.",
            ),
        ),
        Cause::Greylisted => (
            "The receiver puts off first attempts by unknown senders as a test. Real mail servers come again, and SES does.",
            "Nothing. If a login code comes too late because of it, ask the receiver to allow your domain.",
            None,
        ),
        Cause::PolicyRejected => (
            "A rule of the receiver forbids the message, and the text does not say which. The address may be fine: do not suppress it.",
            "Read the text, follow its link, and write to the receiver's postmaster with the full answer and its time.",
            None,
        ),
        Cause::RelayDenied => (
            "The server says that it does not take mail for this domain: its hosting has expired, or its MX record points to the wrong server.",
            "Treat it as a dead domain if it happens on two days; one day may be a move of the domain.",
            None,
        ),
        Cause::ServerError => (
            "The receiver's server has a fault, or is full or overloaded. It is not about you or the address.",
            "Wait. Look again if many domains on one server fail for more than a day.",
            Some(
                "SES tries again for up to 14 hours and reports delays on the way (DeliveryDelay).",
            ),
        ),
        Cause::NetworkTimeout => (
            "The receiver's server could not be reached or did not answer, or the message was given up after hours of trying.",
            "Nothing for a single one. A domain that fails three times within a month is most likely abandoned.",
            Some(
                "A domain whose DNS or MX is broken looks like this too; check its MX record before you blame the network.",
            ),
        ),
        Cause::Unknown => (
            "No rule knows the text.",
            "Read it. `bouncewatch causes --unknown` groups such texts without personal data; a rule of your own teaches them (`cause_rules` in the settings).",
            None,
        ),
    };
    Advice { meaning, remedy, ses }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_words_of_its_own() {
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
    fn nobody_is_told_to_suppress_for_the_senders_fault() {
        for cause in [Cause::IpBlocklisted, Cause::DomainBlocklisted, Cause::PolicyRejected] {
            assert!(advice(cause).meaning.contains("do not suppress"), "{cause:?}");
        }
    }
}
