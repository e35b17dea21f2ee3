//! The configuration that is in force now: the file's, with what was set at run time over it.
//!
//! It is looked up with the image, and made anew when what was set has changed. A value that cannot be in force on this broker
//! (it contradicts the broker's own file) is left out and told in the log; all others hold.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Broker;
use super::config::{BrokerConfig, ConfigError, InForce, Overrides};
use crate::metadata::Image;

/// What is in force on one broker.
pub(super) struct LiveConfig {
    file: BrokerConfig,
    now: ArcSwap<(Overrides, Arc<InForce>)>,
}

/// What was set at run time for a broker.
fn overrides(image: &Image, config: &BrokerConfig) -> Overrides {
    let of = |broker| image.broker_configs.get(&broker).cloned().unwrap_or_default();
    Overrides { everywhere: of(None), here: of(Some(config.node_id)) }
}

impl LiveConfig {
    /// With the file's configuration in force.
    pub(super) fn new(file: BrokerConfig) -> Result<LiveConfig, ConfigError> {
        let overrides = Overrides::default();
        let now = Arc::new(InForce::new(&file, &overrides)?);
        Ok(LiveConfig { file, now: ArcSwap::from_pointee((overrides, now)) })
    }

    /// What is in force by an image.
    pub(super) fn at(&self, image: &Image) -> Arc<InForce> {
        let now = self.now.load();
        let of = |broker| image.broker_configs.get(&broker);
        let same = of(None).map_or(now.0.everywhere.is_empty(), |all| *all == now.0.everywhere)
            && of(Some(self.file.node_id)).map_or(now.0.here.is_empty(), |own| *own == now.0.here);
        if same {
            return now.1.clone();
        }
        let overrides = overrides(image, &self.file);
        let next = match InForce::as_far_as_possible(&self.file, &overrides) {
            Ok(next) => Arc::new(next),
            Err(error) => {
                tracing::error!(%error, "what was set at run time can't be in force on this broker");
                now.1.clone()
            }
        };
        for ignored in next.ignored.iter().filter(|ignored| !now.1.ignored.contains(ignored)) {
            let (name, why) = (&ignored.name, &ignored.why);
            tracing::error!(name, %why, "a value that was set at run time can't be in force on this broker and is left out");
        }
        self.now.store(Arc::new((overrides, next.clone())));
        next
    }
}

impl Broker {
    /// The configuration that is in force now. Properties that can be changed at run time are read here, each time anew.
    #[must_use]
    pub fn live(&self) -> Arc<InForce> {
        self.live.at(&self.image())
    }

    /// Calls back with the configuration that is in force, now and whenever it changes, until the broker stops.
    pub async fn follow_config(self: Arc<Self>, changed: impl Fn(&BrokerConfig) + Send + Sync) {
        let mut images = self.metadata.subscribe();
        let mut last: Option<Arc<InForce>> = None;
        loop {
            let now = self.live.at(&images.borrow_and_update().clone());
            if !last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &now)) {
                changed(&now.config);
            }
            last = Some(now);
            tokio::select! {
                changed = images.changed() => if changed.is_err() { return },
                () = self.stopping.stopped() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::types::BrokerId;

    fn live(text: &str) -> LiveConfig {
        LiveConfig::new(BrokerConfig::load(Path::new("x.properties"), text, std::iter::empty()).unwrap())
            .unwrap()
    }

    fn image(broker: Option<BrokerId>, name: &str, value: &str) -> Image {
        let configs = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Image { broker_configs: BTreeMap::from([(broker, configs)]), ..Image::default() }
    }

    #[test]
    fn what_is_set_is_in_force_at_once_and_gone_when_it_is_taken_back() {
        let live = live("num.partitions=2");
        let partitions = |image: &Image| live.at(image).config.number("num.partitions");
        assert_eq!(partitions(&Image::default()), 2);
        assert_eq!(partitions(&image(None, "num.partitions", "7")), 7);
        assert_eq!(partitions(&image(Some(BrokerId(1)), "num.partitions", "9")), 9);
        assert_eq!(partitions(&image(Some(BrokerId(2)), "num.partitions", "9")), 2, "another broker's");
        assert_eq!(partitions(&Image::default()), 2);
    }

    #[test]
    fn what_contradicts_this_brokers_file_is_left_out() {
        let live = live("log.retention.ms=1000\nnum.partitions=2");
        let found = live.at(&image(None, "log.local.retention.ms", "5000"));
        assert_eq!(found.config.number("log.local.retention.ms"), -2);
        assert_eq!(live.at(&image(None, "num.partitions", "3")).config.number("num.partitions"), 3);
    }

    #[test]
    fn what_cannot_change_at_run_time_stays_the_files() {
        assert_eq!(live("").at(&image(None, "node.id", "5")).config.node_id, BrokerId(1));
    }
}
