# The daily run: a small task that lists, filters, enqueues and ends.

locals {
  producer_settings = merge(local.settings, {
    DPSS_ENVIRON       = var.environ
    DPSS_SOURCE        = var.source_name
    DPSS_BLACKLIST     = tostring(var.blacklist)
    DPSS_BLACKLIST_KEY = var.blacklist_key
    DPSS_MATRIX_BUCKET = local.matrix_bucket
    DPSS_MATRIX_PREFIX = var.matrix_prefix
  })
  producer_cpu    = 256
  producer_memory = 512
}

resource "aws_ecs_task_definition" "producer" {
  family                   = "${local.name}-producer"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = local.producer_cpu
  memory                   = local.producer_memory
  execution_role_arn       = aws_iam_role.execution["producer"].arn
  task_role_arn            = aws_iam_role.producer.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  container_definitions = jsonencode([
    merge(local.hardening, {
      name             = "producer"
      image            = local.images["producer"]
      command          = ["run"]
      cpu              = local.producer_cpu
      memory           = local.producer_memory
      stopTimeout      = 30
      logConfiguration = local.log_options["producer"]
      environment      = [for name, value in local.producer_settings : { name = name, value = value } if value != ""]
    }),
  ])
}
