//! Users and their salted credentials.

use std::collections::BTreeMap;

use crate::metadata::command::{CommandError, CommandReply};
use crate::metadata::image::{Image, ScramCredential, ScramMechanism};

impl Image {
    pub(super) fn upsert_user(
        &mut self,
        user: &str,
        mechanism: ScramMechanism,
        credential: &ScramCredential,
    ) -> Result<CommandReply, CommandError> {
        if user.is_empty() {
            return Err(CommandError::Invalid("a user's name is not empty".to_owned()));
        }
        self.users.entry(user.to_owned()).or_default().insert(mechanism, credential.clone());
        Ok(CommandReply::Done)
    }

    pub(super) fn create_first_user(
        &mut self,
        user: &str,
        credentials: &BTreeMap<ScramMechanism, ScramCredential>,
    ) -> Result<CommandReply, CommandError> {
        if !self.users.is_empty() {
            return Err(CommandError::UsersExist);
        }
        if user.is_empty() || credentials.is_empty() {
            return Err(CommandError::Invalid("a user has a name and a credential".to_owned()));
        }
        self.users.insert(user.to_owned(), credentials.clone());
        Ok(CommandReply::Done)
    }

    pub(super) fn delete_user(
        &mut self,
        user: &str,
        mechanism: Option<ScramMechanism>,
    ) -> Result<CommandReply, CommandError> {
        let unknown = || CommandError::UnknownUser(user.to_owned());
        let credentials = self.users.get_mut(user).ok_or_else(unknown)?;
        match mechanism {
            Some(mechanism) => {
                credentials.remove(&mechanism).ok_or_else(unknown)?;
            }
            None => credentials.clear(),
        }
        if credentials.is_empty() {
            self.users.remove(user);
        }
        Ok(CommandReply::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::command::Command;

    fn first(user: &str) -> Command {
        let credential =
            ScramCredential { salt: vec![1], stored_key: vec![2], server_key: vec![3], iterations: 4096 };
        Command::CreateFirstUser {
            user: user.to_owned(),
            credentials: BTreeMap::from([(ScramMechanism::Sha256, credential)]),
        }
    }

    /// A change here is a change of what lies in metadata logs.
    #[test]
    fn the_command_has_these_bytes() {
        let text = r#"{"CreateFirstUser":{"user":"a","credentials":{"SCRAM-SHA-256":{"salt":[1],"stored_key":[2],"server_key":[3],"iterations":4096}}}}"#;
        assert_eq!(serde_json::to_string(&first("a")).unwrap(), text);
        assert_eq!(serde_json::from_str::<Command>(text).unwrap(), first("a"));
    }

    #[test]
    fn of_two_first_users_only_one_is_created() {
        let mut image = Image::default();
        image.apply(1, &first("a")).unwrap();
        assert_eq!(image.apply(2, &first("b")), Err(CommandError::UsersExist));
        assert_eq!(image.users.keys().collect::<Vec<_>>(), ["a"]);
    }
}
