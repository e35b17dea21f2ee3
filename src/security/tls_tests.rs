//! A listener and rustls's client over a pipe.

use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::{TlsConnector, TlsStream};

use super::*;
use crate::env::pem::certificates;

/// An authority and what it signs, as PEM.
struct Authority {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

struct Issued {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Authority { issuer: rcgen::CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn issue(&self, hosts: &[&str], name: &str) -> Issued {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(hosts).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "A, B");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

struct Setup {
    env: Env,
    authority: Authority,
    folder: tempfile::TempDir,
    mapping: PrincipalMapping,
    passphrase: Option<Passphrase>,
}

impl Setup {
    fn new() -> Setup {
        let env = Env::real();
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { env, authority, folder, mapping: PrincipalMapping::default(), passphrase: None };
        setup.write("ca.crt", &setup.authority.issuer.pem());
        setup.issue_server();
        setup
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        self.env.disk.write_atomically(&path, text.as_bytes()).unwrap();
        path
    }

    fn issue_server(&self) {
        let issued = self.authority.issue(&["localhost"], "server");
        self.write("server.pem", &format!("{}{}", issued.key, issued.certificate));
    }

    fn listener(&self, client_auth: ClientAuth) -> Result<Arc<ListenerTls>, ListenerTlsError> {
        let config = ListenerTlsConfig {
            keystore: self.folder.path().join("server.pem"),
            key: None,
            truststore: (client_auth != ClientAuth::None).then(|| self.folder.path().join("ca.crt")),
            client_auth,
            mapping: self.mapping.clone(),
            passphrase: self.passphrase.clone(),
        };
        ListenerTls::load(&self.env, config).map(Arc::new)
    }

    fn client(
        &self,
        certificate: Option<&Issued>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(self.authority.issuer.pem().as_bytes()).unwrap() {
            roots.add(certificate).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            Some(issued) => {
                let identity =
                    Identity::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(identity.chain, identity.key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        TlsConnector::from(Arc::new(config))
    }
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Handshakes and echoes one byte; whom the listener saw, or that one side refused.
async fn meet(listener: &Arc<ListenerTls>, client: TlsConnector) -> Result<Principal, String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let acceptor = listener.acceptor();
    let listener = listener.clone();
    let serving = tokio::spawn(async move {
        let mut tls = acceptor.accept(far).await.map_err(|e| e.to_string())?;
        let principal = listener.principal(tls.get_ref().1)?;
        let byte = tls.read_u8().await.map_err(|e| e.to_string())?;
        tls.write_all(&[byte]).await.map_err(|e| e.to_string())?;
        tls.flush().await.map_err(|e| e.to_string())?;
        Ok::<_, String>((principal, tls))
    });
    let name = ServerName::try_from("localhost").unwrap();
    let calling = async {
        let mut tls: TlsStream<DuplexStream> = client.connect(name, near).await?.into();
        tls.write_all(&[7]).await?;
        tls.flush().await?;
        assert_eq!(tls.read_u8().await?, 7);
        Ok::<_, std::io::Error>(())
    };
    let called =
        crate::env::timeout(Env::real().clock.as_ref(), Duration::from_secs(20), calling).await.unwrap();
    let served = serving.await.unwrap().map(|(principal, _)| principal);
    called.map_err(|e| e.to_string()).and(served)
}

#[tokio::test]
async fn a_client_without_a_certificate_is_anonymous_where_none_is_required() {
    let setup = Setup::new();
    for auth in [ClientAuth::None, ClientAuth::Requested] {
        for version in BOTH {
            let listener = setup.listener(auth).unwrap();
            let seen = meet(&listener, setup.client(None, &[version])).await.unwrap();
            assert_eq!(seen, Principal::anonymous());
        }
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::Required).unwrap();
    assert!(meet(&listener, setup.client(None, BOTH)).await.is_err());
}

#[tokio::test]
async fn a_client_certificate_gives_its_distinguished_name() {
    let setup = Setup::new();
    let alice = setup.authority.issue(&[], "alice");
    for auth in [ClientAuth::Requested, ClientAuth::Required] {
        let listener = setup.listener(auth).unwrap();
        let seen = meet(&listener, setup.client(Some(&alice), BOTH)).await.unwrap();
        assert_eq!(seen.to_string(), r"User:CN=alice,O=A\, B");
    }
}

#[tokio::test]
async fn a_client_certificate_of_a_stranger_is_refused_even_where_none_is_required() {
    let setup = Setup::new();
    let stranger = Authority::new().issue(&[], "alice");
    let listener = setup.listener(ClientAuth::Requested).unwrap();
    assert!(meet(&listener, setup.client(Some(&stranger), BOTH)).await.is_err());
}

#[tokio::test]
async fn a_reload_serves_the_new_certificate_and_a_bad_file_changes_nothing() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::None).unwrap();
    let issued = Authority::new().issue(&["localhost"], "server");
    setup.write("server.pem", "nothing of use");
    assert!(listener.reload().is_err());
    assert!(meet(&listener, setup.client(None, BOTH)).await.is_ok());
    setup.write("server.pem", &format!("{}{}", issued.key, issued.certificate));
    listener.reload().unwrap();
    assert!(
        meet(&listener, setup.client(None, BOTH)).await.is_err(),
        "the new authority is not the client's"
    );
    setup.issue_server();
    listener.reload().unwrap();
    assert!(meet(&listener, setup.client(None, BOTH)).await.is_ok());
}

#[tokio::test]
async fn plaintext_to_a_tls_listener_is_answered_by_an_alert() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::None).unwrap();
    let (mut near, far) = tokio::io::duplex(1 << 16);
    let acceptor = listener.acceptor();
    let serving = tokio::spawn(async move { acceptor.accept(far).await.map(|_| ()) });
    // An ApiVersions request in the clear.
    near.write_all(&[0, 0, 0, 20, 0, 18, 0, 3, 0, 0, 0, 1, 0, 4, b't', b'e', b's', b't', 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let mut answer = [0; 1];
    near.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[0], 21, "21 is TLS's record type for an alert");
    assert!(serving.await.unwrap().is_err());
}

#[test]
fn client_certificates_need_a_truststore() {
    let setup = Setup::new();
    let config = ListenerTlsConfig {
        keystore: setup.folder.path().join("server.pem"),
        key: None,
        truststore: None,
        client_auth: ClientAuth::Required,
        mapping: PrincipalMapping::default(),
        passphrase: None,
    };
    assert!(matches!(ListenerTls::load(&setup.env, config), Err(ListenerTlsError::NoTruststore)));
}

#[test]
fn a_name_is_escaped_as_rfc_2253_says() {
    assert_eq!(escaped("a,b+c"), "a\\,b\\+c");
    assert_eq!(escaped("#x "), "\\#x\\ ");
    assert_eq!(escaped(" "), "\\ ");
    assert_eq!(escaped("a b"), "a b");
}

#[tokio::test]
async fn replaced_files_are_used_without_a_restart_and_a_bad_one_changes_nothing() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::None).unwrap();
    let watching = tokio::spawn({
        let listener = listener.clone();
        async move { listener.watch(Duration::from_millis(5)).await }
    });
    // Long enough for the watcher to have looked at what is there.
    setup.env.clock.sleep(Duration::from_millis(50)).await;
    setup.write("server.pem", "nothing of use");
    setup.env.clock.sleep(Duration::from_millis(50)).await;
    assert!(meet(&listener, setup.client(None, BOTH)).await.is_ok());
    let stranger = Authority::new().issue(&["localhost"], "server");
    setup.write("server.pem", &format!("{}{}", stranger.key, stranger.certificate));
    while meet(&listener, setup.client(None, BOTH)).await.is_ok() {}
    setup.issue_server();
    while meet(&listener, setup.client(None, BOTH)).await.is_err() {}
    assert!(listener.expires_ms().is_some());
    watching.abort();
}

#[tokio::test]
async fn mapping_rules_give_the_principal_and_a_name_that_none_takes_is_refused() {
    let mut setup = Setup::new();
    setup.mapping = "RULE:^CN=(alice),.*$/$1/U".parse().unwrap();
    let listener = setup.listener(ClientAuth::Required).unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| setup.authority.issue(&[], name));
    let seen = meet(&listener, setup.client(Some(&alice), BOTH)).await.unwrap();
    assert_eq!(seen, Principal::user("ALICE"));
    assert!(meet(&listener, setup.client(Some(&bob), BOTH)).await.is_err());
}

#[tokio::test]
async fn a_key_with_a_passphrase_is_read_with_it_and_not_without() {
    let mut setup = Setup::new();
    // `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -passout pass:secret`
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
        MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgO7paXVfeNYwICCAAw\n\
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJ/tTUHI5ZpXuJzu452jEDwEgZDB\n\
        eYUporG3r40yQ8/T7OTLEKW5KQsp8o9PtStVliJZ3FOpaMV/GFO3LfgCrmUsISwb\n\
        8V09AzUI8Uf5UEXXh95VnKU1v0wklnFopDT0fXV5iQpO3NtmouPi8OgVVymwnehE\n\
        cOV5hJE0V1MG6iN6Dhm+K99bQnZQ3J0bi2+L7Mg11tyn7MtfTzRSU+ly0HQiTaE=\n\
        -----END ENCRYPTED PRIVATE KEY-----\n";
    let plain = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHe1Ar0nYx/1WVZno\n\
        Onm/FwvObVO33ONs9O1Ud32DXVyhRANCAASX4K9dtyaYMhREV0ujOpzTAv5RrJUe\n\
        fo8tLhPyTR6dagp5uMlYLpRiaKDgO0rM1edlxQTmN5qFTuUez2ahxE7Q\n\
        -----END PRIVATE KEY-----\n";
    let key = rcgen::KeyPair::from_pem(plain).unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &setup.authority.issuer).unwrap().pem();
    setup.write("server.pem", &format!("{encrypted}{certificate}"));
    for (passphrase, fits) in [(None, false), (Some("other"), false), (Some("secret"), true)] {
        setup.passphrase = passphrase.map(|text| Passphrase(text.to_owned()));
        match setup.listener(ClientAuth::None) {
            Ok(listener) => assert!(fits && meet(&listener, setup.client(None, BOTH)).await.is_ok()),
            Err(error) => assert!(!fits && error.to_string().contains("server.pem"), "{error}"),
        }
    }
}
