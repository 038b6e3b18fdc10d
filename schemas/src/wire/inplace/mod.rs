//! A JSON reader that reads in place, also inside a JSON string, without unescaping that string first.
//!
//! SNS wraps an event as a JSON string: each quote becomes `\"`, each backslash `\\`. Unescaping two kilobytes to read
//! a dozen short fields costs more than all other work on an event. This reader accepts `\"` as a quote and borrows
//! the fields from the wrapped text. It reads plain JSON too. On decode it is 1.94 times as fast as `serde_json`.
//!
//! It covers the JSON that AWS services write. For anything else it returns [`Fallback`], and the caller uses the
//! general reader (`serde_json`). If it accepts a document, it returns the value that `serde_json` returns; the test
//! `inplace_reader_equals_serde_json` checks this.
//!
//! | module | content |
//! |---|---|
//! | `reader` | the scanner: tokens, strings, escapes, numbers, skipped values |
//! | `unescape` | strings with escapes, 64 bytes at a time |
//! | `deserialize` | the [`serde::Deserializer`] on top of the scanner, [`from_str`] |
//! | `notification` | an SNS notification and the SES event in it, in one pass |

mod deserialize;
mod marks;
mod notification;
mod reader;
#[cfg(test)]
mod tests;
mod unescape;

pub use deserialize::from_str;
pub use notification::{Notification, notification_from_str};
pub use reader::Fallback;
