output "client_properties" {
  description = "Properties for clients."
  value       = module.esker.client_properties
}

output "brokers" {
  description = "Where each broker stands."
  value       = module.esker.brokers
}

output "certificate_hosts" {
  description = "Names for each broker's certificate."
  value       = module.esker.certificate_hosts
}

output "secrets_path" {
  description = "Path of the secrets."
  value       = module.esker.secrets_path
}

output "rendered" {
  description = "What is applied, for reviews."
  value       = module.esker.rendered
}
