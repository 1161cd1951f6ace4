# The work queue and its dead letters, and the dead letters of the schedule (calls that could not start the producer).

locals {
  max_message_bytes = 1048576
  day_seconds       = 86400
}

# By way of CloudFormation: version 5 of the provider takes no max_message_size above 256 KiB, and sends that when asked
# for nothing. SQS takes 1 MiB, which a project of some thousand matrices needs.
resource "aws_cloudformation_stack" "queues" {
  # checkov:skip=CKV_AWS_124: queues are made and deleted by terraform apply, which tells how that ended
  name = "${local.name}-queues"

  template_body = jsonencode({
    Resources = {
      Work = {
        Type = "AWS::SQS::Queue"
        Properties = {
          QueueName                     = "${local.name}-work"
          VisibilityTimeout             = var.visibility_seconds
          ReceiveMessageWaitTimeSeconds = 20
          MessageRetentionPeriod        = 4 * local.day_seconds
          MaximumMessageSize            = local.max_message_bytes
          SqsManagedSseEnabled          = true
          RedrivePolicy = {
            deadLetterTargetArn = { "Fn::GetAtt" = ["DeadLetters", "Arn"] }
            maxReceiveCount     = var.max_receive_count
          }
        }
      }
      DeadLetters = {
        Type = "AWS::SQS::Queue"
        Properties = {
          QueueName              = "${local.name}-dead-letters"
          MessageRetentionPeriod = 14 * local.day_seconds
          MaximumMessageSize     = local.max_message_bytes
          SqsManagedSseEnabled   = true
        }
      }
    }
    Outputs = {
      for queue in ["Work", "DeadLetters"] : queue => { Value = { Ref = queue } }
    }
  })
}

# Only letters of the work queue; a statement of its own, since the work queue has to be there before.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = local.queues.dead_letters.url

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queues.work.arn]
  })
}

resource "aws_sqs_queue" "missed_runs" {
  name                      = "${local.name}-missed-runs"
  message_retention_seconds = 14 * local.day_seconds
  sqs_managed_sse_enabled   = true
}

locals {
  queue_urls = {
    work         = aws_cloudformation_stack.queues.outputs["Work"]
    dead_letters = aws_cloudformation_stack.queues.outputs["DeadLetters"]
    missed_runs  = aws_sqs_queue.missed_runs.url
  }
  queues = {
    for queue, url in local.queue_urls : queue => {
      url  = url
      name = "${local.name}-${replace(queue, "_", "-")}"
      arn  = "arn:${local.partition}:sqs:${local.region}:${local.account}:${local.name}-${replace(queue, "_", "-")}"
    }
  }
}

data "aws_iam_policy_document" "queue" {
  for_each = local.queues

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "tls_only" {
  for_each = local.queues

  queue_url = each.value.url
  policy    = data.aws_iam_policy_document.queue[each.key].json
}
