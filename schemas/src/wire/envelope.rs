//! One reader for every object that may stand at the top: an event itself, or an envelope around one.
//!
//! The keys of the shapes do not clash, so an object is read once, into the union of them, and its shape is told
//! afterwards by which keys were there (facts 3). What is nested stays raw text until it is peeled.

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::wire::lenient::{List, Object, Put, Text, wire_object};
use crate::wire::ses::{Detail, Mail, Recipient};

/// A value that is kept as its JSON text: nested documents are read when they are peeled.
#[derive(Debug, Default, Clone, Copy)]
pub struct Raw<'a>(pub Option<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer)
            .map(|raw| Raw(Some(raw.get()).filter(|text| *text != "null")))
    }
}

impl Put for Raw<'_> {
    fn put(&mut self, value: Self) {
        if value.0.is_some() {
            *self = value;
        }
    }
}

wire_object! {
    /// The union of everything that may stand at the top.
    pub struct Envelope<'a> {
        // SES itself
        /// Type word of identity feedback.
        pub notification_type: Text<'a> = "notificationType",
        /// Type word of event publishing.
        pub event_type: Text<'a> = "eventType",
        /// The message.
        pub mail: Object<Mail<'a>> = "mail",
        /// Detail of a bounce.
        pub bounce: Object<Detail<'a>> = "bounce",
        /// Detail of a complaint.
        pub complaint: Object<Detail<'a>> = "complaint",
        /// Detail of a delivery.
        pub delivery: Object<Detail<'a>> = "delivery",
        /// Detail of a send; always empty.
        pub send: Object<Detail<'a>> = "send",
        /// Detail of a reject.
        pub reject: Object<Detail<'a>> = "reject",
        /// Detail of an open.
        pub open: Object<Detail<'a>> = "open",
        /// Detail of a click.
        pub click: Object<Detail<'a>> = "click",
        /// Detail of a rendering failure.
        pub failure: Object<Detail<'a>> = "failure",
        /// Detail of a delivery delay.
        pub delivery_delay: Object<Detail<'a>> = "deliveryDelay",
        /// Detail of a subscription.
        pub subscription: Object<Detail<'a>> = "subscription",
        // SNS
        /// `Notification`, `SubscriptionConfirmation`, `UnsubscribeConfirmation`.
        pub sns_type: Text<'a> = "Type",
        /// ARN of the topic.
        pub topic_arn: Text<'a> = "TopicArn",
        /// What was published: a string, or an object where somebody unpacked it.
        pub sns_message: Raw<'a> = "Message",
        /// When SNS took the message.
        pub sns_timestamp: Text<'a> = "Timestamp",
        // EventBridge
        /// What kind of event it says it carries.
        pub detail_type: Text<'a> = "detail-type",
        /// The service that wrote it.
        pub event_source: Text<'a> = "source",
        /// The account in which it happened.
        pub account: Text<'a> = "account",
        /// When it was written, to the second.
        pub time: Text<'a> = "time",
        /// The region in which it happened.
        pub region: Text<'a> = "region",
        /// The event.
        pub detail: Raw<'a> = "detail",
        // Lambda, S3 and Firehose records; messages as the AWS command line prints them
        /// Records of Lambda or of an S3 notification.
        pub records: List<Record<'a>> = "Records" | "records" | "Messages",
        /// The body of one SQS message.
        pub body: Raw<'a> = "body" | "Body",
        /// `s3:TestEvent`.
        pub test_event: Text<'a> = "Event",
        // CloudWatch Logs
        /// The wrapper that Lambda gets.
        pub aws_logs: Object<AwsLogs<'a>> = "awslogs",
        /// `DATA_MESSAGE` or `CONTROL_MESSAGE`.
        pub message_type: Text<'a> = "messageType",
        /// The account that owns the log group.
        pub owner: Text<'a> = "owner",
        /// The log events; `events` where the AWS command line lists them.
        pub log_events: List<LogEvent<'a>> = "logEvents" | "events",
        /// When a log event that stands alone was written; with an `@` as Logs Insights exports it.
        pub logged_at: Text<'a> = "timestamp" | "@timestamp",
        /// The line of a log event that stands alone.
        pub logged: Raw<'a> = "message" | "@message",
        /// `ACCOUNT:GROUP` of a log event that Logs Insights exports.
        pub logged_in: Text<'a> = "@log",
        /// Rows of a query of Logs Insights as the AWS command line lists them.
        pub results: List<List<QueryField<'a>>> = "results",
        // WorkMail
        /// One submission's trace.
        pub trace_id: Text<'a> = "traceId",
        /// The mail event.
        pub workmail: Object<WorkMailEvent<'a>> = "event",
    }
}

wire_object! {
    /// One record of Lambda, Kinesis, Firehose or S3.
    pub struct Record<'a> {
        /// An SQS message's body.
        pub body: Raw<'a> = "body" | "Body",
        /// An SNS message.
        pub sns: Raw<'a> = "Sns",
        /// A pointer to an S3 object.
        pub s3: Object<ObjectPointer<'a>> = "s3",
        /// What happened to the object: `ObjectCreated:Put`.
        pub event_name: Text<'a> = "eventName",
        /// The region in which it happened.
        pub region: Text<'a> = "awsRegion",
        /// A Kinesis record.
        pub kinesis: Object<AwsLogs<'a>> = "kinesis",
        /// A Firehose record's bytes in base64.
        pub data: Text<'a> = "data",
    }
}

wire_object! {
    /// A pointer to an S3 object, in a record of S3 or as the detail of an EventBridge event.
    pub struct ObjectPointer<'a> {
        /// The bucket.
        pub bucket: Object<BucketName<'a>> = "bucket",
        /// The object in it.
        pub object: Object<ObjectKey<'a>> = "object",
    }
}

wire_object! {
    /// A bucket.
    pub struct BucketName<'a> {
        /// Its name.
        pub name: Text<'a> = "name",
    }
}

wire_object! {
    /// An object in a bucket.
    pub struct ObjectKey<'a> {
        /// Its key: form-urlencoded in a record of S3, plain in EventBridge.
        pub key: Text<'a> = "key",
        /// Its bytes.
        pub size: Text<'a> = "size",
        /// Which of its versions, where the bucket keeps them.
        pub version: Text<'a> = "versionId" | "version-id",
    }
}

wire_object! {
    /// Bytes in base64, as CloudWatch Logs and Kinesis wrap them.
    pub struct AwsLogs<'a> {
        /// The bytes; those of CloudWatch Logs are gzip inside.
        pub data: Text<'a> = "data",
    }
}

wire_object! {
    /// One event of CloudWatch Logs.
    pub struct LogEvent<'a> {
        /// Epoch milliseconds.
        pub timestamp: Text<'a> = "timestamp",
        /// The line that was logged.
        pub message: Raw<'a> = "message",
    }
}

wire_object! {
    /// One field of one row that a query of Logs Insights found.
    pub struct QueryField<'a> {
        /// `@timestamp`, `@message`, ...
        pub field: Text<'a> = "field",
        /// What stands in it, always as text.
        pub value: Raw<'a> = "value",
    }
}

wire_object! {
    /// A WorkMail mail event (facts 4.3). The documents disagree on field names, so all of them are read.
    pub struct WorkMailEvent<'a> {
        /// `OUTGOING_EMAIL_SENT`, ...
        pub event_name: Text<'a> = "eventName",
        /// Id of the mail, where the event has one.
        pub message_id: Text<'a> = "messageId",
        /// The mail's own time; only received mail has it.
        pub message_timestamp: Text<'a> = "messageTimestamp",
        /// The recipient or recipients, under whichever name.
        pub recipients: List<Recipient<'a>> = "recipient" | "recipients" | "bouncedRecipient" | "destination",
        /// Who sent.
        pub from: Text<'a> = "from",
        /// On whose behalf.
        pub sender: Text<'a> = "sender",
        /// Why it bounced, where it stands beside the recipient.
        pub reason: Text<'a> = "reason",
        /// Its status, where it stands beside the recipient.
        pub status: Text<'a> = "status",
        /// The rule that was applied.
        pub rule_name: Text<'a> = "ruleName",
    }
}
