# The worker service: as many tasks as there is work for, on Fargate and Fargate Spot.

locals {
  scratch = "/scratch"

  worker_settings = merge(local.settings, {
    DPSS_ALLOWED_HOSTS          = join(",", var.allowed_hosts)
    DPSS_WORKER_SLOTS           = tostring(var.worker_slots)
    DPSS_VISIBILITY_SECONDS     = tostring(var.visibility_seconds)
    DPSS_JOB_TIMEOUT_SECONDS    = tostring(var.job_timeout_seconds)
    DPSS_SHUTDOWN_GRACE_SECONDS = tostring(local.grace_seconds)
    DPSS_SCRATCH_DIR            = local.scratch
    TMPDIR                      = local.scratch # for libraries, on a root that cannot be written to
  })

  # Fargate's longest, and the warning that Spot gives; a worker that is told to stop needs some of it to let go.
  stop_seconds  = 120
  grace_seconds = 90
}

resource "aws_ecs_task_definition" "worker" {
  family                   = "${local.name}-worker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.worker_cpu
  memory                   = var.worker_memory
  execution_role_arn       = aws_iam_role.execution["worker"].arn
  task_role_arn            = aws_iam_role.worker.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  ephemeral_storage {
    size_in_gib = var.worker_storage
  }

  # Lies on the ephemeral storage; owner and mode are those that the image gives the folder (VOLUME).
  volume {
    name = "scratch"
  }

  container_definitions = jsonencode([
    merge(local.hardening, {
      name             = "worker"
      image            = local.images["worker"]
      command          = ["run"]
      cpu              = var.worker_cpu
      memory           = var.worker_memory # from which the worker takes the ceiling of a project
      stopTimeout      = local.stop_seconds
      mountPoints      = [{ sourceVolume = "scratch", containerPath = local.scratch, readOnly = false }]
      logConfiguration = local.log_options["worker"]
      environment      = [for name, value in local.worker_settings : { name = name, value = value } if value != ""]

      healthCheck = {
        command     = ["CMD", "python", "-m", "worker.health"]
        interval    = 30
        timeout     = 20 # beside a project that wants the processor
        retries     = 3
        startPeriod = 120
      }
    }),
  ])
}

resource "aws_ecs_service" "worker" {
  # checkov:skip=CKV_AWS_333: subnets of the small VPC have no NAT gateway; nothing is let in (security group)
  name            = "worker"
  cluster         = aws_ecs_cluster.fleet.id
  task_definition = aws_ecs_task_definition.worker.arn
  desired_count   = var.worker_min_tasks

  # A deployment may stop every idle worker at once; busy ones are protected, and followed when they have ended.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 200
  availability_zone_rebalancing      = "DISABLED" # workers do not stand in for each other: moving one gains nothing
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = var.worker_on_demand_base
    weight            = 100 - var.worker_spot_percent
  }

  capacity_provider_strategy {
    capacity_provider = "FARGATE_SPOT"
    weight            = var.worker_spot_percent
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = local.subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = local.public_ip
  }

  lifecycle {
    ignore_changes = [desired_count] # scaling's business from here on
  }

  depends_on = [
    aws_ecs_cluster_capacity_providers.fleet,
    aws_iam_role_policy.execution,
    aws_iam_role_policy.worker,
  ]
}
