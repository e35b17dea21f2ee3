# One role a broker: broker 1 can't read broker 2's key. The policies are plain values, so that tests read what is applied.

locals {
  key_context = "${local.bucket_arn}/*"

  store_statements = [
    {
      Sid      = "Objects"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
      Resource = "${local.bucket_arn}/${var.bucket_prefix}/*"
    },
    {
      Sid       = "List"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = local.bucket_arn
      Condition = { StringLike = { "s3:prefix" = "${var.bucket_prefix}/*" } }
    },
    {
      Sid       = "Key"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = local.key_arn
      Condition = { StringEquals = { "kms:ViaService" = ["s3.${local.region}.amazonaws.com", "ssm.${local.region}.amazonaws.com"] } }
    },
  ]

  binary_statements = [for place in regexall("^s3://(.+)$", var.binary_url) : {
    Sid      = "Binary"
    Effect   = "Allow"
    Action   = ["s3:GetObject"]
    Resource = "arn:${data.aws_partition.current.partition}:s3:::${place[0]}"
  }]

  session_statements = [
    {
      Sid    = "Session"
      Effect = "Allow"
      Action = [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
      ]
      Resource = "*" # these actions know no resources
    },
  ]

  broker_policy = {
    for id, broker in local.brokers : id => jsonencode({
      Version = "2012-10-17"
      Statement = concat(local.store_statements, local.binary_statements, local.session_statements, [{
        Sid    = "Secrets"
        Effect = "Allow"
        Action = ["ssm:GetParameter"]
        Resource = [for name in ["ca.crt", "bootstrap-user", "node-${id}.crt", "node-${id}.key"] :
        "arn:${data.aws_partition.current.partition}:ssm:${local.region}:${local.account}:parameter${local.secrets_path}/${name}"]
      }])
    })
  }
}

resource "aws_iam_role" "broker" {
  for_each = local.brokers
  name     = "${var.name}-broker-${each.key}"
  tags     = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "broker" {
  for_each = local.brokers
  name     = "esker"
  role     = aws_iam_role.broker[each.key].id
  policy   = local.broker_policy[each.key]
}

resource "aws_iam_instance_profile" "broker" {
  for_each = local.brokers
  name     = "${var.name}-broker-${each.key}"
  role     = aws_iam_role.broker[each.key].name
  tags     = local.tags
}
