variable "region" {
  description = "The region."
  type        = string
  default     = "eu-central-1"
}

variable "cluster_id" {
  description = "Id of the cluster, see the module."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "zone_id" {
  description = "The subnet's zone, by zone id."
  type        = string
}

variable "subnet_id" {
  description = "The subnet; it has a way to Systems Manager (NAT or endpoints)."
  type        = string
}

variable "cidr_block" {
  description = "The subnet's block."
  type        = string
}

variable "route_table_ids" {
  description = "The subnet's route tables."
  type        = list(string)
}

variable "client_cidr_blocks" {
  description = "Networks of the clients."
  type        = list(string)
}

variable "bucket_name" {
  description = "Bucket of the cold tier."
  type        = string
}

variable "binary_url" {
  description = "Where the release for aarch64 is."
  type        = string
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
