//! Text that is a slice of the frame it came in.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// UTF-8 text over `Bytes`: checked once, cheap to clone.
///
/// It keeps the whole frame alive; state that outlives a request keeps `detached()` or a `String` instead.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrBytes(Bytes);

/// Bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not UTF-8")]
pub struct NotUtf8;

impl StrBytes {
    /// Text that the program carries.
    #[must_use]
    pub const fn from_static(text: &'static str) -> StrBytes {
        StrBytes(Bytes::from_static(text.as_bytes()))
    }

    /// Checks bytes and keeps them.
    ///
    /// # Errors
    /// `NotUtf8`.
    pub fn from_utf8(bytes: Bytes) -> Result<StrBytes, NotUtf8> {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(StrBytes(bytes)),
            Err(_) => Err(NotUtf8),
        }
    }

    /// The text.
    ///
    /// # Panics
    /// Never: the bytes were checked when the value was made and do not change.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was made")
    }

    /// The same text in memory of its own.
    #[must_use]
    pub fn detached(&self) -> StrBytes {
        StrBytes(Bytes::copy_from_slice(&self.0))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Deref for StrBytes {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for StrBytes {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Equal texts hash alike as `StrBytes` and as bytes, so a map may be asked with a byte slice.
impl Borrow<[u8]> for StrBytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for StrBytes {
    fn from(text: String) -> StrBytes {
        StrBytes(Bytes::from(text))
    }
}

impl From<&str> for StrBytes {
    fn from(text: &str) -> StrBytes {
        StrBytes(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<&String> for StrBytes {
    fn from(text: &String) -> StrBytes {
        StrBytes::from(text.as_str())
    }
}

impl PartialEq<str> for StrBytes {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for StrBytes {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for StrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for StrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
