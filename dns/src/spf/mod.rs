//! SPF (RFC 7208): the parser of records, the evaluation `check_host()`, the tree of included records, the linter.

mod check;
mod lint;
mod macros;
mod record;
mod syntax_error;
mod tree;

pub use check::{
    LOOKUPS_MAX, NAMES_MAX, SpfOutcome, SpfQuery, SpfResult, VOID_LOOKUPS_MAX, check_host,
};
pub(crate) use lint::lint;
pub use macros::MacroString;
pub use record::{
    DualCidr, Mechanism, Network, Qualifier, SpfRecord, SpfTerm, SpfTermKind, is_spf,
};
pub use syntax_error::SpfSyntaxError;
pub use tree::{SpfTree, SpfTreeFault, walk};
