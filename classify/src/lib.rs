//! Why a message did not arrive, whose fault that is, and what to do: a classifier of what remote servers and SES say.
//!
//! ```
//! use bouncewatch_classify::{Classifier, Input, Scratch};
//! use bouncewatch_schemas::cause::Cause;
//!
//! let classifier = Classifier::builtin();
//! let input = Input { text: Some("550 5.1.1 no such user"), ..Input::default() };
//! let found = classifier.classify(&input, &mut Scratch::default());
//! assert_eq!(found.cause, Cause::MailboxUnknown);
//! ```
//!
//! Rules are data (`rules/*.tsv`, form in [`rule`]): phrases, enhanced status codes, reply codes and words of SES. All
//! of them are looked for at once; of those that are found the one with the greatest weight tells the cause. Of equal
//! weights the one about the sender wins over the one about the address, since an address that is suppressed by mistake
//! is a customer lost, and then the longer one.
//!
//! What decides, from strong to weak: SES's own words (suppression), a provider's own token (`[TSS04]`, `?p=NoSuchUser`),
//! sentences, phrases that many servers use, enhanced status codes, single words, reply codes, SES's subtype. A text that
//! quotes the address of the sending server is never about the recipient, whatever its codes say.

mod advice;
mod classification;
mod classifier;
mod details;
mod fold;
mod index;
mod judge;
mod phrases;
pub mod rule;
mod template;
mod typo;

#[cfg(test)]
mod tests;

pub use advice::{Advice, advice};
pub use classification::{Classification, Confidence, Input, RunnerUp};
pub use classifier::Classifier;
pub use index::Scratch;
pub use template::template;
pub use typo::likely_domain;
