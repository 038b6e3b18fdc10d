//! The forecast of each address of a list. No I/O besides the scan that the caller made.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use bouncewatch_schemas::address::{domain, is_role};
use bouncewatch_schemas::bounce::SIMULATOR_DOMAIN;

use crate::error::AnalyzeError;
use crate::forecast::address_state::AddressClass;
use crate::forecast::rate_model::NO_MAIL_PRIOR;
use crate::forecast::recipient_list::RecipientList;
use crate::forecast::replay::Replay;
use crate::forecast::request::ForecastRequest;
use crate::forecast::split::RatedAddress;
use crate::forecast::tallies::{Attempt, MISTYPED};
use crate::scan::{IdentityHasher, MailTexts, parallel_map, recipient_hash};
use crate::suppress::Suppressions;
use crate::suppress::model::SuppressReason;

/// Number of addresses per parallel task.
const CHUNK: usize = 50_000;

/// Reasons of suppression by the hash of the address.
pub(crate) type SuppressedAddresses =
    HashMap<u64, SuppressReason, BuildHasherDefault<IdentityHasher>>;

/// Evidence for the bounce probability of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The history of the address, or the rates of its domain if it is new.
    Class(AddressClass),
    /// Its domain accepts no mail.
    NoMailDomain,
    /// It is new, and its domain resembles that of a large provider.
    MistypedDomain,
    /// It is new, and belongs to a role.
    NewRole,
}

impl Evidence {
    /// Returns the value in output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Class(class) => class.as_str(),
            Self::NoMailDomain => "no_mail_domain",
            Self::MistypedDomain => "mistyped_domain",
            Self::NewRole => "new_role",
        }
    }
}

/// Reason for which an address is always held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldReason {
    /// SES does not send mail to it.
    OnSesList,
    /// `suppress` lists it, or it complained.
    Suppressed(SuppressReason),
    /// Its domain accepts no mail.
    NoMailDomain,
}

impl HoldReason {
    /// Returns the value in output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::OnSesList => "on_ses_list",
            Self::Suppressed(reason) => reason.as_str(),
            Self::NoMailDomain => "no_mail_domain",
        }
    }
}

/// The forecast of one address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressForecast {
    pub(crate) rated: RatedAddress,
    /// Evidence for the probability.
    pub(crate) evidence: Evidence,
    /// Reason for which it is always held.
    pub(crate) hold: Option<HoldReason>,
    /// Whether SES counts mail to it.
    pub(crate) is_counted: bool,
}

/// Returns the suppressed addresses with their reasons.
pub(crate) fn suppressed_addresses(suppressions: &Suppressions) -> SuppressedAddresses {
    let all = suppressions.addresses.iter().chain(&suppressions.on_hold);
    all.map(|one| (recipient_hash(&one.address), one.reason)).collect()
}

/// Returns the hashes of an address as it can be in the store: in plain text, and redacted with the
/// key.
pub(crate) fn store_hashes(
    request: &ForecastRequest,
    address: &str,
) -> impl Iterator<Item = u64> + use<> {
    let hashed = request.hasher.as_ref().map(|hasher| hasher.hashes(address)).unwrap_or_default();
    let hashed: Vec<u64> = hashed.iter().map(|one| recipient_hash(one)).collect();
    std::iter::once(recipient_hash(address)).chain(hashed)
}

/// Forecasts the addresses of lists with the rates of a replay.
pub(crate) struct Evaluator<'a> {
    pub(crate) request: &'a ForecastRequest,
    pub(crate) replay: &'a Replay,
    pub(crate) suppressed: &'a SuppressedAddresses,
    /// IDs of the domains of the store and of the list.
    pub(crate) domains: &'a BTreeMap<String, u32>,
}

impl Evaluator<'_> {
    /// Returns the forecast of each address, in the order of the list.
    pub(crate) fn evaluate(
        &self,
        list: &RecipientList,
    ) -> Result<Vec<AddressForecast>, AnalyzeError> {
        let starts = (0..list.len()).step_by(CHUNK);
        let evaluate = |start: usize| {
            let numbers = start..list.len().min(start + CHUNK);
            Ok(numbers.map(|number| self.forecast(list.address(number))).collect())
        };
        let mut all = Vec::with_capacity(list.len());
        for chunk in parallel_map(starts, evaluate) {
            let mut chunk: Vec<AddressForecast> = chunk?;
            all.append(&mut chunk);
        }
        Ok(all)
    }

    fn forecast(&self, address: &str) -> AddressForecast {
        let Self { request, replay, .. } = *self;
        let hashes: Vec<u64> = store_hashes(request, address).collect();
        let class_of = |hash: &u64| replay.class_at(*hash, request.check.at);
        let known = hashes.iter().map(class_of).find(|class| *class != AddressClass::New);
        let class = known.unwrap_or(AddressClass::New);
        let name = domain(address).unwrap_or_default();
        let id = self.domains.get(name).copied().unwrap_or_default();
        let attempt = Attempt { class, domain: id, is_role: is_role(address) };
        let provider = replay.providers.number(id);
        let is_listed = request.ses_list.as_ref().is_some_and(|l| l.addresses.contains(address));
        let accepts_no_mail = request.no_mail_domains.contains_key(name);
        let is_counted = !is_excluded(name, &request.check.own_domains);
        let suppressed = hashes.iter().find_map(|hash| self.suppressed.get(hash).copied());
        let hold = match suppressed {
            _ if is_listed || class == AddressClass::OnSesList => Some(HoldReason::OnSesList),
            Some(reason) => Some(HoldReason::Suppressed(reason)),
            None if class == AddressClass::Complained => {
                Some(HoldReason::Suppressed(SuppressReason::Complaint))
            }
            None if accepts_no_mail => Some(HoldReason::NoMailDomain),
            None => None,
        };
        let probability = if is_listed && class != AddressClass::OnSesList {
            // SES does not send the mail, and does not count it
            replay.model.classes[AddressClass::OnSesList as usize].mean
        } else if accepts_no_mail {
            NO_MAIL_PRIOR.mean
        } else {
            replay.model.bounce_probability(attempt, provider)
        };
        let evidence = match class {
            _ if is_listed => Evidence::Class(AddressClass::OnSesList),
            _ if accepts_no_mail => Evidence::NoMailDomain,
            AddressClass::New if replay.providers.name(provider) == MISTYPED => {
                Evidence::MistypedDomain
            }
            AddressClass::New if attempt.is_role => Evidence::NewRole,
            class => Evidence::Class(class),
        };
        let rated =
            RatedAddress { attempt, probability, accepts_no_mail, is_always_held: hold.is_some() };
        AddressForecast { rated, evidence, hold, is_counted }
    }
}

/// Whether SES counts no mail to a domain.
fn is_excluded(name: &str, own_domains: &[String]) -> bool {
    let is_own = |own: &String| {
        name == own || name.strip_suffix(own.as_str()).is_some_and(|rest| rest.ends_with('.'))
    };
    name == SIMULATOR_DOMAIN || own_domains.iter().any(is_own)
}

/// Returns the IDs of the domains of a list; assigns IDs to domains that the store does not have.
pub(crate) fn domain_ids(list: &RecipientList, texts: &mut MailTexts) -> BTreeMap<String, u32> {
    let id = |name: String| {
        let id = texts.domains.intern(Some(&name));
        (name, id)
    };
    list.domains().into_iter().map(id).collect()
}
