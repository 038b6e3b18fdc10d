//! Patterns of policies: `*` is any text, `?` is one character. The text can be known completely or only by its start.

use crate::policy::match_result::Match;

/// A value of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestValue {
    /// The complete text.
    Exact(String),
    /// The text starts so; the rest is not known.
    Prefix(String),
}

/// Positions in a pattern that are reached after some characters of a text.
struct Positions<'a> {
    pattern: &'a [char],
    reached: Vec<bool>,
}

impl<'a> Positions<'a> {
    fn new(pattern: &'a [char]) -> Self {
        let mut reached = vec![false; pattern.len() + 1];
        reached[0] = true;
        let mut positions = Self { pattern, reached };
        positions.skip_stars();
        positions
    }

    /// A star also matches the empty text.
    fn skip_stars(&mut self) {
        for at in 0..self.pattern.len() {
            if self.reached[at] && self.pattern[at] == '*' {
                self.reached[at + 1] = true;
            }
        }
    }

    fn step(&mut self, c: char) {
        let mut next = vec![false; self.reached.len()];
        for (at, &expected) in self.pattern.iter().enumerate() {
            if self.reached[at] {
                match expected {
                    '*' => next[at] = true,
                    '?' => next[at + 1] = true,
                    expected if expected == c => next[at + 1] = true,
                    _ => {}
                }
            }
        }
        self.reached = next;
        self.skip_stars();
    }

    fn is_at_end(&self) -> bool {
        self.reached.last() == Some(&true)
    }

    /// Whether every rest of a text matches: a star at the end of the pattern was reached.
    fn accepts_any_rest(&self) -> bool {
        let last = self.pattern.len().wrapping_sub(1);
        self.pattern.last() == Some(&'*') && self.reached.get(last) == Some(&true)
    }

    fn is_dead(&self) -> bool {
        !self.reached.contains(&true)
    }
}

/// Whether a value matches a pattern with `*` and `?`.
pub(super) fn glob_value(pattern: &str, value: &RequestValue) -> Match {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut positions = Positions::new(&pattern);
    let (RequestValue::Exact(text) | RequestValue::Prefix(text)) = value;
    text.chars().for_each(|c| positions.step(c));
    match value {
        RequestValue::Exact(_) => Match::from(positions.is_at_end()),
        RequestValue::Prefix(_) if positions.accepts_any_rest() => Match::Yes,
        RequestValue::Prefix(_) if positions.is_dead() => Match::No,
        RequestValue::Prefix(_) => Match::Maybe,
    }
}

/// Whether a value equals a text.
pub(super) fn equal(expected: &str, value: &RequestValue) -> Match {
    match value {
        RequestValue::Exact(text) => Match::from(text == expected),
        RequestValue::Prefix(start) if expected.starts_with(start.as_str()) => Match::Maybe,
        RequestValue::Prefix(_) => Match::No,
    }
}

/// Number of components of an ARN.
const ARN_COMPONENTS: usize = 6;

/// Whether a value matches an ARN pattern. IAM compares each of the six components; where only the text as a whole
/// matches, the result is `Maybe`.
pub(super) fn arn(pattern: &str, value: &RequestValue) -> Match {
    let whole = glob_value(pattern, value);
    let (RequestValue::Exact(text) | RequestValue::Prefix(text)) = value;
    let patterns: Vec<&str> = pattern.splitn(ARN_COMPONENTS, ':').collect();
    let parts: Vec<&str> = text.splitn(ARN_COMPONENTS, ':').collect();
    if whole == Match::No || patterns.len() != ARN_COMPONENTS || parts.len() != ARN_COMPONENTS {
        return whole.and(Match::Maybe);
    }
    let last = ARN_COMPONENTS - 1;
    let by_component = patterns.iter().zip(&parts).enumerate().map(|(at, (pattern, part))| {
        let is_open = at == last && matches!(value, RequestValue::Prefix(_));
        let part = (*part).to_owned();
        glob_value(
            pattern,
            &if is_open { RequestValue::Prefix(part) } else { RequestValue::Exact(part) },
        )
    });
    let by_component = by_component.fold(Match::Yes, Match::and);
    if by_component == Match::No { Match::Maybe } else { by_component }
}
