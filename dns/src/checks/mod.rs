//! The checks: pure functions from answers to findings.

pub(crate) mod alignment;
pub(crate) mod bulk;
pub(crate) mod dkim;
pub(crate) mod from_domain;
pub(crate) mod inbound;
pub(crate) mod mail_from;
pub(crate) mod recipient;
pub(crate) mod record;
pub(crate) mod relay;
pub(crate) mod transport;
