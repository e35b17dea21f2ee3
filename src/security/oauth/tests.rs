//! Tokens of a small authority, right and wrong in each way.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::*;
use crate::env::Env;
use crate::env::sim::ManualClock;

const NOW_S: i64 = 1_700_000_000;

/// An authority with one key.
struct Issuer {
    id: &'static str,
    key: EcdsaKeyPair,
}

impl Issuer {
    fn new(id: &'static str) -> Issuer {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        Issuer { id, key }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id, "x": part(1..33), "y": part(33..65)})
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": "ES256", "kid": self.id}), claims)
    }
}

fn set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

fn claims() -> Value {
    json!({"iss": "https://idp", "aud": ["other", "esker"], "sub": "alice", "iat": NOW_S - 5, "exp": NOW_S + 60})
}

fn with(change: Value) -> Value {
    let mut all = claims();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => all.as_object_mut().unwrap().remove(name),
            value => all.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    all
}

fn rules() -> TokenRules {
    TokenRules {
        issuer: Some("https://idp".to_owned()),
        audiences: vec!["esker".to_owned()],
        subject_claim: "sub".to_owned(),
        clock_skew: Duration::from_secs(30),
    }
}

fn validator(rules: TokenRules, keys: &[Value]) -> TokenValidator {
    let clock = Arc::new(ManualClock::new(NOW_S * 1000));
    let keys = Keys::fixed(&Env::real(), KeySet::parse(&set(keys)).unwrap());
    TokenValidator::new(rules, keys, clock)
}

#[test]
fn a_good_token_names_its_bearer_and_its_end() {
    let idp = Issuer::new("k1");
    let (old, validator) = (Issuer::new("k0"), validator(rules(), &[Issuer::new("k0").jwk(), idp.jwk()]));
    let token = validator.check(&idp.token(&claims())).unwrap();
    assert_eq!(token, Token { principal: Principal::user("alice"), expires_ms: (NOW_S + 60) * 1000 });
    // Without a key id each key is tried.
    assert!(validator.check(&idp.token_with(&json!({"alg": "ES256"}), &claims())).is_ok());
    assert_eq!(validator.check(&old.token(&claims())), Err(TokenError::Signature));
    let other = TokenRules { subject_claim: "azp".to_owned(), issuer: None, ..rules() };
    let validator = self::validator(other, &[idp.jwk()]);
    let token = validator.check(&idp.token(&with(json!({"azp": "client-7", "iss": null})))).unwrap();
    assert_eq!(token.principal, Principal::user("client-7"));
}

#[test]
fn what_a_token_claims_must_fit() {
    let idp = Issuer::new("k1");
    let validator = validator(rules(), &[idp.jwk()]);
    let claim = |name: &str| TokenError::Claim(name.to_owned());
    for (change, wanted) in [
        (json!({"exp": NOW_S - 31}), Some(TokenError::Time("it has expired"))),
        (json!({"exp": NOW_S - 29}), None),
        (json!({"exp": null}), Some(claim("exp"))),
        (json!({"exp": "soon"}), Some(claim("exp"))),
        (json!({"exp": 1e300}), Some(claim("exp"))),
        (json!({"iat": null}), Some(claim("iat"))),
        (json!({"nbf": NOW_S + 31}), Some(TokenError::Time("it is not valid yet"))),
        (json!({"nbf": NOW_S + 29}), None),
        (json!({"iss": "https://elsewhere"}), Some(TokenError::Issuer)),
        (json!({"iss": null}), Some(TokenError::Issuer)),
        (json!({"aud": "esker"}), None),
        (json!({"aud": "another"}), Some(TokenError::Audience)),
        (json!({"aud": ["another"]}), Some(TokenError::Audience)),
        (json!({"aud": 7}), Some(TokenError::Audience)),
        (json!({"aud": null}), Some(TokenError::Audience)),
        (json!({"sub": null}), Some(claim("sub"))),
        (json!({"sub": " "}), Some(claim("sub"))),
        (json!({"sub": "x".repeat(2000)}), Some(claim("sub"))),
    ] {
        let checked = validator.check(&idp.token(&with(change.clone())));
        assert_eq!(checked.err(), wanted, "{change}");
    }
    // As Kafka's: who expects no audience takes no token that is for one.
    let nobody = self::validator(TokenRules { audiences: Vec::new(), ..rules() }, &[idp.jwk()]);
    assert_eq!(nobody.check(&idp.token(&claims())), Err(TokenError::Audience));
    assert!(nobody.check(&idp.token(&with(json!({"aud": null})))).is_ok());
}

#[test]
fn a_forged_token_is_refused_whatever_its_header_says() {
    let (idp, thief) = (Issuer::new("k1"), Issuer::new("k1"));
    let validator = validator(rules(), &[idp.jwk()]);
    assert_eq!(validator.check(&thief.token(&claims())), Err(TokenError::Signature));
    let unknown = Issuer::new("k9").token(&claims());
    assert_eq!(validator.check(&unknown), Err(TokenError::NoKey(Some("k9".to_owned()))));
    for algorithm in ["none", "None", "HS256", "HS512", "ES256K", ""] {
        let token = idp.token_with(&json!({"alg": algorithm, "kid": "k1"}), &claims());
        assert_eq!(validator.check(&token), Err(TokenError::Algorithm), "{algorithm}");
    }
    // A key of another kind, or that is kept for another algorithm, does not fit.
    for algorithm in ["RS256", "PS256", "EdDSA", "ES384"] {
        let token = idp.token_with(&json!({"alg": algorithm, "kid": "k1"}), &claims());
        assert_eq!(validator.check(&token), Err(TokenError::NoKey(Some("k1".to_owned()))), "{algorithm}");
    }
    let good = idp.token(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        format!("{message}."),
        message.to_owned(),
        format!("{message}.{}", &signature[..signature.len() - 2]),
        format!("{message}.{signature}.{signature}"),
        good.replacen('.', "", 1),
        String::new(),
        "..".to_owned(),
        "a".repeat(100_000),
    ] {
        assert!(validator.check(&bad).is_err(), "{bad:.100}");
    }
    // Every changed character counts.
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of a base64 text may have bits that mean nothing.
        if at + 1 != good.len() {
            assert!(validator.check(&changed).is_err(), "character {at}");
        }
    }
}

#[test]
fn a_key_set_leaves_out_what_is_no_public_key_for_signatures() {
    let idp = Issuer::new("k1");
    let mut encryption = idp.jwk();
    encryption["use"] = json!("enc");
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "k1"});
    let strange = json!({"kty": "LATTICE", "kid": "k2"});
    assert!(KeySet::parse(&set(&[secret.clone(), encryption, strange.clone()])).is_err());
    assert!(KeySet::parse(&set(&[secret, strange, idp.jwk()])).is_ok());
    for bad in ["", "[]", "{}", r#"{"keys": 7}"#, r#"{"keys": []}"#] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn the_keys_of_a_file_follow_it_and_bad_ones_change_nothing() {
    let env = Env::real();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (first, second) = (Issuer::new("a"), Issuer::new("b"));
    assert!(Keys::load(&env, JwksSettings::of_file(path.clone())).await.is_err(), "no file");
    env.disk.write_atomically(&path, &set(&[first.jwk()])).unwrap();
    let keys = Keys::load(&env, JwksSettings::of_file(path.clone())).await.unwrap();
    let watching = tokio::spawn({
        let keys = keys.clone();
        async move { keys.watch(Duration::from_millis(5)).await }
    });
    let clock = Arc::new(ManualClock::new(NOW_S * 1000));
    let validator = TokenValidator::new(rules(), keys, clock);
    assert!(validator.check(&first.token(&claims())).is_ok());
    assert!(validator.check(&second.token(&claims())).is_err());
    env.disk.write_atomically(&path, b"no key set").unwrap();
    env.clock.sleep(Duration::from_millis(50)).await;
    assert!(validator.check(&first.token(&claims())).is_ok());
    env.disk.write_atomically(&path, &set(&[second.jwk()])).unwrap();
    while validator.check(&second.token(&claims())).is_err() {
        env.clock.sleep(Duration::from_millis(5)).await;
    }
    assert!(validator.check(&first.token(&claims())).is_err());
    watching.abort();
}
