//! Snapshot -> the steps that connect an account: a template with its parameters, default configuration sets, the first
//! commands, and a settings file. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::shell::shell_word;

use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Destination, Target};
use crate::snapshot::identity::Identity;
use crate::snapshot::part::Part;

/// Event types that rates, `causes` and `suppress` need, as in `deploy/cloudformation.yaml`.
const EVENT_TYPES: [&str; 7] =
    ["SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "RENDERING_FAILURE", "DELIVERY_DELAY"];
/// Name of the set that the template creates if the account has none.
const NEW_SET: &str = "bouncewatch";

/// What the operator chose.
#[derive(Debug, Clone, Copy)]
pub struct SetupOptions<'a> {
    /// Configuration set to connect, if it was chosen.
    pub set: Option<&'a str>,
    /// Location of the store.
    pub store: &'a str,
    /// Path of the settings file.
    pub settings: &'a str,
}

/// A step: what it does, and its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub what: String,
    /// The command.
    pub command: String,
}

/// How to connect an account in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// What was found, one fact per line.
    pub facts: Vec<String>,
    /// What could not be read, or needs a decision. The steps are those for the most probable answer.
    pub problems: Vec<String>,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// Content of the settings file.
    pub settings: String,
}

/// The configuration set to connect.
struct ChosenSet<'a> {
    name: &'a str,
    exists: bool,
}

/// Returns the steps for an account.
pub fn setup(snapshot: &Snapshot, options: SetupOptions<'_>) -> Setup {
    let mut problems = missing_parts(snapshot);
    let set = chosen_set(snapshot, options, &mut problems);
    let queue = connected_queue(snapshot, set.name);
    let mut steps = Vec::new();
    match &queue {
        Some(queue) => steps.extend(missing_events(snapshot, set.name, queue)),
        None => steps.push(template(snapshot, &set)),
    }
    steps.extend(default_sets(snapshot, set.name));
    steps.extend(first_commands(snapshot, options, queue.as_ref()));
    let facts = facts(snapshot, &set, queue.as_ref());
    Setup { facts, problems, steps, settings: settings(snapshot, options) }
}

/// Formats facts, problems and numbered steps. Names of AWS are external text: control characters are escaped.
pub fn setup_text(setup: &Setup) -> String {
    let mut out = String::new();
    // writing to a String cannot fail
    for fact in &setup.facts {
        _ = writeln!(out, "{}", printable(fact));
    }
    for problem in &setup.problems {
        _ = writeln!(out, "attention: {}", printable(problem));
    }
    for (number, step) in (1..).zip(&setup.steps) {
        _ = writeln!(out, "\n{number}. {}\n", printable(&step.what));
        for line in step.command.lines() {
            _ = writeln!(out, "   {}", printable(line));
        }
    }
    out
}

/// Describes the parts that could not be read.
fn missing_parts(snapshot: &Snapshot) -> Vec<String> {
    let part = |name: &str, why: Option<String>| why.map(|why| format!("{name}: {why}"));
    let sets = snapshot.sets.values().find_map(|set| reason(&set.destinations));
    let all = [
        part("the account", reason(&snapshot.account)),
        part("identities", reason(&snapshot.identities)),
        part("configuration sets", reason(&snapshot.set_names)),
        part("event destinations", sets),
    ];
    all.into_iter().flatten().collect()
}

/// Why a part has no value.
fn reason<T>(part: &Part<T>) -> Option<String> {
    match part {
        Part::Value(_) | Part::Absent(_) => None,
        Part::Denied(action) => {
            Some(format!("unknown, needs {action} (deploy/policies/doctor.json allows it)"))
        }
        Part::Error(failure) => Some(format!("unknown, {}: {}", failure.action, failure.message)),
        Part::Skipped(why) => Some(format!("unknown, {why}")),
        Part::Missing => Some("unknown, the snapshot has no such part".to_owned()),
    }
}

fn verified(snapshot: &Snapshot) -> impl Iterator<Item = &Identity> {
    snapshot.identities.value().into_iter().flatten().filter(|one| one.is_verified())
}

fn default_set(identity: &Identity) -> Option<&str> {
    identity.details.value()?.configuration_set.as_deref()
}

/// The set that was chosen, else the default set of most identities, else the only set, else a new one.
fn chosen_set<'a>(
    snapshot: &'a Snapshot,
    options: SetupOptions<'a>,
    problems: &mut Vec<String>,
) -> ChosenSet<'a> {
    let known: Vec<&str> =
        snapshot.set_names.value().into_iter().flatten().map(String::as_str).collect();
    if let Some(name) = options.set {
        return ChosenSet { name, exists: known.contains(&name) };
    }
    let mut defaults: BTreeMap<&str, usize> = BTreeMap::new();
    for name in verified(snapshot).filter_map(default_set) {
        *defaults.entry(name).or_default() += 1;
    }
    if defaults.len() > 1 || (defaults.is_empty() && known.len() > 1) {
        let names =
            if defaults.is_empty() { known.clone() } else { defaults.keys().copied().collect() };
        problems.push(format!(
            "several configuration sets: {}; these steps connect one, repeat them with --configuration-set NAME for others",
            names.join(", ")
        ));
    }
    let most = defaults.iter().max_by_key(|(_, count)| **count).map(|(name, _)| *name);
    match most.or(known.first().copied()) {
        Some(name) => ChosenSet { name, exists: true },
        None => ChosenSet { name: NEW_SET, exists: false },
    }
}

/// The destinations of a set.
fn destinations<'a>(snapshot: &'a Snapshot, set: &str) -> impl Iterator<Item = &'a Destination> {
    snapshot.sets.get(set).and_then(|set| set.destinations.value()).into_iter().flatten()
}

/// A queue that a configuration set already publishes to.
struct ConnectedQueue<'a> {
    arn: &'a str,
    destination: &'a Destination,
}

/// Returns the first queue that is subscribed to a topic to which the set publishes.
fn connected_queue<'a>(snapshot: &'a Snapshot, set: &str) -> Option<ConnectedQueue<'a>> {
    destinations(snapshot, set).find_map(|destination| {
        let Target::Topic(topic) = &destination.target else { return None };
        let subscriptions = snapshot.topics.get(topic)?.subscriptions.value()?;
        let to_queue =
            subscriptions.iter().find(|one| one.protocol == "sqs" && one.arn.is_some())?;
        Some(ConnectedQueue { arn: &to_queue.endpoint, destination })
    })
}

fn facts(
    snapshot: &Snapshot,
    set: &ChosenSet<'_>,
    queue: Option<&ConnectedQueue<'_>>,
) -> Vec<String> {
    let account = snapshot.account_id.value().map_or("unknown", String::as_str);
    let mut facts = vec![format!("account {account}, region {}", snapshot.region)];
    if let Some(account) = snapshot.account.value().filter(|one| !one.is_empty_response()) {
        if !account.production_access {
            facts.push(
                "the account is in the sandbox: it may send to verified addresses only".to_owned(),
            );
        }
        if !account.sending_enabled {
            facts.push("sending is paused: run `bouncewatch doctor`".to_owned());
        }
    }
    let identities = verified(snapshot).count();
    facts.push(match identities {
        0 => format!(
            "no verified identity in {}: is this the region from which you send?",
            snapshot.region
        ),
        1 => "1 verified identity".to_owned(),
        count => format!("{count} verified identities"),
    });
    facts.push(match (queue, set.exists) {
        (Some(queue), _) => {
            format!("configuration set {}: publishes to the queue {}", set.name, queue.arn)
        }
        (None, true) => format!("configuration set {}: publishes to no queue", set.name),
        (None, false) => format!("configuration set {}: will be created", set.name),
    });
    facts
}

/// The template with its parameters.
fn template(snapshot: &Snapshot, set: &ChosenSet<'_>) -> Step {
    let create = if set.exists { "" } else { " CreateConfigurationSet=true" };
    let command = format!(
        "bouncewatch init --template > bouncewatch.yaml\n\
         aws cloudformation deploy --region {region} --stack-name bouncewatch --template-file bouncewatch.yaml \\\n  \
         --capabilities CAPABILITY_IAM --parameter-overrides ConfigurationSetName={name}{create}\n\
         aws cloudformation describe-stacks --region {region} --stack-name bouncewatch --query 'Stacks[0].Outputs'",
        region = snapshot.region,
        name = shell_word(set.name),
    );
    let what = "Create the event destination, topic, queue and policies. The output QueueArn is the queue of the next steps.";
    Step { what: what.to_owned(), command }
}

/// Completes the destination of a queue that exists.
fn missing_events(snapshot: &Snapshot, set: &str, queue: &ConnectedQueue<'_>) -> Option<Step> {
    let Destination { name, enabled, event_types, target } = queue.destination;
    let is_complete = EVENT_TYPES.iter().all(|kind| event_types.iter().any(|known| known == kind));
    let Target::Topic(topic) = target else { return None };
    if is_complete && *enabled {
        return None;
    }
    // the call replaces the list: other types stay
    let others = event_types.iter().map(String::as_str).filter(|kind| !EVENT_TYPES.contains(kind));
    let all: Vec<&str> = EVENT_TYPES.into_iter().chain(others).collect();
    let destination = format!(
        "Enabled=true,MatchingEventTypes={},SnsDestination={{TopicArn={topic}}}",
        all.join(",")
    );
    let command = format!(
        "aws sesv2 update-configuration-set-event-destination --region {} --configuration-set-name {} \\\n  \
         --event-destination-name {} --event-destination {}",
        snapshot.region,
        shell_word(set),
        shell_word(name),
        shell_word(&destination)
    );
    let what = format!("Publish all events that rates need with the event destination {name}");
    Some(Step { what, command })
}

/// Makes the set the default of identities without one: their mail publishes no events if it names no set.
fn default_sets(snapshot: &Snapshot, set: &str) -> Option<Step> {
    let without = verified(snapshot).filter(
        |one| matches!(&one.details, Part::Value(details) if details.configuration_set.is_none()),
    );
    let command = |identity: &Identity| {
        format!(
            "aws sesv2 put-email-identity-configuration-set-attributes --region {} --email-identity {} --configuration-set-name {}\n",
            snapshot.region,
            shell_word(&identity.name),
            shell_word(set)
        )
    };
    let command: String = without.map(command).collect();
    let what = "Make the set the default of identities without one: mail that names no set publishes no events";
    (!command.is_empty()).then(|| Step { what: what.to_owned(), command })
}

fn first_commands(
    snapshot: &Snapshot,
    options: SetupOptions<'_>,
    queue: Option<&ConnectedQueue<'_>>,
) -> [Step; 3] {
    let region = &snapshot.region;
    let credentials = match queue {
        Some(_) => "credentials that may receive and delete its messages",
        None => "credentials with the policy of the output ConsumerPolicyArn",
    };
    let queue = queue.map_or("QUEUE_ARN".into(), |queue| shell_word(queue.arn));
    let (store, settings) = (shell_word(options.store), shell_word(options.settings));
    let step = |what: &str, command: String| Step { what: what.to_owned(), command };
    [
        step(
            "Check the path of events",
            format!("AWS_REGION={region} bouncewatch doctor --queue {queue}"),
        ),
        step(
            &format!("Send a mail, and read its events, with {credentials}"),
            format!(
                "AWS_REGION={region} bouncewatch ingest {queue} --store {store}\n\
                 bouncewatch check --config {settings}"
            ),
        ),
        step(
            "Repeat it every five minutes (crontab)",
            format!(
                "*/5 * * * *  AWS_REGION={region} bouncewatch ingest {queue} --store {store} -q; \
                 bouncewatch check --config {settings} --alert-stdout"
            ),
        ),
    ]
}

/// Content of a settings file: what differs from the defaults.
fn settings(snapshot: &Snapshot, options: SetupOptions<'_>) -> String {
    let account = snapshot.account_id.value().map_or("unknown", String::as_str);
    let domains: Vec<&str> =
        verified(snapshot).filter(|one| one.is_domain()).map(|one| one.name.as_str()).collect();
    // a list of strings in JSON is one in TOML, too
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let list: Vec<String> = domains.into_iter().map(text).collect();
    format!(
        "# Settings of bouncewatch for the account {account} in {region}. `bouncewatch config init` prints all settings with\n\
         # their defaults; `bouncewatch config check --config FILE` checks this file.\n\n\
         # Folder of the store.\nstore = {store}\n\n\
         # Verified domains: SES leaves mail to them out of its rates.\nown_domains = [{list}]\n\n\
         # Rates of each configuration set, besides those of the account.\nby = [\"configuration_set\"]\n",
        region = snapshot.region,
        store = text(options.store),
        list = list.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot with these parts.
    fn snapshot(parts: &str) -> Snapshot {
        let text = format!(
            r#"{{"version": 1, "taken_at": "2026-11-26T12:00:00Z", "region": "eu-west-1",
                "account_id": {{"value": "123456789012"}}, "account": {{"value": {{"production_access": true,
                "sending_enabled": true, "enforcement_status": "HEALTHY"}}}}, {parts}}}"#
        );
        Snapshot::parse(&text).unwrap()
    }

    fn identity(name: &str, set: Option<&str>) -> String {
        let set = serde_json::json!({ "configuration_set": set });
        let kind = if name.contains('@') { "EMAIL_ADDRESS" } else { "DOMAIN" };
        format!(
            r#"{{"name": "{name}", "kind": "{kind}", "verification": "SUCCESS", "details": {{"value": {set}}}}}"#
        )
    }

    const OPTIONS: SetupOptions<'_> = SetupOptions {
        set: None,
        store: "/var/lib/bouncewatch",
        settings: "/etc/bouncewatch.toml",
    };

    /// All commands of a setup.
    fn commands(setup: &Setup) -> String {
        let commands: Vec<&str> = setup.steps.iter().map(|step| step.command.as_str()).collect();
        commands.join("\n") + "\n"
    }

    #[test]
    fn account_without_sets_gets_a_new_one_as_default_of_its_identities() {
        let parts = format!(
            r#""identities": {{"value": [{}, {}]}}, "set_names": {{"value": []}}"#,
            identity("example.com", None),
            identity("o'brien@example.org", None)
        );
        let setup = setup(&snapshot(&parts), OPTIONS);
        let commands = commands(&setup);
        assert!(commands.contains("ConfigurationSetName=bouncewatch CreateConfigurationSet=true"));
        assert!(
            commands
                .contains("--email-identity example.com --configuration-set-name bouncewatch\n")
        );
        assert!(commands.contains(r"--email-identity 'o'\''brien@example.org' "), "{commands}");
        assert_eq!((setup.steps.len(), setup.problems.len()), (5, 0), "{setup:?}");
        assert!(setup.settings.contains("own_domains = [\"example.com\"]"), "{}", setup.settings);
    }

    #[test]
    fn default_set_of_most_identities_is_connected_unless_another_is_chosen() {
        let parts = format!(
            r#""identities": {{"value": [{}, {}, {}]}}, "set_names": {{"value": ["a", "b"]}}"#,
            identity("one.example", Some("b")),
            identity("two.example", Some("b")),
            identity("three.example", Some("a"))
        );
        let snapshot = snapshot(&parts);
        let found = setup(&snapshot, OPTIONS);
        assert!(commands(&found).contains("ConfigurationSetName=b\n"), "{found:?}");
        assert!(found.problems[0].starts_with("several configuration sets: a, b"), "{found:?}");
        let chosen = setup(&snapshot, SetupOptions { set: Some("a"), ..OPTIONS });
        assert!(commands(&chosen).contains("ConfigurationSetName=a\n"), "{chosen:?}");
        assert_eq!((chosen.steps.len(), chosen.problems.len()), (4, 0), "{chosen:?}");
        let new = setup(&snapshot, SetupOptions { set: Some("c"), ..OPTIONS });
        assert!(commands(&new).contains("ConfigurationSetName=c CreateConfigurationSet=true"));
    }

    /// A set `main` with a destination of these types to a topic with a queue.
    fn connected(types: &str, is_enabled: bool) -> Snapshot {
        let topic = "arn:aws:sns:eu-west-1:123456789012:ses";
        snapshot(&format!(
            r#""identities": {{"value": [{}]}}, "set_names": {{"value": ["main"]}},
            "sets": {{"main": {{"destinations": {{"value": [{{"name": "events", "enabled": {is_enabled},
                "event_types": [{types}], "target": {{"topic": "{topic}"}}}}]}}}}}},
            "topics": {{"{topic}": {{"subscriptions": {{"value": [{{"arn": "{topic}:1", "protocol": "sqs",
                "endpoint": "arn:aws:sqs:eu-west-1:123456789012:ses"}}]}}}}}}"#,
            identity("example.com", Some("main"))
        ))
    }

    #[test]
    fn queue_that_is_connected_needs_no_template() {
        let all = EVENT_TYPES.map(|kind| format!("\"{kind}\"")).join(",");
        let complete = setup(&connected(&all, true), OPTIONS);
        assert_eq!(complete.steps.len(), 3, "{complete:?}");
        assert!(commands(&complete).starts_with(
            "AWS_REGION=eu-west-1 bouncewatch doctor --queue arn:aws:sqs:eu-west-1:123456789012:ses\n"
        ));
        for (types, is_enabled) in [(r#""BOUNCE", "OPEN""#, true), (all.as_str(), false)] {
            let incomplete = setup(&connected(types, is_enabled), OPTIONS);
            let command = &incomplete.steps[0].command;
            let expected = "MatchingEventTypes=SEND,DELIVERY,BOUNCE,COMPLAINT,REJECT,RENDERING_FAILURE,DELIVERY_DELAY";
            assert!(command.contains(expected), "{command}");
            assert_eq!(command.contains(",OPEN,"), types.contains("OPEN"), "{command}");
        }
    }

    #[test]
    fn denied_parts_are_named_with_the_action_that_they_need() {
        let parts = r#""identities": {"denied": "ses:ListEmailIdentities"}, "set_names": {"denied": "ses:ListConfigurationSets"}"#;
        let setup = setup(&snapshot(parts), OPTIONS);
        for action in ["ses:ListEmailIdentities", "ses:ListConfigurationSets"] {
            let needs = format!("needs {action}");
            assert!(setup.problems.iter().any(|one| one.contains(&needs)), "{setup:?}");
        }
    }

    #[test]
    fn text_escapes_control_characters_of_names() {
        let parts = r#""identities": {"value": []}, "set_names": {"value": ["a\u001b[31m"]}"#;
        let text = setup_text(&setup(&snapshot(parts), OPTIONS));
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("no verified identity in eu-west-1"), "{text}");
    }
}
