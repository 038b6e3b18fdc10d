# The same as deploy/cloudformation.yaml: docs/src/deploy.md. Compared with the template by a test, not applied by us.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  arn     = "arn:${data.aws_partition.current.partition}"
  region  = split(":", aws_sns_topic.events.arn)[3]
  set_arn = "${local.arn}:ses:${local.region}:${local.account}:configuration-set/${var.configuration_set_name}"
  bucket  = "${local.arn}:s3:::${var.store_bucket}"
  key     = var.create_key ? aws_kms_key.events[0].arn : null
  alarm   = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}

# Without sending options: an apply does not resume a set that was paused.
resource "aws_sesv2_configuration_set" "events" {
  count                  = var.create_configuration_set ? 1 : 0
  configuration_set_name = var.configuration_set_name
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_sesv2_configuration_set_event_destination" "bouncewatch" {
  configuration_set_name = var.configuration_set_name
  event_destination_name = "bouncewatch"
  event_destination {
    enabled = true
    matching_event_types = [
      "SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "RENDERING_FAILURE", "DELIVERY_DELAY",
    ]
    sns_destination {
      topic_arn = aws_sns_topic.events.arn
    }
  }
  # SES checks that it may publish when the destination is created
  depends_on = [aws_sns_topic_policy.events, aws_sesv2_configuration_set.events]
}

resource "aws_sns_topic" "events" {
  name_prefix       = "bouncewatch-"
  kms_master_key_id = local.key
}

resource "aws_sns_topic_policy" "events" {
  arn = aws_sns_topic.events.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ses.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.events.arn
      Condition = { StringEquals = { "AWS:SourceAccount" = local.account, "AWS:SourceArn" = local.set_arn } }
    }]
  })
}

resource "aws_sns_topic_subscription" "queue" {
  topic_arn            = aws_sns_topic.events.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.events.arn
  raw_message_delivery = false
  redrive_policy       = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letters.arn })
  depends_on           = [aws_sqs_queue_policy.senders]
}

resource "aws_sqs_queue" "events" {
  name_prefix                = "bouncewatch-"
  message_retention_seconds  = var.retention_seconds
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = 120
  kms_master_key_id          = local.key
  sqs_managed_sse_enabled    = var.create_key ? null : true
  redrive_policy             = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letters.arn, maxReceiveCount = 10 })
  lifecycle {
    prevent_destroy = true
  }
}

# Events that could not be delivered or stored.
resource "aws_sqs_queue" "dead_letters" {
  name_prefix               = "bouncewatch-dead-letters-"
  message_retention_seconds = 1209600
  kms_master_key_id         = local.key
  sqs_managed_sse_enabled   = var.create_key ? null : true
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_sqs_queue_policy" "senders" {
  for_each  = { events = aws_sqs_queue.events, dead_letters = aws_sqs_queue.dead_letters }
  queue_url = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for service, source in {
      "sns.amazonaws.com"    = aws_sns_topic.events.arn
      "events.amazonaws.com" = aws_cloudwatch_event_rule.account_events.arn
      } : {
      Effect    = "Allow"
      Principal = { Service = service }
      Action    = "sqs:SendMessage"
      Resource  = each.value.arn
      Condition = { ArnEquals = { "aws:SourceArn" = source } }
    }]
  })
}

# Stopped sending and reputation findings: SES reports them on the default event bus only.
resource "aws_cloudwatch_event_rule" "account_events" {
  name_prefix = "bouncewatch-"
  description = "Events of SES about the account, for bouncewatch"
  event_pattern = jsonencode({
    source = ["aws.ses"]
    detail-type = [
      "Sending Status Disabled",
      "Sending Status Enabled",
      "Advisor Recommendation Status Open",
      "Advisor Recommendation Status Resolved",
      "Advisor Recommendation Status Closed",
    ]
  })
}

resource "aws_cloudwatch_event_target" "queue" {
  rule = aws_cloudwatch_event_rule.account_events.name
  arn  = aws_sqs_queue.events.arn
  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

# No conditions for the services: EventBridge sends no aws:SourceArn or aws:SourceAccount to KMS.
resource "aws_kms_key" "events" {
  count               = var.create_key ? 1 : 0
  description         = "Events of SES in the topic and the queues of bouncewatch"
  enable_key_rotation = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Principal = { AWS = "${local.arn}:iam::${local.account}:root" }, Action = "kms:*", Resource = "*" },
      {
        Effect    = "Allow"
        Principal = { Service = ["ses.amazonaws.com", "sns.amazonaws.com", "events.amazonaws.com"] }
        Action    = ["kms:GenerateDataKey*", "kms:Decrypt"]
        Resource  = "*"
      },
    ]
  })
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_cloudwatch_metric_alarm" "queue" {
  for_each = {
    age          = { metric = "ApproximateAgeOfOldestMessage", queue = aws_sqs_queue.events, limit = var.age_alarm_seconds, periods = 3 }
    dead_letters = { metric = "ApproximateNumberOfMessagesVisible", queue = aws_sqs_queue.dead_letters, limit = 0, periods = 1 }
  }
  alarm_name          = "${each.value.queue.name}-${each.key}"
  namespace           = "AWS/SQS"
  metric_name         = each.value.metric
  dimensions          = { QueueName = each.value.queue.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = each.value.periods
  threshold           = each.value.limit
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm
  ok_actions          = local.alarm
}

# ingest, and store compact with a store in S3
resource "aws_iam_policy" "consumer" {
  name_prefix = "bouncewatch-consumer-"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect   = "Allow"
        Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
        Resource = aws_sqs_queue.events.arn
      }],
      [for key in aws_kms_key.events : { Effect = "Allow", Action = ["kms:Decrypt"], Resource = key.arn }],
      [for bucket in var.store_bucket == "" ? [] : [local.bucket] : { Effect = "Allow", Action = ["s3:ListBucket"], Resource = bucket }],
      [for bucket in var.store_bucket == "" ? [] : [local.bucket] : {
        Effect = "Allow", Action = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], Resource = "${bucket}/*"
      }],
    )
  })
}

# check, report and the other evaluations of a store in S3
resource "aws_iam_policy" "reader" {
  count       = var.store_bucket == "" ? 0 : 1
  name_prefix = "bouncewatch-reader-"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "s3:ListBucket", Resource = local.bucket },
      { Effect = "Allow", Action = "s3:GetObject", Resource = "${local.bucket}/*" },
    ]
  })
}

resource "aws_iam_policy" "doctor" {
  name_prefix = "bouncewatch-doctor-"
  policy      = file("${path.module}/../policies/doctor.json")
}

# pause and resume sending with the configuration set
resource "aws_iam_policy" "brake" {
  count       = var.allow_brake ? 1 : 0
  name_prefix = "bouncewatch-brake-"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["ses:GetConfigurationSet", "ses:PutConfigurationSetSendingOptions"], Resource = local.set_arn }]
  })
}
