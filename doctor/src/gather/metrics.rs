//! Metrics of CloudWatch: one call for reputation and for the counts on the path of events.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, StatusCode,
};
use aws_smithy_types::DateTime;
use bouncewatch_schemas::time::DAY_MS;

use crate::gather::action::Action;
use crate::gather::call::{Caller, Progress, time};
use crate::gather::regions::AwsResource;
use crate::snapshot::Snapshot;
use crate::snapshot::metrics::{MetricPoint, Metrics, QueueFlow, TopicFlow};
use crate::snapshot::part::{CallFailure, Part};
use crate::snapshot::time::Time;

const HOUR_SECS: i32 = 3_600;
const FIVE_MINUTES_SECS: i32 = 300;
/// Reputation is published rarely.
const DAYS: i64 = 7;
/// Queries per call at most (the limit is 500).
const QUERIES_MAX: usize = 400;

/// A metric to ask for: namespace, name, dimension, statistic and period.
struct Series<'a> {
    namespace: &'static str,
    name: &'static str,
    dimension: Option<(&'static str, &'a str)>,
    statistic: &'static str,
    period_secs: i32,
}

/// Points of a metric, newest first.
type Points = Vec<MetricPoint>;

/// Reads metrics of topics and queues of the region.
pub(super) async fn metrics(
    config: &SdkConfig,
    snapshot: &Snapshot,
    caller: &mut Caller<'_>,
) -> Part<Metrics> {
    let name_here = |arn: &String| {
        let resource = AwsResource::of_arn(arn)?;
        // CloudWatch has the metrics of this account and region
        let is_own = snapshot.account_id.value().is_none_or(|own| *own == resource.account);
        (resource.region == snapshot.region && is_own).then_some(resource.name)
    };
    let topics: Vec<String> = snapshot.topics.keys().filter_map(name_here).collect();
    let queues: Vec<String> = snapshot.queues.keys().filter_map(name_here).collect();
    let client = Client::new(config);
    let mut points = Vec::new();
    for batch in series(&topics, &queues).chunks(QUERIES_MAX) {
        match read(&client, batch, snapshot.taken_at, caller).await {
            Part::Value(found) => points.extend(found),
            other => return other.map(|_| Metrics::default()),
        }
    }
    Part::Value(converted(points, topics, queues, snapshot.taken_at))
}

/// Reads the newest bounce rate that SES published in the region of the settings; `None` inside if there is none in the
/// week before `now`.
pub async fn bounce_rate(config: &SdkConfig, now: Time) -> Part<Option<MetricPoint>> {
    let mut ignore = |_: &Progress<'_>| {};
    let caller = &mut Caller::new(Duration::ZERO, &mut ignore);
    let all = series(&[], &[]);
    let points = read(&Client::new(config), all.get(..1).unwrap_or_default(), now, caller).await;
    points.map(|points| newest(points.into_iter().next()))
}

const TOPIC_METRICS: [&str; 4] = [
    "NumberOfMessagesPublished",
    "NumberOfNotificationsDelivered",
    "NumberOfNotificationsFailed",
    "NumberOfNotificationsFilteredOut",
];
const QUEUE_METRICS: [&str; 3] =
    ["NumberOfMessagesSent", "NumberOfMessagesReceived", "NumberOfMessagesDeleted"];

/// All metrics in the order in which [`converted`] takes their points.
fn series<'a>(topics: &'a [String], queues: &'a [String]) -> Vec<Series<'a>> {
    let of_account = |name, statistic| Series {
        namespace: "AWS/SES",
        name,
        dimension: None,
        statistic,
        period_secs: HOUR_SECS,
    };
    let mut series = vec![
        of_account("Reputation.BounceRate", "Average"),
        of_account("Reputation.ComplaintRate", "Average"),
        of_account("Send", "Sum"),
    ];
    let sum = |namespace, name, dimension| Series {
        namespace,
        name,
        dimension: Some(dimension),
        statistic: "Sum",
        period_secs: HOUR_SECS,
    };
    for topic in topics {
        let topic = ("TopicName", topic.as_str());
        series.extend(TOPIC_METRICS.map(|name| sum("AWS/SNS", name, topic)));
    }
    for queue in queues {
        let queue = ("QueueName", queue.as_str());
        series.extend(QUEUE_METRICS.map(|name| sum("AWS/SQS", name, queue)));
        series.push(Series {
            statistic: "Maximum",
            period_secs: FIVE_MINUTES_SECS,
            ..sum("AWS/SQS", "ApproximateAgeOfOldestMessage", queue)
        });
    }
    series
}

async fn read(
    client: &Client,
    series: &[Series<'_>],
    now: Time,
    caller: &mut Caller<'_>,
) -> Part<Vec<Points>> {
    let queries: Vec<MetricDataQuery> = series.iter().enumerate().map(query).collect();
    let page = |token| {
        client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            .start_time(DateTime::from_millis(now.0 - DAYS * DAY_MS))
            .end_time(DateTime::from_millis(now.0))
            .set_next_token(token)
            .send()
    };
    let results = caller
        .list(Action::CloudWatchGetMetricData, "", page, |response| {
            (response.metric_data_results.unwrap_or_default(), response.next_token)
        })
        .await;
    if let Some(status) = results.value().and_then(|results| results.iter().find_map(failed)) {
        let action = Action::CloudWatchGetMetricData.as_str().to_owned();
        return Part::Error(CallFailure { action, message: format!("StatusCode {status}") });
    }
    results.map(|results| {
        // a metric can be on several pages
        let mut by_id: BTreeMap<&str, Points> = BTreeMap::new();
        for result in &results {
            by_id.entry(result.id().unwrap_or_default()).or_default().extend(points_of(result));
        }
        let taken = (0..series.len()).map(|at| {
            let mut points = by_id.remove(id(at).as_str()).unwrap_or_default();
            points.sort_by_key(|point| std::cmp::Reverse(point.at));
            points
        });
        taken.collect()
    })
}

/// The status of a result that is not usable: without it a metric would seem to have no point.
fn failed(result: &MetricDataResult) -> Option<&str> {
    let status = result.status_code()?;
    (!matches!(status, StatusCode::Complete | StatusCode::PartialData)).then(|| status.as_str())
}

fn id(at: usize) -> String {
    format!("m{at}")
}

fn query((at, series): (usize, &Series<'_>)) -> MetricDataQuery {
    let dimension =
        series.dimension.map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let metric = Metric::builder()
        .namespace(series.namespace)
        .metric_name(series.name)
        .set_dimensions(dimension.map(|dimension| vec![dimension]))
        .build();
    let stat =
        MetricStat::builder().metric(metric).stat(series.statistic).period(series.period_secs);
    MetricDataQuery::builder().id(id(at)).metric_stat(stat.build()).build()
}

fn points_of(result: &MetricDataResult) -> impl Iterator<Item = MetricPoint> {
    result
        .timestamps()
        .iter()
        .zip(result.values())
        .filter_map(|(at, value)| Some(MetricPoint { at: time(at)?, value: *value }))
}

/// Sum of a day; `None` if there is no point.
fn sum_of_day(points: Option<Points>, now: Time) -> Option<f64> {
    let points = points?.into_iter().filter(|point| point.at.0 > now.0 - DAY_MS);
    points.map(|point| point.value).reduce(|sum, value| sum + value)
}

fn newest(points: Option<Points>) -> Option<MetricPoint> {
    points?.first().copied()
}

fn converted(points: Vec<Points>, topics: Vec<String>, queues: Vec<String>, now: Time) -> Metrics {
    let mut points = points.into_iter();
    let mut metrics = Metrics {
        bounce_rate: newest(points.next()),
        complaint_rate: newest(points.next()),
        sends: sum_of_day(points.next(), now),
        ..Metrics::default()
    };
    for topic in topics {
        let mut sum = || sum_of_day(points.next(), now);
        let flow = TopicFlow { published: sum(), delivered: sum(), failed: sum(), filtered: sum() };
        metrics.topics.insert(topic, flow);
    }
    for queue in queues {
        let mut sum = || sum_of_day(points.next(), now);
        let (sent, received, deleted) = (sum(), sum(), sum());
        // an idle queue has no newer points: its last age states nothing about now
        let oldest =
            newest(points.next()).filter(|point| point.at.secs_until(now) < HOUR_SECS.into());
        let oldest_secs = oldest.map(|point| point.value);
        metrics.queues.insert(queue, QueueFlow { sent, received, deleted, oldest_secs });
    }
    metrics
}
