//! `ListTransactionsRequest` and `ListTransactionsResponse`.
//!
//! Generated from `wire/schema/list_transactions.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `ListTransactionsRequest`, API key 66, versions 0 to 2, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTransactionsRequest {
    /// `StateFilters`.
    pub state_filters: Vec<StrBytes>,
    /// `ProducerIdFilters`.
    pub producer_id_filters: Vec<i64>,
    /// `DurationFilter`, from version 1; -1 when absent.
    pub duration_filter: i64,
    /// `TransactionalIdPattern`, from version 2.
    pub transactional_id_pattern: Option<StrBytes>,
}

impl Default for ListTransactionsRequest {
    fn default() -> Self {
        ListTransactionsRequest {
            state_filters: Vec::new(),
            producer_id_filters: Vec::new(),
            duration_filter: -1,
            transactional_id_pattern: None,
        }
    }
}

impl Codec for ListTransactionsRequest {
    const MIN_BYTES: usize = 2;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ListTransactionsRequest {
            state_filters: d.array(true, 1, |d| d.string(true))?,
            producer_id_filters: d.array(true, 8, |d| d.i64())?,
            duration_filter: if version >= 1 { d.i64()? } else { -1 },
            transactional_id_pattern: if version >= 2 { d.nullable_string(true)? } else { None },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.array(&self.state_filters, true, |e, item| e.string(item, true))?;
        e.array(&self.producer_id_filters, true, |e, item| {
            e.i64(*item);
            Ok(())
        })?;
        if version >= 1 {
            e.i64(self.duration_filter);
        } else if self.duration_filter != -1 {
            return Err(EncodeError::NotInVersion {
                field: "ListTransactionsRequest.DurationFilter",
                version,
            });
        }
        if version >= 2 {
            e.nullable_string(self.transactional_id_pattern.as_ref(), true)?;
        } else if self.transactional_id_pattern.is_some() {
            return Err(EncodeError::NotInVersion {
                field: "ListTransactionsRequest.TransactionalIdPattern",
                version,
            });
        }
        e.no_tags();
        Ok(())
    }
}

impl Message for ListTransactionsRequest {
    const NAME: &'static str = "ListTransactionsRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for ListTransactionsRequest {
    const KEY: ApiKey = ApiKey::ListTransactions;
    type Response = ListTransactionsResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListTransactionsRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListTransactionsRequest {
            state_filters: g.array(|g| g.text()),
            producer_id_filters: g.array(|g| g.i64()),
            duration_filter: if version >= 1 { g.i64() } else { -1 },
            transactional_id_pattern: if version >= 2 { g.option(true, |g| g.text()) } else { None },
        }
    }
}

/// `ListTransactionsResponse`, API key 66, versions 0 to 2, flexible from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListTransactionsResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `UnknownStateFilters`.
    pub unknown_state_filters: Vec<StrBytes>,
    /// `TransactionStates`.
    pub transaction_states: Vec<TransactionState>,
}

impl Codec for ListTransactionsResponse {
    const MIN_BYTES: usize = 8;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = ListTransactionsResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            unknown_state_filters: d.array(true, 1, |d| d.string(true))?,
            transaction_states: d
                .array(true, TransactionState::MIN_BYTES, |d| TransactionState::decode(d, version))?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.array(&self.unknown_state_filters, true, |e, item| e.string(item, true))?;
        e.array(&self.transaction_states, true, |e, item| item.encode(e, version))?;
        e.no_tags();
        Ok(())
    }
}

impl Message for ListTransactionsResponse {
    const NAME: &'static str = "ListTransactionsResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for ListTransactionsResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        ListTransactionsResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            unknown_state_filters: g.array(|g| g.text()),
            transaction_states: g.array(|g| TransactionState::sample(g, version)),
        }
    }
}

/// Part of `ListTransactionsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionState {
    /// `TransactionalId`.
    pub transactional_id: StrBytes,
    /// `ProducerId`.
    pub producer_id: i64,
    /// `TransactionState`.
    pub transaction_state: StrBytes,
}

impl Codec for TransactionState {
    const MIN_BYTES: usize = 10;

    fn decode(d: &mut Decoder, _version: i16) -> Result<Self, DecodeError> {
        let it = TransactionState {
            transactional_id: d.string(true)?,
            producer_id: d.i64()?,
            transaction_state: d.string(true)?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        e.string(&self.transactional_id, true)?;
        e.i64(self.producer_id);
        e.string(&self.transaction_state, true)?;
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for TransactionState {
    fn sample(g: &mut crate::wire::samples::Gen, _version: i16) -> Self {
        TransactionState { transactional_id: g.text(), producer_id: g.i64(), transaction_state: g.text() }
    }
}
