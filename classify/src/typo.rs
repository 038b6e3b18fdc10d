//! The domain that was most likely meant: `gmail.com` for `gmial.com`.

use bouncewatch_schemas::provider;

/// Domains beside those of the provider table that people mistype.
const MORE: [&str; 24] = [
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

/// What fingers make of the last label.
const ENDINGS: [(&str, &str); 17] = [
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

/// The domain of a known provider that differs from this one by a slip of the hand; `None` where the domain is known
/// itself, or is like none, or like several.
pub fn likely_domain(domain: &str) -> Option<&'static str> {
    let mut domain = domain.trim_end_matches('.').to_ascii_lowercase();
    if !domain.is_ascii() || domain.len() > 40 || is_real(&domain) {
        return None;
    }
    let (name, ending) = domain.rsplit_once('.')?;
    match ENDINGS.iter().find(|(slip, _)| *slip == ending) {
        Some((_, meant)) => {
            domain = format!("{name}.{meant}");
            if let Some(known) = all().find(|known| *known == domain) {
                return Some(known);
            }
        }
        None if provider::is_known(&domain) => return None,
        None => {}
    }
    let mut best: Option<(&'static str, usize)> = None;
    let mut tied = false;
    for known in all().filter(|known| known.len() >= SHORTEST && same_ending(known, &domain)) {
        let allowed = if known.len() >= 9 { 2 } else { 1 };
        let Some(slips) = slips(domain.as_bytes(), known.as_bytes(), allowed) else { continue };
        match best {
            Some((_, least)) if slips > least => {}
            Some((_, least)) if slips == least => tied = true,
            _ => (best, tied) = (Some((known, slips)), false),
        }
    }
    let (known, slips) = best?;
    // a slip in front is rarer, and two slips more often meet another company's name
    let same_start = domain.as_bytes().first() == known.as_bytes().first();
    (!tied && (slips == 1 || same_start)).then_some(known)
}

/// A shorter name is a slip away from many others.
const SHORTEST: usize = 8;

fn all() -> impl Iterator<Item = &'static str> {
    provider::domains().chain(MORE)
}

/// Whether the last labels are the same: another country is no slip.
fn same_ending(a: &str, b: &str) -> bool {
    a.rsplit('.').next() == b.rsplit('.').next()
}

/// Domains of others that look like slips and are none.
fn is_real(domain: &str) -> bool {
    const REAL: [&str; 18] = [
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
    REAL.contains(&domain)
}

/// Letters added, lost, changed or swapped (optimal string alignment), if at most `allowed`.
fn slips(a: &[u8], b: &[u8], allowed: usize) -> Option<usize> {
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
    last.last().copied().filter(|slips| (1..=allowed).contains(slips))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand() {
        for (typed, meant) in [
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
            assert_eq!(likely_domain(typed), meant, "{typed}");
        }
    }

    #[test]
    fn no_known_domain_is_a_typo() {
        for domain in all() {
            assert_eq!(likely_domain(domain), None, "{domain}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_may_be_asked(domain in "\\PC{0,50}") {
            likely_domain(&domain);
        }
    }
}
