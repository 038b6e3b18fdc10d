//! `forecast --dns`: asks which domains of the list accept no mail.

use std::collections::BTreeMap;

use anyhow::Context;
use bouncewatch_analyze::forecast::RecipientList;
use bouncewatch_dns::{Resolver, ResolverSettings, no_mail_domains};
use bouncewatch_schemas::provider;

use crate::cli::ForecastArgs;
use crate::run::store_access::block_on;

/// Asks each domain of the list once, except those of large providers, and returns a note on them. A domain without an
/// answer accepts mail, as far as is known.
///
/// # Errors
/// If the resolver cannot be set up.
pub(super) fn ask(
    args: &ForecastArgs,
    list: &RecipientList,
) -> anyhow::Result<(BTreeMap<String, String>, Option<String>)> {
    let domains: Vec<String> =
        list.domains().into_iter().filter(|domain| !provider::is_known(domain)).collect();
    let settings =
        ResolverSettings { servers: args.dns_server.clone(), ..ResolverSettings::default() };
    let asked = domains.len();
    let found = block_on(async {
        let resolver = Resolver::new(&settings).context("--dns")?;
        Ok(no_mail_domains(&resolver, domains, args.dns_pace).await)
    })?;
    let unanswered = found.unanswered;
    let note = format!(
        "note: asked the DNS for {asked} domains: {} accept no mail, {unanswered} without an answer",
        found.domains.len()
    );
    let reason = |(domain, reason): (String, bouncewatch_dns::NoMailReason)| {
        (domain, reason.as_str().to_owned())
    };
    Ok((found.domains.into_iter().map(reason).collect(), Some(note)))
}
