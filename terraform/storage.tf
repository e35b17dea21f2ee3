# The bucket of the cold tier. The brokers own retention: there is no rule here that removes data.

resource "aws_kms_key" "esker" {
  count                   = var.kms_key_arn == null ? 1 : 0
  description             = "esker ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = local.tags
}

resource "aws_kms_alias" "esker" {
  count         = var.kms_key_arn == null ? 1 : 0
  name          = "alias/esker-${var.name}"
  target_key_id = aws_kms_key.esker[0].key_id
}

# A bucket that is there already must be this cluster's: its tag says whose it is.
data "aws_resourcegroupstaggingapi_resources" "bucket" {
  count                 = var.create_bucket ? 0 : 1
  resource_type_filters = ["s3"]

  tag_filter {
    key    = "esker:cluster-id"
    values = [var.cluster_id]
  }

  lifecycle {
    postcondition {
      condition     = contains(self.resource_tag_mapping_list[*].resource_arn, local.bucket_arn)
      error_message = "${var.bucket_name} does not carry the tag esker:cluster-id = ${var.cluster_id}: it is another cluster's bucket, or none of ours. Nothing was changed. If it is right, tag it."
    }
  }
}

resource "aws_s3_bucket" "cold" {
  count         = var.create_bucket ? 1 : 0
  bucket        = var.bucket_name
  force_destroy = false
  tags          = merge(local.tags, { "esker:cluster-id" = var.cluster_id })

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "cold" {
  count                   = var.create_bucket ? 1 : 0
  bucket                  = aws_s3_bucket.cold[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "cold" {
  count  = var.create_bucket ? 1 : 0
  bucket = aws_s3_bucket.cold[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "cold" {
  count  = var.create_bucket ? 1 : 0
  bucket = aws_s3_bucket.cold[0].id

  rule {
    bucket_key_enabled = true # one call to KMS for many objects

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = local.key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "cold" {
  count  = var.create_bucket ? 1 : 0
  bucket = aws_s3_bucket.cold[0].id

  rule {
    id     = "parts-of-uploads-that-never-ended"
    status = "Enabled"

    filter {
      prefix = ""
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

locals {
  bucket_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "ModernTlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
      {
        Sid       = "OurKeyOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = "${local.bucket_arn}/*"
        Condition = { StringNotEqualsIfExists = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = local.key_arn } }
      },
    ]
  })
}

resource "aws_s3_bucket_policy" "cold" {
  count      = var.create_bucket ? 1 : 0
  bucket     = aws_s3_bucket.cold[0].id
  policy     = local.bucket_policy
  depends_on = [aws_s3_bucket_public_access_block.cold]
}
