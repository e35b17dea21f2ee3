//! Private keys with a passphrase: PKCS#8 `EncryptedPrivateKeyInfo` with PBES2, PBKDF2 and AES-CBC (RFC 8018), which is
//! what `openssl pkcs8 -topk8` writes.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;

/// More rounds than this are not worked through: a key file is not to hang a broker.
const MAX_ITERATIONS: u64 = 10_000_000;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;

// Object identifiers, as their content octets.
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0a];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b];
const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

/// The PKCS#8 key behind its encryption.
///
/// # Errors
/// Says what is not served, or that the passphrase does not fit.
pub(super) fn decrypt(der: &[u8], passphrase: &str) -> Result<Vec<u8>, String> {
    let mut input = der;
    let mut info = take(&mut input, SEQUENCE)?;
    let mut scheme = take(&mut info, SEQUENCE)?;
    let mut data = take(&mut info, OCTETS)?.to_vec();
    if take(&mut scheme, OBJECT)? != PBES2 {
        return Err("its encryption is not PBES2".to_owned());
    }
    let mut parameters = take(&mut scheme, SEQUENCE)?;
    let mut derivation = take(&mut parameters, SEQUENCE)?;
    let mut encryption = take(&mut parameters, SEQUENCE)?;

    if take(&mut derivation, OBJECT)? != PBKDF2 {
        return Err("its key derivation is not PBKDF2".to_owned());
    }
    let mut rounds = take(&mut derivation, SEQUENCE)?;
    let salt = take(&mut rounds, OCTETS)?;
    let iterations = number(take(&mut rounds, INTEGER)?)?;
    let iterations = u32::try_from(iterations)
        .ok()
        .filter(|n| u64::from(*n) <= MAX_ITERATIONS)
        .and_then(NonZeroU32::new)
        .ok_or_else(|| format!("{iterations} iterations are not worked through"))?;
    if rounds.first() == Some(&INTEGER) {
        // The length of the key, which the cipher tells as well.
        take(&mut rounds, INTEGER)?;
    }
    let algorithm = if rounds.is_empty() {
        pbkdf2::PBKDF2_HMAC_SHA1
    } else {
        let mut function = take(&mut rounds, SEQUENCE)?;
        match take(&mut function, OBJECT)? {
            HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
            HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
            HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
            HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => {
                return Err(
                    "its key derivation is not over HMAC with SHA-1, SHA-256, SHA-384 or SHA-512".to_owned()
                );
            }
        }
    };

    let (cipher, key_bytes) = match take(&mut encryption, OBJECT)? {
        AES_128_CBC => (&AES_128, 16),
        AES_256_CBC => (&AES_256, 32),
        _ => return Err("its cipher is neither AES-128-CBC nor AES-256-CBC".to_owned()),
    };
    let iv: [u8; 16] = take(&mut encryption, OCTETS)?
        .try_into()
        .map_err(|_| "its initial vector has not 16 bytes".to_owned())?;
    let mut key = [0; 32];
    pbkdf2::derive(algorithm, iterations, salt, passphrase.as_bytes(), &mut key[..key_bytes]);
    let wrong = |_| "the passphrase does not fit".to_owned();
    let key = UnboundCipherKey::new(cipher, &key[..key_bytes]).map_err(wrong)?;
    let plain = PaddedBlockDecryptingKey::cbc_pkcs7(key)
        .and_then(|key| {
            key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(&iv)))
                .map(|plain| plain.to_vec())
        })
        .map_err(wrong)?;
    // One wrong passphrase in 256 leaves a padding that fits.
    let mut content = plain.as_slice();
    if take(&mut content, SEQUENCE).is_err() || !content.is_empty() {
        return Err("the passphrase does not fit".to_owned());
    }
    Ok(plain)
}

/// The content of the next element, which must have this tag.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Result<&'a [u8], String> {
    let broken = || "it is not an encrypted private key in PKCS#8".to_owned();
    let (found, rest) = input.split_first().ok_or_else(broken)?;
    let (first, rest) = rest.split_first().ok_or_else(broken)?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f)).ok_or_else(broken)?;
            (length.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return Err(broken()),
    };
    let (content, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
    if *found != tag {
        return Err(broken());
    }
    *input = rest;
    Ok(content)
}

fn number(bytes: &[u8]) -> Result<u64, String> {
    if bytes.is_empty() || bytes.len() > 8 || bytes[0] & 0x80 != 0 {
        return Err("a number in it is out of bounds".to_owned());
    }
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    /// `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -passout pass:secret`
    const AES_256_SHA_256: &str = "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgO7paXVfeNYwICCAAwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJ/tTUHI5ZpXuJzu452jEDwEgZDBeYUporG3r40yQ8/T7OTLEKW5KQsp8o9PtStVliJZ3FOpaMV/GFO3LfgCrmUsISwb8V09AzUI8Uf5UEXXh95VnKU1v0wklnFopDT0fXV5iQpO3NtmouPi8OgVVymwnehEcOV5hJE0V1MG6iN6Dhm+K99bQnZQ3J0bi2+L7Mg11tyn7MtfTzRSU+ly0HQiTaE=";
    /// The same key with `-v2 aes-128-cbc -v2prf hmacWithSHA1`.
    const AES_128_SHA_1: &str = "MIHeMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAj95Ed9i85rzgICCAAwHQYJYIZIAWUDBAECBBC7WBhWp3Nz9zdQckXY6iw2BIGQOCVfND0eo24n8sUSQbZHV/9PepOt0IFAAINN5dVmI2Uhpdiiabe4RGQgPs+QoongW1Axc84gZr6tXhQQeKGJuupzTe6ipbFKcHEcqViSVTzQLbx7KRi3SZGpvCeYVGPxSpTTdGRTWES7yJSaA/Yr5D/jwI3lI53QCcjqscT/7MLk3h/L0ad9K9OX+HfS52lU";
    /// The key itself.
    const PLAIN: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHe1Ar0nYx/1WVZnoOnm/FwvObVO33ONs9O1Ud32DXVyhRANCAASX4K9dtyaYMhREV0ujOpzTAv5RrJUefo8tLhPyTR6dagp5uMlYLpRiaKDgO0rM1edlxQTmN5qFTuUez2ahxE7Q";

    fn bytes(text: &str) -> Vec<u8> {
        BASE64_STANDARD.decode(text).unwrap()
    }

    #[test]
    fn keys_that_openssl_has_encrypted_are_read() {
        for encrypted in [AES_256_SHA_256, AES_128_SHA_1] {
            assert_eq!(decrypt(&bytes(encrypted), "secret").unwrap(), bytes(PLAIN));
            assert!(decrypt(&bytes(encrypted), "other").is_err());
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_refused_and_never_panics() {
        let whole = bytes(AES_128_SHA_1);
        for cut in 0..whole.len() {
            assert!(decrypt(&whole[..cut], "secret").is_err());
        }
        // The head only: each try costs PBKDF2.
        for at in 0..60 {
            let mut changed = whole.clone();
            changed[at] ^= 0x80;
            assert_ne!(decrypt(&changed, "secret").ok(), Some(bytes(PLAIN)), "byte {at}");
        }
    }
}
