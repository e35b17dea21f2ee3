//! The exchange of RFC 7677, and messages that are none.

use super::*;
use crate::env::sim::SeededRng;

// RFC 7677 section 3: SCRAM-SHA-256, user "user", password "pencil".
const RFC_SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const RFC_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const RFC_SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const RFC_SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const RFC_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const RFC_SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn rfc_credential() -> Arc<ScramCredential> {
    let salt = BASE64.decode(RFC_SALT).unwrap();
    let salted = salted_password(ScramMechanism::Sha256, "pencil", &salt, 4096).unwrap();
    Arc::new(credential_from_salted(ScramMechanism::Sha256, &salt, &salted, 4096).unwrap())
}

fn rfc_exchange() -> ScramExchange {
    let first = ClientFirst::parse(RFC_FIRST.as_bytes()).unwrap();
    let (exchange, reply) =
        ScramExchange::begin_with(ScramMechanism::Sha256, first, rfc_credential(), RFC_SERVER_NONCE);
    assert_eq!(reply, RFC_SERVER_FIRST);
    exchange
}

#[test]
fn the_exchange_of_rfc_7677_comes_out_byte_for_byte() {
    assert_eq!(rfc_exchange().finish(RFC_FINAL.as_bytes()).unwrap().as_deref(), Some(RFC_SERVER_FINAL));
}

#[test]
fn a_tampered_proof_is_refused_at_every_bit() {
    let (head, proof) = RFC_FINAL.rsplit_once(",p=").unwrap();
    let proof = BASE64.decode(proof).unwrap();
    for bit in 0..proof.len() * 8 {
        let mut wrong = proof.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let message = format!("{head},p={}", BASE64.encode(&wrong));
        assert_eq!(rfc_exchange().finish(message.as_bytes()), Ok(None), "bit {bit}");
    }
}

#[test]
fn a_final_message_of_another_exchange_is_refused() {
    let first = ClientFirst::parse(RFC_FIRST.as_bytes()).unwrap();
    let rng = SeededRng::new(1);
    let (exchange, _) = ScramExchange::begin(&rng, ScramMechanism::Sha256, first, rfc_credential());
    assert!(exchange.finish(RFC_FINAL.as_bytes()).is_err());
}

#[test]
fn final_messages_that_are_none_are_refused() {
    let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let nonce = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    for message in [
        String::new(),
        "c=biws".to_owned(),
        format!("c=biws,{nonce}"),
        format!("{nonce},{proof}"),
        // GS2 headers of "y,," and of another authorization id.
        format!("c=eSws,{nonce},{proof}"),
        format!("c=bixhPXgs,{nonce},{proof}"),
        format!("c=biws,r=rOprNGfwEbeRWgbNEkqO,{proof}"),
        format!("c=biws,{nonce}x,{proof}"),
        format!("c=biws,{nonce},p=AAAA"),
        format!("c=biws,{nonce},p=!"),
    ] {
        assert!(rfc_exchange().finish(message.as_bytes()).is_err(), "{message}");
    }
    assert!(rfc_exchange().finish(&[0xff, 0xfe]).is_err());
}

#[test]
fn an_extension_in_the_final_message_counts_into_the_proof() {
    let (head, proof) = RFC_FINAL.rsplit_once(",p=").unwrap();
    let message = format!("{head},x=1,p={proof}");
    assert_eq!(rfc_exchange().finish(message.as_bytes()), Ok(None));
}

#[test]
fn first_messages_that_are_none_are_refused() {
    for message in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,n=,r=x",
        "n,,r=x,n=user",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,,m=ext,n=user,r=x",
        "p=tls-unique,,n=user,r=x",
        "x,,n=user,r=x",
        "n,a=other,n=user,r=x",
        "n,other,n=user,r=x",
        "n,,n=us=2cer,r=x",
        "n,,n=us=,r=x",
        "n,,n=us=3,r=x",
        "n,,n=ü=2,r=x",
        "n,,n=user,r=x,tokenauth=true",
    ] {
        assert!(ClientFirst::parse(message.as_bytes()).is_err(), "{message}");
    }
    let long_user = format!("n,,n={},r=x", "u".repeat(MAX_USER_BYTES + 1));
    let long_nonce = format!("n,,n=user,r={}", "x".repeat(MAX_CLIENT_NONCE + 1));
    assert!(ClientFirst::parse(long_user.as_bytes()).is_err());
    assert!(ClientFirst::parse(long_nonce.as_bytes()).is_err());
    assert!(ClientFirst::parse(&[b'n', b',', b',', 0xff]).is_err());
}

#[test]
fn names_are_unescaped_and_an_own_authorization_id_is_accepted() {
    assert_eq!(ClientFirst::parse(b"n,,n=a=2Cb=3Dc,r=x").unwrap().user, "a,b=c");
    assert_eq!(ClientFirst::parse(b"y,a=a=2Cb,n=a=2Cb,r=x,ext=1").unwrap().user, "a,b");
}

#[test]
fn a_credential_of_kafka_is_made_of_what_its_client_sends() {
    // The salted password travels; the credential that comes of it fits the password.
    let rng = SeededRng::new(3);
    for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
        let own = credential(&rng, mechanism, "secret", 5000).unwrap();
        let salted = salted_password(mechanism, "secret", &own.salt, 5000).unwrap();
        assert!(own == credential_from_salted(mechanism, &own.salt, &salted, 5000).unwrap());
        assert!(password_fits(mechanism, &own, "secret"));
        assert!(!password_fits(mechanism, &own, "Secret"));
    }
}

#[test]
fn absurd_parameters_make_no_credential() {
    let sha256 = ScramMechanism::Sha256;
    for iterations in [0, 1, MIN_ITERATIONS - 1, MAX_ITERATIONS + 1, u32::MAX] {
        assert_eq!(
            credential_from_salted(sha256, b"salt", &[0; 32], iterations),
            Err(CredentialError::Iterations(iterations))
        );
    }
    assert_eq!(credential_from_salted(sha256, b"", &[0; 32], 4096), Err(CredentialError::Salt(0)));
    assert_eq!(credential_from_salted(sha256, &[0; 1025], &[0; 32], 4096), Err(CredentialError::Salt(1025)));
    for bytes in [0, 1025] {
        let salted = vec![0; bytes];
        let made = credential_from_salted(sha256, b"salt", &salted, 4096);
        assert_eq!(made, Err(CredentialError::SaltedPassword(bytes)));
    }
    // As Kafka takes it, though nobody can log in with it.
    assert!(credential_from_salted(sha256, b"salt", &[0; 31], 4096).is_ok());
    assert_eq!(credential(&SeededRng::new(1), sha256, "", 4096), Err(CredentialError::EmptyPassword));
}

#[test]
fn a_decoy_is_the_same_at_every_try_and_different_for_every_name() {
    let decoy = |secret: &[u8], user| decoy(ScramMechanism::Sha512, secret, user);
    assert!(decoy(b"s", "a") == decoy(b"s", "a"));
    assert!(decoy(b"s", "a").salt != decoy(b"s", "b").salt);
    assert!(decoy(b"s", "a").salt != decoy(b"t", "a").salt);
    assert_eq!(decoy(b"s", "a").salt.len(), SALT_BYTES);
}
