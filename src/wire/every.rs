//! Any message of the protocol by its key and version, for what treats all APIs alike: the fuzzer.

use bytes::Bytes;

use super::codec::{DecodeError, Decoder, Message};
use super::{ApiKey, Limits, header, messages};

/// What became of the bytes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// They are refused.
    Refused(DecodeError),
    /// The API or its version is not served.
    NotServed,
    /// They are a message, and it says the same when it is written and read once more.
    Same,
    /// They are a message that cannot be written, or says something else when it is read once more: a defect.
    Differs(ApiKey, i16),
}

/// Reads a request's frame (without its length) as a connection does, writes it, and reads it once more.
#[must_use]
pub fn read_request(frame: Bytes) -> Reading {
    let limits = Limits::for_frame(frame.len());
    let mut body = Decoder::new(frame, &limits);
    let head = match header::read_request(&mut body) {
        Ok(head) => head,
        Err(error) => return Reading::Refused(error),
    };
    let version = head.request_api_version;
    let Some(key) = ApiKey::from_key(head.request_api_key).filter(|key| key.serves(version)) else {
        return Reading::NotServed;
    };
    macro_rules! read {
        ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => {
            match key {
                $(ApiKey::$api => twice::<messages::$module::$request>(body.rest(), key, version, &limits),)*
            }
        };
    }
    messages::for_each_api!(read)
}

/// The same with a response: API key and version (`INT16` each), then the body.
#[must_use]
pub fn read_response(bytes: &Bytes) -> Reading {
    let Some((head, _)) = bytes.split_first_chunk::<4>() else { return Reading::NotServed };
    let version = i16::from_be_bytes([head[2], head[3]]);
    let key = ApiKey::from_key(i16::from_be_bytes([head[0], head[1]])).filter(|key| key.serves(version));
    let Some(key) = key else { return Reading::NotServed };
    let (body, limits) = (bytes.slice(4..), Limits::for_frame(bytes.len()));
    macro_rules! read {
        ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => {
            match key {
                $(ApiKey::$api => twice::<messages::$module::$response>(body, key, version, &limits),)*
            }
        };
    }
    messages::for_each_api!(read)
}

fn twice<M: Message + PartialEq>(body: Bytes, key: ApiKey, version: i16, limits: &Limits) -> Reading {
    let first = match M::from_bytes(body, version, limits) {
        Ok(first) => first,
        Err(error) => return Reading::Refused(error),
    };
    // What was read within the budget may be written and read without one.
    let written = first.to_bytes(version).ok();
    let second = written.and_then(|bytes| M::from_bytes(bytes, version, &Limits::default()).ok());
    if second.as_ref() == Some(&first) { Reading::Same } else { Reading::Differs(key, version) }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Gen, Sample};
    use super::*;

    #[test]
    fn every_message_is_read_and_says_the_same_when_it_is_read_again() {
        let mut g = Gen::new(3);
        macro_rules! read {
            ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => { $(
                let (lowest, highest) = ApiKey::$api.versions();
                for version in lowest..=highest {
                    let head = [ApiKey::$api.key().to_be_bytes(), version.to_be_bytes()].concat();
                    // Correlation id, a null client id, and no tagged fields.
                    let more: &[u8] = match header::request_header_version(ApiKey::$api, version) {
                        2 => &[0, 0, 0, 1, 0xff, 0xff, 0],
                        _ => &[0, 0, 0, 1, 0xff, 0xff],
                    };
                    let body = messages::$module::$request::sample(&mut g, version).to_bytes(version).unwrap();
                    let frame = Bytes::from([&head[..], more, &body].concat());
                    assert_eq!(read_request(frame.clone()), Reading::Same, "{:?} {version}", ApiKey::$api);
                    let cut = frame.slice(..frame.len() - 1);
                    assert!(matches!(read_request(cut), Reading::Refused(_)), "{:?} {version}", ApiKey::$api);
                    let body = messages::$module::$response::sample(&mut g, version).to_bytes(version).unwrap();
                    assert_eq!(read_response(&Bytes::from([&head[..], &body].concat())), Reading::Same);
                }
            )* };
        }
        messages::for_each_api!(read);
        assert_eq!(read_response(&Bytes::from_static(&[0x7f, 0, 0, 0])), Reading::NotServed);
    }
}
