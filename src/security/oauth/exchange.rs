//! The client's first message (RFC 7628 section 3.1): `n,a=name,` then `key=value` pairs between bytes 1, of which `auth` is
//! `Bearer token`. Other pairs are Kafka's SASL extensions (KIP-342); they are checked for their form and mean nothing here.

use super::MAX_TOKEN;

/// The most that a message holds besides its token.
const MAX_REST: usize = 16 << 10;

/// What the message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstMessage<'a> {
    /// As whom the client wants to act; empty: as the token's bearer.
    pub authzid: &'a str,
    /// The token.
    pub token: &'a str,
}

impl<'a> FirstMessage<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn parse(message: &'a [u8]) -> Result<FirstMessage<'a>, &'static str> {
        if message.len() > MAX_TOKEN + MAX_REST {
            return Err("the message is too long");
        }
        let text = std::str::from_utf8(message).map_err(|_| "the message is not UTF-8")?;
        let (head, pairs) = text.split_once('\u{1}').ok_or("the message has no pairs")?;
        let name = head.strip_prefix("n,").ok_or("channel binding is not served")?;
        let name = name.strip_suffix(',').ok_or("the message's header has no end")?;
        let authzid = match name.strip_prefix("a=") {
            Some(authzid) if !authzid.is_empty() && !authzid.contains(['=', ',']) => authzid,
            None if name.is_empty() => "",
            _ => return Err("the authorization id cannot be read"),
        };
        let pairs = pairs.strip_suffix("\u{1}\u{1}").ok_or("the message has no end")?;
        let mut token = None;
        for pair in pairs.split('\u{1}') {
            let (key, value) = pair.split_once('=').ok_or("a pair has no value")?;
            if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphabetic()) {
                return Err("a key is not made of letters");
            }
            if value.is_empty() || !value.bytes().all(|b| matches!(b, 0x20..=0x7e | b'\t' | b'\r' | b'\n')) {
                return Err("a value has bytes that none may have");
            }
            if key == "auth" && token.replace(bearer(value)?).is_some() {
                return Err("there are two tokens");
            }
        }
        Ok(FirstMessage { authzid, token: token.ok_or("there is no token")? })
    }
}

fn bearer(value: &str) -> Result<&str, &'static str> {
    let (scheme, token) = value.split_once(' ').ok_or("`auth` is not Bearer and a token")?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the scheme is not Bearer");
    }
    let token = token.trim_start_matches(' ');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_~+/.=".contains(&b);
    if token.is_empty() || !token.bytes().all(fits) {
        Err("the token has bytes that none has")
    } else {
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_client_gives_its_token() {
        for (message, authzid, token) in [
            ("n,,\u{1}auth=Bearer a.b.c\u{1}\u{1}", "", "a.b.c"),
            ("n,a=me,\u{1}auth=bearer  t-_~+/.==\u{1}\u{1}", "me", "t-_~+/.=="),
            ("n,,\u{1}logicalCluster=lkc-1\u{1}auth=Bearer x\u{1}poolId=a b\u{1}\u{1}", "", "x"),
        ] {
            assert_eq!(
                FirstMessage::parse(message.as_bytes()),
                Ok(FirstMessage { authzid, token }),
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_no_such_message_is_refused() {
        for message in [
            "",
            "n,,",
            "n,,\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}",
            "p=tls-unique,,\u{1}auth=Bearer x\u{1}\u{1}",
            "y,,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,a=,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,a=b,c,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}auth=Basic x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x y\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}auth=Bearer y\u{1}\u{1}",
            "n,,\u{1}k2=v\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}other=v\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}e=\u{7f}\u{1}\u{1}",
        ] {
            assert!(FirstMessage::parse(message.as_bytes()).is_err(), "{message:?}");
        }
        assert!(FirstMessage::parse(&[0xff; 20]).is_err());
        assert!(FirstMessage::parse(&vec![b'x'; 1 << 20]).is_err());
    }
}
