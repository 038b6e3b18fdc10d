//! What arrives and what is stored.
//!
//! Wire types as AWS sends them (tolerant: an odd field costs that field, never the event), the normalised event
//! and its identity, the words of the field (kinds, bounce classes, mailbox providers) and the columns of the
//! tables. No I/O, no clock: everything here is a plain function of its arguments (invariant I-6).

#[macro_use]
mod words;

pub mod address;
pub mod bounce;
pub mod cause;
pub mod diagnostic;
pub mod event;
pub mod printable;
pub mod provider;
pub mod table;
pub mod time;
pub mod volume;
pub mod wire;
