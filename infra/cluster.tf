# What producer and worker have in common: the cluster, and how a container is kept.

resource "aws_ecs_cluster" "fleet" {
  name = local.name

  setting {
    name  = "containerInsights" # scaling counts tasks by it
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "fleet" {
  cluster_name       = aws_ecs_cluster.fleet.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }
}

locals {
  user = "10001:10001"

  # Of every container: whoever breaks in finds no root, nothing to write to, and no capability to use.
  hardening = {
    essential              = true
    user                   = local.user
    readonlyRootFilesystem = true
    privileged             = false

    linuxParameters = {
      initProcessEnabled = true # reaps what the children of projects leave, and passes SIGTERM on
      capabilities       = { drop = ["ALL"], add = [] }
    }
  }

  # Of every process; those of one side stand with it.
  settings = {
    AWS_REGION            = local.region
    DPSS_QUEUE_URL        = local.queues.work.url
    DPSS_DLQ_URL          = local.queues.dead_letters.url
    DPSS_FIGURE_BUCKET    = local.figure_bucket
    DPSS_FIGURE_PREFIX    = var.figure_prefix
    DPSS_LOG_FORMAT       = "json"
    DPSS_METRIC_NAMESPACE = local.own_metrics
    DPSS_PORTAL_URL       = var.portal_url == null ? "" : var.portal_url
  }

  log_options = {
    for side, group in aws_cloudwatch_log_group.process : side => {
      logDriver = "awslogs"

      options = {
        awslogs-group         = group.name
        awslogs-region        = local.region
        awslogs-stream-prefix = side
      }
    }
  }
}
