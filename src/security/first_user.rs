//! The first user of a cluster.
//!
//! Users live in the metadata (`Image::users`) as salted credentials, and adding one takes a user: `esker user add` is
//! an ordinary client call (`AlterUserScramCredentials`) over an ordinary listener. A new cluster has none. So a broker
//! may be given one (`security.bootstrap.user`), which it creates when it starts and finds that there is no user at
//! all. From then on the setting is worth nothing: it never changes a user that is there, and a password changed later
//! stays changed.

use super::scram::{self, CredentialError};
use crate::env::Rng;
use crate::metadata::{Command, Image, ScramMechanism};

/// The commands that create the first user with both mechanisms; none when the cluster has a user.
///
/// Brokers that start together may each propose them: with the same setting the outcome is the same user with the same
/// password.
///
/// # Errors
/// When the password is empty.
pub fn first_user(
    rng: &dyn Rng,
    image: &Image,
    user: &str,
    password: &str,
) -> Result<Vec<Command>, CredentialError> {
    if !image.users.is_empty() {
        return Ok(Vec::new());
    }
    [ScramMechanism::Sha256, ScramMechanism::Sha512]
        .into_iter()
        .map(|mechanism| {
            let credential = scram::credential(rng, mechanism, password, scram::MIN_ITERATIONS)?;
            Ok(Command::UpsertUser { user: user.to_owned(), mechanism, credential })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::sim::SeededRng;

    #[test]
    fn the_first_user_is_created_while_there_is_none_and_never_after() {
        let rng = SeededRng::new(1);
        let mut image = Image::default();
        let commands = first_user(&rng, &image, "admin", "secret").unwrap();
        assert_eq!(commands.len(), 2);
        for command in commands {
            let Command::UpsertUser { user, mechanism, credential } = command else { panic!("{command:?}") };
            assert_eq!(user, "admin");
            assert!(scram::password_fits(mechanism, &credential, "secret"));
            image.users.entry(user).or_default().insert(mechanism, credential);
        }
        assert!(first_user(&rng, &image, "admin", "other").unwrap().is_empty());
        assert!(first_user(&rng, &image, "second", "secret").unwrap().is_empty());
        assert!(first_user(&rng, &Image::default(), "admin", "").is_err());
    }
}
