//! Reads a store and builds the timelines of scopes. Copies of an event are merged only here
//! (invariant I-5 in ARCHITECTURE.md).
//!
//! Copies of a bounce or complaint can be far apart (duplicate feedback), but never before the message was sent; the
//! times of other copies differ by seconds. So the changes that the rows of a day make to the timelines depend on that
//! day and the days before it only, and the changes of all days add up to the timelines. The changes of a closed day are
//! stored as daily aggregates (`daily`), and reused while its segments are the same.
//!
//! `store_scan` lists segments, `delta_builder` computes the changes of a range of days from rows (`event_rows`),
//! `older_rows` reads the rows of earlier days on which they depend, `history_part` combines the days that a query
//! needs, `merge` builds timelines from changes, `failures`, `deliveries`, `mail_events`, `address_events` and
//! `account_events` return single events.

mod account_events;
mod address_event;
mod address_events;
mod columns;
mod complaint_reports;
#[cfg(test)]
mod count_tests;
mod daily;
mod day_aggregates;
mod day_range;
mod deliveries;
mod delta_builder;
mod domain_providers;
mod duplicate_filter;
mod event;
mod event_rows;
mod expressions;
mod failure;
mod failures;
mod frames;
mod history_part;
mod late_messages;
mod load;
mod loaded_failures;
mod mail_events;
mod merge;
mod message_keys;
mod newest_event;
mod older_rows;
mod parallel;
mod presence;
mod read_rows;
mod scope_groups;
mod scope_ids;
mod send_counts;
mod store_scan;
mod string_interner;
#[cfg(test)]
pub(crate) mod test_store;
mod time_collector;
mod timelines;
mod upgrade;

pub(crate) use account_events::AccountEvent;
pub(crate) use address_event::{AddressEvent, MailSelection};
pub(crate) use deliveries::OutcomeCounts;
#[cfg(test)]
pub(crate) use deliveries::SlotCounts;
pub(crate) use domain_providers::domain_providers;
pub(crate) use expressions::TAG_SEPARATOR;
pub(crate) use failure::{Failure, FailureQuery};
pub(crate) use history_part::{HistoryPart, HistoryQuery};
pub(crate) use load::{LoadRequest, load_history};
pub(crate) use mail_events::{MailEvent, MailTexts, NO_RECIPIENT, recipient_hash};
pub(crate) use message_keys::IdentityHasher;
pub(crate) use parallel::parallel_map;
pub(crate) use store_scan::StoreScan;
pub(crate) use string_interner::StringInterner;
pub(crate) use timelines::{ExactHours, History, Timelines};
