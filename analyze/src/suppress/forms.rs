//! The list in the forms that others take: CSV for people, addresses alone, and what SES imports.

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;

use crate::report::csv::{escape, line};
use crate::suppress::{Suppressed, Suppressions, is_hashed};

/// Addresses that SES takes in one import job.
pub const SES_IMPORT_MAX: usize = 100_000;

/// A list in one form, and what is not in it.
#[derive(Debug, PartialEq, Eq)]
pub struct ForSes {
    /// The file.
    pub text: String,
    /// How many addresses are in it.
    pub count: usize,
    /// Addresses that are stored as hashes: SES does not know them.
    pub hashed: usize,
    /// Addresses that cannot stand in such a file.
    pub unwritable: usize,
}

/// All that is known, a line an address (RFC 4180), safe in spreadsheets. With a list to compare with, the first column
/// tells what to do: `add`, or `no_evidence` for what nothing speaks against.
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
    let mut out = String::new();
    let change = suppressions.without_evidence.is_some().then_some("change");
    line(&mut out, change.into_iter().chain(header).map(str::to_owned));
    for one in &suppressions.addresses {
        let cells = [
            escape(&one.address),
            one.reason.as_str().to_owned(),
            one.cause.unwrap_or_default().to_owned(),
            one.count.to_string(),
            one.first_at.clone(),
            one.last_at.clone(),
            one.expires_at.clone().unwrap_or_default(),
            one.suggestion.unwrap_or_default().to_owned(),
            escape(one.evidence.as_deref().unwrap_or_default()),
        ];
        line(&mut out, change.map(|_| "add".to_owned()).into_iter().chain(cells));
    }
    for one in suppressions.without_evidence.iter().flatten() {
        let delivered = one.delivered_at.as_ref().map(|at| format!("delivered at {at}"));
        let cells = [escape(&one.address)]
            .into_iter()
            .chain(std::iter::repeat_n(String::new(), header.len() - 2))
            .chain([delivered.unwrap_or_default()]);
        line(&mut out, ["no_evidence".to_owned()].into_iter().chain(cells));
    }
    out
}

/// Addresses alone, a line each. With a list to compare with, `+ ` stands before what it lacks, and `- ` before what
/// nothing speaks against.
pub fn txt(suppressions: &Suppressions) -> String {
    let mut out = String::new();
    let plus = if suppressions.without_evidence.is_some() { "+ " } else { "" };
    for one in &suppressions.addresses {
        // writing to a String cannot fail
        _ = writeln!(out, "{plus}{}", printable(&one.address));
    }
    for one in suppressions.without_evidence.iter().flatten() {
        _ = writeln!(out, "- {}", printable(&one.address));
    }
    out
}

/// What `CreateImportJob` of SES's v2 API takes for the suppression list with the data format CSV: address and reason, no
/// header (SES developer guide, "Using the Amazon SES account-level suppression list"). There is no escaping in it, so
/// that an address that would need one is left out.
pub fn ses(suppressions: &Suppressions) -> ForSes {
    let (hashed, plain): (Vec<&Suppressed>, Vec<&Suppressed>) =
        suppressions.addresses.iter().partition(|one| is_hashed(&one.address));
    let (writable, unwritable): (Vec<&Suppressed>, Vec<&Suppressed>) =
        plain.into_iter().partition(|one| is_writable(&one.address));
    let line = |one: &&Suppressed| format!("{},{}\n", one.address, one.reason.of_ses());
    ForSes {
        text: writable.iter().map(line).collect(),
        count: writable.len(),
        hashed: hashed.len(),
        unwritable: unwritable.len(),
    }
}

/// An address of one `@`, printable and without anything that ends a cell or a line.
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
    use crate::suppress::{LeftOut, Reason, Unproven};

    fn list(addresses: &[(&str, Reason)]) -> Suppressions {
        let one = |(address, reason): &(&str, Reason)| Suppressed {
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
            left_out: LeftOut::default(),
        }
    }

    #[test]
    fn ses_gets_only_what_it_can_read() {
        let hashed = "h-0123456789abcdef0123456789abcdef@example.org";
        let all = [
            ("anna@example.org", Reason::HardBounce),
            ("bob@example.org", Reason::Complaint),
            ("carl@example.org", Reason::RepeatedFailure),
            (hashed, Reason::HardBounce),
            ("a,b@example.org", Reason::HardBounce),
            ("a b@example.org", Reason::HardBounce),
            ("a@b@example.org", Reason::HardBounce),
            ("nobody", Reason::HardBounce),
            ("a\u{202e}@example.org", Reason::HardBounce),
            ("h-0123@example.org", Reason::HardBounce),
        ];
        let text = "anna@example.org,BOUNCE\nbob@example.org,COMPLAINT\ncarl@example.org,BOUNCE\nh-0123@example.org,BOUNCE\n";
        let expected = ForSes { text: text.to_owned(), count: 4, hashed: 1, unwritable: 5 };
        assert_eq!(ses(&list(&all)), expected);
    }

    #[test]
    fn a_list_runs_nothing_in_a_spreadsheet_and_is_read_again() {
        let all =
            [("=1+1@example.org", Reason::HardBounce), ("x\u{1b}@example.org", Reason::Complaint)];
        let mut list = list(&all);
        let text = csv(&list);
        assert_eq!(
            text.lines().nth(1),
            Some(
                "'=1+1@example.org,hard_bounce,mailbox_unknown,2,2026-11-01T00:00:00.000Z,2026-11-02T00:00:00.000Z,,,'=cmd|' /C calc'!A0"
            )
        );
        let read = crate::suppress::AddressList::parse(&text).unwrap();
        assert!(read.addresses.contains("=1+1@example.org"), "{read:?}");
        assert_eq!(txt(&list), "=1+1@example.org\nx\\u{1b}@example.org\n");
        list.without_evidence = Some(vec![Unproven {
            address: "-b@example.org".to_owned(),
            delivered_at: Some("2026-11-03T00:00:00.000Z".to_owned()),
        }]);
        assert!(csv(&list).starts_with("change,address,reason"));
        assert!(csv(&list).ends_with(
            "no_evidence,'-b@example.org,,,,,,,,delivered at 2026-11-03T00:00:00.000Z\r\n"
        ));
        assert!(txt(&list).starts_with("+ =1") && txt(&list).ends_with("\n- -b@example.org\n"));
    }
}
