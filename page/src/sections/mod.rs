//! Document -> sections, in the order of use.

mod actions;
mod alerts;
mod causes;
mod contributors;
mod doctor;
mod feed;
mod groups;
mod guide;
mod rates;
mod reconcile;
mod suppression;
mod trend;
mod verdict;

use crate::data::{PageData, Verdict};
use crate::format;
use crate::layout::{Line, Page, Section};
use crate::untrusted_text::mask_addresses;

/// Returns the page of a document.
pub(crate) fn page(data: &PageData) -> Page {
    let headline = verdict::headline(data);
    let (title, level) = (verdict::title(data, &headline), verdict::level(data));
    let mut sections: Vec<Section> = Vec::new();
    sections.extend(actions::section(data));
    if data.check.feed.newest_event_at.is_some() {
        sections.push(rates::section(data));
        sections.extend(trend::section(data));
        sections.extend(contributors::section(data));
        sections.extend(groups::sections(data));
        sections.extend(data.causes.as_ref().map(causes::section));
        sections.extend(data.suppress.as_ref().map(suppression::section));
        sections.extend(data.reconcile.as_ref().map(reconcile::section));
        sections.push(alerts::section(data));
        sections.push(feed::section(data));
    }
    sections.extend(data.doctor.as_ref().map(doctor::section));
    sections.push(guide::section(data));
    Page {
        title,
        headline,
        level,
        banner: verdict::banner(data),
        verdict: verdict::paragraphs(data),
        sections,
        footer: Line::of(format!(
            "bouncewatch {}, as of {}",
            data.page.bouncewatch,
            format::minute(&data.check.as_of)
        )),
    }
}

/// Whether the verdict is of the account, or of the group of the page.
fn is_base(data: &PageData, verdict: &Verdict) -> bool {
    match &data.page.each {
        None => verdict.scope.is_account(),
        Some((name, value)) => {
            let own = verdict.scope.0.get(2..).unwrap_or_default();
            matches!(own, [(one, of)] if one == name && of == value)
        }
    }
}

/// Verdicts of the account (or the group of the page), each with its index.
fn base_verdicts(data: &PageData) -> impl Iterator<Item = (usize, &Verdict)> {
    data.check.verdicts.iter().enumerate().filter(|(_, verdict)| is_base(data, verdict))
}

/// Returns the names of accounts in the order of the document.
fn accounts(data: &PageData) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (_, verdict) in base_verdicts(data) {
        let account = verdict.scope.account();
        if !all.contains(&account) {
            all.push(account);
        }
    }
    all
}

/// Returns a value of a dimension: local parts of addresses of senders are masked. It is untrusted text.
fn value_text(data: &PageData, value: Option<&str>) -> String {
    let value = value.unwrap_or("(none)");
    if data.page.show_senders { value.to_owned() } else { mask_addresses(value) }
}

/// Returns a dimension as text: `configuration set`, `campaign`.
fn dimension(by: &str) -> String {
    by.trim_start_matches("tag:").replace('_', " ")
}

/// Returns a text with a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

/// Returns the denominator of a rate as text.
fn denominator_text(denominator: Option<&str>) -> &'static str {
    match denominator {
        Some("sends") => "sends",
        Some("deliveries_and_bounces") => "deliveries and bounces",
        Some("sent_and_bounced") => "sent or bounced recipients",
        Some("volumes") => "sends (imported send counts)",
        Some("volumes_and_sends") => "sends (imported send counts, then Send events)",
        _ => "unknown sends",
    }
}
