//! x
mod answer;
mod finding;
mod name;
mod snapshot;
pub mod spf;
pub use answer::{Answer, Lookup, Mx, Question, Record, RecordType, Unanswered};
pub use finding::{Finding, FindingKind, Level};
pub use name::reverse_name;
pub use snapshot::Answers;
