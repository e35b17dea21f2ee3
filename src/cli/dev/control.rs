//! How `esker dev start` reaches the `dev` that runs: a loopback port with a token, both in a file that only the
//! owner may read.
//!
//! One line each way: `TOKEN start ID`, answered by the broker's line or by `error: …`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::env::Env;
use crate::types::BrokerId;

/// A request is at most this long.
const MAX_LINE: u64 = 256;
/// A broker that starts gets this long before the asker gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request to start a broker.
pub struct StartRequest {
    /// Which one.
    pub broker: BrokerId,
    reply: oneshot::Sender<String>,
}

impl StartRequest {
    /// Tells the asker how it went.
    pub fn answer(self, outcome: Result<String>) {
        let line = outcome.unwrap_or_else(|error| format!("error: {error:#}"));
        // The asker may have gone; the broker runs all the same.
        let _ = self.reply.send(line);
    }
}

fn file(data: &Path) -> PathBuf {
    data.join("dev.control")
}

/// Listens, and writes the file that says where. Requests come out of the channel.
///
/// # Errors
/// When there is no port or the file cannot be written.
pub fn listen(env: &Env, data: &Path) -> Result<mpsc::Receiver<StartRequest>> {
    let listener = env.net.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let token = env.rng.uuid().simple().to_string();
    forget(env, data); // of a run that was killed
    let text = format!("{} {token}\n", listener.local_addr()?.port());
    env.disk.write_secret(&file(data), text.as_bytes())?;
    let (sender, receiver) = mpsc::channel(4);
    let env = env.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = serve(stream, token.clone(), sender.clone());
            let env = env.clone();
            tokio::spawn(async move {
                // A caller that breaks off has only itself to blame.
                let _ = crate::env::timeout(env.clock.as_ref(), PATIENCE, serve).await;
            });
        }
    });
    Ok(receiver)
}

/// Removes the file: nobody listens any more.
pub fn forget(env: &Env, data: &Path) {
    let _ = env.disk.remove_file(&file(data));
}

async fn serve(stream: TcpStream, token: String, requests: mpsc::Sender<StartRequest>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let answer = match words.as_slice() {
        [given, "start", id] if *given == token => {
            let (reply, answer) = oneshot::channel();
            requests.send(StartRequest { broker: id.parse()?, reply }).await?;
            answer.await?
        }
        _ => "error: not understood".to_owned(),
    };
    write.write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(())
}

/// Asks the `dev` that runs on `data`; returns the broker's line.
///
/// # Errors
/// When none runs there, or the broker did not start.
pub async fn ask_to_start(env: &Env, data: &Path, id: BrokerId) -> Result<String> {
    let file = file(data);
    let missing = || format!("no `esker dev` runs on {} ({} is not there)", data.display(), file.display());
    let text = String::from_utf8(env.disk.read(&file).with_context(missing)?)?;
    let (port, token) = text.trim().split_once(' ').context("dev.control is not what `esker dev` wrote")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let ask = async {
        let mut stream = env.net.connect(address).await.context("the `esker dev` of this folder is gone")?;
        stream.write_all(format!("{token} start {id}\n").as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        Ok::<_, anyhow::Error>(line.trim().to_owned())
    };
    let line = crate::env::timeout(env.clock.as_ref(), PATIENCE, ask).await??;
    match line.strip_prefix("error: ") {
        Some(reason) => bail!("{reason}"),
        None if line.is_empty() => bail!("`esker dev` ended before broker {id} was up"),
        None => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_the_one_that_listens_and_its_answer_comes_back() {
        let (env, folder) = (Env::real(), tempfile::tempdir().unwrap());
        let mut requests = listen(&env, folder.path()).unwrap();
        let asker = ask_to_start(&env, folder.path(), BrokerId(2));
        let server = async {
            let request = requests.recv().await.unwrap();
            assert_eq!(request.broker, BrokerId(2));
            request.answer(Ok("broker 2 pid 1 kafka h:1".to_owned()));
        };
        assert_eq!(tokio::join!(asker, server).0.unwrap(), "broker 2 pid 1 kafka h:1");
    }

    #[tokio::test]
    async fn without_a_running_dev_the_asker_is_told_so() {
        let (env, folder) = (Env::real(), tempfile::tempdir().unwrap());
        let error = ask_to_start(&env, folder.path(), BrokerId(1)).await.unwrap_err();
        assert!(error.to_string().contains("no `esker dev` runs"), "{error}");
    }
}
