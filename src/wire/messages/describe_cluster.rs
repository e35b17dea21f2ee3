//! `DescribeClusterRequest` and `DescribeClusterResponse`.
//!
//! Generated from `wire/schema/describe_cluster.schema` by `generate.py`; do not edit.

use crate::wire::codec::{Codec, DecodeError, Decoder, EncodeError, Encoder, Message, Request, StrBytes};
use crate::wire::{ApiKey, ErrorCode};

/// `DescribeClusterRequest`, API key 60, versions 0 to 2, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeClusterRequest {
    /// `IncludeClusterAuthorizedOperations`.
    pub include_cluster_authorized_operations: bool,
    /// `EndpointType`, from version 1; 1 when absent.
    pub endpoint_type: i8,
    /// `IncludeFencedBrokers`, from version 2.
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        DescribeClusterRequest {
            include_cluster_authorized_operations: false,
            endpoint_type: 1,
            include_fenced_brokers: false,
        }
    }
}

impl Codec for DescribeClusterRequest {
    const MIN_BYTES: usize = 1;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeClusterRequest {
            include_cluster_authorized_operations: d.bool()?,
            endpoint_type: if version >= 1 { d.i8()? } else { 1 },
            include_fenced_brokers: if version >= 2 { d.bool()? } else { false },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            e.i8(self.endpoint_type);
        } else if self.endpoint_type != 1 {
            return Err(EncodeError::NotInVersion { field: "DescribeClusterRequest.EndpointType", version });
        }
        if version >= 2 {
            e.bool(self.include_fenced_brokers);
        } else if self.include_fenced_brokers {
            return Err(EncodeError::NotInVersion {
                field: "DescribeClusterRequest.IncludeFencedBrokers",
                version,
            });
        }
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeClusterRequest {
    const NAME: &'static str = "DescribeClusterRequest";
    const VERSIONS: (i16, i16) = (0, 2);
}

impl Request for DescribeClusterRequest {
    const KEY: ApiKey = ApiKey::DescribeCluster;
    type Response = DescribeClusterResponse;
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeClusterRequest {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeClusterRequest {
            include_cluster_authorized_operations: g.bool(),
            endpoint_type: if version >= 1 { g.i8() } else { 1 },
            include_fenced_brokers: if version >= 2 { g.bool() } else { false },
        }
    }
}

/// `DescribeClusterResponse`, API key 60, versions 0 to 2, flexible from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeClusterResponse {
    /// `ThrottleTimeMs`.
    pub throttle_time_ms: i32,
    /// `ErrorCode`.
    pub error_code: ErrorCode,
    /// `ErrorMessage`.
    pub error_message: Option<StrBytes>,
    /// `EndpointType`, from version 1; 1 when absent.
    pub endpoint_type: i8,
    /// `ClusterId`.
    pub cluster_id: StrBytes,
    /// `ControllerId`; -1 when absent.
    pub controller_id: i32,
    /// `Brokers`.
    pub brokers: Vec<DescribeClusterBroker>,
    /// `ClusterAuthorizedOperations`; i32::MIN when absent.
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse {
    fn default() -> Self {
        DescribeClusterResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::NONE,
            error_message: None,
            endpoint_type: 1,
            cluster_id: StrBytes::default(),
            controller_id: -1,
            brokers: Vec::new(),
            cluster_authorized_operations: i32::MIN,
        }
    }
}

impl Codec for DescribeClusterResponse {
    const MIN_BYTES: usize = 17;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeClusterResponse {
            throttle_time_ms: d.i32()?,
            error_code: d.error_code()?,
            error_message: d.nullable_string(true)?,
            endpoint_type: if version >= 1 { d.i8()? } else { 1 },
            cluster_id: d.string(true)?,
            controller_id: d.i32()?,
            brokers: d.array(true, DescribeClusterBroker::MIN_BYTES, |d| {
                DescribeClusterBroker::decode(d, version)
            })?,
            cluster_authorized_operations: d.i32()?,
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.throttle_time_ms);
        e.error_code(self.error_code);
        e.nullable_string(self.error_message.as_ref(), true)?;
        if version >= 1 {
            e.i8(self.endpoint_type);
        }
        e.string(&self.cluster_id, true)?;
        e.i32(self.controller_id);
        e.array(&self.brokers, true, |e, item| item.encode(e, version))?;
        e.i32(self.cluster_authorized_operations);
        e.no_tags();
        Ok(())
    }
}

impl Message for DescribeClusterResponse {
    const NAME: &'static str = "DescribeClusterResponse";
    const VERSIONS: (i16, i16) = (0, 2);
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeClusterResponse {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeClusterResponse {
            throttle_time_ms: g.i32(),
            error_code: ErrorCode(g.i16()),
            error_message: g.option(true, |g| g.text()),
            endpoint_type: if version >= 1 { g.i8() } else { 1 },
            cluster_id: g.text(),
            controller_id: g.i32(),
            brokers: g.array(|g| DescribeClusterBroker::sample(g, version)),
            cluster_authorized_operations: g.i32(),
        }
    }
}

/// Part of `DescribeClusterResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeClusterBroker {
    /// `BrokerId`.
    pub broker_id: i32,
    /// `Host`.
    pub host: StrBytes,
    /// `Port`.
    pub port: i32,
    /// `Rack`.
    pub rack: Option<StrBytes>,
    /// `IsFenced`, from version 2.
    pub is_fenced: bool,
}

impl Codec for DescribeClusterBroker {
    const MIN_BYTES: usize = 10;

    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let it = DescribeClusterBroker {
            broker_id: d.i32()?,
            host: d.string(true)?,
            port: d.i32()?,
            rack: d.nullable_string(true)?,
            is_fenced: if version >= 2 { d.bool()? } else { false },
        };
        d.no_tags()?;
        Ok(it)
    }

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        e.i32(self.broker_id);
        e.string(&self.host, true)?;
        e.i32(self.port);
        e.nullable_string(self.rack.as_ref(), true)?;
        if version >= 2 {
            e.bool(self.is_fenced);
        }
        e.no_tags();
        Ok(())
    }
}

#[cfg(test)]
impl crate::wire::samples::Sample for DescribeClusterBroker {
    fn sample(g: &mut crate::wire::samples::Gen, version: i16) -> Self {
        DescribeClusterBroker {
            broker_id: g.i32(),
            host: g.text(),
            port: g.i32(),
            rack: g.option(true, |g| g.text()),
            is_fenced: if version >= 2 { g.bool() } else { false },
        }
    }
}
