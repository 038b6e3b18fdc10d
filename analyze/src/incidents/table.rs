//! Provider incidents as text.

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;

use crate::incidents::model::ProviderIncident;
use crate::report::text::{shortened, utc_second};

/// Maximum length of the text of a server.
const TEXT_MAX: usize = 100;

/// Returns a paragraph per incident; empty if there are none.
pub(crate) fn incidents(incidents: &[ProviderIncident]) -> String {
    let mut out = String::new();
    for one in incidents {
        let text = one.text.as_deref().unwrap_or("without text");
        // writing to a String cannot fail
        _ = writeln!(
            out,
            "\nProvider incident: {}, {} addresses with earlier deliveries bounced\n  from        {} to {}\n  text        {}\n  what to do  {}",
            printable(&one.provider),
            one.addresses,
            utc_second(&one.from),
            utc_second(&one.to),
            shortened(&printable(text), TEXT_MAX),
            one.remedy,
        );
    }
    out
}
