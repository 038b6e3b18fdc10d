//! Removes email addresses from results.

use bouncewatch_analyze::causes::CausesReport;
use bouncewatch_analyze::check::Verdict;
use bouncewatch_analyze::check::sending::SendingReport;
use bouncewatch_analyze::timeline::Scope;
use bouncewatch_page::mask_addresses;

/// Dimensions with addresses of the sender.
const SENDERS: [&str; 2] = ["identity", "source"];

/// Masks local parts of addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masking {
    /// Whether addresses of the sender are kept.
    pub(super) shows_senders: bool,
}

impl Masking {
    pub(super) fn value(self, name: &str, value: &mut Option<String>) {
        let is_kept = self.shows_senders && SENDERS.contains(&name);
        if let Some(text) = value.as_mut().filter(|text| !is_kept && text.contains('@')) {
            *text = mask_addresses(text);
        }
    }

    pub(super) fn scope(self, scope: &mut Scope) {
        for (name, value) in &mut scope.0 {
            self.value(name, value);
        }
    }

    pub(super) fn verdict(self, verdict: &mut Verdict) {
        self.scope(&mut verdict.scope);
        for part in &mut verdict.contributors {
            self.value(&part.by, &mut part.value);
        }
    }

    pub(super) fn sending(self, sending: &mut SendingReport) {
        for one in &mut sending.statuses {
            self.scope(&mut one.scope);
            one.reason = one.reason.as_deref().map(mask_addresses);
        }
        for one in &mut sending.findings {
            self.scope(&mut one.scope);
            one.text = one.text.as_deref().map(mask_addresses);
        }
    }

    pub(super) fn causes(self, causes: &mut CausesReport) {
        let mask = |text: &mut Option<String>| *text = text.as_deref().map(mask_addresses);
        for group in &mut causes.groups {
            self.scope(&mut group.scope);
            mask(&mut group.example);
        }
        for one in &mut causes.disagreements {
            mask(&mut one.example);
        }
        for common in causes.advice.iter_mut().flat_map(|advice| &mut advice.mostly) {
            common.value = mask_addresses(&common.value);
        }
    }
}
