//! Words that show how a text means a phrase: as a condition, as one of several alternatives, or about the recipient.

use std::ops::Range;

use crate::phrase_table::Hit;

/// Maximum number of bytes between two alternatives: `user unknown or the mailbox is full`.
const GAP_BYTES_MAX: usize = 32;
/// Maximum length of a word between alternatives.
const WORD_BYTES_MAX: usize = 12;
/// Between alternatives without blanks: `user unknown/inactive`.
const SLASH: &[u8] = b"/";

/// Words of a kind, by their first byte.
#[derive(Debug)]
pub(super) struct WordSet([Vec<Word>; 256]);

#[derive(Debug)]
struct Word {
    /// Folded, possibly several words.
    text: Box<[u8]>,
    /// Whether a word must end after it.
    ends_word: bool,
}

impl Default for WordSet {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Vec::new()))
    }
}

impl WordSet {
    /// Adds a folded word. A word of a language without blanks matches everywhere.
    pub(super) fn add(&mut self, text: Vec<u8>, ends_word: bool) {
        let Some(first) = text.first() else { return };
        let ends_word = ends_word && !is_without_blanks(*first);
        self.0[usize::from(*first)].push(Word { text: text.into(), ends_word });
    }

    /// Whether a part of a text contains a word.
    fn occurs_in(&self, text: &[u8], part: Range<usize>) -> bool {
        // most bytes start no word: decided without a call
        let has_words = |at: &usize| !self.0[usize::from(text[*at])].is_empty();
        let mut starts = part.clone().filter(has_words);
        starts.any(|at| self.end_of_word(text, at).is_some_and(|end| end <= part.end))
    }

    /// The end of the word that starts at a position.
    fn end_of_word(&self, text: &[u8], at: usize) -> Option<usize> {
        let first = *text.get(at)?;
        let words = &self.0[usize::from(first)];
        let is_inside = is_letter(first)
            && !is_without_blanks(first)
            && at.checked_sub(1).is_some_and(|before| is_letter(text[before]));
        if words.is_empty() || is_inside {
            return None;
        }
        let matching = words.iter().find(|word| {
            let rest = text[at..].strip_prefix(&*word.text);
            rest.is_some_and(|rest| {
                !(word.ends_word && rest.first().copied().is_some_and(is_letter))
            })
        });
        matching.map(|word| at + word.text.len())
    }
}

/// The words of all kinds.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Start of a condition: `if`.
    pub(super) conditions: WordSet,
    /// Between alternatives: `or`.
    pub(super) alternatives: WordSet,
    /// Names of a recipient: `mailbox`.
    pub(super) recipients: WordSet,
}

impl Words {
    /// Whether phrases, from the first to the last, are part of a condition, or of advice that starts at one of `advice`, in
    /// another sentence than the first: `Access denied. If the mailbox does not exist, ...`.
    pub(super) fn is_hypothetical(
        &self,
        text: &[u8],
        first: Hit,
        last: Hit,
        mut advice: impl Iterator<Item = usize>,
    ) -> bool {
        let start = sentence_start(&text[..first.start()]);
        let before = start.unwrap_or(0)..first.start();
        self.conditions.occurs_in(text, before.clone())
            || start.is_some() && advice.any(|at| before.contains(&at))
            // the condition follows in Japanese
            || self.conditions.end_of_word(text, last.end()).is_some()
    }

    /// Whether two phrases are alternatives: `no such user or access denied`.
    pub(super) fn are_alternatives(&self, text: &[u8], one: Hit, other: Hit) -> bool {
        let (first, second) =
            if one.start() <= other.start() { (one, other) } else { (other, one) };
        let gap = first.end()..second.start();
        let between = text.get(gap.clone()).filter(|between| between.len() <= GAP_BYTES_MAX);
        between.is_some_and(|between| {
            between == SLASH
                || sentence_start(between).is_none() && self.alternatives.occurs_in(text, gap)
        })
    }

    /// Whether an alternative stands directly before the first or after the last phrase: `no such user or ...`.
    /// `has_word` is false if no text between alternatives but a slash occurs.
    pub(super) fn has_alternative(
        &self,
        text: &[u8],
        first: Hit,
        last: Hit,
        has_word: bool,
    ) -> bool {
        if text[last.end()..].starts_with(SLASH) || text[..first.start()].ends_with(SLASH) {
            return true;
        }
        if !has_word {
            return false;
        }
        let rest = text[last.end()..].trim_ascii_start();
        let mut commas = ["、".as_bytes(), "，".as_bytes(), b","].into_iter();
        let rest = commas.find_map(|comma| rest.strip_prefix(comma)).unwrap_or(rest);
        let after = text.len() - rest.trim_ascii_start().len();
        let before = text[..first.start()].trim_ascii_end().len();
        let mut starts = (0..before).rev().take(WORD_BYTES_MAX);
        self.alternatives.end_of_word(text, after).is_some()
            || starts.any(|at| self.alternatives.end_of_word(text, at) == Some(before))
    }

    /// Whether a text names a recipient, by a word or an address.
    pub(super) fn names_recipient(&self, text: &[u8]) -> bool {
        text.contains(&b'@') || self.recipients.occurs_in(text, 0..text.len())
    }
}

/// The sentence of two phrases, or the sentences from one to the other, with the end but not the blank after it.
pub(super) fn sentence_around(text: &[u8], one: Hit, other: Hit) -> Range<usize> {
    let start = sentence_start(&text[..one.start().min(other.start())]).unwrap_or(0);
    // the end can be directly after the second phrase
    let mut ends = one.end().max(other.end()) + 1..=text.len();
    let end = ends.find(|end| is_sentence_end(&text[..*end])).unwrap_or(text.len());
    start..start + text[start..end].trim_ascii_end().len()
}

/// The start of the last sentence of a folded text, if it is not the first.
fn sentence_start(text: &[u8]) -> Option<usize> {
    // a blank, or the last byte of a Japanese full stop, U+3002
    let ends = memchr::memrchr2_iter(b' ', 0x82, text).map(|at| at + 1);
    ends.into_iter().find(|end| is_sentence_end(&text[..*end]))
}

fn is_sentence_end(text: &[u8]) -> bool {
    matches!(text, [.., b'.' | b';' | b'!' | b'?', b' '] | [.., 0xe3, 0x80, 0x82])
}

/// Whether a character with this first byte in UTF-8 is of a script without blanks between words, such as Chinese or
/// Japanese: U+3000 and above.
fn is_without_blanks(first: u8) -> bool {
    first >= 0xe3
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[&str]) -> WordSet {
        let mut set = WordSet::default();
        for word in all {
            let text = word.trim_end_matches('*');
            set.add(text.as_bytes().to_vec(), text == *word);
        }
        set
    }

    #[test]
    fn word_is_found_at_its_start_and_end_only() {
        let set = words(&["or", "user*", "或", "или", "se la"]);
        for (text, expected) in [
            ("a or b", true),
            ("for order", false),
            ("nor", false),
            ("all users", true),
            ("a superuser", false),
            ("不存在或已满", true),
            ("a или b", true),
            ("se lasse", false),
            ("se la b", true),
            ("", false),
        ] {
            assert_eq!(set.occurs_in(text.as_bytes(), 0..text.len()), expected, "{text}");
        }
        assert!(!set.occurs_in(b"a or b", 0..3), "the word ends after the part");
    }

    #[test]
    fn sentence_starts_after_the_end_of_another() {
        for (text, start) in
            [("a b", None), ("a. b; c", Some("c")), ("5.1.1 a", None), ("a。b", Some("b"))]
        {
            let found = sentence_start(text.as_bytes()).and_then(|at| text.get(at..));
            assert_eq!(found, start, "{text}");
        }
    }
}
