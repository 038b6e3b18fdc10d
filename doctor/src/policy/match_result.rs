//! Three-valued logic: yes, no, undecided.

/// Whether a statement, or a part of it, applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// It does not.
    No,
    /// It depends on something that is not known here.
    Maybe,
    /// It does.
    Yes,
}

impl Match {
    /// Both apply.
    pub(super) fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// One of both applies.
    pub(super) fn or(self, other: Self) -> Self {
        self.max(other)
    }

    /// The opposite.
    pub(super) const fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

impl From<bool> for Match {
    fn from(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }
}
