# Logs, what ECS tells of tasks that ended, alarms to one topic, and a dashboard.

locals {
  own_metrics = "DataPortalSummaryStats/${local.name}" # else the figures of one deployment would hush the alarms of another
}

resource "aws_cloudwatch_log_group" "process" {
  # checkov:skip=CKV_AWS_158: logs name public projects and hold no secret; CloudWatch's own key encrypts them
  # checkov:skip=CKV_AWS_338: how long is a variable; what a project failed of stands in its dead letter for 14 days
  for_each = local.sides

  name              = "/ecs/${local.name}/${each.key}"
  retention_in_days = var.log_days
}

# Topic

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26: CloudWatch cannot publish to a topic under AWS's own key; alarms hold no secret
  name = "${local.name}-alarms"
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "Alarms"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = var.alarm_emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

# Tasks that ended badly: the events are kept with their reason, and counted by the rules' own metrics

resource "aws_cloudwatch_log_group" "ended" {
  # checkov:skip=CKV_AWS_158: as above
  # checkov:skip=CKV_AWS_338: as above
  name              = "/aws/events/${local.name}-ended" # EventBridge writes below /aws/events/ only
  retention_in_days = var.log_days
}

data "aws_iam_policy_document" "ended" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.ended.arn}:*"]

    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com", "events.amazonaws.com"]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "ended" {
  policy_name     = "${local.name}-ended"
  policy_document = data.aws_iam_policy_document.ended.json
}

locals {
  ended = {
    cluster = { clusterArn = [aws_ecs_cluster.fleet.arn], lastStatus = ["STOPPED"] }

    # Whatever ended it but itself with 0: a task that could not start has no exit code.
    producer = {
      group = ["family:${aws_ecs_task_definition.producer.family}"]
      "$or" = [
        { containers = { exitCode = [{ "anything-but" = [0] }] } },
        { stopCode = ["TaskFailedToStart"] },
      ]
    }

    # By itself, before it began, or because it hung, of which only the reason tells (ECS developer guide, "Amazon ECS
    # stopped tasks error messages"): scaling in, deployments and Spot are no crashes.
    worker = {
      group = ["service:${aws_ecs_service.worker.name}"]
      "$or" = [
        { stopCode = ["EssentialContainerExited", "TaskFailedToStart"] },
        { stoppedReason = [{ prefix = "Task failed container health checks" }] },
      ]
    }
  }
}

resource "aws_cloudwatch_event_rule" "ended" {
  for_each = local.sides

  name        = "${local.name}-${each.key}-failed"
  description = "Tasks of the ${each.key} that ended badly"

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail      = merge(local.ended.cluster, local.ended[each.key])
  })
}

resource "aws_cloudwatch_event_target" "ended" {
  for_each = local.sides

  rule = aws_cloudwatch_event_rule.ended[each.key].name
  arn  = aws_cloudwatch_log_group.ended.arn
}

# Alarms on one metric each

locals {
  alarms = {
    dead-letters = {
      description = "Projects failed: dpss-producer dlq list tells why."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = local.queues.dead_letters.name }
      statistic   = "Maximum"
      threshold   = 0
    }
    missed-runs = {
      description = "The schedule could not start the producer: its dead letters hold ECS's answer."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = local.queues.missed_runs.name }
      statistic   = "Maximum"
      threshold   = 0
    }
    oldest-message = {
      description = "A message has waited for more than ${var.oldest_message_hours} h: are there workers, and do they get on?"
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = local.queues.work.name }
      statistic   = "Maximum"
      threshold   = var.oldest_message_hours * 3600
    }
    producer-failed = {
      description = "The producer ended badly: its log says why in the last line, or ${aws_cloudwatch_log_group.ended.name} why it did not start."
      namespace   = "AWS/Events"
      metric      = "TriggeredRules"
      dimensions  = { RuleName = aws_cloudwatch_event_rule.ended["producer"].name }
      statistic   = "Sum"
      threshold   = 0
    }
    workers-crash = {
      description = "More than two workers ended by themselves, or hung, within a quarter of an hour: ${aws_cloudwatch_log_group.ended.name} says how."
      namespace   = "AWS/Events"
      metric      = "TriggeredRules"
      dimensions  = { RuleName = aws_cloudwatch_event_rule.ended["worker"].name }
      statistic   = "Sum"
      threshold   = 2
    }
  }
  alarm_period_seconds = 900
}

resource "aws_cloudwatch_metric_alarm" "one" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = local.alarm_period_seconds
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# Alarms on what did not happen. A daily run may be some hours longer than the last.

resource "aws_cloudwatch_metric_alarm" "no_run" {
  count = var.schedule_enabled ? 1 : 0

  alarm_name          = "${local.name}-no-run"
  alarm_description   = "No daily run came to its end for more than a day; so it is before the first."
  namespace           = local.own_metrics
  metric_name         = "ProjectsFound"
  dimensions          = { environ = var.environ }
  statistic           = "SampleCount"
  period              = 3600
  evaluation_periods  = 26
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "no_publish" {
  alarm_name          = "${local.name}-no-publish"
  alarm_description   = "There was work in every hour of a day, and nothing was published."
  evaluation_periods  = 24
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching" # a day without work
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "fruitless"
    label       = "An hour with work, and nothing published"
    expression  = "IF(FILL(published, 0) > 0 * visible, 0, IF(visible + FILL(in_flight, 0) > 0, 1, 0))" # as wake does
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      visible   = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", dimensions = local.queue_dimensions, stat = "Maximum" }
      in_flight = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesNotVisible", dimensions = local.queue_dimensions, stat = "Maximum" }
      published = { namespace = local.own_metrics, name = "ProjectsDone", dimensions = { Ending = "published" }, stat = "Sum" }
    }

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        period      = 3600
        stat        = metric_query.value.stat
      }
    }
  }
}

# Dashboard

locals {
  work_queue_name = local.queues.work.name

  # Title → what is drawn, as CloudWatch's own lists: namespace, metric, dimensions.
  panels = {
    "Messages" = [
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.work_queue_name, { label = "visible" }],
      ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", local.work_queue_name, { label = "in flight" }],
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.queues.dead_letters.name, { label = "dead letters" }],
    ]
    "Workers" = [
      for metric in ["DesiredTaskCount", "RunningTaskCount"] :
      ["ECS/ContainerInsights", metric, "ClusterName", aws_ecs_cluster.fleet.name, "ServiceName", aws_ecs_service.worker.name]
    ]
    "Age of the oldest message, seconds" = [
      ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.work_queue_name],
    ]
    "Projects done, by ending" = [
      [{ expression = "SEARCH('{\"${local.own_metrics}\",Ending} MetricName=\"ProjectsDone\"', 'Sum')" }],
    ]
    "Projects failed, by reason" = [
      [{ expression = "SEARCH('{\"${local.own_metrics}\",Reason} MetricName=\"ProjectsFailed\"', 'Sum')" }],
    ]
    "Seconds by stage, mean" = [
      [{ expression = "SEARCH('{\"${local.own_metrics}\",Stage} MetricName=\"StageSeconds\"', 'Average')" }],
    ]
    "The daily run" = [
      for metric in ["ProjectsFound", "ProjectsEnqueued", "ProjectsUnusable", "ProjectsFailed"] :
      [local.own_metrics, metric, "environ", var.environ]
    ]
    "Peak memory of a project, MB" = [
      [local.own_metrics, "PeakMemory", { stat = "Maximum" }],
    ]
  }
  panel_titles = ["Messages", "Workers", "Age of the oldest message, seconds", "Projects done, by ending", "Projects failed, by reason",
  "Seconds by stage, mean", "The daily run", "Peak memory of a project, MB"]
}

resource "aws_cloudwatch_dashboard" "fleet" {
  dashboard_name = local.name

  dashboard_body = jsonencode({
    widgets = [
      for place, title in local.panel_titles : {
        type   = "metric"
        x      = place % 2 * 12
        y      = floor(place / 2) * 6
        width  = 12
        height = 6

        properties = {
          title   = title
          region  = local.region
          metrics = local.panels[title]
          stat    = title == "The daily run" ? "Sum" : "Maximum"
          period  = 60
          view    = "timeSeries"
        }
      }
    ]
  })
}
