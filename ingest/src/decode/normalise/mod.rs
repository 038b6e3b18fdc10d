//! Normalise events to rows of the event table: `ses` for the ten event types of SES, `account` for
//! account events, `workmail` for the mail event log of WorkMail.

mod account;
mod recipients;
mod ses;
mod workmail;

pub(crate) use account::{account_kind, account_row};
pub(crate) use ses::ses_rows;
pub(crate) use workmail::workmail_rows;
