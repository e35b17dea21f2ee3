//! SaslHandshake (key 17), versions 0 to 1, and SaslAuthenticate (key 36), versions 0 to 2: who the client is
//! (KIP-43, KIP-152, KIP-368).
//!
//! On a SASL listener nothing but these and ApiVersions is answered before the client has proved who it is. After a
//! handshake of version 0 the tokens come as bare frames. A client may authenticate again, but only as the same
//! principal; with `connections.max.reauth.ms`, or a token that expires, it must, within that time. A failure is answered late, and ends the connection. On other listeners both are ILLEGAL_SASL_STATE.
//!
//! Errors: UNSUPPORTED_SASL_MECHANISM (33) with the mechanisms that are served, ILLEGAL_SASL_STATE (34),
//! SASL_AUTHENTICATION_FAILED (58).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::service::{Answer, Client, Gate, Proved};
use super::{Refusal, api_versions, read, reply};
use crate::broker::Broker;
use crate::env::BlockingPool;
use crate::security::Principal;
use crate::security::audit::{Audit, Event};
use crate::security::sasl::{Mechanism, SaslServer, SaslSession, SaslStep};
use crate::wire::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use crate::wire::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use crate::wire::{ApiKey, Decoder, EncodeError, Encoder, ErrorCode, Limits, StrBytes, header};

/// Where a connection stands.
enum State {
    /// A handshake is awaited.
    Handshake,
    /// Tokens in SaslAuthenticate.
    Tokens(SaslSession),
    /// Tokens as bare frames.
    BareTokens(SaslSession),
    /// An exchange has failed: the connection is being closed.
    Over,
}

/// The guard of one connection.
pub(super) struct SaslGate {
    broker: Arc<Broker>,
    server: SaslServer,
    threads: BlockingPool,
    audit: Arc<Audit>,
    client: Arc<Client>,
    state: State,
    /// Set once authenticated.
    principal: Option<Principal>,
    /// The failure has been told and waited for; the client only has yet to hear its end.
    told: bool,
}

impl SaslGate {
    pub fn new(
        broker: Arc<Broker>,
        client: &Arc<Client>,
        server: SaslServer,
        threads: BlockingPool,
        audit: Arc<Audit>,
    ) -> SaslGate {
        let client = client.clone();
        SaslGate {
            broker,
            server,
            threads,
            audit,
            client,
            state: State::Handshake,
            principal: None,
            told: false,
        }
    }

    async fn take(&mut self, frame: Bytes) -> Result<(Answer, Option<Proved>), Refusal> {
        if let State::BareTokens(session) = &mut self.state {
            let session = std::mem::replace(session, self.server.session(Mechanism::Plain));
            return self.bare_token(session, frame).await;
        }
        let limits = Limits::for_frame(frame.len());
        let mut body = Decoder::new(frame, &limits);
        let header = header::read_request(&mut body)?;
        let version = header.request_api_version;
        let key =
            ApiKey::from_key(header.request_api_key).ok_or(Refusal::UnknownKey(header.request_api_key))?;
        if !key.serves(version) {
            return match key {
                ApiKey::ApiVersions => Ok((reply(&header, 0, &api_versions::unsupported_version())?, None)),
                _ => Err(Refusal::UnknownVersion { key, version }),
            };
        }
        match key {
            ApiKey::ApiVersions => {
                let response =
                    api_versions::answer(&self.broker, &self.client, version, &read(body, version)?);
                Ok((reply(&header, version, &response)?, None))
            }
            ApiKey::SaslHandshake => {
                let response = self.handshake(version, &read(body, version)?);
                Ok((reply(&header, version, &response)?, None))
            }
            ApiKey::SaslAuthenticate => {
                let request: SaslAuthenticateRequest = read(body, version)?;
                let State::Tokens(session) = std::mem::replace(&mut self.state, State::Handshake) else {
                    let response = authenticate_out_of_place(request);
                    return Ok((
                        last(reply(&header, version, &response)?, "a token before a handshake"),
                        None,
                    ));
                };
                match self.token(session, request.auth_bytes).await {
                    Token::Continue(session, auth_bytes) => {
                        self.state = State::Tokens(*session);
                        let response = SaslAuthenticateResponse { auth_bytes, ..Default::default() };
                        Ok((reply(&header, version, &response)?, None))
                    }
                    Token::Done(proved, auth_bytes) => {
                        let lifetime = proved.lifetime.map_or(0, |lifetime| lifetime.as_millis());
                        let response = SaslAuthenticateResponse {
                            auth_bytes,
                            session_lifetime_ms: i64::try_from(lifetime).unwrap_or(i64::MAX),
                            ..Default::default()
                        };
                        Ok((reply(&header, version, &response)?, Some(proved)))
                    }
                    Token::Failed { public, why } => {
                        let response = SaslAuthenticateResponse {
                            error_code: ErrorCode::SASL_AUTHENTICATION_FAILED,
                            error_message: Some(public.into()),
                            ..Default::default()
                        };
                        Ok((last(reply(&header, version, &response)?, &why), None))
                    }
                }
            }
            other => Err(Refusal::NotAuthenticated(other)),
        }
    }

    fn handshake(&mut self, version: i16, request: &SaslHandshakeRequest) -> SaslHandshakeResponse {
        let enabled = enabled(&self.broker);
        let mechanisms = enabled.iter().map(|mechanism| StrBytes::from_static(mechanism.name())).collect();
        let error_code = match (&self.state, enabled.iter().find(|m| request.mechanism == m.name())) {
            (State::Over, _) => ErrorCode::ILLEGAL_SASL_STATE,
            (_, None) => ErrorCode::UNSUPPORTED_SASL_MECHANISM,
            (_, Some(mechanism)) => {
                let session = self.server.session(*mechanism);
                self.state = if version == 0 { State::BareTokens(session) } else { State::Tokens(session) };
                ErrorCode::NONE
            }
        };
        SaslHandshakeResponse { error_code, mechanisms }
    }

    async fn bare_token(
        &mut self,
        session: SaslSession,
        token: Bytes,
    ) -> Result<(Answer, Option<Proved>), Refusal> {
        match self.token(session, token).await {
            Token::Continue(session, bytes) => {
                self.state = State::BareTokens(*session);
                Ok((bare(&bytes)?, None))
            }
            Token::Done(proved, bytes) => {
                self.state = State::Handshake;
                Ok((bare(&bytes)?, Some(proved)))
            }
            // A bare exchange has no form for an error.
            Token::Failed { why, .. } => Ok((Answer::Close(why), None)),
        }
    }

    /// What the connection is told, with how long it holds: as long as the credential does, and at most
    /// `connections.max.reauth.ms`.
    fn proved(&self, principal: Principal, credential: Option<Duration>) -> Proved {
        let most = self.broker.config().millis("connections.max.reauth.ms");
        let most = (most > Duration::ZERO).then_some(most);
        Proved { principal, lifetime: credential.into_iter().chain(most).min() }
    }

    async fn token(&mut self, mut session: SaslSession, token: Bytes) -> Token {
        let image = self.broker.image();
        let mechanism = session.mechanism().name();
        let stepped = if session.is_costly() {
            let run = self.threads.run(move || {
                let step = session.step(&image, &token);
                (session, step)
            });
            run.await.ok()
        } else {
            let step = session.step(&image, &token);
            Some((session, step))
        };
        let (public, why) = match stepped {
            Some((session, SaslStep::Continue(bytes))) => {
                return Token::Continue(Box::new(session), bytes.into());
            }
            Some((session, SaslStep::Done(principal, bytes))) => {
                if self.principal.as_ref().is_none_or(|before| *before == principal) {
                    if self.principal.is_none() {
                        let client = Client { principal: principal.clone(), ..Client::clone(&self.client) };
                        self.audit.tell(&Event::Authenticated { client: &client.caller(), mechanism });
                    }
                    self.principal = Some(principal.clone());
                    return Token::Done(self.proved(principal, session.lifetime()), bytes.into());
                }
                let text = "Authentication failed: a connection cannot change its principal".to_owned();
                (text.clone(), text)
            }
            Some((session, SaslStep::Refused(failure, bytes))) => {
                self.tell_failure(&failure.to_string()).await;
                return Token::Continue(Box::new(session), bytes.into());
            }
            Some((_, SaslStep::Failed(failure))) => (failure.public(), failure.to_string()),
            None => ("Authentication failed".to_owned(), "the threads of SASL have ended".to_owned()),
        };
        self.state = State::Over;
        self.tell_failure(&why).await;
        Token::Failed { public, why }
    }

    /// To the audit log, once, and then the client waits.
    async fn tell_failure(&mut self, why: &str) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let (address, listener) = (self.client.address, self.client.listener.as_ref());
        self.audit.tell(&Event::AuthenticationFailed { address, listener, why });
        let delay = self.broker.config().millis("connection.failed.authentication.delay.ms");
        self.broker.env().clock.sleep(delay).await;
    }
}

/// What a token led to.
enum Token {
    Continue(Box<SaslSession>, Bytes),
    Done(Proved, Bytes),
    Failed { public: String, why: String },
}

impl Gate for SaslGate {
    fn step(&mut self, frame: Bytes) -> BoxFuture<'_, (Answer, Option<Proved>)> {
        Box::pin(async move {
            self.take(frame).await.unwrap_or_else(|refusal| (Answer::Close(refusal.to_string()), None))
        })
    }
}

fn enabled(broker: &Broker) -> Vec<Mechanism> {
    let named = broker.config().properties.get("sasl.enabled.mechanisms").unwrap_or_default();
    named.split(',').filter_map(|name| Mechanism::from_name(name.trim())).collect()
}

fn bare(token: &Bytes) -> Result<Answer, EncodeError> {
    let mut encoder = Encoder::framed();
    encoder.chunk(token);
    Ok(Answer::Frame(encoder.into_frame()?))
}

/// The answer, after which the connection is closed.
fn last(answer: Answer, why: &str) -> Answer {
    match answer {
        Answer::Frame(chunks) => Answer::Last(chunks, why.to_owned()),
        other => other,
    }
}

/// A handshake on a listener without SASL.
pub(super) fn handshake_out_of_place(_: SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: ErrorCode::ILLEGAL_SASL_STATE, ..Default::default() }
}

/// A token without a handshake.
pub(super) fn authenticate_out_of_place(_: SaslAuthenticateRequest) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: ErrorCode::ILLEGAL_SASL_STATE,
        error_message: Some(StrBytes::from_static(
            "SaslAuthenticate follows a SaslHandshake on a SASL listener",
        )),
        ..Default::default()
    }
}
