terraform {
  required_version = ">= 1.9" # validations that look at other variables

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # State lies in this folder until a backend is named: `terraform init -backend-config=…` after adding one here.
}

# Region and credentials come from the environment, as for any AWS tool (AWS_REGION, AWS_PROFILE, …).
provider "aws" {
  default_tags {
    tags = merge({ Project = "data-portal-summary-stats", Environment = var.environ }, var.tags)
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  name      = "${var.name}-${var.environ}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
}
