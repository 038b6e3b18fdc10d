//! Wire events become rows of the event table. Pure.
//!
//! `ses` has the rules for the ten event types of SES, `workmail` those for the mail event log of WorkMail.

mod recipients;
mod ses;
mod workmail;

pub(crate) use ses::ses;
pub(crate) use workmail::workmail;
