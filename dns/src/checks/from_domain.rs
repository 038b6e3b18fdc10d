//! Whether replies to a From domain can arrive. Receivers refuse mail from domains that cannot receive any.

use crate::answer::{Lookup, Mx};
use crate::catalogue as kinds;
use crate::finding::Finding;

/// Checks that a domain has mail exchangers or addresses.
pub(crate) fn check(lookup: &dyn Lookup, domain: &str) -> Vec<Finding> {
    // look up both before an early return, so that `MissingQuestions` records both
    let (exchangers, addresses) = (lookup.exchangers(domain), lookup.addresses(domain));
    let finding = match (exchangers, addresses) {
        (Ok(exchangers), _) if matches!(exchangers.as_slice(), [mx] if Mx::is_null(mx)) => {
            let what = format!(
                "{domain} has a null MX record: it states that it neither receives nor sends mail"
            );
            kinds::FROM_NULL_MX.found(what, format!("Remove MX {domain} 0 ."))
        }
        (Ok(exchangers), _) if !exchangers.is_empty() => return Vec::new(),
        (Ok(_), Ok(addresses)) if addresses.is_empty() => {
            let what =
                format!("{domain} has neither MX records nor addresses: replies cannot arrive");
            kinds::FROM_NO_HOST.found(what, format!("Publish an MX record for {domain}"))
        }
        (Ok(_), Ok(_)) => return Vec::new(),
        (Err(failure), _) | (_, Err(failure)) => {
            let what = format!("whether replies to {domain} can arrive could not be checked");
            kinds::FROM_LOOKUP_FAILED.unanswered(what).with(failure)
        }
    };
    vec![finding]
}
