# EventBridge Scheduler starts the producer: to send what is due, and to list anew what the workers made of it. Its
# retries and dead letters are those of the call: a task that started and failed is seen by its exit code
# (observability.tf).

resource "aws_scheduler_schedule_group" "fleet" {
  name = local.name
}

locals {
  schedules = {
    daily-run = {
      description = "Sends the projects that are due to the workers"
      expression  = var.schedule
      command     = ["run"]
    }
    index = {
      description = "The page that lists all projects, once the workers are done with the daily run"
      expression  = var.index_schedule
      command     = ["gallery"]
    }
  }
}

resource "aws_scheduler_schedule" "producer" {
  # checkov:skip=CKV_AWS_297: it holds names of ours and no secret; AWS's own key encrypts it
  for_each = local.schedules

  name                         = "${local.name}-${each.key}"
  description                  = each.value.description
  group_name                   = aws_scheduler_schedule_group.fleet.name
  state                        = var.schedule_enabled ? "ENABLED" : "DISABLED"
  schedule_expression          = each.value.expression
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_ecs_cluster.fleet.arn
    role_arn = aws_iam_role.schedule.arn
    input    = jsonencode({ containerOverrides = [{ name = "producer", command = each.value.command }] })

    ecs_parameters {
      task_definition_arn     = aws_ecs_task_definition.producer.arn
      launch_type             = "FARGATE" # never Spot: half a listing helps nobody
      task_count              = 1
      enable_ecs_managed_tags = true

      network_configuration {
        subnets          = local.subnet_ids
        security_groups  = [aws_security_group.tasks.id]
        assign_public_ip = local.public_ip
      }
    }

    retry_policy {
      maximum_retry_attempts       = 10
      maximum_event_age_in_seconds = 3600
    }

    dead_letter_config {
      arn = local.queues.missed_runs.arn
    }
  }
}
