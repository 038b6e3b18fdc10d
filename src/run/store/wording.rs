//! Texts that several commands print.

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;
use bouncewatch_store::Problem;

/// Appends one line per problem, with its consequence.
pub(super) fn append_problems(out: &mut String, problems: &[Problem], consequence: &str) {
    for problem in problems {
        let (path, why) = (printable(&problem.path), printable(&problem.problem));
        // writing to a String cannot fail
        _ = writeln!(out, "problem: `{path}`: {why}; {consequence}");
    }
}

/// Returns `1 day`, `2 days`.
pub(super) fn days(number: usize) -> String {
    if number == 1 { "1 day".to_owned() } else { format!("{number} days") }
}
