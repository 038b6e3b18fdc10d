//! Classifies the failure of a message from the reply of the remote server and the types that SES reports: cause,
//! party at fault, recommended action.
//!
//! ```
//! use bouncewatch_classify::{Classifier, FailureFacts, Scratch};
//! use bouncewatch_schemas::cause::{Action, Cause, Fault};
//!
//! let facts = FailureFacts {
//!     smtp_code: Some(550),
//!     text: Some("550 5.1.1 no such user"),
//!     ..FailureFacts::default()
//! };
//! let found = Classifier::builtin().classify(&facts, &mut Scratch::default());
//! assert_eq!(found.cause, Cause::MailboxUnknown);
//! assert_eq!(found.fault, Fault::RecipientAddress);
//! assert_eq!(found.action, Action::Suppress);
//! ```
//!
//! Rules are data (`rules/*.tsv`, format in [`rule`]): phrases, enhanced status codes, reply codes and SES types. One
//! pass over the text matches all of them. The matching rule with the greatest weight gives the cause. At equal weights
//! a cause that is not about the recipient wins, because a wrongly suppressed address costs more than another bounce;
//! then the longer pattern wins.
//!
//! Weights follow this order, from high to low: texts of SES (suppression), tokens of one provider (`[TSS04]`,
//! `?p=NoSuchUser`), sentences, phrases that many servers use, enhanced status codes, single words, reply codes, SES
//! subtypes, and words such as `rejected` or `failed` that count only if nothing else does. A text with an IP address
//! other than the remote server's is about the sending server, and never gives a recipient failure, whatever its codes
//! are.
//!
//! | module | content |
//! |---|---|
//! | `failure_facts`, `classification` | input and result |
//! | `classifier` | [`Classifier`]: ranks all matching rules |
//! | [`rule`], `rules/*.tsv` | the rule format and the builtin rules |
//! | `frames`, `rules/frames.tsv` | extracts the reply of the last server from the text around it |
//! | `fold`, `byte_classes` | normalises a text for matching |
//! | `phrase_table` | finds all phrases in a text |
//! | `index`, `index_builder` | clauses by phrase, tables for codes and SES types |
//! | `outcome`, `reply_details` | confidence, action, agreement with SES; retry delay, block list |
//! | `advice` | meaning and remedy of each cause, for reports |
//! | `template` | masks addresses and ids of a text, so that texts can be grouped and shared |
//! | `typo` | the domain that a mistyped domain most likely stands for |

mod advice;
mod byte_classes;
mod classification;
mod classifier;
mod failure_facts;
mod fold;
mod frames;
mod index;
mod index_builder;
mod outcome;
mod perfect_hash;
mod phrase_table;
mod reply_details;
pub mod rule;
mod span;
mod template;
#[cfg(test)]
mod tests;
mod typo;
mod words;

pub use advice::{Advice, advice};
pub use classification::{Classification, Confidence, RunnerUp};
pub use classifier::Classifier;
pub use failure_facts::FailureFacts;
pub use index::Scratch;
pub use template::template;
pub use typo::likely_domain;
