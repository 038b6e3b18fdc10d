//! Normalise events to rows of the event table: `ses` for the ten event types of SES, `workmail` for the mail event log
//! of WorkMail.

mod recipients;
mod ses;
mod workmail;

pub(crate) use ses::ses_rows;
pub(crate) use workmail::workmail_rows;
