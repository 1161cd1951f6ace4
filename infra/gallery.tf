# Optional: the figures on the web. CloudFront alone may read the bucket, and only what is below the figure prefix.
# Pages link to each other's index.html, so that no function has to find it.

locals {
  gallery = var.gallery ? 1 : 0
}

resource "aws_cloudfront_origin_access_control" "gallery" {
  count = local.gallery

  name                              = local.name
  description                       = "The gallery reads the figure bucket"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_distribution" "gallery" {
  # checkov:skip=CKV_AWS_68: static files without anything to inject into; a firewall costs more than the gallery
  # checkov:skip=CKV2_AWS_47: as above
  # checkov:skip=CKV_AWS_86: who reads which figure is nobody's business
  # checkov:skip=CKV_AWS_174: CloudFront's own domain has its own certificate, which knows no least protocol
  # checkov:skip=CKV2_AWS_42: a domain of one's own is not a thing to be guessed here
  # checkov:skip=CKV2_AWS_32: it has AWS's own; checkov looks for one that is made here
  # checkov:skip=CKV_AWS_310: figures lie in one bucket
  # checkov:skip=CKV_AWS_374: the portal is open to all countries
  count = local.gallery

  enabled             = true
  comment             = "Gallery of ${local.name}"
  default_root_object = "index.html"
  price_class         = "PriceClass_100"
  http_version        = "http2and3"
  is_ipv6_enabled     = true

  origin {
    origin_id                = "figures"
    domain_name              = aws_s3_bucket.made["figures"].bucket_regional_domain_name
    origin_path              = "/${trimsuffix(var.figure_prefix, "/")}"
    origin_access_control_id = aws_cloudfront_origin_access_control.gallery[0].id
  }

  default_cache_behavior {
    target_origin_id       = "figures"
    viewer_protocol_policy = "redirect-to-https"
    allowed_methods        = ["GET", "HEAD"]
    cached_methods         = ["GET", "HEAD"]
    compress               = true

    # CachingOptimized and SecurityHeadersPolicy: AWS's own, the same in every account (CloudFront developer guide,
    # "Use managed cache policies" and "Use managed response headers policies").
    cache_policy_id            = "658327ea-f89d-4fab-a63d-7e88639e58f6"
    response_headers_policy_id = "67f7725c-6f97-4210-82d7-5512b31e9d03"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = true
  }
}
