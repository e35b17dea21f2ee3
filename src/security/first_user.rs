//! The first user of a cluster.
//!
//! Users live in the metadata (`Image::users`) as salted credentials, and adding one takes a user: `esker user add` is
//! an ordinary client call (`AlterUserScramCredentials`) over an ordinary listener. A new cluster has none. So a broker
//! may be given one (`security.bootstrap.user`), which it creates when it starts and finds that there is no user at
//! all. From then on the setting is worth nothing: it never changes a user that is there, and a password changed later
//! stays changed.

use std::collections::BTreeMap;

use super::scram::{self, CredentialError};
use crate::env::Rng;
use crate::metadata::{Command, Image, ScramMechanism};

/// The command that creates the first user with both mechanisms; none when the cluster has a user.
///
/// Brokers that start together may each propose one: the metadata takes the first and refuses the others, which hear
/// that there are users already.
///
/// # Errors
/// When the password is empty.
pub fn first_user(
    rng: &dyn Rng,
    image: &Image,
    user: &str,
    password: &str,
) -> Result<Option<Command>, CredentialError> {
    if !image.users.is_empty() {
        return Ok(None);
    }
    let credentials = [ScramMechanism::Sha256, ScramMechanism::Sha512]
        .into_iter()
        .map(|mechanism| Ok((mechanism, scram::credential(rng, mechanism, password, scram::MIN_ITERATIONS)?)))
        .collect::<Result<BTreeMap<_, _>, CredentialError>>()?;
    Ok(Some(Command::CreateFirstUser { user: user.to_owned(), credentials }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::sim::SeededRng;

    #[test]
    fn the_first_user_is_created_while_there_is_none_and_never_after() {
        let rng = SeededRng::new(1);
        let mut image = Image::default();
        let command = first_user(&rng, &image, "admin", "secret").unwrap().unwrap();
        let other = first_user(&rng, &image, "second", "secret").unwrap().unwrap();
        image.apply(1, &command).unwrap();
        assert!(image.apply(2, &other).is_err(), "two brokers with different settings");
        assert_eq!(image.users.len(), 1);
        for (mechanism, credential) in &image.users["admin"] {
            assert!(scram::password_fits(*mechanism, credential, "secret"));
        }
        assert!(first_user(&rng, &image, "admin", "other").unwrap().is_none());
        assert!(first_user(&rng, &Image::default(), "admin", "").is_err());
    }
}
