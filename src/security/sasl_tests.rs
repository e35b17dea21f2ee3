//! SASL against rsasl's client.

use std::io::Cursor;

use rsasl::config::SASLConfig;
use rsasl::prelude::{Mechname, SASLClient, State as OracleState};

use super::*;
use crate::env::sim::SeededRng;

fn image(users: &[(&str, &str, &[ScramMechanism])]) -> Image {
    let rng = SeededRng::new(5);
    let mut image = Image::default();
    for (user, password, mechanisms) in users {
        let all = mechanisms.iter().map(|m| (*m, scram::credential(&rng, *m, password, 4096).unwrap()));
        image.users.insert((*user).to_owned(), all.collect());
    }
    image
}

const BOTH: &[ScramMechanism] = &[ScramMechanism::Sha256, ScramMechanism::Sha512];

/// Those that know passwords; tokens have tests of their own.
const BY_PASSWORD: [Mechanism; 3] =
    [Mechanism::Scram(ScramMechanism::Sha512), Mechanism::Scram(ScramMechanism::Sha256), Mechanism::Plain];

fn server() -> SaslServer {
    SaslServer::new(Arc::new(SeededRng::new(9)), None)
}

/// Runs rsasl's client against our server; whom the server saw. The client checks the server's signature.
fn authenticate(
    server: &SaslServer,
    image: &Image,
    mechanism: Mechanism,
    user: &str,
    password: &str,
) -> Result<Principal, SaslFailure> {
    let config = SASLConfig::with_credentials(None, user.into(), password.into()).unwrap();
    let offered = [Mechname::parse(mechanism.name().as_bytes()).unwrap()];
    let mut client = SASLClient::new(config).start_suggested(&offered).unwrap();
    let mut session = server.session(mechanism);
    let mut input: Option<Vec<u8>> = None;
    loop {
        let mut out = Cursor::new(Vec::new());
        let state = client.step(input.as_deref(), &mut out).expect("rsasl's client accepts what we say");
        let done_here = matches!(state, OracleState::Finished(_));
        match session.step(image, out.get_ref()) {
            SaslStep::Continue(reply) => input = Some(reply),
            SaslStep::Failed(failure) | SaslStep::Refused(failure, _) => return Err(failure),
            SaslStep::Done(principal, reply) => {
                if !done_here {
                    let mut nothing = Cursor::new(Vec::new());
                    let state =
                        client.step(Some(&reply), &mut nothing).expect("the server's signature is right");
                    assert!(matches!(state, OracleState::Finished(_)));
                }
                return Ok(principal);
            }
        }
    }
}

#[test]
fn a_user_is_let_in_by_every_mechanism() {
    let image = image(&[("alice", "wonder", BOTH), ("a,b=c", "x,y=z", BOTH)]);
    for mechanism in BY_PASSWORD {
        for (user, password) in [("alice", "wonder"), ("a,b=c", "x,y=z")] {
            let seen = authenticate(&server(), &image, mechanism, user, password).unwrap();
            assert_eq!(seen.name(), user, "{mechanism}");
        }
    }
}

#[test]
fn plain_is_checked_against_whichever_credential_there_is() {
    for mechanism in BOTH {
        let image = image(&[("alice", "wonder", &[*mechanism])]);
        assert!(authenticate(&server(), &image, Mechanism::Plain, "alice", "wonder").is_ok());
        assert!(authenticate(&server(), &image, Mechanism::Plain, "alice", "wander").is_err());
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let image = image(&[("alice", "wonder", BOTH)]);
    for mechanism in BY_PASSWORD {
        let wrong = authenticate(&server(), &image, mechanism, "alice", "wander").unwrap_err();
        let unknown = authenticate(&server(), &image, mechanism, "nobody", "wonder").unwrap_err();
        assert!(matches!(wrong, SaslFailure::Credentials { .. }));
        assert!(matches!(unknown, SaslFailure::Credentials { .. }));
        assert_eq!(wrong.public(), unknown.public());
    }
}

#[test]
fn an_unknown_user_gets_the_same_challenge_at_every_try_and_on_every_broker() {
    let image = image(&[("alice", "wonder", BOTH)]);
    let challenge = |server: &SaslServer, user: &str| {
        let mut session = server.session(Mechanism::Scram(ScramMechanism::Sha256));
        match session.step(&image, format!("n,,n={user},r=abc").as_bytes()) {
            SaslStep::Continue(reply) => {
                let reply = String::from_utf8(reply).unwrap();
                reply.split_once(",s=").unwrap().1.to_owned()
            }
            other => panic!("{other:?}"),
        }
    };
    let other = SaslServer::new(Arc::new(SeededRng::new(77)), None);
    assert_eq!(challenge(&server(), "nobody"), challenge(&other, "nobody"));
    assert_ne!(challenge(&other, "nobody"), challenge(&other, "somebody"));
    let alice = challenge(&other, "alice");
    assert_eq!(alice.len(), challenge(&other, "nobody").len());
}

#[test]
fn a_user_without_the_mechanism_is_refused() {
    let image = image(&[("alice", "wonder", &[ScramMechanism::Sha256])]);
    let sha512 = Mechanism::Scram(ScramMechanism::Sha512);
    assert!(authenticate(&server(), &image, sha512, "alice", "wonder").is_err());
}

#[test]
fn an_own_authorization_id_is_accepted_and_a_foreign_one_refused() {
    let image = image(&[("alice", "wonder", BOTH), ("root", "secret", BOTH)]);
    let own = b"alice\0alice\0wonder";
    let foreign = b"root\0alice\0wonder";
    let step = |token: &[u8]| server().session(Mechanism::Plain).step(&image, token);
    assert!(matches!(step(own), SaslStep::Done(principal, _) if principal.name() == "alice"));
    assert!(matches!(step(foreign), SaslStep::Failed(_)));
    for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
        let mechanism = Mechanism::Scram(mechanism);
        let foreign = server().session(mechanism).step(&image, b"n,a=root,n=alice,r=abc");
        assert!(matches!(foreign, SaslStep::Failed(_)));
    }
}

#[test]
fn plain_messages_that_are_none_are_refused() {
    let image = image(&[("alice", "wonder", BOTH)]);
    for token in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0alice\0",
        b"\0\0wonder",
        b"alice\0wonder",
        b"\0alice\0wonder\0",
        b"\0alice\0\xff",
    ] {
        let step = server().session(Mechanism::Plain).step(&image, token);
        assert!(matches!(step, SaslStep::Failed(_)), "{token:?}");
    }
    let long = [b"\0alice\0".to_vec(), vec![b'x'; 1 << 20]].concat();
    assert!(matches!(server().session(Mechanism::Plain).step(&image, &long), SaslStep::Failed(_)));
}

#[test]
fn a_session_ends_with_its_first_outcome() {
    let image = image(&[("alice", "wonder", BOTH)]);
    let mut session = server().session(Mechanism::Plain);
    assert!(matches!(session.step(&image, b"\0alice\0wander"), SaslStep::Failed(_)));
    assert!(matches!(session.step(&image, b"\0alice\0wonder"), SaslStep::Failed(_)));
    let mut session = server().session(Mechanism::Plain);
    assert!(matches!(session.step(&image, b"\0alice\0wonder"), SaslStep::Done(..)));
    assert!(matches!(session.step(&image, b"\0alice\0wonder"), SaslStep::Failed(_)));
}

#[test]
fn a_proof_cannot_be_played_again() {
    let image = image(&[("alice", "wonder", BOTH)]);
    let server = server();
    let mechanism = Mechanism::Scram(ScramMechanism::Sha256);
    let config = SASLConfig::with_credentials(None, "alice".into(), "wonder".into()).unwrap();
    let offered = [Mechname::parse(b"SCRAM-SHA-256").unwrap()];
    let mut client = SASLClient::new(config).start_suggested(&offered).unwrap();
    let (mut first, mut last) = (Cursor::new(Vec::new()), Cursor::new(Vec::new()));
    client.step(None, &mut first).unwrap();
    let mut session = server.session(mechanism);
    let SaslStep::Continue(reply) = session.step(&image, first.get_ref()) else { panic!() };
    client.step(Some(&reply), &mut last).unwrap();
    assert!(matches!(session.step(&image, last.get_ref()), SaslStep::Done(..)));
    assert!(matches!(session.step(&image, last.get_ref()), SaslStep::Failed(_)));
    let mut again = server.session(mechanism);
    assert!(matches!(again.step(&image, first.get_ref()), SaslStep::Continue(_)));
    assert!(matches!(again.step(&image, last.get_ref()), SaslStep::Failed(_)));
}

#[test]
fn without_users_nobody_is_let_in() {
    let empty = image(&[]);
    for mechanism in BY_PASSWORD {
        assert!(authenticate(&server(), &empty, mechanism, "admin", "admin").is_err());
    }
}
