//! `esker tier init`: a bucket as the tier wants it, and a mark whose it is.
//!
//! ```text
//! bucket there? ─► whose? another cluster's: nothing is touched ─► settings, each read before it is written ─► mark
//! ```
//! What is set is the whole bucket's: rules of others stay, and a bucket in which another cluster has a prefix is left alone
//! unless `--shared` says that both may have these settings. A service that lacks a setting (MinIO has no public access
//! block) is told about; what was asked for by name must hold, or the command fails.

use anyhow::{Context as _, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    BucketVersioningStatus, CreateBucketConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    VersioningConfiguration,
};
use serde_json::json;
use tiering::owner::{self, OwnerError};
use tiering::store::{RemoteOptions, RemoteStore, Store, StoreLocation};

use crate::cli::report::{Output, print_json, say};

/// Amazon's home region, which a bucket's location must not name.
const HOME_REGION: &str = "us-east-1";
/// Parts of uploads that never ended are removed after so many days.
const INCOMPLETE_UPLOAD_DAYS: i32 = 2;
/// The name of our lifecycle rule: the others are somebody else's.
const RULE: &str = "esker-incomplete-uploads";
/// Folders at the top of a bucket that are looked at for other clusters' marks.
const FOLDERS: usize = 256;

/// What a bucket is to be like.
#[derive(clap::Args, Debug)]
pub(super) struct Settings {
    /// The cluster whose bucket it is (`cluster.id`). Without it the first broker that starts says so.
    #[arg(long)]
    cluster_id: Option<String>,
    /// Versions of deleted objects: `on` keeps them for a while, `off` does not, `keep` leaves the bucket as it is.
    #[arg(long, value_enum, default_value_t = Versioning::Keep)]
    versioning: Versioning,
    /// With versions on, deleted objects go for good after so many days.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i32).range(1..=3650))]
    noncurrent_days: i32,
    /// How the bucket encrypts: `keep` leaves it as it is.
    #[arg(long, value_enum, default_value_t = BucketEncryption::Keep)]
    encryption: BucketEncryption,
    /// The key for `--encryption aws:kms`: id, alias or ARN; default: the account's own.
    #[arg(long, value_name = "KEY")]
    kms_key_id: Option<String>,
    /// The bucket may also hold other clusters, under other prefixes: they get the same settings.
    #[arg(long)]
    shared: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Versioning {
    On,
    Off,
    Keep,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum BucketEncryption {
    #[value(name = "AES256")]
    Aes256,
    #[value(name = "aws:kms")]
    Kms,
    Keep,
}

/// A bucket, and a client that may set it up.
struct Bucket {
    client: Client,
    name: String,
    region: String,
    /// Amazon has every setting; another service may lack some.
    is_amazon: bool,
    output: Output,
}

/// Sets a bucket up.
///
/// # Errors
/// A folder; another cluster's bucket; what the service answers.
pub(super) async fn init(
    url: &str,
    settings: &Settings,
    options: RemoteOptions,
    output: Output,
) -> Result<()> {
    let location: StoreLocation = url.parse()?;
    let StoreLocation::Bucket { bucket: name, prefix } = &location else {
        bail!("{url}: only a bucket is set up; a folder is created by the broker that uses it");
    };
    if settings.kms_key_id.is_some() && settings.encryption != BucketEncryption::Kms {
        bail!("--kms-key-id is for --encryption aws:kms");
    }
    let bucket = Bucket::connect(name, &options, output)?;
    bucket.create().await?;
    let store = RemoteStore::open(&location, &options)?;
    let owned = whose(&store, settings.cluster_id.as_deref()).await.with_context(|| format!("{location}"))?;
    if !settings.shared {
        alone(name, prefix, &options, settings.cluster_id.as_deref()).await?;
    }
    let versions = bucket.versioning(settings.versioning).await?;
    bucket.lifecycle(versions.then_some(settings.noncurrent_days)).await?;
    let blocked = bucket.block_public_access().await?;
    let encryption = bucket.encryption(settings).await?;
    match (&settings.cluster_id, owned) {
        (Some(id), false) => {
            owner::claim(&store, id).await.with_context(|| format!("{location}"))?;
            say(output, &format!("{location} belongs to cluster {id} from now on"));
        }
        (Some(id), true) => say(output, &format!("{location} belongs to cluster {id}")),
        (None, _) => {
            say(output, &format!("{location} will belong to the first cluster whose brokers start with it"));
        }
    }
    if output == Output::Json {
        print_json(&json!({
            "store": location.to_string(),
            "cluster_id": settings.cluster_id,
            "keeps_versions": versions,
            "blocks_public_access": blocked,
            "encryption": encryption,
        }));
    }
    Ok(())
}

/// Whether the store is marked as the cluster's already.
async fn whose(store: &dyn Store, cluster_id: Option<&str>) -> Result<bool> {
    let Some(id) = cluster_id else {
        if let Some(found) = owner::owner(store).await? {
            bail!(
                "it belongs to cluster {found}: say --cluster-id {found} if that is yours; nothing was touched"
            );
        }
        let others = owner::unmarked(store, None).await?;
        if !others.is_empty() {
            bail!(
                "it holds the data of {}: say whose it is with --cluster-id; nothing was touched",
                others.join(", ")
            );
        }
        return Ok(false);
    };
    Ok(owner::check(store, id).await?)
}

/// Refuses a bucket in which another cluster has a prefix.
async fn alone(name: &str, prefix: &str, options: &RemoteOptions, ours: Option<&str>) -> Result<()> {
    let open = |prefix: String| {
        RemoteStore::open(&StoreLocation::Bucket { bucket: name.to_owned(), prefix }, options)
    };
    let mut places = vec![String::new()];
    places.extend(open(String::new())?.list_folders("").await?.into_iter().take(FOLDERS));
    places.retain(|place| place != prefix);
    for place in places {
        let found = match owner::owner(&open(place.clone())?).await {
            Ok(Some(found)) if Some(found.as_str()) != ours => found,
            Ok(_) => continue,
            Err(OwnerError::Damaged(_)) => "a cluster whose mark is damaged".to_owned(),
            Err(error) => return Err(error.into()),
        };
        bail!(
            "s3://{name}/{place} belongs to {found}, and settings are the whole bucket's: take another bucket, or say --shared; \
             nothing was touched"
        );
    }
    Ok(())
}

impl Bucket {
    fn say(&self, text: &str) {
        say(self.output, text);
    }

    fn connect(name: &str, options: &RemoteOptions, output: Output) -> Result<Bucket> {
        let environment =
            |given: &Option<String>, name: &str| given.clone().or_else(|| std::env::var(name).ok());
        let id = environment(&options.access_key_id, "AWS_ACCESS_KEY_ID")
            .context("no access key: --access-key")?;
        let secret = environment(&options.secret_access_key, "AWS_SECRET_ACCESS_KEY")
            .context("no secret key: --secret-key")?;
        let region = environment(&options.region, "AWS_REGION").unwrap_or_else(|| HOME_REGION.to_owned());
        let token = std::env::var("AWS_SESSION_TOKEN").ok();
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .credentials_provider(Credentials::new(id, secret, token, None, "esker"));
        let endpoint = environment(&options.endpoint, "AWS_ENDPOINT_URL");
        let is_amazon = endpoint.as_deref().is_none_or(|e| e.contains("amazonaws.com"));
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        Ok(Bucket {
            client: Client::from_conf(config.build()),
            name: name.to_owned(),
            region,
            is_amazon,
            output,
        })
    }

    async fn create(&self) -> Result<()> {
        let place = (self.region != HOME_REGION).then(|| {
            let location = BucketLocationConstraint::from(self.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(location).build()
        });
        let request = self.client.create_bucket().bucket(&self.name);
        match request.set_create_bucket_configuration(place).send().await {
            Ok(_) => self.say(&format!("bucket {} is there", self.name)),
            Err(error) => match error.as_service_error() {
                Some(known) if known.is_bucket_already_owned_by_you() => {
                    self.say(&format!("bucket {} was there", self.name));
                }
                _ => bail!("cannot create bucket {}: {}", self.name, in_short(&error)),
            },
        }
        Ok(())
    }

    /// Whether the bucket keeps versions, after what was asked for.
    async fn versioning(&self, asked: Versioning) -> Result<bool> {
        let found = self.client.get_bucket_versioning().bucket(&self.name).send().await;
        let found = match found {
            Ok(found) => found.status,
            Err(error) => {
                self.lacks("versions", asked != Versioning::Keep, &error)?;
                return Ok(false);
            }
        };
        let wanted = match asked {
            Versioning::On => BucketVersioningStatus::Enabled,
            Versioning::Off => BucketVersioningStatus::Suspended,
            Versioning::Keep => found.clone().unwrap_or(BucketVersioningStatus::Suspended),
        };
        // A bucket that never had versions need not be told to have none.
        if found.clone().unwrap_or(BucketVersioningStatus::Suspended) != wanted {
            let configuration = VersioningConfiguration::builder().status(wanted.clone()).build();
            let put = self.client.put_bucket_versioning().bucket(&self.name);
            if let Err(error) = put.versioning_configuration(configuration).send().await {
                bail!("versions cannot be set: {}", in_short(&error));
            }
        }
        let on = wanted == BucketVersioningStatus::Enabled;
        self.say(&format!("versions of deleted objects are {}", if on { "kept" } else { "not kept" }));
        Ok(on)
    }

    /// Our rule among those that are there.
    async fn lifecycle(&self, noncurrent_days: Option<i32>) -> Result<()> {
        let found = self.client.get_bucket_lifecycle_configuration().bucket(&self.name).send().await;
        let mut rules = match found {
            Ok(found) => found.rules.unwrap_or_default(),
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Vec::new(),
            Err(error) => return self.lacks("lifecycle rules", false, &error),
        };
        rules.retain(|rule| rule.id() != Some(RULE));
        let others = rules.len();
        let incomplete =
            AbortIncompleteMultipartUpload::builder().days_after_initiation(INCOMPLETE_UPLOAD_DAYS).build();
        let versions =
            noncurrent_days.map(|days| NoncurrentVersionExpiration::builder().noncurrent_days(days).build());
        let rule = LifecycleRule::builder()
            .id(RULE)
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .abort_incomplete_multipart_upload(incomplete)
            .set_noncurrent_version_expiration(versions)
            .build()?;
        rules.push(rule);
        let lifecycle = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build()?;
        let put = self.client.put_bucket_lifecycle_configuration().bucket(&self.name);
        match put.lifecycle_configuration(lifecycle).send().await {
            Ok(_) => {
                self.say(&format!(
                    "parts of uploads that never end are removed after {INCOMPLETE_UPLOAD_DAYS} days ({others} rules of others \
                     stay)"
                ));
                if let Some(days) = noncurrent_days {
                    self.say(&format!("versions of deleted objects are removed after {days} days"));
                }
                Ok(())
            }
            // MinIO removes such parts by itself, and refuses the rule; the one for versions stands alone there.
            Err(error) if !self.is_amazon && noncurrent_days.is_some() => {
                self.say(&format!("the service has no rule for incomplete uploads: {}", in_short(&error)));
                self.expire_versions(noncurrent_days).await
            }
            Err(error) => self.lacks("a rule for incomplete uploads", false, &error),
        }
    }

    async fn expire_versions(&self, days: Option<i32>) -> Result<()> {
        let Some(days) = days else { return Ok(()) };
        let found = self.client.get_bucket_lifecycle_configuration().bucket(&self.name).send().await;
        let mut rules = found.ok().and_then(|found| found.rules).unwrap_or_default();
        rules.retain(|rule| rule.id() != Some(RULE));
        rules.push(
            LifecycleRule::builder()
                .id(RULE)
                .status(ExpirationStatus::Enabled)
                .filter(LifecycleRuleFilter::builder().prefix("").build())
                .noncurrent_version_expiration(
                    NoncurrentVersionExpiration::builder().noncurrent_days(days).build(),
                )
                .build()?,
        );
        let lifecycle = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build()?;
        let put = self.client.put_bucket_lifecycle_configuration().bucket(&self.name);
        match put.lifecycle_configuration(lifecycle).send().await {
            Ok(_) => self.say(&format!("versions of deleted objects are removed after {days} days")),
            Err(error) => self.lacks("a rule for versions of deleted objects", false, &error)?,
        }
        Ok(())
    }

    /// Whether it is blocked: not every service knows such a block.
    async fn block_public_access(&self) -> Result<bool> {
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true)
            .build();
        let put = self.client.put_public_access_block().bucket(&self.name);
        match put.public_access_block_configuration(block).send().await {
            Ok(_) => self.say("public access is blocked"),
            Err(error) => {
                self.lacks("a public access block", false, &error)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the bucket encrypts with, after what was asked for.
    async fn encryption(&self, settings: &Settings) -> Result<Option<String>> {
        let algorithm = match settings.encryption {
            BucketEncryption::Keep => return self.show_encryption().await,
            BucketEncryption::Aes256 => ServerSideEncryption::Aes256,
            BucketEncryption::Kms => ServerSideEncryption::AwsKms,
        };
        let is_kms = algorithm == ServerSideEncryption::AwsKms;
        let default = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(algorithm.clone())
            .set_kms_master_key_id(settings.kms_key_id.clone())
            .build()?;
        // One data key for many objects, not a request to the key management for each. Others than Amazon know no such key.
        let bucket_key = (is_kms && self.is_amazon).then_some(true);
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(default)
            .set_bucket_key_enabled(bucket_key)
            .build();
        let configuration = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
        let put = self.client.put_bucket_encryption().bucket(&self.name);
        if let Err(error) = put.server_side_encryption_configuration(configuration).send().await {
            bail!("the encryption cannot be set: {}", in_short(&error));
        }
        self.show_encryption().await
    }

    async fn show_encryption(&self) -> Result<Option<String>> {
        let found = match self.client.get_bucket_encryption().bucket(&self.name).send().await {
            Ok(found) => found.server_side_encryption_configuration,
            Err(error) if error.code() == Some("ServerSideEncryptionConfigurationNotFoundError") => None,
            Err(error) => return self.lacks("an encryption setting", false, &error).map(|()| None),
        };
        let rule = found.as_ref().and_then(|found| found.rules().first());
        match rule.and_then(|rule| rule.apply_server_side_encryption_by_default()) {
            Some(default) => {
                let key = default.kms_master_key_id().map(|key| format!(", key {key}")).unwrap_or_default();
                self.say(&format!("objects are encrypted with {}{key}", default.sse_algorithm()));
                Ok(Some(default.sse_algorithm().to_string()))
            }
            None => {
                self.say("the bucket has no encryption of its own");
                Ok(None)
            }
        }
    }

    /// Tells of a setting that the service has not; an error where it should have it, or where it was asked for by name.
    fn lacks<E>(&self, what: &str, asked: bool, error: &SdkError<E>) -> Result<()>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let forbidden = matches!(
            error.code(),
            Some("AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "NoSuchBucket")
        );
        if self.is_amazon || asked || forbidden || error.as_service_error().is_none() {
            bail!("{what} cannot be set: {}", in_short(error));
        }
        self.say(&format!("the service has not {what}: {}", in_short(error)));
        Ok(())
    }
}

/// The service's own words where it gave some, else the whole chain of causes.
fn in_short<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    }
}
