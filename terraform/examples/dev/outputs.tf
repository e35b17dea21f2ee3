output "client_properties" {
  description = "Properties for clients."
  value       = module.esker.client_properties
}
