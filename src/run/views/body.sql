
-- The rows as they are stored; copies of an event are rows of their own. Never count them.
@RAW_EVENTS@

-- One row per event: copies merged (earliest time, known values), values of the message filled in. Without the mailbox
-- simulator and own domains. `report` identifies a complaint report; it counts once, whatever number of recipients it lists.
CREATE OR REPLACE @VIEW@ @P@events AS
WITH merged AS (
  SELECT
    message_key, event_key, kind,
    max(message_id) AS message_id,
    max(recipient) AS recipient,
    max(recipient_domain) AS recipient_domain,
    max(CASE WHEN provider <> 'other' THEN provider END) AS provider,
    min(event_at) AS event_at,
    coalesce(min(sent_at), min(event_at)) AS sent_at,
    max(account) AS account,
    max(region) AS region,
    max(identity) AS identity,
    max(configuration_set) AS configuration_set,
    max(tenant) AS tenant,
    max(source_domain) AS source_domain,
    max(source) AS source,
    max(source_ip) AS source_ip,
    max(outgoing_ip) AS outgoing_ip,
    max(CASE WHEN counts THEN 1 ELSE 0 END) AS counts,
    max(CASE
      WHEN class = 'hard' THEN 6
      WHEN class = 'suppressed' AND counts THEN 5
      WHEN class = 'undetermined' THEN 4
      WHEN class = 'soft' THEN 3
      WHEN class = 'suppressed' THEN 2
      WHEN class = 'auto_reply' THEN 1
    END) AS class_rank,
    min(CASE
      WHEN lower(coalesce(complaint_type, '')) = 'not-spam' THEN 0
      WHEN lower(coalesce(complaint_subtype, '')) LIKE '%suppression%' THEN 0
      ELSE 1
    END) AS complaint_counts,
    max(CASE WHEN channel = 'identity_feedback' THEN 0 ELSE 1 END) AS published,
    max(feedback_id) AS feedback_id,
    max(bounce_type) AS bounce_type,
    max(bounce_subtype) AS bounce_subtype,
    max(delay_type) AS delay_type,
    max(cause) AS cause,
    max(diagnostic) AS diagnostic
  FROM @P@raw_events
  WHERE service = 'ses'@EXCLUDED@
  GROUP BY message_key, event_key, kind
),
filled AS (
  SELECT
    *,
    max(provider) OVER (PARTITION BY recipient_domain) AS provider_of_domain,
    max(account) OVER (PARTITION BY message_key) AS account_of_message,
    max(region) OVER (PARTITION BY message_key) AS region_of_message,
    max(identity) OVER (PARTITION BY message_key) AS identity_of_message,
    max(configuration_set) OVER (PARTITION BY message_key) AS set_of_message,
    max(tenant) OVER (PARTITION BY message_key) AS tenant_of_message,
    max(source_domain) OVER (PARTITION BY message_key) AS source_domain_of_message,
    max(source) OVER (PARTITION BY message_key) AS source_of_message,
    max(source_ip) OVER (PARTITION BY message_key) AS source_ip_of_message,
    max(outgoing_ip) OVER (PARTITION BY message_key) AS outgoing_ip_of_message,
    -- identity feedback and event publishing report a complaint of one recipient within a minute: it counts once
    max(CASE WHEN kind = 'complaint' AND complaint_counts = 1 AND published = 1 THEN 1 ELSE 0 END) OVER (
      PARTITION BY message_key, recipient ORDER BY @EVENT_MS@
      RANGE BETWEEN 60000 PRECEDING AND 60000 FOLLOWING
    ) AS has_published_report
  FROM merged
)
SELECT
  message_key, event_key, message_id, kind, recipient, recipient_domain,
  coalesce(provider, provider_of_domain, 'other') AS provider,
  event_at, sent_at,
  @EVENT_MS@ AS event_ms,
  coalesce(account, account_of_message) AS account,
  coalesce(region, region_of_message) AS region,
  coalesce(identity, identity_of_message) AS identity,
  coalesce(configuration_set, set_of_message) AS configuration_set,
  coalesce(tenant, tenant_of_message) AS tenant,
  coalesce(source_domain, source_domain_of_message) AS source_domain,
  coalesce(source, source_of_message) AS source,
  coalesce(source_ip, source_ip_of_message) AS source_ip,
  coalesce(outgoing_ip, outgoing_ip_of_message) AS outgoing_ip,
  CASE class_rank
    WHEN 6 THEN 'hard' WHEN 5 THEN 'suppressed' WHEN 4 THEN 'undetermined' WHEN 3 THEN 'soft'
    WHEN 2 THEN 'suppressed' WHEN 1 THEN 'auto_reply'
  END AS class,
  kind = 'bounce' AND counts = 1 AS counted_bounce,
  kind = 'complaint' AND complaint_counts = 1 AND (published = 1 OR has_published_report = 0) AS counted_complaint,
  concat(CAST(message_key AS @TEXT@), '/', coalesce(feedback_id, CAST(@EVENT_MS@ AS @TEXT@))) AS report,
  provider IN (@WITHOUT_FEEDBACK@) AS without_feedback,
  bounce_type, bounce_subtype, delay_type, cause, diagnostic
FROM filled@COUNTED@;

-- One row per message, tag and value.
CREATE OR REPLACE @VIEW@ @P@tags AS
@TAGS@;

-- Events by hour and scope.
CREATE OR REPLACE @VIEW@ @P@hourly AS
SELECT
  @HOUR@ AS hour,
  account, region, identity, configuration_set, tenant, provider, recipient_domain,
  sum(CASE WHEN kind = 'send' THEN 1 ELSE 0 END) AS sends,
  sum(CASE WHEN kind = 'delivery' THEN 1 ELSE 0 END) AS deliveries,
  sum(CASE WHEN counted_bounce THEN 1 ELSE 0 END) AS bounces,
  sum(CASE WHEN kind = 'bounce' AND class = 'hard' THEN 1 ELSE 0 END) AS hard,
  sum(CASE WHEN kind = 'bounce' AND class = 'soft' THEN 1 ELSE 0 END) AS soft,
  count(DISTINCT CASE WHEN counted_complaint THEN report END) AS complaints,
  sum(CASE WHEN kind = 'delivery_delay' THEN 1 ELSE 0 END) AS delays,
  sum(CASE WHEN kind = 'reject' THEN 1 ELSE 0 END) AS rejects
FROM @P@events
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- Causes of failures by day, as they were found when the events were stored. `bouncewatch causes` classifies them again.
CREATE OR REPLACE @VIEW@ @P@causes AS
SELECT
  @DAY@ AS day,
  account, region, provider, cause,
  count(*) AS bounces,
  sum(CASE WHEN counted_bounce THEN 1 ELSE 0 END) AS counted_bounces,
  count(DISTINCT recipient) AS recipients
FROM @P@events
WHERE kind = 'bounce'
GROUP BY 1, 2, 3, 4, 5;

-- Rates of the 24 hours before each full hour, by account and region; hours without events are left out. As `bouncewatch
-- report --every 1h --window 24h`, for accounts with Send events.
CREATE OR REPLACE @VIEW@ @P@rates_24h AS
WITH counted AS (
  SELECT account, region, event_ms,
    CASE WHEN kind = 'send' THEN 1 ELSE 0 END AS sends,
    CASE WHEN counted_bounce THEN 1 ELSE 0 END AS bounces,
    0 AS complaints
  FROM @P@events
  UNION ALL
  SELECT account, region, min(event_ms), 0, 0, 1
  FROM @P@events
  WHERE counted_complaint
  GROUP BY account, region, report
),
hours AS (
  -- an event at a full hour belongs to the hour that ends then
  SELECT account, region, CAST(floor((event_ms + 3599999) / 3600000e0) AS BIGINT) * 3600000 AS to_ms,
    sum(sends) AS sends, sum(bounces) AS bounces, sum(complaints) AS complaints
  FROM counted
  GROUP BY 1, 2, 3
),
windows AS (
  SELECT account, region, to_ms,
    sum(sends) OVER last_day AS attempts, sum(bounces) OVER last_day AS bounces, sum(complaints) OVER last_day AS complaints
  FROM hours
  WINDOW last_day AS (
    PARTITION BY account, region ORDER BY to_ms RANGE BETWEEN 82800000 PRECEDING AND CURRENT ROW
  )
)
SELECT @TIMESTAMP@ AS to_time, account, region, attempts, bounces, complaints,
  @RATES@
FROM windows;

-- Counts of current windows by scope, for `bouncewatch check --counts`. A scope without Send events has unknown attempts.
CREATE OR REPLACE @VIEW@ @P@counts AS
WITH windows AS (
  @WINDOWS@
),
scoped AS (
@SCOPED@
),
counted AS (
  SELECT scope_by, account, region@DIMENSIONS@, name, width,
    sum(CASE WHEN kind = 'send' AND event_ms > @START@ THEN 1 ELSE 0 END) AS sends,
    sum(CASE WHEN without_feedback THEN 0 WHEN kind = 'send' AND event_ms > @START@ THEN 1 ELSE 0 END) AS sends_with_feedback,
    sum(CASE WHEN kind = 'delivery' AND event_ms > @START@ THEN 1 ELSE 0 END) AS deliveries,
    sum(CASE WHEN kind = 'send' THEN 1 ELSE 0 END) AS known_sends,
    sum(CASE WHEN counted_bounce AND event_ms > @START@ THEN 1 ELSE 0 END) AS bounces,
    count(DISTINCT CASE WHEN counted_complaint AND event_ms > @START@ THEN report END) AS complaints
  FROM scoped CROSS JOIN windows
  WHERE event_ms <= @NOW@ AND kind NOT IN (@ACCOUNT_KINDS@)
  GROUP BY scope_by, account, region@DIMENSIONS@, name, width
  HAVING max(event_ms) > @NOW@ - @LOOKBACK@
),
newest AS (
  SELECT max(first_ms) AS newest_ms
  FROM (
    SELECT min(@EVENT_MS@) AS first_ms
    FROM @P@raw_events
    WHERE service = 'ses' AND @EVENT_MS@ <= @NOW@ AND kind NOT IN (@ACCOUNT_KINDS@)
    GROUP BY message_key, event_key
  ) AS events
)
SELECT scope_by AS @Q@by@Q@, account, region@DIMENSIONS@, 'ses' AS service, name AS @Q@window@Q@,
  @START@ AS @Q@from@Q@, @NOW@ AS @Q@to@Q@,
  CASE WHEN sends > 0 OR (deliveries = 0 AND known_sends > 0) THEN CAST(sends AS BIGINT) END AS attempts,
  CASE WHEN sends > 0 OR (deliveries = 0 AND known_sends > 0) THEN 'sends' END AS denominator,
  CASE WHEN sends > 0 OR (deliveries = 0 AND known_sends > 0) THEN CAST(sends_with_feedback AS BIGINT) END AS attempts_with_feedback,
  CAST(bounces AS BIGINT) AS bounces, CAST(complaints AS BIGINT) AS complaints,
  newest_ms AS newest_event_at
FROM counted CROSS JOIN newest;

-- Rates of current windows by account and region, with 95 % Wilson intervals.
CREATE OR REPLACE @VIEW@ @P@rates_now AS
SELECT account, region, @Q@window@Q@ AS span, attempts, bounces, complaints,
  @RATES@
FROM @P@counts
WHERE @Q@by@Q@ = '';
