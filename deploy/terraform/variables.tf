variable "configuration_set_name" {
  type        = string
  description = "Name of the configuration set. It must exist, unless create_configuration_set is true."
}

variable "create_configuration_set" {
  type        = bool
  default     = false
  description = "Create the set instead of adding an event destination to a set that exists."
}

variable "retention_seconds" {
  type        = number
  default     = 1209600
  description = "Time that the queue keeps events while no consumer runs (default and maximum 14 days)."
}

variable "create_key" {
  type        = bool
  default     = false
  description = "Encrypt topic and queues with a new KMS key of this account (charged)."
}

variable "alarm_topic_arn" {
  type        = string
  default     = ""
  description = "Topic that the alarms notify (optional)."
}

variable "age_alarm_seconds" {
  type        = number
  default     = 3600
  description = "An event that waits longer in the queue raises an alarm."
}

variable "store_bucket" {
  type        = string
  default     = ""
  description = "Name of the bucket of a store in S3 (optional)."
}

variable "allow_brake" {
  type        = bool
  default     = false
  description = "Create a policy that allows to pause and resume sending with the configuration set."
}
