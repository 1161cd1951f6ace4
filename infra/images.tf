# Where the two images are pushed to; a tag never changes what it means. None expires: a push adds some megabytes, and a
# rule that counts pushes would one day delete the image in use, which a fleet at zero needs at every wake.

locals {
  images = { for each in ["producer", "worker"] : each => "${aws_ecr_repository.image[each].repository_url}:${var.image_tag}" }
}

resource "aws_ecr_repository" "image" {
  # checkov:skip=CKV_AWS_136: images of public code, encrypted with ECR's own keys
  for_each = toset(["producer", "worker"])

  name                 = "${local.name}-${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.delete_with_contents

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }
}
