//! Conditions of a statement.

use std::collections::BTreeMap;

use crate::policy::document::Condition;
use crate::policy::match_result::Match;
use crate::policy::pattern::{self, RequestValue};

/// Values of the request by condition key in lower case. A key without a value is not known.
pub type Context = BTreeMap<&'static str, RequestValue>;

/// Compares one value of the request with one value of the policy.
type Compare = fn(&str, &RequestValue) -> Match;

/// Whether the condition holds for the request.
pub(super) fn holds(condition: &Condition, context: &Context) -> Match {
    let Some(values) = &condition.values else { return Match::Maybe };
    let value = context.get(condition.key.as_str());
    // a request of a service has one value for each of the known keys: both set operators compare it
    let operator = condition
        .operator
        .strip_prefix("ForAnyValue:")
        .or_else(|| condition.operator.strip_prefix("ForAllValues:"))
        .unwrap_or(&condition.operator);
    if operator.eq_ignore_ascii_case("Null") {
        // `true` demands that the key is missing
        let Some(_) = value else { return Match::Maybe };
        return Match::from(values.iter().all(|value| value.eq_ignore_ascii_case("false")));
    }
    let (Some((compare, is_negated)), Some(value)) = (comparison(operator), value) else {
        return Match::Maybe;
    };
    let matches = values.iter().map(|expected| {
        // `${aws:username}` and the like
        if expected.contains("${") { Match::Maybe } else { compare(expected, value) }
    });
    let matches = matches.fold(Match::No, Match::or);
    if is_negated { matches.not() } else { matches }
}

/// The comparison of an operator, and whether it is negated; `None` for operators that are not read here.
fn comparison(operator: &str) -> Option<(Compare, bool)> {
    let lower = operator.to_ascii_lowercase();
    // a key with a known value exists
    Some(match lower.strip_suffix("ifexists").unwrap_or(&lower) {
        "stringequals" => (pattern::equal, false),
        "stringnotequals" => (pattern::equal, true),
        "stringequalsignorecase" | "bool" => (equal_ignoring_case, false),
        "stringnotequalsignorecase" => (equal_ignoring_case, true),
        "stringlike" => (pattern::glob_value, false),
        "stringnotlike" => (pattern::glob_value, true),
        "arnequals" | "arnlike" => (pattern::arn, false),
        "arnnotequals" | "arnnotlike" => (pattern::arn, true),
        _ => return None,
    })
}

fn equal_ignoring_case(expected: &str, value: &RequestValue) -> Match {
    let lower = match value {
        RequestValue::Exact(text) => RequestValue::Exact(text.to_lowercase()),
        RequestValue::Prefix(text) => RequestValue::Prefix(text.to_lowercase()),
    };
    pattern::equal(&expected.to_lowercase(), &lower)
}
