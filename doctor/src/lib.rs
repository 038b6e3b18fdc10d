//! Diagnoses an AWS account: why mail does not arrive, why events are missing, how AWS rates the account.
//!
//! Two halves. `gather` (feature `aws`) calls AWS and returns a [`snapshot::Snapshot`]: each part is a value, or the
//! reason why there is none. [`judge::judge`] is a pure function from a snapshot to [`finding::Finding`]s, so a saved
//! snapshot is judged without credentials, and a test is a file.
//!
//! | module | purpose |
//! |---|---|
//! | [`snapshot`] | what AWS returned; JSON; replaces email addresses |
//! | [`judge`] | snapshot and own figures -> findings |
//! | [`dns_request`] | snapshot -> the DNS records to read |
//! | [`finding`] | the checks with their stable IDs; findings, which are those of the package `dns` |
//! | [`policy`] | whether a resource policy lets a service act: allowed, denied, undecided |
//! | [`table`], [`json`] | findings as text, worst first, and as JSON |
//! | [`setup`] | snapshot -> the steps that connect an account, and a settings file |
//! | `gather` | calls of AWS, paced for the limits of SES; the IAM actions that they need |
//!
//! ```
//! use bouncewatch_doctor::judge::{Figures, judge, worst};
//! use bouncewatch_doctor::snapshot::Snapshot;
//!
//! let saved = r#"{"version": 1, "taken_at": "2026-11-26T12:00:00Z", "region": "eu-west-1",
//!   "account": {"value": {"production_access": false, "sending_enabled": true, "enforcement_status": "HEALTHY"}}}"#;
//! let findings = judge(&Snapshot::parse(saved)?, &Figures::default());
//! assert_eq!(findings[0].id, "account.sandbox");
//! assert_eq!(worst(&findings).status().exit_code(), 2);
//! # Ok::<(), bouncewatch_doctor::snapshot::SnapshotError>(())
//! ```

pub mod dns_request;
pub mod finding;
#[cfg(feature = "aws")]
pub mod gather;
pub mod json;
pub mod judge;
pub mod policy;
pub mod setup;
pub mod snapshot;
pub mod table;
