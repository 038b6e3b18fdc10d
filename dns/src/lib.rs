//! Explains from DNS records why mail of an Amazon SES sender does not arrive.
//!
//! Two halves: [`gather`] asks the DNS and records each answer in a snapshot ([`Answers`]), [`judge`] turns answers into
//! findings. The second half does no I/O, so that a saved snapshot gives the same findings anywhere.
//!
//! ```
//! use bouncewatch_dns::{Answers, Request, judge};
//!
//! let answers: Answers = serde_json::from_str(
//!     r#"{"example.com": {"MX": ["0 ."]}}"#,
//! )?;
//! let request = Request { recipients: vec!["jane@example.com".to_owned()], ..Request::default() };
//! let findings = judge(&answers, &request);
//! assert_eq!(findings[0].id, "dns.recipient_null_mx");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! The checks name the questions themselves: they run on the answers so far, [`gather`] asks what is missing, and they
//! run again. SERVFAIL, REFUSED and timeouts make a finding unknown, never a missing record.
//!
//! | module | content |
//! |---|---|
//! | `answer` | [`Question`], [`Answer`], [`Record`], and [`Lookup`], by which checks ask |
//! | `snapshot` | [`Answers`] and their JSON form |
//! | `gather` | live lookups; the only module that names the resolver |
//! | `request` | [`Request`]: what to check |
//! | `judge` | all checks of a request |
//! | `checks/` | one file per subject: DKIM, MAIL FROM, alignment, bulk rules, inbound mail, recipients, relays, transport, required records |
//! | [`spf`] | parser, `check_host()`, tree of includes, linter (RFC 7208) |
//! | [`dmarc`] | parser, tree walk, linter (RFC 9989) |
//! | `dkim_key` | DKIM key records and the size of the key (RFC 6376) |
//! | `tags` | tag lists such as `v=DMARC1; p=none` |
//! | `catalogue`, `finding` | all kinds of findings, and [`Finding`] |
//! | `name`, `address_range` | domain names, reverse names; addresses that cannot be reached |

mod address_range;
mod answer;
mod catalogue;
mod checks;
mod dkim_key;
pub mod dmarc;
mod finding;
mod gather;
mod judge;
mod name;
mod request;
mod snapshot;
pub mod spf;
mod tags;

pub use answer::{Answer, Lookup, Mx, Question, Record, RecordType, Unanswered};
pub use catalogue::FINDING_KINDS;
pub use checks::recipient::NoMailReason;
pub use dkim_key::{DkimKey, DkimKeyRecord};
pub use finding::{Finding, FindingKind, FindingLevel};
pub use gather::{
    NoMailDomains, Resolver, ResolverError, ResolverSettings, gather, gather_with, no_mail_domains,
};
pub use judge::judge;
pub use name::{is_within, reverse_name};
pub use request::{
    Dkim, DkimKeys, Identity, Inbound, InboundService, MailFrom, Relay, Request, RequiredRecord,
    Sender,
};
pub use snapshot::Answers;
