output "queue_arn" {
  description = "Source for bouncewatch ingest and bouncewatch doctor"
  value       = aws_sqs_queue.events.arn
}

output "dead_letter_queue_arn" {
  value = aws_sqs_queue.dead_letters.arn
}

output "topic_arn" {
  description = "For the setting allow.topics"
  value       = aws_sns_topic.events.arn
}

output "consumer_policy_arn" {
  value = aws_iam_policy.consumer.arn
}

output "reader_policy_arn" {
  value = one(aws_iam_policy.reader[*].arn)
}

output "doctor_policy_arn" {
  value = aws_iam_policy.doctor.arn
}

output "brake_policy_arn" {
  value = one(aws_iam_policy.brake[*].arn)
}

output "next_commands" {
  description = "Make the set the default of your identity, check the path, start the consumer"
  value       = <<-TEXT
    aws sesv2 put-email-identity-configuration-set-attributes --region ${local.region} --email-identity example.com --configuration-set-name ${var.configuration_set_name}
    bouncewatch doctor --queue ${aws_sqs_queue.events.arn}
    bouncewatch ingest ${aws_sqs_queue.events.arn} --store /var/lib/bouncewatch --follow
  TEXT
}
