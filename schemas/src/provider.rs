//! Which mailbox provider stands behind a recipient: told by the address's domain, else by the remote server's words.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The provider of everything that the tables do not know.
pub const OTHER: &str = "other";

/// Providers that tell SES of no complaints: mail to them is not in the denominator of SES's complaint rate ("Gmail
/// doesn't provide complaint data to Amazon SES", facts 5.2). They are told by the address, and where an event has
/// one by the words of the remote server.
pub const WITHOUT_FEEDBACK: &[&str] = &["gmail"];

/// Providers by whole domain.
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

/// The same, to be asked for each event.
static BY_DOMAIN: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let named = |(provider, domains): &(&'static str, &'static [&'static str])| {
        let provider = *provider;
        domains.iter().map(move |domain| (*domain, provider))
    };
    DOMAINS.iter().flat_map(named).collect()
});

/// Providers that own a name under every country: `yahoo.it`, `hotmail.co.uk`, `gmx.net`.
const FAMILIES: &[(&str, &[&str])] = &[
    ("microsoft", &["hotmail", "outlook", "live", "msn"]),
    ("yahoo", &["yahoo"]),
    ("gmx", &["gmx"]),
];

/// Marks of hosted domains in what the remote server says or is called.
const REMOTE: &[(&str, &[&str])] = &[
    ("gmail", &[" gsmtp", ".google.com", "support.google.com", "gmail-smtp-in"]),
    ("microsoft", &[".outlook.com", "protection.outlook", "exchangelabs.com"]),
    ("yahoo", &[".yahoodns.net", ".mail.yahoo.com", "postmaster.yahooinc.com"]),
    ("apple", &[".mail.icloud.com", "support.apple.com"]),
    ("zoho", &[".zoho.com", ".zoho.eu"]),
    ("proton", &[".protonmail.ch"]),
    ("aruba", &[".aruba.it"]),
];

/// The provider of a recipient's domain; `texts` are the remote server's words and name.
pub fn provider_of<'t>(domain: &str, texts: impl Iterator<Item = &'t str>) -> &'static str {
    by_domain(domain).or_else(|| by_remote(texts)).unwrap_or(OTHER)
}

/// Whether a domain is one of a known mailbox provider.
pub fn is_known(domain: &str) -> bool {
    by_domain(domain).is_some()
}

/// The domains of the table, in its order.
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

/// `it`, `co.uk`, `com.br`, `com`, `net`.
fn is_country_suffix(suffix: &str) -> bool {
    let label =
        |text: &str| (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
    match suffix.split_once('.') {
        None => label(suffix),
        Some((second, country)) => matches!(second, "co" | "com" | "net" | "org") && label(country),
    }
}

fn by_remote<'t>(mut texts: impl Iterator<Item = &'t str>) -> Option<&'static str> {
    texts.find_map(|text| {
        let text = text.to_ascii_lowercase();
        REMOTE
            .iter()
            .find(|(_, marks)| marks.iter().any(|mark| text.contains(mark)))
            .map(|(provider, _)| *provider)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_domain_and_by_remote_server() {
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
    fn no_domain_is_listed_twice() {
        let mut all: Vec<&str> =
            DOMAINS.iter().flat_map(|(_, domains)| domains.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
