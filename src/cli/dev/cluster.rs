//! The broker processes of a development cluster: started, watched, and ended by their ids.
//!
//! A broker says `ready` on its standard output when it serves; its log goes to `broker.log`. Its standard input is a
//! pipe of ours: when this process dies in whatever way, the pipe closes and the broker stops. A line `requests` on it is
//! answered by the counters of the broker's cold store, as JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::layout::{Layout, Node, Options};
use crate::cli::server::ADMIN;
use crate::env::{DiskFile, Env, OpenMode, timeout};
use crate::types::BrokerId;

/// How long a broker may take until it serves.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a broker may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How long the end of a broker may take to be noticed.
const NOTICE: Duration = Duration::from_secs(1);
/// How long a broker may take to tell its counters.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// What a broker prints once it serves.
pub const READY: &str = "ready";
/// What a broker is asked for its counters, and the word before its answer.
pub const REQUESTS: &str = "requests";

/// What brokers have asked of the cold store since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRequests {
    /// Objects or parts written.
    pub puts: u64,
    /// Whole or ranged reads.
    pub gets: u64,
    /// Length requests.
    pub heads: u64,
    /// Listings.
    pub lists: u64,
    /// Removals.
    pub deletes: u64,
    /// Bytes sent to the store.
    pub bytes_sent: u64,
    /// Bytes received from it.
    pub bytes_received: u64,
}

impl StoreRequests {
    fn plus(self, other: StoreRequests) -> StoreRequests {
        self.combine(other, |a, b| a + b)
    }

    /// What was added since an earlier moment.
    #[must_use]
    pub fn since(self, earlier: StoreRequests) -> StoreRequests {
        self.combine(earlier, u64::saturating_sub)
    }

    fn combine(self, other: StoreRequests, with: impl Fn(u64, u64) -> u64) -> StoreRequests {
        StoreRequests {
            puts: with(self.puts, other.puts),
            gets: with(self.gets, other.gets),
            heads: with(self.heads, other.heads),
            lists: with(self.lists, other.lists),
            deletes: with(self.deletes, other.deletes),
            bytes_sent: with(self.bytes_sent, other.bytes_sent),
            bytes_received: with(self.bytes_received, other.bytes_received),
        }
    }
}

/// A running broker.
struct Running {
    pid: Pid,
    exited: watch::Receiver<Option<ExitStatus>>,
    /// What it answers to `requests`.
    answers: mpsc::Receiver<StoreRequests>,
    /// Open as long as we live.
    stdin: ChildStdin,
}

/// A broker that was started and does not serve yet.
pub struct Starting {
    env: Env,
    node: Node,
    line: String,
    exited: watch::Receiver<Option<ExitStatus>>,
    ready: watch::Receiver<bool>,
    console: watch::Receiver<Option<String>>,
    /// Ends when all that the broker said is in its log.
    log_kept: JoinHandle<()>,
}

/// A broker's process has ended.
type Exit = (BrokerId, ExitStatus);

/// The processes of a cluster.
pub struct Cluster {
    env: Env,
    data: PathBuf,
    layout: Layout,
    running: BTreeMap<BrokerId, Running>,
    exits: mpsc::UnboundedReceiver<Exit>,
    exit_sender: mpsc::UnboundedSender<Exit>,
}

impl Cluster {
    /// Lays the cluster out in its folder; nothing runs yet.
    ///
    /// # Errors
    /// As [`Layout::write`].
    pub fn prepare(env: &Env, options: Options) -> Result<Cluster> {
        let layout = Layout::write(env, &options)?;
        let (exit_sender, exits) = mpsc::unbounded_channel();
        Ok(Cluster {
            env: env.clone(),
            data: options.data,
            layout,
            running: BTreeMap::new(),
            exits,
            exit_sender,
        })
    }

    /// What a user should know.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.layout.notes
    }

    /// The cluster's folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What a client is given.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.layout.nodes.iter().map(|n| n.kafka.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Starts all brokers, hands out the line of each, and waits until all serve.
    ///
    /// # Errors
    /// When one ends or does not serve in time, with the end of its log.
    pub async fn start_all(&mut self, mut line: impl FnMut(&str)) -> Result<()> {
        let mut all = Vec::new();
        for node in self.layout.nodes.clone() {
            let starting = self.spawn(&node)?;
            line(&starting.line);
            all.push(starting);
        }
        for starting in all {
            if let (_, Some(console)) = starting.until_ready().await? {
                line(&console);
            }
        }
        Ok(())
    }

    /// Starts one broker that is not running. It may not serve before others are started too.
    ///
    /// # Errors
    /// When there is no such broker, or it runs.
    pub async fn start(&mut self, id: BrokerId) -> Result<Starting> {
        let node = self.layout.nodes.iter().find(|n| n.id == id).cloned();
        let node = node.with_context(|| format!("there is no broker {id}"))?;
        if let Some(running) = self.running.get_mut(&id) {
            // A broker killed a moment ago may not have been waited for yet.
            let ended = running.exited.wait_for(Option::is_some);
            if timeout(&*self.env.clock, NOTICE, ended).await.is_err() {
                bail!("broker {id} runs, with pid {}", running.pid.as_raw_nonzero());
            }
        }
        self.spawn(&node)
    }

    /// The next broker that ended by itself.
    pub async fn next_exit(&mut self) -> Exit {
        match self.exits.recv().await {
            Some(exit) => exit,
            None => std::future::pending().await, // we hold a sender ourselves
        }
    }

    /// The folders in which the brokers keep partitions, in the order of their ids.
    pub fn log_folders(&self) -> impl Iterator<Item = PathBuf> {
        self.layout.nodes.iter().map(|node| node.folder.join("data"))
    }

    /// What all running brokers together have asked of the cold store since they started.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub async fn store_requests(&mut self) -> Result<StoreRequests> {
        let clock = self.env.clock.clone();
        let mut sum = StoreRequests::default();
        for (id, running) in &mut self.running {
            let ask = async {
                running.stdin.write_all(format!("{REQUESTS}\n").as_bytes()).await?;
                running.answers.recv().await.context("its output has ended")
            };
            let answer = timeout(clock.as_ref(), ANSWER_PATIENCE, ask).await.map_err(anyhow::Error::from);
            let counts = answer.and_then(|outcome| outcome);
            sum = sum.plus(counts.with_context(|| format!("broker {id} does not tell its counters"))?);
        }
        Ok(sum)
    }

    /// SIGTERM to all, SIGKILL to those that do not stop.
    pub async fn stop(&mut self) {
        for running in self.running.values() {
            running.signal(Signal::TERM);
        }
        let deadline = self.env.clock.now() + STOP_PATIENCE;
        for running in self.running.values_mut() {
            let left = deadline.since(self.env.clock.now());
            let ended = running.exited.wait_for(Option::is_some);
            if timeout(self.env.clock.as_ref(), left, ended).await.is_err() {
                running.signal(Signal::KILL);
                let _ = running.exited.wait_for(Option::is_some).await;
            }
        }
        self.running.clear();
    }

    fn spawn(&mut self, node: &Node) -> Result<Starting> {
        let program = std::env::current_exe().context("cannot find our own program")?;
        let mut child = Command::new(program)
            .args(["server", "--with-parent", "--config"])
            .arg(&node.config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start broker {}", node.id))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).context("no process id")?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            bail!("broker {} has no pipes", node.id)
        };
        let log = self.env.disk.open(&log_file(node), OpenMode::ReadWrite)?;
        let log_kept = tokio::spawn(keep_log(stderr, log));
        let (ready_sender, ready) = watch::channel(false);
        let (answer_sender, answers) = mpsc::channel(1);
        let (console_sender, console) = watch::channel(None);
        tokio::spawn(watch_output(stdout, ready_sender, console_sender, answer_sender));
        let (exit_sender, exited) = watch::channel(None);
        tokio::spawn(watch_process(child, node.id, exit_sender, self.exit_sender.clone()));
        let line = format!("broker {} pid {} kafka {}", node.id, pid.as_raw_nonzero(), node.kafka);
        self.running.insert(node.id, Running { pid, exited: exited.clone(), answers, stdin });
        Ok(Starting { env: self.env.clone(), node: node.clone(), line, exited, ready, console, log_kept })
    }
}

impl Starting {
    /// Waits until the broker serves; its line, and the one of its console if it has one.
    ///
    /// # Errors
    /// When it ends or does not serve in time, with the end of its log.
    pub async fn until_ready(self) -> Result<(String, Option<String>)> {
        let Starting { env, node, line, mut exited, mut ready, console, log_kept } = self;
        let serves = async {
            tokio::select! {
                biased;
                Ok(_) = ready.wait_for(|ready| *ready) => None,
                Ok(status) = exited.wait_for(Option::is_some) => *status,
                else => None,
            }
        };
        let trouble = match timeout(env.clock.as_ref(), START_PATIENCE, serves).await {
            Ok(None) => {
                let console = console.borrow().as_ref().map(|url| format!("console {} {url}", node.id));
                return Ok((line, console));
            }
            Ok(Some(status)) => {
                // Why it ended may still be on its way; if it takes longer, the log has it.
                let _ = timeout(env.clock.as_ref(), NOTICE, log_kept).await;
                format!("ended ({status}) before it served")
            }
            Err(late) => format!("does not serve: {late}"),
        };
        let log = env.disk.read(&log_file(&node)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        bail!("broker {} {trouble}; the end of {}:\n{tail}", node.id, log_file(&node).display())
    }
}

impl Running {
    /// Sends a signal, unless the process has ended (its id may then be another's).
    fn signal(&self, signal: Signal) {
        if self.exited.borrow().is_none() {
            // It may end in this very moment: then there is nobody to signal.
            let _ = kill_process(self.pid, signal);
        }
    }
}

fn log_file(node: &Node) -> PathBuf {
    node.folder.join("broker.log")
}

async fn keep_log(mut from: impl AsyncRead + Unpin, to: Arc<dyn DiskFile>) {
    let mut position = to.len().unwrap_or(0);
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.write_all_at(&buffer[..read], position).is_ok() {
            position += read as u64;
        }
    }
}

async fn watch_output(
    from: impl AsyncRead + Unpin,
    ready: watch::Sender<bool>,
    console: watch::Sender<Option<String>>,
    answers: mpsc::Sender<StoreRequests>,
) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == READY {
            ready.send_replace(true);
        } else if let Some(url) = line.strip_prefix(ADMIN) {
            // The first one is where a browser goes.
            console
                .send_if_modified(|known| known.is_none() && known.replace(url.trim().to_owned()).is_none());
        } else if let Some(counts) =
            line.strip_prefix(REQUESTS).and_then(|json| serde_json::from_str(json).ok())
        {
            // An answer that nobody waits for any more is dropped.
            let _ = answers.try_send(counts);
        }
    }
}

async fn watch_process(
    mut child: Child,
    id: BrokerId,
    exited: watch::Sender<Option<ExitStatus>>,
    exits: mpsc::UnboundedSender<Exit>,
) {
    if let Ok(status) = child.wait().await {
        exited.send_replace(Some(status));
        // Nobody listens any more once the cluster is being ended.
        let _ = exits.send((id, status));
    }
}
