//! The rows that a worker stored lately, to tell how many come again. Only counted: nothing is left out because of it,
//! copies become one event in the scan (invariant I-5).

/// Rows that are remembered. A newer row takes the place of an older one with the same last bits.
const ROWS_MAX: usize = 64 * 1024;

/// A memory of fixed size; 512 KiB as soon as there is a row.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    rows: Vec<u64>,
}

impl Recent {
    /// Remembers a row by its event key, which is a hash of the message and of what happened to it. Tells whether it
    /// was remembered: what was seen twice may be taken for new, and what is new is not taken for seen, but once in
    /// 10^14 rows.
    pub(crate) fn is_again(&mut self, event_key: u64) -> bool {
        if self.rows.is_empty() {
            self.rows = vec![0; ROWS_MAX];
        }
        // zero is an empty place
        let key = event_key.max(1);
        let at = usize::try_from(key % ROWS_MAX as u64).unwrap_or_default();
        std::mem::replace(&mut self.rows[at], key) == key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_known_until_its_place_is_taken() {
        let mut recent = Recent::default();
        let other = 7 + ROWS_MAX as u64;
        let seen = [7, 8, 7, other, 7, 0, 0].map(|key| recent.is_again(key));
        assert_eq!(seen, [false, false, true, false, false, false, true]);
        assert_eq!(recent.rows.len(), ROWS_MAX);
    }
}
