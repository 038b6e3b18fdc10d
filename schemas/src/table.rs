//! The event table and the quarantine table: columns, file names, footer keys, format version. `docs/src/format.md`
//! describes the format. These names are a contract with all readers of a store; columns are added, never renamed.

#![allow(clippy::doc_markdown, reason = "column docs are printed by `bouncewatch schema`")]

/// Version of the format. Each segment has it in its footer under [`VERSION_KEY`].
pub const FORMAT_VERSION: u32 = 2;
/// Footer key of the format version.
pub const VERSION_KEY: &str = "bouncewatch.format_version";
/// Footer key of the table of a segment: `events`, `quarantine` or `volumes`.
pub const TABLE_KEY: &str = "bouncewatch.table";
/// Footer key of a compacted segment: the names of the segments that it replaces, one per line.
pub const INPUTS_KEY: &str = "bouncewatch.inputs";
/// Footer key of a segment of the event table without copies: `true` if each (`message_key`, `event_key`) occurs once.
pub const UNIQUE_KEY: &str = "bouncewatch.unique";
/// Footer key of the checksum: `xxh3-64:` and 16 hex digits, over all bytes of the file except these digits.
pub const CHECKSUM_KEY: &str = "bouncewatch.checksum";
/// Footer key of the checksums of column chunks: a line per row group, 16 hex digits for each of its columns.
pub const CHUNKS_KEY: &str = "bouncewatch.chunks";
/// Footer key of the checksum of the footer: 16 hex digits, over all bytes of the footer except these digits and those of
/// [`CHECKSUM_KEY`].
pub const FOOTER_KEY: &str = "bouncewatch.footer";
/// Folder of the event table in a store.
pub const EVENTS: &str = "events";
/// Folder of the quarantine table in a store.
pub const QUARANTINE: &str = "quarantine";
/// Prefix of the folder of a day: `date=YYYY-MM-DD`.
pub const DATE_PREFIX: &str = "date=";
/// Suffix of a published segment. Other files, such as staged ones, are not segments.
pub const SEGMENT_SUFFIX: &str = ".parquet";

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8.
    Text,
    /// Milliseconds since 1970-01-01 UTC.
    Time,
    /// Signed integer of 32 bits.
    Int32,
    /// Signed integer of 64 bits.
    Int64,
    /// Hash of 64 bits, as a signed integer. Format version 1 stored it as an unsigned integer.
    Hash,
    /// Boolean.
    Bool,
    /// List of {key, value}.
    Tags,
    /// Bytes.
    Bytes,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub column_type: ColumnType,
    /// Whether it can be null.
    pub nullable: bool,
    /// Meaning, unit, allowed values.
    pub doc: &'static str,
}

/// Declares the columns of a table: a constant for each name, and the list of all columns.
macro_rules! columns {
    ($(#[$meta:meta])* $table:ident : $( $constant:ident = $name:literal $type:ident $null:ident $doc:literal ),* $(,)?) => {
        $( #[doc = $doc] pub const $constant: &str = $name; )*

        $(#[$meta])*
        pub const $table: &[Column] = &[
            $( Column {
                name: $name,
                column_type: ColumnType::$type,
                nullable: columns!(@$null),
                doc: $doc,
            } ),*
        ];
    };
    (@null) => { true };
    (@always) => { false };
}
pub(crate) use columns;

/// Tag of rows about the account: the party that changed the status, `AWS_MANAGED` or `CUSTOMER_MANAGED`.
pub const ORIGIN_TAG: &str = "ses:origin";
/// Tag of rows about the account: the impact of a finding, `LOW` or `HIGH`.
pub const IMPACT_TAG: &str = "ses:impact";
/// Tag of rows about the account: the type of a finding, `BOUNCE`, `COMPLAINT`, ...
pub const FINDING_TYPE_TAG: &str = "ses:finding-type";

columns! {
    /// The columns of the event table, in order.
    COLUMNS:
    KIND = "kind" Text always "kind of event: send, delivery, bounce, complaint, delivery_delay, reject, rendering_failure, open, click, subscription; about the account: sending_disabled, sending_enabled, sending_finding_open, sending_finding_resolved; WorkMail also: submission, incoming_bounce, received, mailbox_delivery, rule_applied, journaling, dmarc_policy",
    SERVICE = "service" Text always "service that reported the event: ses or workmail",
    CHANNEL = "channel" Text always "channel of the report: identity_feedback, event_publishing, event_bus or workmail_log",
    EVENT_AT = "event_at" Time always "time of the event: its own time, else sent_at, else the time of the envelope (then published_at is equal and sent_at null)",
    SENT_AT = "sent_at" Time null "time at which SES accepted the message",
    PUBLISHED_AT = "published_at" Time null "time at which SNS or EventBridge published the event; time of another envelope if the event has no time",
    RECEIVED_AT = "received_at" Time always "time at which bouncewatch received the event",
    MESSAGE_ID = "message_id" Text always "message ID of SES; WorkMail: trace ID",
    FEEDBACK_ID = "feedback_id" Text null "ID of the bounce or complaint report",
    RECIPIENT = "recipient" Text null "email address of the recipient, normalised, or its hash; null if the event has none",
    RECIPIENT_DOMAIN = "recipient_domain" Text null "domain of the recipient",
    PROVIDER = "provider" Text null "mailbox provider, by domain and remote server: gmail, microsoft, yahoo, apple, ...; other if unknown",
    SOURCE = "source" Text null "email address of the envelope sender, without display name",
    SOURCE_DOMAIN = "source_domain" Text null "domain of the envelope sender",
    IDENTITY = "identity" Text null "verified identity that sent",
    CONFIGURATION_SET = "configuration_set" Text null "configuration set named in the send request",
    ACCOUNT = "account" Text null "AWS account that sent, 12 digits",
    REGION = "region" Text null "AWS region that sent, such as eu-west-1",
    TENANT = "tenant" Text null "SES tenant",
    TAGS = "tags" Tags null "message tags, including those of SES (ses:...); a tag with several values has several entries",
    SOURCE_IP = "source_ip" Text null "IP address of the client that sent",
    OUTGOING_IP = "outgoing_ip" Text null "IP address from which SES sent",
    REMOTE_MTA = "remote_mta" Text null "IP address of the recipient's server",
    REPORTING_MTA = "reporting_mta" Text null "host name of the server that reported",
    BOUNCE_TYPE = "bounce_type" Text null "bounceType of SES, verbatim: Permanent, Transient, Undetermined",
    BOUNCE_SUBTYPE = "bounce_subtype" Text null "bounceSubType of SES, verbatim: General, Suppressed, MailboxFull, ...",
    COMPLAINT_TYPE = "complaint_type" Text null "complaintFeedbackType of SES, verbatim: abuse, not-spam, ...",
    COMPLAINT_SUBTYPE = "complaint_subtype" Text null "complaintSubType of SES, verbatim",
    DELAY_TYPE = "delay_type" Text null "delayType of SES, verbatim: MailboxFull, SpamDetected, ...",
    CLASS = "class" Text null "bounces only: hard, soft, undetermined, suppressed, auto_reply",
    COUNTS = "counts" Bool always "true if SES counts the row in its bounce rate (own domains are excluded later, by the reader)",
    SMTP_CODE = "smtp_code" Int32 null "SMTP reply code, 400 to 599 (RFC 5321)",
    ENHANCED_STATUS = "enhanced_status" Text null "enhanced status code such as 5.1.1 (RFC 3463)",
    DIAGNOSTIC = "diagnostic" Text null "reply of the remote server in one line, at most 8 KiB",
    CAUSE = "cause" Text null "bounces and delays: one of the 25 causes, by the rules of the version that ingested the row; null in rows of older versions",
    CAUSE_RULE = "cause_rule" Text null "ID of the rule that gave the cause; null if no rule matches",
    PROCESSING_MS = "processing_ms" Int64 null "deliveries: milliseconds from acceptance to delivery",
    EXPIRES_AT = "expires_at" Time null "delays: time at which SES stops trying",
    LINK = "link" Text null "clicks: the link; rule_applied: the rule",
    ORIGIN = "origin" Text always "file, object, queue or log group that the row came from",
    MESSAGE_KEY = "message_key" Hash always "hash of message_id",
    EVENT_KEY = "event_key" Hash always "with message_key: the identity of the event; copies of an event have equal keys",
    REPORTED_RECIPIENT = "reported_recipient" Text null "address that the report names, if it is not the address that was mailed, such as the target of a forwarding",
}

/// The columns of the quarantine table, in order.
pub const QUARANTINE_COLUMNS: &[Column] = &[
    Column {
        name: "id",
        column_type: ColumnType::Text,
        nullable: false,
        doc: "32 hex digits: hash of body and reason; a body that arrives again has the same ID",
    },
    Column {
        name: RECEIVED_AT,
        column_type: ColumnType::Time,
        nullable: false,
        doc: "time at which bouncewatch received the document",
    },
    Column {
        name: "reason",
        column_type: ColumnType::Text,
        nullable: false,
        doc: "reason for the quarantine",
    },
    Column {
        name: "detail",
        column_type: ColumnType::Text,
        nullable: true,
        doc: "details of the reason",
    },
    Column {
        name: ORIGIN,
        column_type: ColumnType::Text,
        nullable: false,
        doc: "file, object, queue or log group that the document came from",
    },
    Column {
        name: "body",
        column_type: ColumnType::Bytes,
        nullable: false,
        doc: "the document, unchanged",
    },
];
