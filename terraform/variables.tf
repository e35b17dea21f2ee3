# What must be said.

variable "name" {
  description = "Name of the cluster; the prefix of every resource's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name must be 2 to 24 characters of a-z, 0-9 and '-', and begin with a letter."
  }
}

variable "cluster_id" {
  description = "The cluster's id: 22 characters of base64url, as Kafka's tools print it. The cold tier lies under it in the bucket, so a cluster that is to be restored keeps its old one. A new one: `head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22`."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{22}$", var.cluster_id))
    error_message = "cluster_id must be 22 characters of base64url (A-Z, a-z, 0-9, '_' and '-')."
  }
}

variable "vpc_id" {
  description = "The network. It must have DNS support and DNS host names switched on."
  type        = string

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id must look like vpc-0123456789abcdef0."
  }
}

variable "zones" {
  description = "The zones, by zone id (use1-az1, not us-east-1a: the letters differ between accounts). A broker's rack is its zone id; replicas are spread over racks. Brokers are dealt over the zones in the order of their ids, and take addresses from `first_host` of the block on."
  type = map(object({
    subnet_id  = string
    cidr_block = string
    first_host = optional(number, 10)
  }))

  validation {
    condition     = alltrue([for id, zone in var.zones : can(regex("^[a-z0-9]+-[a-z0-9-]*az[0-9]+$", id))])
    error_message = "zones are named by zone ids, such as use1-az1; `aws ec2 describe-availability-zones` lists them."
  }

  validation {
    condition     = alltrue([for id, zone in var.zones : can(regex("^subnet-[0-9a-f]+$", zone.subnet_id)) && can(cidrhost(zone.cidr_block, 0))])
    error_message = "Each zone has a subnet_id (subnet-…) and that subnet's cidr_block (10.0.1.0/24)."
  }

  validation {
    condition     = alltrue([for id, zone in var.zones : zone.first_host >= 4])
    error_message = "first_host must be at least 4: the first addresses of a subnet are the provider's."
  }

  validation {
    condition     = length(var.zones) >= min(var.replication_factor, 3)
    error_message = "replication_factor ${var.replication_factor} needs ${min(var.replication_factor, 3)} zones, there are ${length(var.zones)}: a zone that is lost would take two replicas of a partition with it. More zones, or a smaller replication_factor."
  }

  validation {
    condition     = length(distinct([for zone in var.zones : zone.subnet_id])) == length(var.zones)
    error_message = "Each zone needs a subnet of its own."
  }
}

variable "bucket_name" {
  description = "The bucket of the cold tier. It is created unless create_bucket is false."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name)) && !startswith(var.bucket_name, "xn--")
    error_message = "bucket_name must be 3 to 63 characters of a-z, 0-9 and '-' (no dots: TLS to the bucket's own name would fail)."
  }
}

variable "binary_url" {
  description = "Where a broker fetches `esker` from: s3://bucket/key or https://host/path. Built for the instance type's architecture."
  type        = string

  validation {
    condition     = can(regex("^(s3|https)://[^/]+/.+$", var.binary_url))
    error_message = "binary_url must be s3://bucket/key or https://host/path."
  }
}

variable "binary_sha256" {
  description = "The SHA-256 of that file, in hexadecimal. A broker does not run anything else."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.binary_sha256))
    error_message = "binary_sha256 must be 64 hexadecimal digits, in small letters."
  }
}

variable "client_cidr_blocks" {
  description = "Networks whose clients may connect."
  type        = list(string)

  validation {
    condition     = alltrue([for block in var.client_cidr_blocks : can(cidrhost(block, 0))])
    error_message = "client_cidr_blocks must be networks such as 10.0.0.0/16."
  }

  validation {
    condition     = !contains(var.client_cidr_blocks, "0.0.0.0/0")
    error_message = "0.0.0.0/0 would let the whole internet try passwords: name the networks of your clients."
  }
}

# The cluster's size.

variable "brokers" {
  description = "How many brokers. Their ids are 1 to brokers. A broker is drained before this number goes down (deploy/scripts/remove-broker), and then drained_to says so, in an apply of its own."
  type        = number
  default     = 3

  validation {
    condition     = var.brokers >= 1 && var.brokers <= 99 && floor(var.brokers) == var.brokers
    error_message = "brokers must be a whole number from 1 to 99."
  }

  validation {
    condition     = var.brokers >= var.replication_factor
    error_message = "replication_factor ${var.replication_factor} needs as many brokers, there are ${var.brokers}."
  }
}

variable "is_live" {
  description = "Whether the cluster of this name runs, made from this very state. Set it to true after the first apply. Without it a plan in whose account brokers of this name run is refused: it would be a second one over a live cluster."
  type        = bool
  default     = false
}

variable "drained_to" {
  description = "To lower `brokers`: the number that is left when deploy/scripts/remove-broker has emptied those above it. One apply with it, and `brokers` as it was, lifts the protection of the instances above it; a second, with `brokers` lowered to the same, destroys them. Take it away before `brokers` is raised again."
  type        = number
  default     = null

  validation {
    condition     = var.drained_to == null || try(var.drained_to >= max(var.voters, var.replication_factor) && floor(var.drained_to) == var.drained_to, false)
    error_message = "drained_to must be a whole number, and neither below voters (${var.voters}) nor below replication_factor (${var.replication_factor}): brokers could not be lowered to it."
  }
}

variable "voters" {
  description = "How many of the first brokers are the metadata quorum: 1, 3 or 5."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 3, 5], var.voters) && var.voters <= var.brokers
    error_message = "voters must be 1, 3 or 5, and not more than there are brokers."
  }
}

variable "replication_factor" {
  description = "Replicas of a topic that names no number, and of the internal topics."
  type        = number
  default     = 3

  validation {
    condition     = var.replication_factor >= 1 && var.replication_factor <= 9
    error_message = "replication_factor must be from 1 to 9."
  }
}

variable "min_insync_replicas" {
  description = "In-sync replicas that acks=all needs."
  type        = number
  default     = 2

  validation {
    condition     = var.min_insync_replicas >= 1 && var.min_insync_replicas <= var.replication_factor
    error_message = "min_insync_replicas must be from 1 to replication_factor."
  }

  validation {
    condition     = var.replication_factor == 1 || var.min_insync_replicas < var.replication_factor
    error_message = "With min_insync_replicas equal to replication_factor no broker could be restarted without stopping acks=all."
  }
}

variable "instance_type" {
  description = "The brokers' instance type. It must have NVMe instance storage. Baseline network matters more than peak: a broker receives each byte once, sends it on to its followers, and uploads it."
  type        = string
  default     = "im4gn.xlarge"

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.instance_type))
    error_message = "instance_type must look like im4gn.xlarge."
  }
}

variable "ami_id" {
  description = "The image; default: the newest Amazon Linux 2023 for the type's architecture when a broker is made. An image of your own needs cloud-init, systemd, xfsprogs, curl, the AWS CLI, and mdadm for types with several disks."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-f]+$", var.ami_id))
    error_message = "ami_id must look like ami-0123456789abcdef0."
  }
}

variable "root_volume_gib" {
  description = "Size of the root volume, for the system and its logs."
  type        = number
  default     = 16

  validation {
    condition     = var.root_volume_gib >= 8
    error_message = "root_volume_gib must be at least 8."
  }
}

# The cold tier.

variable "bucket_prefix" {
  description = "Prefix of everything that the brokers write in the bucket."
  type        = string
  default     = "esker"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", var.bucket_prefix))
    error_message = "bucket_prefix must be of letters, digits, '_' and '-', with '/' only between; it may not be empty, since the brokers' rights end with it."
  }
}

variable "create_bucket" {
  description = "Whether to create the bucket. false: it is there already, as when a cluster is restored; it must carry the tag esker:cluster-id with this cluster's id, and its policy, encryption and rules are not touched."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key for the bucket, the secrets and the root volumes; default: one is created."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, arn:aws:kms:region:account:key/id."
  }
}

# The network.

variable "domain" {
  description = "Domain of the brokers' names: broker-1.<name>.<domain>. A private zone <name>.<domain> is created unless zone_id is given."
  type        = string
  default     = "internal"

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)*$", var.domain))
    error_message = "domain must be a DNS name such as esker.example.com."
  }
}

variable "zone_id" {
  description = "Route 53 zone in which the brokers' names are made; default: a private one is created."
  type        = string
  default     = null
}

variable "client_port" {
  description = "TCP port of the brokers' SASL_SSL listener and of the bootstrap load balancer."
  type        = number
  default     = 9092

  validation {
    condition     = var.client_port >= 1024 && var.client_port <= 65535 && !contains([var.peer_port, 9644], var.client_port)
    error_message = "client_port must be from 1024 to 65535, and neither the peer_port nor 9644 (the machine's own: metrics and the console on 127.0.0.1)."
  }
}

variable "admin_port" {
  description = "TCP port of the brokers' metrics and console, by HTTPS and with a user's name and password. On the machine itself they are at http://127.0.0.1:9644."
  type        = number
  default     = 9645

  validation {
    condition     = var.admin_port >= 1024 && var.admin_port <= 65535 && !contains([var.client_port, 9644], var.admin_port)
    error_message = "admin_port must be from 1024 to 65535, and neither the client_port nor 9644 (the machine's own)."
  }
}

variable "monitoring_cidr_blocks" {
  description = "Networks from which metrics and the console may be asked. Empty: from the brokers' machines alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for block in var.monitoring_cidr_blocks : can(cidrhost(block, 0))]) && !contains(var.monitoring_cidr_blocks, "0.0.0.0/0")
    error_message = "monitoring_cidr_blocks must be networks such as 10.0.9.0/24, and not the whole internet."
  }
}

variable "peer_port" {
  description = "UDP port on which brokers talk QUIC to each other."
  type        = number
  default     = 9093

  validation {
    condition     = var.peer_port >= 1024 && var.peer_port <= 65535
    error_message = "peer_port must be from 1024 to 65535."
  }
}

variable "route_table_ids" {
  description = "Route tables of the zones' subnets, for the S3 gateway endpoint (free, and S3 traffic then leaves neither the network nor a toll). Empty: no endpoint is created."
  type        = list(string)

  validation {
    condition     = alltrue([for id in var.route_table_ids : can(regex("^rtb-[0-9a-f]+$", id))])
    error_message = "route_table_ids must look like rtb-0123456789abcdef0."
  }
}

variable "create_ssm_endpoints" {
  description = "Whether to create the interface endpoints of Systems Manager; needed where the subnets have no other way to it."
  type        = bool
  default     = true
}

variable "create_load_balancer" {
  description = "Whether to create the network load balancer for bootstrap. Clients use it to find the brokers, never for data."
  type        = bool
  default     = true
}

# The rest.

variable "secrets_path" {
  description = "Path in the SSM parameter store under which ca.crt, bootstrap-user, and node-<id>.crt and node-<id>.key of each broker lie as SecureStrings; default: /esker/<name>. They are put there by deploy/scripts/put-secrets, so that no key is in Terraform's state."
  type        = string
  default     = null

  validation {
    condition     = var.secrets_path == null || can(regex("^(/[A-Za-z0-9_.-]+)+$", var.secrets_path))
    error_message = "secrets_path must look like /esker/prod."
  }
}

variable "settings" {
  description = "More broker properties, by Kafka's names. What this module sets itself can't be changed here."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setintersection(keys(var.settings), [
      "node.id", "cluster.id", "broker.rack", "listeners", "advertised.listeners", "peer.listener",
      "peer.advertised.listener", "controller.quorum.voters", "log.dirs", "tier.store.url", "tier.store.region",
      "default.replication.factor", "min.insync.replicas", "peer.ssl.ca.location",
      "peer.ssl.certificate.location", "peer.ssl.key.location", "ssl.keystore.certificate.location",
      "ssl.keystore.key.location", "security.bootstrap.user",
      "admin.listeners", "authorizer.class.name", "super.users", "audit.log.path", "offsets.topic.replication.factor",
      "transaction.state.log.replication.factor", "transaction.state.log.min.isr",
    ])) == 0
    error_message = "settings may not hold what the module sets itself (node.id, listeners, log.dirs, tier.store.url, …): use its variables."
  }

  validation {
    condition     = alltrue([for key, value in var.settings : can(regex("^[a-z0-9.]+$", key)) && !can(regex("[\r\n]", value))])
    error_message = "settings are property names with values of one line."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
