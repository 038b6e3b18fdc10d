//! How to read the page.

use crate::data::PageData;
use crate::layout::{Block, Line, Section};

/// Terms of the page, each with one sentence.
const TERMS: [(&str, &str); 8] = [
    (
        "Rate",
        "Bounces or complaints that SES counts, divided by attempts; each event counts once, however often it arrived.",
    ),
    (
        "Attempts",
        "Messages that were sent, one per recipient; the column \"Denominator\" names the events that they are counted from.",
    ),
    (
        "Window",
        "24h and 7d end at the time of the page; volume:10000 is the last 10,000 attempts, as SES evaluates a representative volume.",
    ),
    (
        "95 % interval",
        "The range of rates that fits the counts (Wilson score interval); it is wide if there are few attempts.",
    ),
    (
        "Low volume",
        "The interval includes the threshold and there are few attempts: the rate permits no conclusion yet.",
    ),
    ("Significant", "The interval is entirely above or entirely below the threshold."),
    ("Unknown", "The number of attempts is not known; an unknown rate is neither good nor bad."),
    (
        "Basis",
        "By time of event, a bounce belongs to the window in which it happened; by time of send, to the window in which its message was sent.",
    ),
];

pub(super) fn section(data: &PageData) -> Section {
    let mut section =
        Section::new("guide", "How to read this page", "Terms, and how the page was made.");
    let terms = TERMS.map(|(term, text)| (Line::of(term), vec![Line::of(text)]));
    section.blocks.push(Block::Terms(terms.into()));
    section.paragraph(
        Line::of("Made by bouncewatch ")
            .value(data.page.bouncewatch.clone(), "/page/bouncewatch")
            .text(" with: ")
            .code(data.page.command.clone())
            .text(". In commands, STORE stands for the store, here ")
            .untrusted(&data.page.store)
            .text(", and NAME for a value that a shell could interpret."),
    );
    if !data.page.settings.is_empty() {
        let settings: Vec<String> =
            data.page.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        section.paragraph(
            Line::of("Settings that differ from their defaults: ")
                .untrusted(&settings.join(", "))
                .text("."),
        );
    }
    section
}
