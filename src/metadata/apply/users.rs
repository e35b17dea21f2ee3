//! Users and their salted credentials.

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
