//! The listeners for HTTP.

use super::{ConfigError, Properties, invalid, split_host_port};

/// A listener for health, metrics, the REST API and the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminListener {
    /// HTTPS, with the certificate of the client listeners.
    pub tls: bool,
    /// The host it binds; empty for all addresses.
    pub host: String,
    /// The port it binds; 0 for any.
    pub port: u16,
}

impl std::fmt::Display for AdminListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }
}

/// What `admin.listeners` says.
pub(super) fn listeners(p: &Properties) -> Result<Vec<AdminListener>, ConfigError> {
    let listeners = p.list("admin.listeners").into_iter().map(|item| {
        let parsed = item.split_once("://").and_then(|(scheme, address)| {
            let (host, port) = split_host_port(address.trim_end_matches('/'))?;
            let tls = match scheme {
                "http" => false,
                "https" => true,
                _ => return None,
            };
            Some(AdminListener { tls, host, port })
        });
        parsed.ok_or_else(|| {
            invalid(p, "admin.listeners", &item, "http://host:port or https://host:port, separated by commas")
        })
    });
    let listeners: Vec<AdminListener> = listeners.collect::<Result<_, _>>()?;
    let has_certificate = p.get("ssl.keystore.certificate.location").is_some();
    if let Some(listener) = listeners.iter().find(|l| l.tls && !has_certificate) {
        return Err(ConfigError::Contradiction(format!(
            "admin.listeners: {listener} speaks TLS: set ssl.keystore.certificate.location and ssl.keystore.key.location"
        )));
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<AdminListener>, ConfigError> {
        let mut p = Properties::default();
        p.read_properties("x", text)?;
        listeners(&p)
    }

    #[test]
    fn listeners_are_urls() {
        assert_eq!(parsed("").unwrap(), vec![]);
        let found = parsed("admin.listeners=http://127.0.0.1:9644,http://[::1]:0/").unwrap();
        assert_eq!((found[0].host.as_str(), found[0].port, found[0].tls), ("127.0.0.1", 9644, false));
        assert_eq!((found[1].host.as_str(), found[1].port), ("::1", 0));
        assert!(
            parsed("admin.listeners=127.0.0.1:9644").unwrap_err().to_string().contains("http://host:port")
        );
        let error = parsed("admin.listeners=https://:9644").unwrap_err().to_string();
        assert!(error.contains("ssl.keystore.certificate.location"), "{error}");
    }
}
