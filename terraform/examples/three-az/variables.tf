variable "region" {
  description = "The region."
  type        = string
  default     = "eu-central-1"
}

variable "zone_ids" {
  description = "Three zones of the region, by zone id."
  type        = list(string)
  default     = ["euc1-az1", "euc1-az2", "euc1-az3"]

  validation {
    condition     = length(distinct(var.zone_ids)) >= 3
    error_message = "Three replicas need three different zones."
  }
}

variable "cidr_block" {
  description = "The network's block; each zone gets a /24 of a /16."
  type        = string
  default     = "10.42.0.0/16"
}

variable "name" {
  description = "Name of the cluster."
  type        = string
  default     = "prod"
}

variable "cluster_id" {
  description = "Id of the cluster, see the module."
  type        = string
}

variable "brokers" {
  description = "How many brokers."
  type        = number
  default     = 3
}

variable "instance_type" {
  description = "The brokers' type; the cost table in terraform/README.md has three sizes."
  type        = string
  default     = "im4gn.xlarge"
}

variable "bucket_name" {
  description = "Bucket of the cold tier."
  type        = string
}

variable "create_bucket" {
  description = "false: the bucket is there already (a restore)."
  type        = bool
  default     = true
}

variable "client_cidr_blocks" {
  description = "Networks of the clients."
  type        = list(string)
  default     = ["10.42.0.0/16"]
}

variable "binary_url" {
  description = "s3://… of the release for aarch64; the network has no way to the internet."
  type        = string

  validation {
    condition     = startswith(var.binary_url, "s3://")
    error_message = "This network has no way to the internet: put the binary in a bucket, s3://bucket/key."
  }
}

variable "binary_sha256" {
  description = "Its SHA-256."
  type        = string
}

variable "is_live" {
  description = "true after the first apply, see the module."
  type        = bool
  default     = false
}

variable "drained_to" {
  description = "To lower brokers: the number that is left when those above are drained; in an apply of its own before that, see the module."
  type        = number
  default     = null
}

variable "monitoring_cidr_blocks" {
  description = "Networks from which metrics and the console may be asked."
  type        = list(string)
  default     = []
}
