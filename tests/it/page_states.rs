//! Feeds and arguments of each state of a page. Tests of the page, and the browser test, use them.

use serde_json::{Value, json};

use crate::command::Workspace;
use crate::messages::{NOW, minutes_after_now};

/// A state: how its store is filled, and the arguments of `page`.
pub(crate) struct State {
    pub(crate) name: &'static str,
    pub(crate) fill: fn(&Workspace),
    pub(crate) arguments: &'static str,
    pub(crate) exit_code: i32,
}

const fn state(
    name: &'static str,
    fill: fn(&Workspace),
    arguments: &'static str,
    exit_code: i32,
) -> State {
    State { name, fill, arguments, exit_code }
}

/// All states. The default time of evaluation is [`NOW`].
pub(crate) const STATES: [State; 21] = [
    state("ok", |workspace| workspace.ingest(&feed(1_200, 12, 0)), "", 0),
    state("ok_low_volume", |workspace| workspace.ingest(&feed(20, 2, 0)), "", 0),
    state("warning_significant", |workspace| workspace.ingest(&feed(1_200, 84, 0)), "", 1),
    state("warning_near", |workspace| workspace.ingest(&feed(1_200, 66, 0)), "", 1),
    state("critical", |workspace| workspace.ingest(&feed(1_200, 150, 0)), "", 2),
    state("complaint_critical", |workspace| workspace.ingest(&feed(1_200, 12, 12)), "", 2),
    state("unknown_denominator", |workspace| workspace.ingest(&bounces_only(30)), "", 3),
    state(
        "stale_feed",
        |workspace| workspace.ingest(&feed(200, 2, 0)),
        "--at 2026-11-21T08:00:00Z",
        3,
    ),
    state(
        "no_event",
        |workspace| workspace.ingest(&feed(10, 1, 0)),
        "--at 2026-10-01T00:00:00Z",
        3,
    ),
    state("sending_stopped", sending_stopped, "", 2),
    state("no_mail_in_window", no_mail_in_window, "", 0),
    state("one_day", |workspace| workspace.ingest(&feed(300, 3, 0)), "--every 1h", 0),
    state("imported_send_counts", imported_send_counts, "", 1),
    state("deliveries", |workspace| workspace.ingest(&deliveries_only(1_200, 24)), "", 0),
    state("basis_send", |workspace| workspace.ingest(&feed(1_200, 24, 0)), "--basis send", 0),
    state("workmail", workmail, "--service workmail", 1),
    state("two_accounts", two_accounts, "", 2),
    state("many_groups", many_groups, "", 0),
    state("many_groups_top_400", many_groups, "--top 400", 0),
    state("only_none", |workspace| workspace.ingest(&feed(50, 1, 0)), "--by tag:missing", 0),
    state("hostile", hostile, "", 2),
];

/// Texts that break pages which do not escape them.
pub(crate) const HOSTILE: [&str; 8] = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "x\u{202e}gpj.exe",
    "a\u{0}b",
    "{{7*7}}{% raw %}",
    "javascript:alert(3)",
    "' onmouseover='alert(4)",
    "<!--<svg onload=alert(5)>",
];

/// The properties of one message.
#[derive(Clone)]
pub(crate) struct Mail {
    number: usize,
    minutes_before: i64,
    account: &'static str,
    identity: String,
    campaign: String,
    domain: String,
    diagnostic: String,
}

pub(crate) fn mail(number: usize) -> Mail {
    let names = ["spring", "newsletter", "receipts"];
    let domains = ["gmail.com", "example.org", "example.net", "yahoo.com"];
    Mail {
        number,
        // spread over 20 hours
        minutes_before: 30 + i64::try_from(number % 1_170).unwrap(),
        account: "123456789012",
        identity: ["example.com", "shop.example"][number % 2].to_owned(),
        campaign: names[number % names.len()].to_owned(),
        domain: domains[number % domains.len()].to_owned(),
        diagnostic: "smtp; 550 5.1.1 <user@example.org> user unknown".to_owned(),
    }
}

impl Mail {
    fn to(&self) -> String {
        format!("user{}@{}", self.number, self.domain)
    }

    fn at(&self) -> String {
        minutes_after_now(-self.minutes_before)
    }

    fn event(&self, kind: &str, key: &str, detail: &Value) -> String {
        let mail = json!({
            "timestamp": self.at(), "messageId": format!("m{}-{}", self.number, self.account),
            "source": format!("shop@{}", self.identity),
            "sourceArn": format!("arn:aws:ses:us-east-1:{}:identity/{}", self.account, self.identity),
            "sendingAccountId": self.account, "destination": [self.to()],
            "tags": {"ses:configuration-set": ["main"], "campaign": [self.campaign]},
        });
        format!("{}\n", json!({"eventType": kind, "mail": mail, key: detail}))
    }

    pub(crate) fn send(&self) -> String {
        self.event("Send", "send", &json!({}))
    }

    pub(crate) fn delivery(&self) -> String {
        self.event(
            "Delivery",
            "delivery",
            &json!({"timestamp": self.at(), "recipients": [self.to()]}),
        )
    }

    pub(crate) fn bounce(&self) -> String {
        let detail = json!({
            "bounceType": "Permanent", "bounceSubType": "General", "timestamp": self.at(), "feedbackId": "f",
            "bouncedRecipients": [{"emailAddress": self.to(), "action": "failed", "status": "5.1.1",
                "diagnosticCode": self.diagnostic}],
        });
        self.event("Bounce", "bounce", &detail)
    }

    fn complaint(&self) -> String {
        let detail = json!({
            "timestamp": self.at(), "feedbackId": format!("c{}", self.number), "complaintFeedbackType": "abuse",
            "complainedRecipients": [{"emailAddress": self.to()}],
        });
        self.event("Complaint", "complaint", &detail)
    }
}

/// Returns mail with bounces and complaints, evenly spread over groups.
fn feed(mails: usize, bounces: usize, complaints: usize) -> String {
    let step = mails / bounces.max(1);
    let mut out = String::new();
    for number in 0..mails {
        let mail = mail(number);
        out += &mail.send();
        let is_bounce = bounces > 0 && number % step == 0 && number / step < bounces;
        out += &if is_bounce { mail.bounce() } else { mail.delivery() };
        if number > mails - 1 - complaints {
            out += &mail.complaint();
        }
    }
    // mail to the simulator is in no rate
    for number in 0..3 {
        let simulated = Mail {
            number: mails + number,
            domain: "simulator.amazonses.com".to_owned(),
            ..mail(number)
        };
        out += &simulated.send();
        out += &simulated.bounce();
    }
    out
}

fn bounces_only(bounces: usize) -> String {
    (0..bounces).map(|number| mail(number).bounce()).collect()
}

fn deliveries_only(mails: usize, bounces: usize) -> String {
    let event = |number: usize| {
        let mail = mail(number);
        if number < bounces { mail.bounce() } else { mail.delivery() }
    };
    (0..mails).map(event).collect()
}

fn no_mail_in_window(workspace: &Workspace) {
    let old = |number: usize| Mail {
        minutes_before: 30 * 60 + i64::try_from(number).unwrap(),
        ..mail(number)
    };
    let mut feed: String = (0..100).map(|number| old(number).send()).collect();
    // a delivery in the window of a message that was sent before it
    let late = old(1);
    let detail = json!({"timestamp": minutes_after_now(-60), "recipients": [late.to()]});
    feed += &late.event("Delivery", "delivery", &detail);
    workspace.ingest(&feed);
}

fn imported_send_counts(workspace: &Workspace) {
    let counts = "from,to,attempts,account,region,identity\n\
        2026-11-17,2026-11-18,2000,123456789012,us-east-1,\n\
        2026-11-18,2026-11-19,1000,123456789012,us-east-1,\n\
        2026-11-19,2026-11-20,500,123456789012,us-east-1,\n";
    std::fs::write(workspace.path("counts.csv"), counts).unwrap();
    workspace.ingest(&bounces_only(60));
    let output = workspace.run("ingest send-counts:counts.csv --store STORE");
    assert_eq!(output.exit_code, 0, "{output:?}");
}

fn workmail(workspace: &Workspace) {
    let line = |number: usize, event: &Value| {
        let at = 1_795_132_800_000 - i64::try_from(number).unwrap() * 60_000;
        let message = json!({"traceId": format!("t{number}"), "event": event}).to_string();
        let events = [json!({"id": "1", "timestamp": at, "message": message})];
        let document = json!({"messageType": "DATA_MESSAGE", "owner": "444455556666",
            "logGroup": "/aws/workmail/emailevents/shop", "logStream": "s", "logEvents": events, "region": "eu-west-1"});
        format!("{document}\n")
    };
    let mut feed = String::new();
    for number in 1..1_100 {
        let to = format!("user{number}@example.org");
        feed += &line(
            number,
            &json!({"eventName": "OUTGOING_EMAIL_SUBMITTED", "recipients": [to], "from": "me@shop.example", "subject": "x"}),
        );
        feed += &if number % 15 == 0 {
            line(
                number,
                &json!({"eventName": "OUTGOING_EMAIL_BOUNCED",
                "bouncedRecipient": {"emailAddress": to, "reason": "it came back", "status": "5.1.1"}}),
            )
        } else {
            line(
                number,
                &json!({"eventName": "OUTGOING_EMAIL_SENT", "recipient": to, "from": "me@shop.example", "messageId": "<m@x>"}),
            )
        };
    }
    workspace.ingest(&feed);
}

fn two_accounts(workspace: &Workspace) {
    let mut feed = feed(1_100, 11, 0);
    for number in 0..1_100 {
        let mail = Mail { account: "999999999999", ..mail(number) };
        feed += &mail.send();
        feed += &if number % 8 == 0 { mail.bounce() } else { mail.delivery() };
    }
    workspace.ingest(&feed);
}

fn many_groups(workspace: &Workspace) {
    let mut feed = String::new();
    for number in 0..1_600 {
        let mail = Mail {
            identity: format!("identity{:03}.example", number % 400),
            domain: format!("domain{:03}.example", (number * 7) % 400),
            campaign: format!("campaign {:03}", (number * 3) % 400),
            ..mail(number)
        };
        feed += &mail.send();
        feed += &if number % 100 == 0 { mail.bounce() } else { mail.delivery() };
    }
    workspace.ingest(&feed);
}

fn hostile(workspace: &Workspace) {
    let mut feed = String::new();
    // the longest value of a tag
    let long = "x".repeat(256);
    for number in 0..1_200 {
        let text = HOSTILE.get(number % 9).copied().unwrap_or(&long);
        let mail = Mail {
            campaign: text.to_owned(),
            diagnostic: format!(
                "smtp; 550 5.1.1 {}",
                text.repeat(if number % 9 == 8 { 39 } else { 1 })
            ),
            ..mail(number)
        };
        feed += &mail.send();
        feed += &if number % 6 == 0 { mail.bounce() } else { mail.delivery() };
    }
    workspace.ingest(&feed);
}

/// Few bounces, but AWS has stopped a tenant, with a reason that breaks pages which do not escape it.
fn sending_stopped(workspace: &Workspace) {
    let event = json!({
        "id": "1f1c9f0e-7f0a-5d4b-8a3c-c7c1f2a8e001", "detail-type": "Sending Status Disabled", "source": "aws.ses",
        "account": "123456789012", "region": "us-east-1", "time": minutes_after_now(-90),
        "resources": ["arn:aws:ses:us-east-1:123456789012:tenant/shop/tn-1"],
        "detail": {"version": "1.0.0", "data": {"origin": "AWS_MANAGED", "record": {
            "status": "DISABLED", "cause": format!("High bounce rate {}", HOSTILE[0])}}},
    });
    workspace.ingest(&format!("{}{event}\n", feed(1_200, 12, 0)));
}

/// Fills the store of a state and writes its page; returns the HTML and the JSON document.
pub(crate) fn make(workspace: &Workspace, state: &State) -> (String, String) {
    (state.fill)(workspace);
    let at = if state.arguments.contains("--at") { String::new() } else { format!("--at {NOW}") };
    let every = if state.arguments.contains("--every") { "" } else { "--every 1d" };
    let arguments = format!(
        "page --store STORE {at} {every} {} --data data.json -o page.html",
        state.arguments
    );
    let output = workspace.run(&arguments);
    assert_eq!(output.exit_code, state.exit_code, "{}: {output:?}", state.name);
    assert_eq!(output.stdout, "", "{}", state.name);
    let read = |name: &str| std::fs::read_to_string(workspace.path(name)).unwrap();
    (read("page.html"), read("data.json"))
}
