//! The top level of a document: an event, or an envelope around one (SNS, EventBridge, Lambda, Kinesis, Firehose, S3
//! notification, CloudWatch Logs, output of the AWS CLI).
//!
//! The keys of these shapes do not conflict. So a document is read once, into the union of all shapes, and the keys
//! that are present determine the shape. Nested documents stay raw text until they are unwrapped.

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::wire::lenient::{List, MergeField, Object, Text, TextOrObject, wire_object};
use crate::wire::ses::{Detail, Mail, Recipient};

/// A value as its JSON text, for a nested document; `None` for `null`.
#[derive(Debug, Default, Clone, Copy)]
pub struct RawJson<'a>(pub Option<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for RawJson<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer)
            .map(|raw| RawJson(Some(raw.get()).filter(|text| *text != "null")))
    }
}

impl MergeField for RawJson<'_> {
    fn merge(&mut self, value: Self) {
        if value.0.is_some() {
            *self = value;
        }
    }
    fn is_missing(&self) -> bool {
        self.0.is_none()
    }
}

wire_object! {
    /// The union of all shapes of the top level.
    pub struct Envelope<'a> {
        // SES itself
        /// Event type in identity feedback.
        pub notification_type: Text<'a> = "notificationType",
        /// Event type in event publishing.
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
        // SNS and single log events
        /// `Notification`, `SubscriptionConfirmation`, `UnsubscribeConfirmation`; `platform.start`, ... in a log of
        /// Lambda.
        pub type_name: Text<'a> = "Type",
        /// ARN of the topic.
        pub topic_arn: Text<'a> = "TopicArn",
        /// The message of a topic (a string, or an object if a relay parsed it), or a log line.
        pub message: RawJson<'a> = "Message" | "message" | "@message",
        /// Time of the message.
        pub timestamp: Text<'a> = "Timestamp" | "timestamp" | "@timestamp" | "@t" | "__REALTIME_TIMESTAMP",
        /// `ACCOUNT:GROUP` of a log event in an export of Logs Insights.
        pub log_group: Text<'a> = "@log",
        // EventBridge
        /// ID of the event.
        pub id: Text<'a> = "id",
        /// ARNs that the event is about.
        pub resources: List<Text<'a>> = "resources",
        /// Type of the event, e.g. `Email Bounced`.
        pub detail_type: Text<'a> = "detail-type",
        /// The source service, e.g. `aws.ses`.
        pub event_source: Text<'a> = "source",
        /// The AWS account of the event.
        pub account: Text<'a> = "account",
        /// Time of the event, in seconds.
        pub time: Text<'a> = "time",
        /// The AWS region of the event.
        pub region: Text<'a> = "region",
        /// The event.
        pub detail: RawJson<'a> = "detail",
        // records of Lambda, S3 and Firehose; messages in the output of the AWS CLI
        /// Records of Lambda or of an S3 notification.
        pub records: List<Record<'a>> = "Records" | "records" | "Messages",
        /// The body of one SQS message.
        pub body: RawJson<'a> = "body" | "Body",
        /// A record of mail that SES received, or an event.
        pub ses: RawJson<'a> = "ses",
        // CloudWatch Logs
        /// The wrapper of a Lambda subscription.
        pub aws_logs: Object<Base64Data<'a>> = "awslogs",
        /// `DATA_MESSAGE` or `CONTROL_MESSAGE`.
        pub message_type: Text<'a> = "messageType",
        /// The account that owns the log group.
        pub owner: Text<'a> = "owner",
        /// The log events; `events` in the output of the AWS CLI.
        pub log_events: List<LogEvent<'a>> = "logEvents" | "events",
        /// Result rows of a Logs Insights query in the output of the AWS CLI.
        pub results: List<List<QueryField<'a>>> = "results",
        // WorkMail
        /// Trace ID of a submission.
        pub trace_id: Text<'a> = "traceId",
        /// The mail event; the text `s3:TestEvent` in a test of S3.
        pub event: TextOrObject<'a, WorkMailEvent<'a>> = "event" | "Event",
        /// Version of a message-flow event of WorkMail.
        pub summary_version: Text<'a> = "summaryVersion",
        // containers without facts of their own
        /// The document or documents in a container: records that Firehose could not deliver, destinations of Lambda,
        /// logs of EventBridge Pipes and Docker, `CloudEvents`, exports of `OpenSearch` and `DynamoDB`, Kinesis records of a pipe.
        pub content: RawJson<'a> = "rawData" | "requestPayload" | "payload" | "log" | "record" | "_source" | "hits"
            | "Item" | "Items" | "dynamodb" | "NewImage" | "data" | "data_base64" | "Sns" | "kinesis",
        /// Time at which Firehose, Kinesis, `DynamoDB` or Fluent Bit received the record.
        pub arrival_time: Text<'a> = "arrivalTimestamp" | "approximateArrivalTimestamp"
            | "ApproximateArrivalTimestamp" | "ApproximateCreationDateTime" | "date",
    }
    unread "version" | "MessageId" | "SignatureVersion" | "Signature" | "SigningCertURL"
        | "SigningCertUrl" | "UnsubscribeURL" | "UnsubscribeUrl" | "logGroup" | "logStream" | "subscriptionFilters"
}

wire_object! {
    /// A record of mail that SES received.
    pub struct InboundMail<'a> {
        /// What SES found in the message.
        pub receipt: RawJson<'a> = "receipt",
    }
}

wire_object! {
    /// A record of Lambda, Kinesis, Firehose or S3.
    pub struct Record<'a> {
        /// Body of an SQS message.
        pub body: RawJson<'a> = "body" | "Body",
        /// An SNS message.
        pub sns: RawJson<'a> = "Sns",
        /// A pointer to an S3 object.
        pub s3: Object<ObjectPointer<'a>> = "s3",
        /// Type of the S3 event: `ObjectCreated:Put`, ...
        pub event_name: Text<'a> = "eventName",
        /// The AWS region.
        pub region: Text<'a> = "awsRegion",
        /// A Kinesis record.
        pub kinesis: Object<Base64Data<'a>> = "kinesis",
        /// Content of a record of Firehose, Kinesis, Kafka or `RabbitMQ`, in base64.
        pub data: Text<'a> = "data" | "Data" | "value",
        /// Time at which Firehose, Kinesis or Kafka received it.
        pub arrival_time: Text<'a> = "approximateArrivalTimestamp" | "ApproximateArrivalTimestamp" | "timestamp",
        /// A change of a `DynamoDB` table.
        pub dynamodb: RawJson<'a> = "dynamodb",
        /// A record of mail that SES received, or an event.
        pub ses: RawJson<'a> = "ses",
        /// Attributes of an SQS message.
        pub attributes: Object<MessageAttributes<'a>> = "attributes",
    }
    unread "messageId" | "receiptHandle" | "messageAttributes" | "md5OfBody" | "eventSource" | "eventSourceARN"
        | "EventSource" | "EventVersion" | "EventSubscriptionArn"
}

wire_object! {
    /// Messages of Kafka or `RabbitMQ` that Lambda received.
    pub struct RecordsByQueue<'a> {
        /// An object with a list of records for each topic or queue.
        pub lists: RawJson<'a> = "records" | "rmqMessagesByQueue",
    }
}

wire_object! {
    /// An action line of the bulk API of `OpenSearch`.
    pub struct BulkAction<'a> {
        /// Adds or replaces a document.
        pub index: Object<BulkTarget<'a>> = "index",
        /// Adds a document.
        pub create: Object<BulkTarget<'a>> = "create",
        /// Changes a document.
        pub update: Object<BulkTarget<'a>> = "update",
        /// Deletes a document.
        pub delete: Object<BulkTarget<'a>> = "delete",
    }
}

wire_object! {
    /// The document of an action of the bulk API.
    pub struct BulkTarget<'a> {
        /// Name of the index.
        pub index: Text<'a> = "_index",
        /// ID of the document.
        pub id: Text<'a> = "_id",
    }
}

wire_object! {
    /// Attributes of an SQS message.
    pub struct MessageAttributes<'a> {
        /// Time at which the message was sent to the queue, milliseconds since 1970-01-01 UTC.
        pub sent_timestamp: Text<'a> = "SentTimestamp",
    }
    unread "ApproximateReceiveCount" | "SenderId" | "ApproximateFirstReceiveTimestamp"
}

wire_object! {
    /// A pointer to an S3 object: in an S3 record, or the detail of an EventBridge event.
    pub struct ObjectPointer<'a> {
        /// The bucket.
        pub bucket: Object<BucketName<'a>> = "bucket",
        /// The object in it.
        pub object: Object<ObjectKey<'a>> = "object",
    }
}

wire_object! {
    /// An S3 bucket.
    pub struct BucketName<'a> {
        /// Name.
        pub name: Text<'a> = "name",
    }
}

wire_object! {
    /// An object in an S3 bucket.
    pub struct ObjectKey<'a> {
        /// Key: form-urlencoded in an S3 record, plain in EventBridge.
        pub key: Text<'a> = "key",
        /// Size in bytes.
        pub size: Text<'a> = "size",
        /// Version ID, if the bucket has versioning.
        pub version: Text<'a> = "versionId" | "version-id",
    }
}

wire_object! {
    /// Base64 data in a wrapper of CloudWatch Logs or Kinesis.
    pub struct Base64Data<'a> {
        /// The data, in base64; compressed with gzip in CloudWatch Logs.
        pub data: Text<'a> = "data",
        /// Time at which Kinesis received the record, in seconds.
        pub arrival_time: Text<'a> = "approximateArrivalTimestamp",
    }
}

wire_object! {
    /// A log event of CloudWatch Logs.
    pub struct LogEvent<'a> {
        /// Milliseconds since 1970-01-01 UTC.
        pub timestamp: Text<'a> = "timestamp",
        /// The log line.
        pub message: RawJson<'a> = "message",
    }
    unread "id" | "eventId" | "logStreamName" | "ingestionTime"
}

wire_object! {
    /// A field of a result row of a Logs Insights query.
    pub struct QueryField<'a> {
        /// Name: `@timestamp`, `@message`, ...
        pub field: Text<'a> = "field",
        /// Value, always as text.
        pub value: RawJson<'a> = "value",
    }
}

wire_object! {
    /// A WorkMail mail event. The WorkMail documentation has several names for some fields; all of them are read.
    pub struct WorkMailEvent<'a> {
        /// `OUTGOING_EMAIL_SENT`, ...
        pub event_name: Text<'a> = "eventName",
        /// Message ID; not present in all events.
        pub message_id: Text<'a> = "messageId",
        /// Time of the message; only present for received messages.
        pub message_timestamp: Text<'a> = "messageTimestamp",
        /// The recipient or recipients.
        pub recipients: List<Recipient<'a>> = "recipient" | "recipients" | "bouncedRecipient" | "destination",
        /// The From address.
        pub from: Text<'a> = "from",
        /// The Sender address.
        pub sender: Text<'a> = "sender",
        /// Bounce reason, if it is not part of the recipient.
        pub reason: Text<'a> = "reason",
        /// Bounce status, if it is not part of the recipient.
        pub status: Text<'a> = "status",
        /// Name of the applied rule.
        pub rule_name: Text<'a> = "ruleName",
        /// The line that Logstash or a pipeline of Elasticsearch parsed; not of WorkMail.
        pub original: RawJson<'a> = "original",
    }
}
