//! Whether rows have a value of a dimension. No polars.

use serde::{Deserialize, Serialize};

use crate::scan::string_interner::NO_TEXT;

/// Whether some rows have a value of a dimension, and whether some lack it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Presence {
    has_values: bool,
    has_gaps: bool,
}

impl Presence {
    /// Adds a row, by the ID of its text.
    pub(super) fn add(&mut self, id: u32) {
        match id {
            NO_TEXT => self.has_gaps = true,
            _ => self.has_values = true,
        }
    }

    /// Adds the rows of `other`.
    pub(super) fn merge(&mut self, other: Self) {
        self.has_values |= other.has_values;
        self.has_gaps |= other.has_gaps;
    }

    /// Whether the value of a row can be the missing value of another.
    pub(super) fn can_fill_gaps(self) -> bool {
        self.has_values && self.has_gaps
    }
}
