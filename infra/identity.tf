# Who may do what. Execution roles are ECS's own (pull the image, write the log), task roles those of our processes.

locals {
  sides = toset(["producer", "worker"])

  # What a person may name in a message, and a worker reads.
  readable_bucket_arns = concat(
    [local.matrix_bucket_arn],
    [for bucket in var.mirror_buckets : "arn:${local.partition}:s3:::${bucket}"],
  )
}

data "aws_iam_policy_document" "execution_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

# Whose tasks they are AWS tells of task roles only (ECS developer guide, "Task IAM role").
data "aws_iam_policy_document" "tasks_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:ecs:${local.region}:${local.account}:*"]
    }
  }
}

# Execution

data "aws_iam_policy_document" "execution" {
  # checkov:skip=CKV_AWS_356: GetAuthorizationToken knows no resource
  for_each = local.sides

  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "PullImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [aws_ecr_repository.image[each.key].arn]
  }

  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.process[each.key].arn}:*"]
  }
}

resource "aws_iam_role" "execution" {
  for_each = local.sides

  name               = "${local.name}-${each.key}-execution"
  description        = "ECS: pulls the image of the ${each.key} and writes its log"
  assume_role_policy = data.aws_iam_policy_document.execution_assume.json
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.sides

  name   = "start"
  role   = aws_iam_role.execution[each.key].id
  policy = data.aws_iam_policy_document.execution[each.key].json
}

# Producer: what `dpss-producer run`, `enqueue` and `gallery` call

data "aws_iam_policy_document" "producer" {
  statement {
    sid       = "Send"
    actions   = ["sqs:SendMessage"]
    resources = [local.queues.work.arn]
  }

  # Listing without a condition on the prefix: S3 asks for it, too, to say that an object is not there rather than
  # that it is forbidden, and then there is no prefix to compare.
  statement {
    sid       = "ListMatricesAndFigures"
    actions   = ["s3:ListBucket"]
    resources = [local.matrix_bucket_arn, local.figure_bucket_arn]
  }

  statement {
    sid       = "ReadMatrices"
    actions   = ["s3:GetObject"]
    resources = ["${local.matrix_bucket_arn}/${var.matrix_prefix}*", "${local.matrix_bucket_arn}/${var.blacklist_key}"]
  }

  statement {
    sid       = "ReadRecords"
    actions   = ["s3:GetObject"]
    resources = ["${local.figure_bucket_arn}/${var.figure_prefix}*"]
  }

  statement {
    sid       = "WriteIndex" # projects' own pages are the workers'
    actions   = ["s3:PutObject"]
    resources = ["${local.figure_bucket_arn}/${var.figure_prefix}index.html"]
  }
}

resource "aws_iam_role" "producer" {
  name               = "${local.name}-producer"
  description        = "The daily run"
  assume_role_policy = data.aws_iam_policy_document.tasks_assume.json
}

resource "aws_iam_role_policy" "producer" {
  name   = "produce"
  role   = aws_iam_role.producer.id
  policy = data.aws_iam_policy_document.producer.json
}

# Worker

data "aws_iam_policy_document" "worker" {
  statement {
    sid = "TakeAndSettle"
    actions = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
      "sqs:SendMessage", # a message that is released on its last attempt is sent anew
    ]
    resources = [local.queues.work.arn]
  }

  statement {
    sid       = "Bury"
    actions   = ["sqs:GetQueueAttributes", "sqs:SendMessage"]
    resources = [local.queues.dead_letters.arn]
  }

  # A person may name any matrix in these buckets; listing tells what is missing from what is forbidden, and finds the
  # tables beside a bare matrix.
  statement {
    sid       = "ListMatrices"
    actions   = ["s3:ListBucket"]
    resources = local.readable_bucket_arns
  }

  statement {
    sid       = "ReadMatrices"
    actions   = ["s3:GetObject"]
    resources = [for arn in local.readable_bucket_arns : "${arn}/*"]
  }

  # No condition on the prefix here either (see the producer); the worker looks at the bucket itself when it starts.
  statement {
    sid       = "ListFigures"
    actions   = ["s3:ListBucket"]
    resources = [local.figure_bucket_arn]
  }

  statement {
    sid       = "Publish"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.figure_bucket_arn}/${var.figure_prefix}*"]
  }

  statement {
    sid       = "Protect"
    actions   = ["ecs:UpdateTaskProtection"]
    resources = ["arn:${local.partition}:ecs:${local.region}:${local.account}:task/${aws_ecs_cluster.fleet.name}/*"]
  }
}

resource "aws_iam_role" "worker" {
  name               = "${local.name}-worker"
  description        = "Workers: from the queue to figures"
  assume_role_policy = data.aws_iam_policy_document.tasks_assume.json
}

resource "aws_iam_role_policy" "worker" {
  name   = "work"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.worker.json
}

# Schedule

data "aws_iam_policy_document" "schedule_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_scheduler_schedule_group.fleet.arn]
    }
  }
}

data "aws_iam_policy_document" "schedule" {
  statement {
    sid       = "RunProducer"
    actions   = ["ecs:RunTask"]
    resources = ["${aws_ecs_task_definition.producer.arn_without_revision}:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [aws_ecs_cluster.fleet.arn]
    }
  }

  statement {
    sid       = "TagWhatItRuns"
    actions   = ["ecs:TagResource"]
    resources = ["arn:${local.partition}:ecs:${local.region}:${local.account}:task/${aws_ecs_cluster.fleet.name}/*"]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }

  statement {
    sid       = "PassRoles"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.execution["producer"].arn, aws_iam_role.producer.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    sid       = "ReportMissedRuns"
    actions   = ["sqs:SendMessage"]
    resources = [local.queues.missed_runs.arn]
  }
}

resource "aws_iam_role" "schedule" {
  name               = "${local.name}-schedule"
  description        = "EventBridge Scheduler: runs the producer"
  assume_role_policy = data.aws_iam_policy_document.schedule_assume.json
}

resource "aws_iam_role_policy" "schedule" {
  name   = "run-producer"
  role   = aws_iam_role.schedule.id
  policy = data.aws_iam_policy_document.schedule.json
}

# Operators: what `run`, `enqueue`, `status`, `dlq` and `gallery` call; to be attached to whoever looks after the fleet

data "aws_iam_policy_document" "operator" {
  # checkov:skip=CKV_AWS_356: CloudWatch's metrics know no resource
  statement {
    sid       = "LookAtAndReplayDeadLetters"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    resources = [local.queues.dead_letters.arn, local.queues.missed_runs.arn]
  }

  statement {
    sid       = "Send"
    actions   = ["sqs:GetQueueAttributes", "sqs:SendMessage"]
    resources = [local.queues.work.arn]
  }

  statement {
    sid       = "OldestMessage"
    actions   = ["cloudwatch:GetMetricStatistics"]
    resources = ["*"]
  }

  statement {
    sid       = "ListMatricesAndFigures"
    actions   = ["s3:ListBucket"]
    resources = concat(local.readable_bucket_arns, [local.figure_bucket_arn])
  }

  statement {
    sid     = "ReadMatricesAndFigures"
    actions = ["s3:GetObject"]
    resources = concat(
      [for arn in local.readable_bucket_arns : "${arn}/*"],
      ["${local.figure_bucket_arn}/${var.figure_prefix}*"],
    )
  }

  statement {
    sid       = "WriteIndex"
    actions   = ["s3:PutObject"]
    resources = ["${local.figure_bucket_arn}/${var.figure_prefix}index.html"]
  }
}

resource "aws_iam_policy" "operator" {
  name        = "${local.name}-operator"
  description = "The operator's desk: queue depths, messages by hand, dead letters and their replay"
  policy      = data.aws_iam_policy_document.operator.json
}
