//! The event table: its columns, its layout on disk and its version. The names here are a contract with everybody
//! who reads a store (design 3); columns are added, never renamed.

#![allow(clippy::doc_markdown, reason = "the docs of columns are printed as they are")]

/// Version of the format, written to each segment's footer under [`VERSION_KEY`].
pub const FORMAT_VERSION: u32 = 1;
/// Footer key of the format version.
pub const VERSION_KEY: &str = "bouncewatch.format_version";
/// Footer key that tells which table a segment belongs to: `events`, `quarantine` or `volumes`.
pub const TABLE_KEY: &str = "bouncewatch.table";
/// Footer key of a segment that was made of others: the names of the segments of its day that it replaces, a line each.
pub const INPUTS_KEY: &str = "bouncewatch.inputs";
/// Footer key of a segment of the event table in which every (`message_key`, `event_key`) stands once: `true`.
pub const UNIQUE_KEY: &str = "bouncewatch.unique";
/// Folder of the event table below a store.
pub const EVENTS: &str = "events";
/// Folder of the quarantine table below a store.
pub const QUARANTINE: &str = "quarantine";
/// Folders of a table are named `date=YYYY-MM-DD`.
pub const DATE_PREFIX: &str = "date=";
/// Ending of a published segment. What does not end so (a staged file, say) is no segment.
pub const SEGMENT_SUFFIX: &str = ".parquet";

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8.
    Text,
    /// Milliseconds since 1970, UTC.
    Time,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A hash.
    Hash,
    /// True or false.
    Bool,
    /// A list of {key, value}.
    Tags,
    /// Bytes as they came.
    Bytes,
}

/// A column and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// How it is stored.
    pub column_type: ColumnType,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it means, with its unit.
    pub doc: &'static str,
}

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

columns! {
    /// The columns of the event table, in order.
    COLUMNS:
    KIND = "kind" Text always "what happened: send, delivery, bounce, complaint, delivery_delay, ...",
    SERVICE = "service" Text always "ses or workmail",
    CHANNEL = "channel" Text always "identity_feedback, event_publishing or workmail_log",
    EVENT_AT = "event_at" Time always "when it happened: the detail's own time, else sent_at",
    SENT_AT = "sent_at" Time null "when SES accepted the message",
    PUBLISHED_AT = "published_at" Time null "when SNS or EventBridge passed the event on",
    RECEIVED_AT = "received_at" Time always "when bouncewatch took it",
    MESSAGE_ID = "message_id" Text always "SES's id of the message (WorkMail: the trace id)",
    FEEDBACK_ID = "feedback_id" Text null "id of the bounce or complaint report",
    RECIPIENT = "recipient" Text null "address, normalised; null where the event has none",
    RECIPIENT_DOMAIN = "recipient_domain" Text null "domain of the recipient",
    PROVIDER = "provider" Text null "mailbox provider by domain and remote server; `other` where not known",
    SOURCE = "source" Text null "envelope sender, without display name",
    SOURCE_DOMAIN = "source_domain" Text null "domain of the sender",
    IDENTITY = "identity" Text null "verified identity that was used",
    CONFIGURATION_SET = "configuration_set" Text null "configuration set named at send time",
    ACCOUNT = "account" Text null "account that sent, 12 digits",
    REGION = "region" Text null "region that sent",
    TENANT = "tenant" Text null "SES tenant",
    TAGS = "tags" Tags null "all message tags; a tag with several values stands several times",
    SOURCE_IP = "source_ip" Text null "address of the client that sent",
    OUTGOING_IP = "outgoing_ip" Text null "address from which SES sent",
    REMOTE_MTA = "remote_mta" Text null "address of the recipient's server",
    REPORTING_MTA = "reporting_mta" Text null "server that reported",
    BOUNCE_TYPE = "bounce_type" Text null "SES's word, verbatim",
    BOUNCE_SUBTYPE = "bounce_subtype" Text null "SES's word, verbatim",
    COMPLAINT_TYPE = "complaint_type" Text null "complaintFeedbackType, verbatim",
    COMPLAINT_SUBTYPE = "complaint_subtype" Text null "complaintSubType, verbatim",
    DELAY_TYPE = "delay_type" Text null "SES's word, verbatim",
    CLASS = "class" Text null "bounces only: hard, soft, undetermined, suppressed, auto_reply",
    COUNTS = "counts" Bool always "whether it enters SES's own bounce rate",
    SMTP_CODE = "smtp_code" Int32 null "reply code, 400 to 599 (RFC 5321)",
    ENHANCED_STATUS = "enhanced_status" Text null "enhanced status code (RFC 3463)",
    DIAGNOSTIC = "diagnostic" Text null "the remote server's words in one line",
    CAUSE = "cause" Text null "bounces and delays: why, as the rules of that day told; null in what older versions stored",
    CAUSE_RULE = "cause_rule" Text null "the rule that told the cause; null where none knew the text",
    PROCESSING_MS = "processing_ms" Int64 null "milliseconds from acceptance to hand-over",
    EXPIRES_AT = "expires_at" Time null "when SES stops trying",
    LINK = "link" Text null "link that was clicked, rule that was applied",
    ORIGIN = "origin" Text always "file or queue it came from",
    MESSAGE_KEY = "message_key" Hash always "hash of the message id",
    EVENT_KEY = "event_key" Hash always "with message_key the identity of the event: copies share both",
}

/// The columns of the quarantine table, in order.
pub const QUARANTINE_COLUMNS: &[Column] = &[
    Column {
        name: "id",
        column_type: ColumnType::Text,
        nullable: false,
        doc: "hash of body and reason: a body that comes again has the same id",
    },
    Column {
        name: RECEIVED_AT,
        column_type: ColumnType::Time,
        nullable: false,
        doc: "when bouncewatch took it",
    },
    Column {
        name: "reason",
        column_type: ColumnType::Text,
        nullable: false,
        doc: "why it could not be stored",
    },
    Column {
        name: "detail",
        column_type: ColumnType::Text,
        nullable: true,
        doc: "what exactly was wrong",
    },
    Column {
        name: ORIGIN,
        column_type: ColumnType::Text,
        nullable: false,
        doc: "file or queue it came from",
    },
    Column {
        name: "body",
        column_type: ColumnType::Bytes,
        nullable: false,
        doc: "the bytes, as they came",
    },
];
