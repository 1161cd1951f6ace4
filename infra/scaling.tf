# From zero to as many workers as the backlog wants, and back.
#
# wake     one message, no worker      → as many workers as the backlog wants, to the next power of two
# track    backlog per worker          → follows the backlog up and down, between 1 and the limit
# sleep    nothing visible or in hand  → worker_min_tasks, after some minutes of it
#
# Target tracking multiplies, and from zero there is no proportion (AWS then adds a single task). Workers with a project
# in hand are protected (worker/protection.py): whatever is asked for here, ECS stops idle ones only. infra/simulation
# shows what comes of it.

locals {
  # So many messages for each worker that none waits longer than is acceptable.
  backlog_per_task = max(1, floor(var.acceptable_wait_seconds / var.project_seconds * var.worker_slots))

  # 1, 2, 4, … below the limit: workers to wake, each for the backlog that as many can take.
  wake_tasks = [for power in range(ceil(log(var.worker_max_tasks, 2))) : pow(2, power)]

  # What CloudWatch does where a metric has no datapoint (user guide, "Using math expressions"): arithmetic takes it for 0,
  # IF leaves a condition without one out, and what is divided by 0 is left out. The metrics of SQS and of ECS come a
  # minute or more late, and not in step: so the last of each is repeated, and what is filled with 0 is looked at for
  # some minutes.
  #
  # SQS may leave out the count of messages in flight where there is none; that of visible ones it leaves out when it is
  # late, or the queue sleeps, and then nothing is known.
  backlog = "FILL(visible, REPEAT) + FILL(in_flight, 0)"

  # By desired tasks, not running ones: those that start up are asked for already, and would be asked for again.
  tasks = "FILL(desired, REPEAT)"

  # Longer than any of the metrics is late: until then the last minutes seem to have no messages.
  wake_periods = 5

  queue_dimensions   = { QueueName = local.queues.work.name }
  service_dimensions = { ClusterName = aws_ecs_cluster.fleet.name, ServiceName = aws_ecs_service.worker.name }

  scaling_metrics = {
    visible = {
      namespace  = "AWS/SQS"
      name       = "ApproximateNumberOfMessagesVisible"
      dimensions = local.queue_dimensions
    }
    in_flight = {
      namespace  = "AWS/SQS"
      name       = "ApproximateNumberOfMessagesNotVisible"
      dimensions = local.queue_dimensions
    }
    desired = {
      namespace  = "ECS/ContainerInsights"
      name       = "DesiredTaskCount"
      dimensions = local.service_dimensions
    }
  }

  # Of a queue that nobody used for six hours SQS's metrics are up to a quarter of an hour late (SQS developer guide,
  # "Available CloudWatch metrics"); the producer says at once what it has sent.
  wake_metrics = merge(local.scaling_metrics, {
    enqueued = {
      namespace  = local.own_metrics
      name       = "ProjectsEnqueued"
      dimensions = { environ = var.environ }
    }
  })
}

resource "aws_appautoscaling_target" "worker" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.fleet.name}/${aws_ecs_service.worker.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.worker_min_tasks
  max_capacity       = var.worker_max_tasks
}

# Wake

resource "aws_appautoscaling_policy" "wake" {
  name               = "${local.name}-wake"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  resource_id        = aws_appautoscaling_target.worker.resource_id
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    cooldown                = var.scale_out_cooldown_seconds
    metric_aggregation_type = "Maximum"

    # Bounds are counted from the alarm's threshold, one message.
    dynamic "step_adjustment" {
      for_each = local.wake_tasks

      content {
        metric_interval_lower_bound = step_adjustment.key == 0 ? 0 : local.wake_tasks[step_adjustment.key - 1] * local.backlog_per_task
        metric_interval_upper_bound = step_adjustment.value * local.backlog_per_task
        scaling_adjustment          = step_adjustment.value
      }
    }

    step_adjustment {
      metric_interval_lower_bound = length(local.wake_tasks) == 0 ? 0 : local.wake_tasks[length(local.wake_tasks) - 1] * local.backlog_per_task
      scaling_adjustment          = var.worker_max_tasks
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "wake" {
  alarm_name          = "${local.name}-wake"
  alarm_description   = "There is work and no worker. It scales; nobody has to do anything."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = local.wake_periods
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.wake.arn]

  metric_query {
    id         = "waiting"
    expression = "FILL(visible, 0) + FILL(in_flight, 0) + FILL(enqueued, 0)"
  }

  metric_query {
    id         = "tasks"
    expression = local.tasks
  }

  # Compared with a series and not with 0: a service that never had a task may have no metric, which then counts as 0.
  metric_query {
    id          = "unattended"
    label       = "Messages without a worker"
    expression  = "IF(FILL(tasks, 0) > 0 * waiting, 0, waiting)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = local.wake_metrics

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        period      = 60
        stat        = "Maximum"
      }
    }
  }
}

# Track

resource "aws_appautoscaling_policy" "track" {
  name               = "${local.name}-track"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  resource_id        = aws_appautoscaling_target.worker.resource_id
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = local.backlog_per_task
    scale_out_cooldown = var.scale_out_cooldown_seconds
    scale_in_cooldown  = var.scale_in_cooldown_seconds

    customized_metric_specification {
      metrics {
        id          = "backlog"
        expression  = local.backlog
        return_data = false
      }

      metrics {
        id          = "tasks"
        expression  = local.tasks
        return_data = false
      }

      # Never below one message, so that it is sleep alone that leads to no worker. Without SQS's metrics the last
      # factor is 0, and there is nothing at all: target tracking then leaves everything as it is.
      metrics {
        id          = "backlog_per_task"
        label       = "Messages for each worker"
        expression  = "IF(backlog > 0, backlog, 1) / (IF(tasks > 0, tasks, 1) * IF(FILL(visible, REPEAT) >= 0, 1, 0))"
        return_data = true
      }

      dynamic "metrics" {
        for_each = local.scaling_metrics

        content {
          id          = metrics.key
          return_data = false

          metric_stat {
            stat = "Maximum"

            metric {
              namespace   = metrics.value.namespace
              metric_name = metrics.value.name

              dynamic "dimensions" {
                for_each = metrics.value.dimensions

                content {
                  name  = dimensions.key
                  value = dimensions.value
                }
              }
            }
          }
        }
      }
    }
  }
}

# Sleep

resource "aws_appautoscaling_policy" "sleep" {
  name               = "${local.name}-sleep"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  resource_id        = aws_appautoscaling_target.worker.resource_id
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    cooldown                = var.scale_in_cooldown_seconds
    metric_aggregation_type = "Maximum"

    step_adjustment {
      metric_interval_upper_bound = 0
      scaling_adjustment          = var.worker_min_tasks
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "sleep" {
  alarm_name          = "${local.name}-sleep"
  alarm_description   = "Nothing is visible and nothing in flight. It scales; nobody has to do anything."
  comparison_operator = "LessThanOrEqualToThreshold"
  threshold           = 0
  evaluation_periods  = var.sleep_after_minutes
  datapoints_to_alarm = var.sleep_after_minutes
  treat_missing_data  = "notBreaching" # a CloudWatch that is late is no empty queue
  alarm_actions       = [aws_appautoscaling_policy.sleep.arn]

  metric_query {
    id          = "backlog"
    label       = "Messages, visible and in flight"
    expression  = "IF(visible >= 0, visible + FILL(in_flight, 0))" # nothing at all where SQS is late
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { for id, metric in local.scaling_metrics : id => metric if id != "desired" }

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        period      = 60
        stat        = "Maximum"
      }
    }
  }
}
