# The figure bucket, always made here; the matrix bucket, made where none is named. Both are kept in the same way.

locals {
  buckets = merge(
    { figures = coalesce(var.figure_bucket, "${local.name}-figures-${local.account}-${local.region}") },
    var.matrix_bucket == null ? { matrices = "${local.name}-matrices-${local.account}-${local.region}" } : {},
  )
  figure_bucket     = aws_s3_bucket.made["figures"].id
  figure_bucket_arn = aws_s3_bucket.made["figures"].arn
  matrix_bucket     = var.matrix_bucket == null ? aws_s3_bucket.made["matrices"].id : var.matrix_bucket
  matrix_bucket_arn = "arn:${local.partition}:s3:::${local.matrix_bucket}"
}

resource "aws_s3_bucket" "made" {
  # checkov:skip=CKV_AWS_18: access logs of public matrices and figures; who reads the gallery, CloudFront counts
  # checkov:skip=CKV_AWS_144: figures can be made anew from the matrices, which their portal keeps
  # checkov:skip=CKV_AWS_145: public data, encrypted with S3's own keys; a key of KMS adds cost and protects from nobody
  # checkov:skip=CKV2_AWS_62: nothing listens: the manifest is the commit, and readers look at it
  for_each = local.buckets

  bucket        = each.value
  force_destroy = var.delete_with_contents
}

resource "aws_s3_bucket_public_access_block" "made" {
  for_each = aws_s3_bucket.made

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "made" {
  for_each = aws_s3_bucket.made

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced" # no ACLs
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "made" {
  for_each = aws_s3_bucket.made

  bucket = each.value.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "made" {
  for_each = aws_s3_bucket.made

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "made" {
  for_each = aws_s3_bucket.made

  bucket     = each.value.id
  depends_on = [aws_s3_bucket_versioning.made]

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.old_versions_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

data "aws_iam_policy_document" "bucket" {
  for_each = aws_s3_bucket.made

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value.arn, "${each.value.arn}/*"]

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

  dynamic "statement" {
    for_each = each.key == "figures" ? aws_cloudfront_distribution.gallery[*].arn : []

    content {
      sid       = "Gallery"
      actions   = ["s3:GetObject"]
      resources = ["${each.value.arn}/${var.figure_prefix}*"]

      principals {
        type        = "Service"
        identifiers = ["cloudfront.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceArn"
        values   = [statement.value]
      }
    }
  }
}

resource "aws_s3_bucket_policy" "made" {
  for_each = aws_s3_bucket.made

  bucket     = each.value.id
  policy     = data.aws_iam_policy_document.bucket[each.key].json
  depends_on = [aws_s3_bucket_public_access_block.made]
}
