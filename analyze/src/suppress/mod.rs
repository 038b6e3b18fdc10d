//! `suppress`: addresses that are not to be mailed again, each with its reason and what speaks for it.
//!
//! What counts is what bounces and complaints say by the rules of now, over the whole history. An address comes off the
//! list when other mail was delivered to it later; an open or a click does not help, since it names no recipient, and
//! machines open mail too.

mod evidence;
pub mod forms;
mod list;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use bouncewatch_classify::{Classifier, likely_domain};
use bouncewatch_schemas::address;
use bouncewatch_schemas::cause::Cause;
use bouncewatch_schemas::event::{Kind, Service};
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::causes::judge::Judge;
use crate::error::AnalyzeError;
use crate::scan::{Asked, Failure, Scan};
use crate::timeline::model::Outcome;
use evidence::{Bounced, Weight, enough, weight};

pub use evidence::Soft;
pub use list::AddressList;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The store.
    pub store: PathBuf,
    /// The moment for which it is told, epoch milliseconds.
    pub at: i64,
    /// How many soft failures are enough.
    pub soft: Soft,
    /// A list to compare with.
    pub known: Option<AddressList>,
}

/// Why an address is not to be mailed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The recipient called mail spam.
    Complaint,
    /// It does not work.
    HardBounce,
    /// It failed so often that it most likely does not work.
    RepeatedFailure,
}

impl Reason {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complaint => "complaint",
            Self::HardBounce => "hard_bounce",
            Self::RepeatedFailure => "repeated_failure",
        }
    }

    /// The word of SES's suppression list.
    pub const fn of_ses(self) -> &'static str {
        match self {
            Self::Complaint => "COMPLAINT",
            Self::HardBounce | Self::RepeatedFailure => "BOUNCE",
        }
    }
}

/// The answer; its JSON is a contract.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Suppressions {
    pub version: u32,
    pub as_of: String,
    pub soft_count: usize,
    pub soft_days: i64,
    /// In alphabetical order; those that a list lacks, where one is given to compare with.
    pub addresses: Vec<Suppressed>,
    /// Addresses of the list that nothing speaks against; null where there is no list.
    pub without_evidence: Option<Vec<Unproven>>,
    pub left_out: LeftOut,
}

/// One address.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Suppressed {
    pub address: String,
    pub reason: Reason,
    /// Null for complaints.
    pub cause: Option<&'static str>,
    /// What the server said last, or what kind of complaint it was.
    pub evidence: Option<String>,
    pub first_at: String,
    pub last_at: String,
    /// How many bounces or complaints speak for it.
    pub count: u64,
    /// When it may be tried again; null where time alone makes nothing better.
    pub expires_at: Option<String>,
    /// The domain that was most likely meant.
    pub suggestion: Option<&'static str>,
}

/// An address of a list that nothing in the store speaks against.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the JSON, which the README describes")]
pub struct Unproven {
    pub address: String,
    /// When mail last reached it, if it did.
    pub delivered_at: Option<String>,
}

/// What is not in the list although it failed for good.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Failures whose address was dropped when it was stored, or forgotten: nobody can be told.
    pub dropped: u64,
    /// Addresses on a suppression list of SES, which sends nothing there.
    pub on_ses_list: u64,
    /// Those of them that are on SES's global list: each try counts as a bounce.
    pub on_global_list: u64,
    /// Addresses that bounced for good with a text that no rule knows.
    pub unknown_text: u64,
}

/// Tells which addresses are not to be mailed again.
///
/// # Errors
/// If there is no store or it cannot be read.
pub fn suppress(request: &Request, classifier: &Classifier) -> Result<Suppressions, AnalyzeError> {
    // mail to one's own domains is in no rate, and a dead mailbox there is as dead as elsewhere
    Scan::over(&request.store, Service::Ses, &[], |scan| answer(request, classifier, scan))
}

fn answer(
    request: &Request,
    classifier: &Classifier,
    scan: &Scan,
) -> Result<Suppressions, AnalyzeError> {
    let mut found = Found::default();
    let mut judge = Judge::new(classifier);
    let asked =
        Asked { kinds: &[Kind::Bounce, Kind::Complaint], words: &[], after: None, to: request.at };
    scan.failures(&asked, |failure| found.add(failure, &mut judge))?;
    found.settle();
    let delivered = found.deliveries(request, scan)?;
    Ok(found.answer(request, &delivered))
}

/// A complaint about mail to an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    at: i64,
    message: u64,
    what: Option<Box<str>>,
}

/// What is known of one address.
#[derive(Debug, Default)]
struct Known {
    bounces: Vec<Bounced>,
    complaints: Vec<Complaint>,
    /// Messages that bounced, for whatever reason: their delivery before says nothing.
    bounced_messages: Vec<u64>,
    is_on_list: bool,
    is_on_global_list: bool,
    has_unknown_text: bool,
}

/// What is known of all.
#[derive(Debug, Default)]
struct Found {
    all: BTreeMap<String, Known>,
    /// How many recipients a complaint may be of.
    candidates: HashMap<(u64, i64), u64>,
    dropped: u64,
}

impl Found {
    fn add(&mut self, failure: &Failure<'_>, judge: &mut Judge<'_>) {
        let Some(recipient) = failure.recipient else { return };
        if failure.kind == Kind::Complaint {
            if failure.outcome != Outcome::Complaint {
                return;
            }
            *self.candidates.entry((failure.message, failure.at)).or_default() += 1;
            if is_dropped(recipient) {
                self.dropped += 1;
                return;
            }
            let what = failure.complaint_type.map(Box::from);
            let complaint = Complaint { at: failure.at, message: failure.message, what };
            self.known(recipient).complaints.push(complaint);
            return;
        }
        let judged = judge.judge(failure);
        let weighed = weight(judged.cause, judged.action);
        if is_dropped(recipient) {
            self.dropped += u64::from(matches!(weighed, Some((_, Weight::AtOnce))));
            return;
        }
        if judged.cause == Cause::AutoReply {
            return;
        }
        let known = self.known(recipient);
        known.bounced_messages.push(failure.message);
        known.is_on_list |= judged.cause == Cause::Suppressed;
        known.is_on_global_list |= failure.outcome == Outcome::SuppressedCounted;
        known.has_unknown_text |= !judged.is_known && failure.outcome == Outcome::Hard;
        if let Some((family, weight)) = weighed {
            known.bounces.push(Bounced {
                at: failure.at,
                message: failure.message,
                family,
                weight,
                cause: judged.cause,
                text: failure.diagnostic.map(Box::from),
            });
        }
    }

    fn known(&mut self, recipient: &str) -> &mut Known {
        if !self.all.contains_key(recipient) {
            self.all.insert(recipient.to_owned(), Known::default());
        }
        self.all.entry(recipient.to_owned()).or_default()
    }

    /// Events came in no order.
    fn settle(&mut self) {
        for known in self.all.values_mut() {
            known.bounces.sort();
            known.complaints.sort();
            known.bounced_messages.sort_unstable();
        }
    }

    /// When mail last reached the addresses against which something speaks, and those of the list.
    fn deliveries(
        &self,
        request: &Request,
        scan: &Scan,
    ) -> Result<HashMap<String, i64>, AnalyzeError> {
        let failed = self.all.iter().filter(|(_, known)| !known.bounces.is_empty());
        let mut wanted: BTreeSet<&str> = failed.map(|(address, _)| address.as_str()).collect();
        let mut from = self
            .all
            .values()
            .filter_map(|known| known.bounces.first())
            .map(|bounce| bounce.at)
            .min()
            .unwrap_or(request.at);
        if let Some(list) = &request.known {
            wanted.extend(list.addresses.iter().map(String::as_str));
            from = i64::MIN;
        }
        let mut last: HashMap<String, i64> = HashMap::new();
        if wanted.is_empty() {
            return Ok(last);
        }
        scan.deliveries(
            wanted.into_iter().collect(),
            from,
            request.at,
            |recipient, message, at| {
                let bounced = self.all.get(recipient);
                // servers take mail and send it back later
                if bounced
                    .is_some_and(|known| known.bounced_messages.binary_search(&message).is_ok())
                {
                    return;
                }
                let known = last.entry(recipient.to_owned()).or_insert(at);
                *known = at.max(*known);
            },
        )?;
        Ok(last)
    }

    fn answer(&self, request: &Request, delivered: &HashMap<String, i64>) -> Suppressions {
        let mut left_out = LeftOut { dropped: self.dropped, ..LeftOut::default() };
        let mut addresses = Vec::new();
        for (address, known) in &self.all {
            let delivered_at = delivered.get(address).copied();
            if let Some(suppressed) = self.suppressed(request, address, known, delivered_at) {
                addresses.push(suppressed);
                continue;
            }
            left_out.on_ses_list += u64::from(known.is_on_list);
            left_out.on_global_list += u64::from(known.is_on_global_list);
            left_out.unknown_text += u64::from(known.has_unknown_text && delivered_at.is_none());
        }
        let without_evidence = request.known.as_ref().map(|list| {
            let is_listed = |address: &String| {
                addresses.binary_search_by(|one| one.address.as_str().cmp(address)).is_ok()
            };
            let unproven = |address: &String| Unproven {
                address: address.clone(),
                delivered_at: delivered.get(address).copied().map(format_ms),
            };
            list.addresses.iter().filter(|address| !is_listed(address)).map(unproven).collect()
        });
        if let Some(list) = &request.known {
            addresses.retain(|one| !list.addresses.contains(&one.address));
        }
        Suppressions {
            version: 1,
            as_of: format_ms(request.at),
            soft_count: request.soft.count,
            soft_days: request.soft.days,
            addresses,
            without_evidence,
            left_out,
        }
    }

    fn suppressed(
        &self,
        request: &Request,
        address: &str,
        known: &Known,
        delivered_at: Option<i64>,
    ) -> Option<Suppressed> {
        if let (Some(first), Some(last)) = (known.complaints.first(), known.complaints.last()) {
            return Some(Suppressed {
                address: address.to_owned(),
                reason: Reason::Complaint,
                cause: None,
                evidence: Some(self.complaint(last)),
                first_at: format_ms(first.at),
                last_at: format_ms(last.at),
                count: known.complaints.len() as u64,
                expires_at: None,
                suggestion: None,
            });
        }
        let found = enough(&known.bounces, delivered_at, request.soft, request.at)?;
        let reason = match found.weight {
            Weight::AtOnce => Reason::HardBounce,
            Weight::IfRepeated => Reason::RepeatedFailure,
        };
        Some(Suppressed {
            address: address.to_owned(),
            reason,
            cause: Some(found.last.cause.as_str()),
            evidence: found.last.text.as_deref().map(str::to_owned),
            first_at: format_ms(found.first_at),
            last_at: format_ms(found.last.at),
            count: found.count,
            expires_at: found.expires_at.map(format_ms),
            suggestion: address::domain(address).and_then(likely_domain),
        })
    }

    /// A complaint in words. SES lists all recipients of whom it may be.
    fn complaint(&self, complaint: &Complaint) -> String {
        let what = match &complaint.what {
            Some(what) => format!("complaint ({what})"),
            None => "complaint".to_owned(),
        };
        match self.candidates.get(&(complaint.message, complaint.at)) {
            Some(candidates) if *candidates > 1 => {
                format!("{what}, of one of {candidates} recipients")
            }
            _ => what,
        }
    }
}

/// Whether a word stands in place of an address that nobody knows any more: `d-HASH@domain`, other for each message.
fn is_dropped(recipient: &str) -> bool {
    is_pseudonym(recipient, "d-", 16)
}

/// Whether a word stands in place of an address that only the owner of the key knows: `h-HASH@domain`.
pub(crate) fn is_hashed(recipient: &str) -> bool {
    is_pseudonym(recipient, "h-", 32)
}

fn is_pseudonym(recipient: &str, mark: &str, digits: usize) -> bool {
    let local = recipient.rsplit_once('@').map_or(recipient, |(local, _)| local);
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    local.strip_prefix(mark).is_some_and(|hash| hash.len() == digits && hash.bytes().all(is_digit))
}
