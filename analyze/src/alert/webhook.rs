//! Webhook channel: posts messages to Slack, Microsoft Teams, Discord, or another HTTPS endpoint.
//!
//! The URL of an incoming webhook is a secret, because it grants the right to post. Errors and
//! debug output do not contain it.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use bouncewatch_schemas::level::AlertLevel;
use bouncewatch_schemas::text::{error_chain, hex_digits};
use bouncewatch_schemas::text_enum;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::alert::message::Message;

/// Time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Header with the time and the signature of a request.
pub const SIGNATURE_HEADER: &str = "Bouncewatch-Signature";
/// Maximum length of the text of a message, in characters. Limits: 4,000 for Slack (recommended),
/// 4,096 for the description of an embed of Discord.
const TEXT_CHARS_MAX: usize = 3_500;
/// Maximum number of lines of a card of Teams; the limit of a message is 28 KB.
const CARD_LINES_MAX: usize = 60;
/// Maximum length of a response in an error, in characters.
const RESPONSE_CHARS_MAX: usize = 200;

text_enum! {
    /// Message format of an endpoint.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    WebhookFormat {
        /// Incoming webhook of Slack.
        Slack = "slack",
        /// Workflow of Microsoft Teams that posts a card.
        Teams = "teams",
        /// Webhook of Discord.
        Discord = "discord",
        /// The JSON of the message, for other endpoints.
        Json = "json",
    }
}

/// An endpoint to which messages are posted.
#[derive(Clone)]
pub struct Webhook {
    /// Name in the alert state.
    pub name: String,
    /// Message format of the endpoint.
    pub format: WebhookFormat,
    url: Url,
    /// Key of the signature of each request.
    key: Option<hmac::Key>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, format, .. } = self;
        out.debug_struct("Webhook")
            .field("name", name)
            .field("format", format)
            .finish_non_exhaustive()
    }
}

/// A message could not be posted.
#[derive(Debug, thiserror::Error)]
#[error("could not post to the webhook {name}: {why}")]
pub struct WebhookError {
    name: String,
    why: String,
}

/// The URL of a webhook cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the URL must start with https:// (http:// only for this machine)")]
pub struct InvalidUrl;

impl Webhook {
    /// Returns a webhook. With a secret, each request is signed.
    ///
    /// # Errors
    /// If the URL is not HTTPS. A server on this machine may use HTTP.
    pub fn new(
        name: String,
        format: WebhookFormat,
        url: &str,
        secret: Option<&str>,
    ) -> Result<Self, InvalidUrl> {
        let url = Url::parse(url.trim()).map_err(|_| InvalidUrl)?;
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
            return Err(InvalidUrl);
        }
        let key = |secret: &str| hmac::Key::new(hmac::HMAC_SHA256, secret.trim().as_bytes());
        Ok(Self { name, format, url, key: secret.map(key) })
    }

    /// Posts a message. `at` is the time in the signature, milliseconds since 1970.
    ///
    /// # Errors
    /// If the endpoint cannot be reached, or answers with another status than 2xx. A redirect is not followed.
    pub async fn post(&self, message: &Message, at: i64) -> Result<(), WebhookError> {
        self.request(message, at).await.map_err(|why| WebhookError { name: self.name.clone(), why })
    }

    async fn request(&self, message: &Message, at: i64) -> Result<(), String> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(without_url)?;
        let body = body(self.format, message);
        let mut request = client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(SIGNATURE_HEADER, signature(key, at.div_euclid(1_000), &body));
        }
        let response = request.body(body).send().await.map_err(without_url)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let text = response.text().await.unwrap_or_default().replace(self.url.as_str(), "URL");
        let text: String = text.chars().take(RESPONSE_CHARS_MAX).collect();
        Err(format!("{status} {}\n  hint: {}", text.trim(), hint(status.as_u16())))
    }
}

/// The causes of an error of the client, without the URL.
fn without_url(error: reqwest::Error) -> String {
    error_chain(&error.without_url())
}

fn hint(status: u16) -> &'static str {
    match status {
        301..=308 => "the endpoint redirects: use the URL of its target",
        401 | 403 | 404 | 410 => {
            "the webhook was removed or its URL is incomplete: create a new one and store its URL"
        }
        429 => "too many requests: reduce the number of groups with alerts (`by` in the settings)",
        500.. => "the endpoint reports a server error",
        _ => "check that `format` in [[alert.webhook]] matches the endpoint",
    }
}

/// Returns the value of [`SIGNATURE_HEADER`]: `t=SECONDS,v1=HEX`, an HMAC-SHA256 of `SECONDS.BODY`.
fn signature(key: &hmac::Key, seconds: i64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{seconds}.{body}").as_bytes());
    let hex: String = hex_digits(tag.as_ref()).collect();
    format!("t={seconds},v1={hex}")
}

/// Returns the body of a request. Text is literal: markup in names of groups or in replies of
/// servers has no effect.
fn body(format: WebhookFormat, message: &Message) -> String {
    match format {
        WebhookFormat::Json => message.json.clone(),
        WebhookFormat::Slack => slack(message).to_string(),
        WebhookFormat::Teams => teams(message).to_string(),
        WebhookFormat::Discord => discord(message).to_string(),
    }
}

/// Returns a text as a code block, shortened. Links are not active in a code block, so callers add
/// the link to the page outside of it.
fn code_block(text: &str) -> String {
    let text = text.replace("```", "\'\'\'");
    let mut shown: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.truncate(shown.rfind('\n').unwrap_or(shown.len()));
        shown.push_str("\n... shortened");
    }
    format!("```\n{}\n```", shown.trim_end())
}

/// The JSON of an incoming webhook of Slack (Slack developer docs, "Sending messages using incoming webhooks").
fn slack(message: &Message) -> Value {
    // the three characters that control the formatting of text
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page =
        message.page.as_ref().map_or_else(String::new, |page| format!("\n{}", escaped(page)));
    json!({"text": format!("{}{page}", escaped(&code_block(&message.text)))})
}

/// The JSON of a webhook of Discord (Discord developer docs, "Execute Webhook"), without mentions.
fn discord(message: &Message) -> Value {
    let mut embed =
        json!({"description": code_block(&message.text), "color": color(message.level)});
    if let Some(page) = &message.page {
        embed["title"] = json!("Open the page");
        embed["url"] = json!(page);
    }
    let content = format!("bouncewatch: {}", message.level.as_upper());
    json!({"content": content, "embeds": [embed], "allowed_mentions": {"parse": []}})
}

fn color(level: AlertLevel) -> u32 {
    match level {
        AlertLevel::Ok => 0x2e_7d32,
        AlertLevel::Unknown => 0x6a_1b9a,
        AlertLevel::Warning => 0xf9_a825,
        AlertLevel::Critical => 0xc6_2828,
    }
}

/// The JSON of a workflow of Teams that posts a card ("Create incoming webhooks with Workflows",
/// Adaptive Cards 1.4). Text runs, unlike text blocks, do not interpret markup.
fn teams(message: &Message) -> Value {
    let line = |text: &str, weight: &str| {
        json!({"type": "RichTextBlock", "spacing": "None", "inlines": [
            {"type": "TextRun", "text": text, "fontType": "Monospace", "size": "Small", "weight": weight},
        ]})
    };
    let lines = message.text.lines();
    let mut body: Vec<Value> = lines
        .enumerate()
        .map(|(at, text)| {
            // Teams does not show an empty text run
            let text = if text.is_empty() { " " } else { text };
            line(text, if at == 0 { "Bolder" } else { "Default" })
        })
        .take(CARD_LINES_MAX)
        .collect();
    if message.text.lines().count() > CARD_LINES_MAX {
        body.push(line("... shortened", "Default"));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard", "version": "1.4", "msteams": {"width": "Full"}, "body": body,
    });
    if let Some(page) = &message.page {
        card["actions"] =
            json!([{"type": "Action.OpenUrl", "title": "Open the page", "url": page}]);
    }
    let content_type = "application/vnd.microsoft.card.adaptive";
    json!({"type": "message", "attachments": [{"contentType": content_type, "content": card}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, page: Option<&str>) -> Message {
        Message {
            level: AlertLevel::Critical,
            id: "1".to_owned(),
            subject: "SES CRITICAL".to_owned(),
            text: text.to_owned(),
            json: r#"{"a":1}"#.to_owned(),
            attributes: Vec::new(),
            page: page.map(str::to_owned),
        }
    }

    #[test]
    fn markup_in_texts_has_no_effect() {
        let hostile = "CRITICAL: <!channel> <https://evil.example|click> & @everyone [x](https://evil.example)\n```\n*a*";
        let message = message(hostile, None);
        let slack: Value = serde_json::from_str(&body(WebhookFormat::Slack, &message)).unwrap();
        let text = slack["text"].as_str().unwrap();
        assert!(!text.contains(['<', '>']), "{text}");
        assert!(text.contains("&lt;!channel&gt;") && text.contains(" &amp; "), "{text}");
        assert_eq!(text.matches("```").count(), 2, "{text}");
        let discord: Value = serde_json::from_str(&body(WebhookFormat::Discord, &message)).unwrap();
        assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
        assert_eq!(discord["content"], "bouncewatch: CRITICAL");
        let text = discord["embeds"][0]["description"].as_str().unwrap();
        assert!(text.starts_with("```\nCRITICAL") && text.ends_with("\n```"), "{text}");
        assert_eq!(text.matches("```").count(), 2, "{text}");
        let teams: Value = serde_json::from_str(&body(WebhookFormat::Teams, &message)).unwrap();
        let card = &teams["attachments"][0]["content"];
        for block in card["body"].as_array().unwrap() {
            assert_eq!(
                (&block["type"], &block["inlines"][0]["type"]),
                (&json!("RichTextBlock"), &json!("TextRun"))
            );
        }
        assert_eq!(card["body"][0]["inlines"][0]["text"], hostile.lines().next().unwrap());
        assert_eq!(body(WebhookFormat::Json, &message), r#"{"a":1}"#);
    }

    #[test]
    fn long_texts_are_shortened_to_what_the_services_accept() {
        let long = "a line with é\n".repeat(2_000);
        for (format, bytes_max) in [
            (WebhookFormat::Slack, 5_000),
            (WebhookFormat::Discord, 5_000),
            (WebhookFormat::Teams, 28_000),
        ] {
            let body = body(format, &message(&long, Some("https://status.example.com/page.html")));
            assert!(body.len() < bytes_max, "{format:?}: {}", body.len());
            assert!(body.contains("... shortened"), "{format:?}: {body}");
            assert!(body.contains("https://status.example.com/page.html"), "{format:?}: {body}");
        }
        let discord = discord(&message(&long, None));
        assert!(discord["embeds"][0]["description"].as_str().unwrap().chars().count() <= 4_096);
    }

    #[test]
    fn signature_is_an_hmac_of_time_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        assert_eq!(
            signature(&key, 1_700_000_000, r#"{"a":1}"#),
            "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
        );
    }

    #[test]
    fn url_must_be_https_and_is_not_shown() {
        let webhook = |url: &str| Webhook::new("ops".to_owned(), WebhookFormat::Slack, url, None);
        for url in ["", "hooks.example.com/a", "http://hooks.example.com/a", "file:///etc/passwd"] {
            assert_eq!(webhook(url).unwrap_err(), InvalidUrl, "{url}");
        }
        assert!(webhook("http://127.0.0.1:8080/a").is_ok());
        let webhook = webhook(" https://hooks.example.com/T0/secret-part\n").unwrap();
        assert_eq!(format!("{webhook:?}"), r#"Webhook { name: "ops", format: Slack, .. }"#);
    }
}
