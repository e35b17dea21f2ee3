//! Signatures of tokens (RFC 7518, RFC 8037), verified by aws-lc-rs. Which key a token's header may choose is decided by the
//! key's kind, never by the header alone: a public key is not a shared secret, whatever the header says.

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An algorithm of the `alg` header. There is none with a shared secret, and no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    const ALL: [Algorithm; 9] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Of those with RSA; keys of 2048 to 8192 bits.
    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
        }
    }
}

/// A public key of a key set.
pub enum PublicKey {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// From the members of a JSON Web Key; `None` for kinds that are not served, secrets among them, and for broken ones.
    pub fn from_jwk<'a>(kind: &str, member: impl Fn(&str) -> Option<&'a str>) -> Option<PublicKey> {
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(member(name)?.trim_end_matches('=')).ok();
        let of_length = |name: &str, length: usize| bytes(name).filter(|bytes| bytes.len() == length);
        // An uncompressed point.
        let point = |length| Some([&[4][..], &of_length("x", length)?, &of_length("y", length)?].concat());
        match (kind, member("crv")) {
            ("RSA", _) => Some(PublicKey::Rsa { modulus: bytes("n")?, exponent: bytes("e")? }),
            ("EC", Some("P-256")) => point(32).map(PublicKey::P256),
            ("EC", Some("P-384")) => point(48).map(PublicKey::P384),
            ("OKP", Some("Ed25519")) => of_length("x", 32).map(PublicKey::Ed25519),
            _ => None,
        }
    }

    /// Whether such a key makes such signatures.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            PublicKey::Rsa { .. } => algorithm.rsa().is_some(),
            PublicKey::P256(_) => algorithm == Algorithm::Es256,
            PublicKey::P384(_) => algorithm == Algorithm::Es384,
            PublicKey::Ed25519(_) => algorithm == Algorithm::EdDsa,
        }
    }

    /// Whether the signature is this key's, by an algorithm that fits it.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let of = |with: &'static dyn VerificationAlgorithm, key: &[u8]| {
            self.fits(algorithm) && UnparsedPublicKey::new(with, key).verify(message, signature).is_ok()
        };
        match self {
            PublicKey::Rsa { modulus, exponent } => algorithm.rsa().is_some_and(|parameters| {
                RsaPublicKeyComponents { n: modulus, e: exponent }
                    .verify(parameters, message, signature)
                    .is_ok()
            }),
            PublicKey::P256(point) => of(&ECDSA_P256_SHA256_FIXED, point),
            PublicKey::P384(point) => of(&ECDSA_P384_SHA384_FIXED, point),
            PublicKey::Ed25519(key) => of(&ED25519, key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.4.
    #[test]
    fn the_ed25519_example_of_its_rfc_verifies() {
        let member = |name: &str| match name {
            "crv" => Some("Ed25519"),
            "x" => Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            _ => None,
        };
        let key = PublicKey::from_jwk("OKP", member).unwrap();
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = URL_SAFE_NO_PAD
            .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
            .unwrap();
        assert!(key.verifies(Algorithm::EdDsa, message, &signature));
        assert!(!key.verifies(Algorithm::EdDsa, b"another", &signature));
        assert!(!key.verifies(Algorithm::Es256, message, &signature));
    }

    #[test]
    fn a_key_fits_its_own_algorithms_only() {
        let rsa = PublicKey::Rsa { modulus: vec![1; 256], exponent: vec![1, 0, 1] };
        let fitting = |key: &PublicKey| Algorithm::ALL.into_iter().filter(|a| key.fits(*a)).count();
        assert_eq!(fitting(&rsa), 6);
        assert_eq!(fitting(&PublicKey::P384(vec![4; 97])), 1);
        for name in ["none", "HS256", "rs256", "ES512", ""] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert!(!rsa.verifies(algorithm, b"message", &[0; 256]));
        }
    }
}
