//! The mailbox provider of a recipient, by the domain of the address, or else by the remote server.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The provider of all domains that are not in the tables.
pub const OTHER: &str = "other";

/// Providers that send no complaint feedback to SES. Messages to them are not in the denominator of SES's complaint
/// rate: "Gmail doesn't provide complaint data to Amazon SES" (SES developer guide, account-level suppression list).
pub const WITHOUT_FEEDBACK: &[&str] = &["gmail"];

/// Providers by domain.
const DOMAINS: &[(&str, &[&str])] = &[
    ("gmail", &["gmail.com", "googlemail.com", "google.com"]),
    (
        "microsoft",
        &["outlook.com", "hotmail.com", "live.com", "msn.com", "passport.com", "windowslive.com"],
    ),
    (
        "yahoo",
        &[
            "ymail.com",
            "rocketmail.com",
            "aol.com",
            "aim.com",
            "verizon.net",
            "myyahoo.com",
            "netscape.net",
            "cs.com",
        ],
    ),
    ("apple", &["icloud.com", "me.com", "mac.com"]),
    ("comcast", &["comcast.net", "xfinity.com"]),
    ("att", &["att.net", "sbcglobal.net", "bellsouth.net", "pacbell.net", "ameritech.net"]),
    ("charter", &["charter.net", "spectrum.net", "roadrunner.com", "rr.com", "twc.com"]),
    ("cox", &["cox.net"]),
    ("orange", &["orange.fr", "wanadoo.fr", "voila.fr"]),
    ("laposte", &["laposte.net"]),
    ("free", &["free.fr", "aliceadsl.fr"]),
    ("sfr", &["sfr.fr", "neuf.fr", "cegetel.net", "club-internet.fr", "9online.fr"]),
    ("gmx", &["web.de", "mail.com", "email.com"]),
    ("tonline", &["t-online.de", "magenta.de"]),
    ("freenet", &["freenet.de"]),
    ("libero", &["libero.it", "virgilio.it", "iol.it", "inwind.it", "blu.it", "giallo.it"]),
    ("tim", &["tin.it", "alice.it", "tim.it"]),
    ("aruba", &["aruba.it", "pec.it", "arubapec.it", "technet.it"]),
    ("tiscali", &["tiscali.it"]),
    ("bt", &["btinternet.com", "btopenworld.com", "talk21.com"]),
    ("qq", &["qq.com", "foxmail.com"]),
    ("netease", &["163.com", "126.com", "yeah.net", "vip.163.com", "188.com"]),
    ("sina", &["sina.com", "sina.cn"]),
    ("mailru", &["mail.ru", "inbox.ru", "list.ru", "bk.ru", "internet.ru"]),
    ("yandex", &["yandex.ru", "yandex.com", "ya.ru", "yandex.by", "yandex.kz", "yandex.ua"]),
    ("naver", &["naver.com"]),
    ("docomo", &["docomo.ne.jp"]),
    ("au", &["ezweb.ne.jp", "au.com"]),
    ("softbank", &["softbank.ne.jp", "i.softbank.jp"]),
    ("wp", &["wp.pl", "o2.pl"]),
    ("onet", &["onet.pl", "onet.eu", "op.pl", "vp.pl", "poczta.onet.pl"]),
    ("seznam", &["seznam.cz", "email.cz", "post.cz"]),
    ("uol", &["uol.com.br", "bol.com.br"]),
    ("terra", &["terra.com.br"]),
    ("proton", &["protonmail.com", "proton.me", "pm.me", "protonmail.ch"]),
    ("zoho", &["zoho.com", "zohomail.com", "zohomail.eu"]),
    ("fastmail", &["fastmail.com", "fastmail.fm", "fastmail.net"]),
];

/// Index of [`DOMAINS`].
static BY_DOMAIN: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let entries = |(provider, domains): &(&'static str, &'static [&'static str])| {
        let provider = *provider;
        domains.iter().map(move |domain| (*domain, provider))
    };
    DOMAINS.iter().flat_map(entries).collect()
});

/// Providers that own a name under each country domain: `yahoo.it`, `hotmail.co.uk`, `gmx.net`.
const FAMILIES: &[(&str, &[&str])] = &[
    ("microsoft", &["hotmail", "outlook", "live", "msn"]),
    ("yahoo", &["yahoo"]),
    ("gmx", &["gmx"]),
];

/// Parts of the replies and host names of a provider's servers. They identify customer domains that it hosts.
const SERVER_SIGNS: &[(&str, &[&str])] = &[
    ("gmail", &[" gsmtp", ".google.com", "support.google.com", "gmail-smtp-in"]),
    ("microsoft", &[".outlook.com", "protection.outlook", "exchangelabs.com"]),
    ("yahoo", &[".yahoodns.net", ".mail.yahoo.com", "postmaster.yahooinc.com"]),
    ("apple", &[".mail.icloud.com", "support.apple.com"]),
    ("zoho", &[".zoho.com", ".zoho.eu"]),
    ("proton", &[".protonmail.ch"]),
    ("aruba", &[".aruba.it"]),
];

/// The provider of a recipient's domain, in lower case. `texts` are the reply and the host name of the remote server.
pub fn provider_of<'t>(domain: &str, texts: impl Iterator<Item = &'t str>) -> &'static str {
    by_domain(domain).or_else(|| by_server(texts)).unwrap_or(OTHER)
}

/// Whether a domain belongs to a known provider.
pub fn is_known(domain: &str) -> bool {
    by_domain(domain).is_some()
}

/// All domains of known providers, without their families.
pub fn domains() -> impl Iterator<Item = &'static str> {
    DOMAINS.iter().flat_map(|(_, domains)| domains.iter().copied())
}

fn by_domain(domain: &str) -> Option<&'static str> {
    if let Some(provider) = BY_DOMAIN.get(domain) {
        return Some(provider);
    }
    let (name, rest) = domain.split_once('.')?;
    let (provider, _) = FAMILIES.iter().find(|(_, names)| names.contains(&name))?;
    is_country_suffix(rest).then_some(provider)
}

/// Whether this is a suffix such as `it`, `co.uk`, `com.br`, `com`, `net`.
fn is_country_suffix(suffix: &str) -> bool {
    let label =
        |text: &str| (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
    match suffix.split_once('.') {
        None => label(suffix),
        Some((second, country)) => matches!(second, "co" | "com" | "net" | "org") && label(country),
    }
}

fn by_server<'t>(mut texts: impl Iterator<Item = &'t str>) -> Option<&'static str> {
    texts.find_map(|text| {
        let text = text.to_ascii_lowercase();
        SERVER_SIGNS
            .iter()
            .find(|(_, signs)| signs.iter().any(|sign| text.contains(sign)))
            .map(|(provider, _)| *provider)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_is_found_by_domain_then_by_remote_server() {
        for (domain, remote, expected) in [
            ("gmail.com", "", "gmail"),
            ("yahoo.co.jp", "", "yahoo"),
            ("hotmail.it", "", "microsoft"),
            ("gmx.net", "", "gmx"),
            ("live.example.com", "", "other"),
            ("yahoo.example", "", "other"),
            ("company.example", "550-5.1.1 no such user abc.12 - gsmtp", "gmail"),
            (
                "company.example",
                "[AM7EUR03FT011.eop-EUR03.prod.protection.outlook.com]",
                "microsoft",
            ),
            ("company.example", "250 ok", "other"),
        ] {
            assert_eq!(provider_of(domain, [remote].into_iter()), expected, "{domain} {remote}");
        }
    }

    #[test]
    fn each_domain_is_listed_once() {
        let mut all: Vec<&str> =
            DOMAINS.iter().flat_map(|(_, domains)| domains.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    proptest::proptest! {
        #[test]
        fn domain_decides_before_the_remote_server(
            at in 0..DOMAINS.len(),
            reply in proptest::sample::select(vec!["250 ok", "550 no such user - gsmtp", "mx1.protection.outlook.com"]),
        ) {
            let (provider, domains) = DOMAINS[at];
            for domain in domains {
                proptest::prop_assert_eq!(provider_of(domain, [reply].into_iter()), provider);
                // a subdomain or a longer name is another domain
                let longer = format!("{domain}.example");
                proptest::prop_assert!(!is_known(&longer));
            }
        }

        #[test]
        fn unknown_domain_has_the_provider_of_its_server_or_other(
            domain in "[a-z]{1,12}\\.example",
            host in "[a-z0-9]{1,10}",
        ) {
            let provider = |reply: String| provider_of(&domain, [reply.as_str()].into_iter());
            proptest::prop_assert!(!is_known(&domain));
            proptest::prop_assert_eq!(provider(format!("{host} replied 550 no")), OTHER);
            proptest::prop_assert_eq!(provider(format!("{host}.MAIL.icloud.com refused")), "apple");
            proptest::prop_assert_eq!(provider(format!("550 5.1.1 {host} - gsmtp")), "gmail");
        }
    }
}
