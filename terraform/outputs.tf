output "bootstrap_servers" {
  description = "What clients begin with."
  value       = var.create_load_balancer ? "${local.bootstrap}:${var.client_port}" : join(",", [for broker in local.brokers : "${broker.host}:${var.client_port}"])
}

output "client_properties" {
  description = "Properties of a Java client or of `esker --command-config`; the password, and the cluster's ca.crt, are the operator's to hand out."
  value       = <<-EOT
    bootstrap.servers=${var.create_load_balancer ? "${local.bootstrap}:${var.client_port}" : join(",", [for broker in local.brokers : "${broker.host}:${var.client_port}"])}
    security.protocol=SASL_SSL
    sasl.mechanism=SCRAM-SHA-512
    sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="…";
    ssl.truststore.type=PEM
    ssl.truststore.location=ca.crt
  EOT
}

output "brokers" {
  description = "Each broker's zone, name, address and instance."
  value = { for id, broker in local.brokers : id => {
    zone     = broker.zone
    host     = broker.host
    address  = broker.address
    instance = aws_instance.broker[id].id
  } }
}

output "store_url" {
  description = "The cold tier's URL, for `esker tier`."
  value       = local.store_url
}

output "secrets_path" {
  description = "Where deploy/scripts/put-secrets puts certificates and the first user."
  value       = local.secrets_path
}

output "certificate_hosts" {
  description = "Names for each broker's certificate: arguments of `esker certs node`."
  value       = { for id, broker in local.brokers : id => [broker.host, broker.address, local.bootstrap] }
}

output "rendered" {
  description = "Policies, rules and user data as they are applied: for reviews and tests."
  value = {
    broker_policy = local.broker_policy
    bucket_policy = local.bucket_policy
    ingress       = local.ingress
    egress        = local.egress
    user_data     = local.user_data
  }
}
