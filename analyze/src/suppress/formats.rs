//! Output formats of `suppress`: CSV, plain addresses, and import files for SES.

use std::fmt::Write;

use bouncewatch_schemas::address::to_display;
use bouncewatch_schemas::printable::printable;
use bouncewatch_store::addresses::is_hashed;

use crate::csv_output::{CsvOutput, escape_formula};
use crate::suppress::model::Suppressions;

/// Maximum number of addresses in one import job of SES.
pub const SES_IMPORT_MAX: usize = 100_000;

/// An import file for SES, and the number of addresses that it omits.
#[derive(Debug, PartialEq, Eq)]
pub struct SesImportFile {
    /// Content of the file.
    pub text: String,
    /// Number of addresses.
    pub count: usize,
    /// Number of omitted addresses that are stored as hashes, which SES cannot resolve.
    pub hashed: usize,
    /// Number of omitted addresses that the format cannot represent.
    pub unwritable: usize,
}

/// Returns all fields as CSV (RFC 4180), one record per address, addresses on hold last. With a
/// list to compare with, the first column is `add`, `hold`, or `no_evidence` (an address of the
/// list without evidence).
pub fn csv(suppressions: &Suppressions) -> String {
    let header = [
        "address",
        "reason",
        "cause",
        "count",
        "first_at",
        "last_at",
        "expires_at",
        "suggestion",
        "evidence",
    ];
    let mut out = CsvOutput::new();
    let change = suppressions.without_evidence.is_some().then_some("change");
    out.record(change.into_iter().chain(header).map(str::to_owned));
    for one in suppressions.addresses.iter().chain(&suppressions.on_hold) {
        let fields = [
            escape_formula(&to_display(&one.address)).into_owned(),
            one.reason.as_str().to_owned(),
            one.cause.unwrap_or_default().to_owned(),
            one.count.to_string(),
            one.first_at.clone(),
            one.last_at.clone(),
            one.expires_at.clone().unwrap_or_default(),
            one.suggestion.unwrap_or_default().to_owned(),
            escape_formula(one.evidence.as_deref().unwrap_or_default()).into_owned(),
        ];
        let kind = if one.reason.is_hold() { "hold" } else { "add" };
        out.record(change.map(|_| kind.to_owned()).into_iter().chain(fields));
    }
    for one in suppressions.without_evidence.iter().flatten() {
        let delivered = one.delivered_at.as_ref().map(|at| format!("delivered at {at}"));
        let fields = [escape_formula(&to_display(&one.address)).into_owned()]
            .into_iter()
            .chain(std::iter::repeat_n(String::new(), header.len() - 2))
            .chain([delivered.unwrap_or_default()]);
        out.record(["no_evidence".to_owned()].into_iter().chain(fields));
    }
    out.finish()
}

/// Returns the addresses, one per line. Omits addresses on hold, because the format has no expiry.
/// With a list to compare with, `+ ` marks an address to add, and `- ` an address of the list
/// without evidence.
pub fn txt(suppressions: &Suppressions) -> String {
    let mut out = String::new();
    let plus = if suppressions.without_evidence.is_some() { "+ " } else { "" };
    for one in &suppressions.addresses {
        // writing to a String cannot fail
        _ = writeln!(out, "{plus}{}", printable(&to_display(&one.address)));
    }
    for one in suppressions.without_evidence.iter().flatten() {
        _ = writeln!(out, "- {}", printable(&to_display(&one.address)));
    }
    out
}

/// Returns an import file for `CreateImportJob` of the SES API v2 with the data format CSV: address and reason, no
/// header (SES developer guide, "Using the Amazon SES account-level suppression list"). The format has no escaping,
/// so an address that needs it is omitted. It has no expiry, so addresses on hold are omitted too. Domains are in their
/// ASCII form, in which SES compares them.
pub fn ses(suppressions: &Suppressions) -> SesImportFile {
    let all = suppressions.addresses.iter();
    ses_lines(all.map(|one| (one.address.as_str(), Some(one.reason.ses_reason()))))
}

/// Returns an import file with addresses, each with a reason if the file adds them to the list.
pub(super) fn ses_lines<'a>(
    all: impl Iterator<Item = (&'a str, Option<&'static str>)>,
) -> SesImportFile {
    let mut file = SesImportFile { text: String::new(), count: 0, hashed: 0, unwritable: 0 };
    for (address, reason) in all {
        if is_hashed(address) {
            file.hashed += 1;
        } else if is_writable(address) {
            file.count += 1;
            // writing to a String cannot fail
            _ = match reason {
                Some(reason) => writeln!(file.text, "{address},{reason}"),
                None => writeln!(file.text, "{address}"),
            };
        } else {
            file.unwritable += 1;
        }
    }
    file
}

/// Whether an address has one `@`, is printable, and contains no separator.
fn is_writable(address: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, ',' | '"' | ';');
    let parts: Vec<&str> = address.split('@').collect();
    let [local, domain] = parts[..] else { return false };
    !local.is_empty()
        && domain.contains('.')
        && address.chars().all(is_plain)
        && printable(address) == address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suppress::model::{
        AddressWithoutEvidence, OmittedCounts, SuppressReason, SuppressedAddress,
    };

    fn list(addresses: &[(&str, SuppressReason)]) -> Suppressions {
        let one = |(address, reason): &(&str, SuppressReason)| SuppressedAddress {
            address: (*address).to_owned(),
            reason: *reason,
            cause: Some("mailbox_unknown"),
            evidence: Some("=cmd|' /C calc'!A0".to_owned()),
            first_at: "2026-11-01T00:00:00.000Z".to_owned(),
            last_at: "2026-11-02T00:00:00.000Z".to_owned(),
            count: 2,
            expires_at: None,
            suggestion: None,
        };
        Suppressions {
            version: 1,
            as_of: "2026-11-20T00:00:00.000Z".to_owned(),
            soft_count: 3,
            soft_days: 30,
            addresses: addresses.iter().map(one).collect(),
            without_evidence: None,
            left_out: OmittedCounts::default(),
            mass_guard: 20,
            on_hold: Vec::new(),
            incidents: Vec::new(),
        }
    }

    #[test]
    fn ses_import_file_omits_addresses_that_ses_cannot_read() {
        let hashed = "h-0123456789abcdef0123456789abcdef@example.org";
        let all = [
            ("anna@example.org", SuppressReason::HardBounce),
            ("bob@example.org", SuppressReason::Complaint),
            ("carl@example.org", SuppressReason::RepeatedFailure),
            (hashed, SuppressReason::HardBounce),
            ("a,b@example.org", SuppressReason::HardBounce),
            ("a b@example.org", SuppressReason::HardBounce),
            ("a@b@example.org", SuppressReason::HardBounce),
            ("no-domain", SuppressReason::HardBounce),
            ("a@localhost", SuppressReason::HardBounce),
            ("a;b@example.org", SuppressReason::HardBounce),
            ("\"a\"@example.org", SuppressReason::HardBounce),
            ("@example.org", SuppressReason::HardBounce),
            ("a\u{202e}@example.org", SuppressReason::HardBounce),
            ("h-0123@example.org", SuppressReason::HardBounce),
        ];
        let text = "anna@example.org,BOUNCE\nbob@example.org,COMPLAINT\ncarl@example.org,BOUNCE\nh-0123@example.org,BOUNCE\n";
        let expected = SesImportFile { text: text.to_owned(), count: 4, hashed: 1, unwritable: 9 };
        assert_eq!(ses(&list(&all)), expected);
    }

    #[test]
    fn csv_escapes_formulas_and_can_be_parsed_as_an_address_list() {
        let all = [
            ("=1+1@example.org", SuppressReason::HardBounce),
            ("x\u{1b}@example.org", SuppressReason::Complaint),
        ];
        let mut list = list(&all);
        let text = csv(&list);
        assert_eq!(
            text.lines().nth(1),
            Some(
                "'=1+1@example.org,hard_bounce,mailbox_unknown,2,2026-11-01T00:00:00.000Z,2026-11-02T00:00:00.000Z,,,'=cmd|' /C calc'!A0"
            )
        );
        let parsed = crate::suppress::address_list::AddressList::parse(&text).unwrap();
        assert!(parsed.addresses.contains("=1+1@example.org"), "{parsed:?}");
        assert_eq!(txt(&list), "=1+1@example.org\nx\\u{1b}@example.org\n");
        list.without_evidence = Some(vec![AddressWithoutEvidence {
            address: "-b@example.org".to_owned(),
            delivered_at: Some("2026-11-03T00:00:00.000Z".to_owned()),
        }]);
        assert!(csv(&list).starts_with("change,address,reason"));
        assert!(csv(&list).ends_with(
            "no_evidence,'-b@example.org,,,,,,,,delivered at 2026-11-03T00:00:00.000Z\r\n"
        ));
        assert!(txt(&list).starts_with("+ =1") && txt(&list).ends_with("\n- -b@example.org\n"));
    }

    #[test]
    fn addresses_on_hold_are_only_in_csv_and_are_no_list() {
        let mut list = list(&[("anna@example.org", SuppressReason::HardBounce)]);
        list.on_hold = super::tests::list(&[
            ("bob@example.org", SuppressReason::OnHold),
            ("carl@example.org", SuppressReason::ProviderIncident),
        ])
        .addresses;
        let text = csv(&list);
        let reasons: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
        assert_eq!(reasons, ["hard_bounce", "on_hold", "provider_incident"]);
        let parsed = crate::suppress::address_list::AddressList::parse(&text).unwrap();
        assert_eq!(parsed.addresses.iter().collect::<Vec<_>>(), ["anna@example.org"]);
        assert_eq!(parsed.unreadable, 0);
        assert_eq!(txt(&list), "anna@example.org\n");
        assert_eq!(ses(&list).text, "anna@example.org,BOUNCE\n");
        list.without_evidence = Some(Vec::new());
        assert!(csv(&list).contains("\r\nhold,bob@example.org,on_hold,"));
    }
}
