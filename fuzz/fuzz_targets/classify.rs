//! The classifier on any text: it ends, and repeats its result.
#![no_main]

use arbitrary::Arbitrary;
use bouncewatch_classify::{Classifier, FailureFacts, Scratch};
use bouncewatch_schemas::diagnostic;
use bouncewatch_schemas::event::{EventKind, EventRow};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    diagnostic: &'a str,
    status: Option<&'a str>,
    bounce_type: Option<&'a str>,
    bounce_subtype: Option<&'a str>,
    domain: Option<&'a str>,
}

fuzz_target!(|input: Input<'_>| {
    let parsed = diagnostic::parse(Some(input.diagnostic.into()), input.status);
    let row = EventRow {
        bounce_type: input.bounce_type,
        bounce_subtype: input.bounce_subtype,
        recipient_domain: input.domain,
        smtp_code: parsed.smtp_code,
        enhanced_status: parsed.enhanced_status.as_deref(),
        diagnostic: parsed.text.as_deref(),
        ..EventRow::of_kind(EventKind::Bounce)
    };
    let mut scratch = Scratch::default();
    let classifier = Classifier::builtin();
    let first = classifier.classify(&FailureFacts::from_event(&row), &mut scratch);
    let first = (first.cause, first.rule.map(str::to_owned));
    let again = classifier.classify(&FailureFacts::from_event(&row), &mut scratch);
    assert_eq!(first, (again.cause, again.rule.map(str::to_owned)));
});
