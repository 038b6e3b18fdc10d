//! Suggests the domain that a mistyped domain most likely stands for: `gmail.com` for `gmial.com`.

use bouncewatch_schemas::provider;

/// Frequently mistyped domains that are not in the provider table.
const FURTHER_DOMAINS: [&str; 24] = [
    "hotmail.it",
    "hotmail.fr",
    "hotmail.de",
    "hotmail.es",
    "hotmail.co.uk",
    "outlook.it",
    "outlook.fr",
    "outlook.de",
    "outlook.es",
    "live.it",
    "live.fr",
    "live.co.uk",
    "yahoo.com",
    "yahoo.it",
    "yahoo.fr",
    "yahoo.de",
    "yahoo.es",
    "yahoo.co.uk",
    "yahoo.com.br",
    "gmx.de",
    "gmx.net",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
];

/// Mistyped last labels, with the correct ones.
const MISTYPED_ENDINGS: [(&str, &str); 17] = [
    ("con", "com"),
    ("cmo", "com"),
    ("ocm", "com"),
    ("vom", "com"),
    ("xom", "com"),
    ("om", "com"),
    ("cm", "com"),
    ("co", "com"),
    ("comm", "com"),
    ("coom", "com"),
    ("cim", "com"),
    ("cpm", "com"),
    ("dom", "com"),
    ("ner", "net"),
    ("met", "net"),
    ("ent", "net"),
    ("ti", "it"),
];

/// The domain of a known provider that differs from `domain` by one or two typing errors. `None` if `domain` is known
/// itself, or resembles none or several.
pub fn likely_domain(domain: &str) -> Option<&'static str> {
    let mut domain = domain.trim_end_matches('.').to_ascii_lowercase();
    if !domain.is_ascii() || domain.len() > 40 || is_correct(&domain) {
        return None;
    }
    let (name, ending) = domain.rsplit_once('.')?;
    match MISTYPED_ENDINGS.iter().find(|(mistyped, _)| *mistyped == ending) {
        Some((_, correct)) => {
            domain = format!("{name}.{correct}");
            if let Some(known) = known_domains().find(|known| *known == domain) {
                return Some(known);
            }
        }
        None if provider::is_known(&domain) => return None,
        None => {}
    }
    let mut best: Option<(&'static str, usize)> = None;
    let mut tied = false;
    for known in
        known_domains().filter(|known| known.len() >= LENGTH_MIN && same_ending(known, &domain))
    {
        let allowed = if known.len() >= 9 { 2 } else { 1 };
        let Some(errors) = edit_distance(domain.as_bytes(), known.as_bytes(), allowed) else {
            continue;
        };
        match best {
            Some((_, least)) if errors > least => {}
            Some((_, least)) if errors == least => tied = true,
            _ => (best, tied) = (Some((known, errors)), false),
        }
    }
    let (known, errors) = best?;
    // two errors often give the name of another company; errors in the first letter are rare
    let same_start = domain.as_bytes().first() == known.as_bytes().first();
    (!tied && (errors == 1 || same_start)).then_some(known)
}

/// Least length of a suggested domain. Shorter names resemble too many others.
const LENGTH_MIN: usize = 8;

fn known_domains() -> impl Iterator<Item = &'static str> {
    provider::domains().chain(FURTHER_DOMAINS)
}

/// Whether the last labels are equal. Another country is not a typing error.
fn same_ending(a: &str, b: &str) -> bool {
    a.rsplit('.').next() == b.rsplit('.').next()
}

/// Whether this is one of the existing domains that resemble a known one.
fn is_correct(domain: &str) -> bool {
    const EXISTING: [&str; 18] = [
        "mail.com",
        "email.com",
        "ymail.com",
        "gmx.com",
        "gmail.de",
        "qq.co",
        "aol.de",
        "aol.fr",
        "aol.it",
        "mail.de",
        "email.de",
        "live.be",
        "mac.be",
        "me.co",
        "tim.com",
        "sky.com",
        "uol.com",
        "bk.com",
    ];
    EXISTING.contains(&domain)
}

/// Number of added, lost, changed or swapped letters (optimal string alignment distance), if it is 1 to `allowed`.
fn edit_distance(a: &[u8], b: &[u8], allowed: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > allowed {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        if row.iter().all(|cost| *cost > allowed) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|errors| (1..=allowed).contains(errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_domain_corrects_one_or_two_typing_errors() {
        for (typed, expected) in [
            ("gmial.com", Some("gmail.com")),
            ("gmail.con", Some("gmail.com")),
            ("gmai.com", Some("gmail.com")),
            ("gamil.com", Some("gmail.com")),
            ("hotmail.con", Some("hotmail.com")),
            ("gmial.con", Some("gmail.com")),
            ("gmail.co", Some("gmail.com")),
            ("GMAL.COM.", Some("gmail.com")),
            ("gnail.com", Some("gmail.com")),
            ("hotmial.it", Some("hotmail.it")),
            ("hotmil.com", Some("hotmail.com")),
            ("hotmal.fr", Some("hotmail.fr")),
            ("outlok.com", Some("outlook.com")),
            ("yaho.com", Some("yahoo.com")),
            ("yahooo.co.uk", Some("yahoo.co.uk")),
            ("iclod.com", Some("icloud.com")),
            ("libreo.it", Some("libero.it")),
            ("comcats.net", Some("comcast.net")),
            ("gmail.com", None),
            ("googlemail.com", None),
            ("hotmail.it", None),
            ("yahoo.it", None),
            ("mail.com", None),
            ("email.de", None),
            ("example.org", None),
            ("company.example", None),
            ("tim.at", None),
            ("", None),
            ("ü.de", None),
        ] {
            assert_eq!(likely_domain(typed), expected, "{typed}");
        }
    }

    #[test]
    fn known_domain_gets_no_suggestion() {
        for domain in known_domains() {
            assert_eq!(likely_domain(domain), None, "{domain}");
        }
    }

    proptest::proptest! {
        #[test]
        fn suggestion_is_a_known_domain_and_ignores_case(domain in "\\PC{0,50}|[gmailyhoot]{4,9}\\.(com|con|it)") {
            let suggestion = likely_domain(&domain);
            proptest::prop_assert!(suggestion.is_none_or(|found| known_domains().any(|known| known == found)));
            proptest::prop_assert_eq!(likely_domain(&domain.to_ascii_uppercase()), suggestion);
        }
    }
}
