//! The listeners before a broker is there: what is told, and what is not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::broker::config::{BrokerConfig, Properties};

async fn ask(env: &Env, address: SocketAddr, request: &str) -> String {
    let mut stream = env.net.connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn get_of(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

async fn serve(settings: &str) -> (Env, Admin, SocketAddr) {
    let env = Env::real();
    let mut properties = Properties::default();
    properties.read_properties("test", settings).unwrap();
    let config = BrokerConfig::new(properties).unwrap();
    let bound = bind(&env, &config.admin_listeners, None).await.unwrap();
    let address = bound.listeners[0].1.local_addr().unwrap();
    let admin = bound.serve(Doorkeeper::new(&env, &config, None));
    (env, admin, address)
}

#[tokio::test]
async fn a_broker_that_starts_is_alive_and_not_ready() {
    let (env, admin, address) = serve("admin.listeners=http://127.0.0.1:0").await;
    let live = ask(&env, address, &get_of("/livez", "x")).await;
    assert!(live.starts_with("HTTP/1.1 200") && live.ends_with("starting\n"), "{live}");
    assert!(live.contains("x-content-type-options: nosniff"), "{live}");
    let ready = ask(&env, address, &get_of("/readyz", "x")).await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("is starting"), "{ready}");
    let metrics = ask(&env, address, &get_of("/metrics", "localhost")).await;
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    let nothing = ask(&env, address, &get_of("/nothing", "localhost")).await;
    assert!(nothing.starts_with("HTTP/1.1 404"), "{nothing}");
    admin.shutdown().await;
}

#[tokio::test]
async fn a_foreign_name_and_a_broker_with_security_tell_a_stranger_nothing() {
    let (env, admin, address) = serve("admin.listeners=http://127.0.0.1:0").await;
    let rebound = ask(&env, address, &get_of("/metrics", "evil.example")).await;
    assert!(rebound.starts_with("HTTP/1.1 421"), "{rebound}");
    admin.shutdown().await;
    let secured = "admin.listeners=http://127.0.0.1:0\nlisteners=SASL_PLAINTEXT://127.0.0.1:0";
    let (env, admin, address) = serve(secured).await;
    let stranger = ask(&env, address, &get_of("/metrics", "localhost")).await;
    assert!(
        stranger.starts_with("HTTP/1.1 401") && stranger.contains("www-authenticate: Basic"),
        "{stranger}"
    );
    admin.shutdown().await;
    let (env, admin, address) = serve(&format!("{secured}\nadmin.metrics.anonymous=true")).await;
    assert!(ask(&env, address, &get_of("/metrics", "localhost")).await.starts_with("HTTP/1.1 200"));
    admin.shutdown().await;
}

#[tokio::test]
async fn without_tls_a_listener_on_the_network_tells_health_only() {
    let (env, admin, address) = serve("admin.listeners=http://0.0.0.0:0").await;
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    assert!(ask(&env, address, &get_of("/livez", "h")).await.starts_with("HTTP/1.1 200"));
    let metrics = ask(&env, address, &get_of("/metrics", "localhost")).await;
    assert!(metrics.starts_with("HTTP/1.1 403") && metrics.contains("no TLS"), "{metrics}");
    admin.shutdown().await;
}
