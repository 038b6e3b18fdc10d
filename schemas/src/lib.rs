//! Types of the events that AWS sends and of the tables that bouncewatch stores. No I/O and no clock: each function
//! depends only on its arguments.
//!
//! An event arrives as JSON from SES or WorkMail ([`wire`]). Ingest normalises it into rows, one for each recipient
//! ([`event::EventRow`]), and stores the rows in tables with fixed columns ([`table`], [`send_counts`]). Reading is
//! tolerant: a value of an unexpected type costs that value, not the event.
//!
//! | module | content |
//! |---|---|
//! | [`wire`] | the JSON shapes, with a lenient reader and a fast in-place reader |
//! | [`event`], [`identity`] | the normalised event, and the keys by which copies of an event match |
//! | [`table`] | columns, file names and footer keys of the event and quarantine tables |
//! | [`send_counts`] | imported send counts: rows and columns of the table `volumes` |
//! | [`bounce`] | bounce classes; whether SES counts a bounce in its rate |
//! | [`level`] | levels of rates and findings, with their exit codes |
//! | [`cause`] | the 25 causes of failures, with fault and recommended action |
//! | [`diagnostic`] | SMTP replies: text, reply code, enhanced status code |
//! | [`arn`], [`aws_error`] | components of ARNs; error codes of AWS |
//! | [`address`], [`provider`] | email addresses, domains, mailbox providers |
//! | [`time`] | timestamps, days, durations |
//! | [`text`] | percentages, times and durations for people |
//! | [`text_layout`] | what a text may contain: colors, a width; the colors of levels |
//! | [`shell`] | arguments of commands that people copy into a shell |
//! | [`printable`] | escapes control characters before output to a terminal |
//!
//! ```
//! use bouncewatch_schemas::wire::envelope::Envelope;
//!
//! let text = r#"{"eventType": "Bounce", "mail": {"messageId": "m-1"}, "bounce": {"bounceType": "Permanent"}}"#;
//! let event: Envelope<'_> = serde_json::from_str(text)?;
//! assert!(event.event_type.is("bounce"));
//! assert_eq!(event.bounce.0.unwrap().bounce_type.get(), Some("Permanent"));
//! # Ok::<(), serde_json::Error>(())
//! ```

#[macro_use]
mod text_enum;

pub mod address;
pub mod arn;
pub mod aws_error;
pub mod bounce;
pub mod cause;
pub mod diagnostic;
pub mod event;
pub mod identity;
mod kind;
pub mod level;
pub mod printable;
pub mod provider;
pub mod send_counts;
pub mod shell;
pub mod table;
pub mod text;
pub mod text_layout;
pub mod time;
pub mod wire;
