//! Domain names as lower-case text without the dot at the end.

use std::fmt::Write as _;
use std::net::IpAddr;

use bouncewatch_schemas::address;

/// Most bytes of a name (RFC 1035, without the root label).
pub(crate) const NAME_BYTES_MAX: usize = 253;
/// Most bytes of a label (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// Lower case, without one dot at the end.
pub(crate) fn normalise(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The normal form of a domain that a person entered: internationalised names in their ASCII form.
pub(crate) fn of_domain(text: &str) -> String {
    address::normalise_domain(text.trim()).into_owned()
}

/// The domain of an address, or the text itself if it is a domain.
pub(crate) fn after_at(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, domain)| domain)
}

/// Whether a DNS query for the name is possible: labels of 1 to 63 bytes, 253 bytes in all.
pub(crate) fn is_queryable(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.split('.').all(|label| (1..=LABEL_BYTES_MAX).contains(&label.len()))
}

/// Whether the last label of a name can be a top-level domain (RFC 7208, section 7.1): letters, digits and inner
/// hyphens, not digits alone.
pub(crate) fn is_top_label(label: &[u8]) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    !label.is_empty()
        && label.iter().all(inner)
        && label.first() != Some(&b'-')
        && label.last() != Some(&b'-')
        && !label.iter().all(u8::is_ascii_digit)
}

/// Whether a normalised name is the domain or below it.
pub fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The name without its first label; `None` for a single label.
pub(crate) fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

/// The last labels of a name.
pub(crate) fn last_labels(name: &str, count: usize) -> String {
    let labels: Vec<&str> = name.split('.').collect();
    labels[labels.len().saturating_sub(count)..].join(".")
}

/// The parts of an address in the order of its text, as SPF macros use them: bytes of IPv4, nibbles of IPv6.
pub(crate) fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let mut text = String::with_capacity(63);
            for byte in ip.octets() {
                let dot = if text.is_empty() { "" } else { "." };
                let _infallible = write!(text, "{dot}{:x}.{:x}", byte >> 4, byte & 15);
            }
            text
        }
    }
}

/// The name of the PTR records of an address: below `in-addr.arpa` or `ip6.arpa`.
pub fn reverse_name(ip: IpAddr) -> String {
    let dotted = dotted(ip);
    let mut parts: Vec<&str> = dotted.split('.').collect();
    parts.reverse();
    let zone = if ip.is_ipv4() { "in-addr" } else { "ip6" };
    format!("{}.{zone}.arpa", parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_of_both_families() {
        assert_eq!(reverse_name("192.0.2.7".parse().unwrap()), "7.2.0.192.in-addr.arpa");
        assert_eq!(
            reverse_name("2001:db8::cb01".parse().unwrap()),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[test]
    fn names_are_within_a_domain_by_whole_labels() {
        assert!(is_within("example.com", "example.com"));
        assert!(is_within("a.example.com", "example.com"));
        assert!(!is_within("anexample.com", "example.com"));
        assert!(!is_within("com", "example.com"));
    }
}
