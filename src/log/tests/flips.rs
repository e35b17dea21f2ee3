//! Any flipped bit in any file of a partition's folder is found, or changes no answer.

use super::*;

/// Everything one can ask a log; an error counts as found.
fn answers(disk: &SimDisk, config: &LogConfig, clean: bool) -> Result<Vec<String>, LogError> {
    let recovery_point = Offset(60);
    let mut log = Log::open(OpenLog { clean, recovery_point, ..opening(disk, config) })?.0;
    let mut said = vec![format!("{:?} {:?}", log.log_start(), log.log_end())];
    said.push(format!("{:?}", log.epochs()));
    for segment in log.closed_segments() {
        said.push(format!("{:?}", (segment.base, segment.end, segment.bytes, segment.max_timestamp)));
    }
    // To the end: an answer may stop before a bad batch, but the next one says so.
    for from in [0, 17, 30, 59] {
        said.push(format!("{:?}", records(&read_all(&log, Offset(from))?)));
    }
    for at in [-5, 0, 7, 23, 40, 58, 70] {
        said.push(format!("{:?}", log.offset_for_timestamp(NOW_MS + at, log.log_end())?));
    }
    said.push(format!("{:?}", log.max_timestamp()?));
    said.push(format!("{:?}", log.expired_by_retention(NOW_MS + 1020, log.log_end())));
    for end in [45, 31] {
        said.push(format!("{:?}", log.truncate_to(Offset(end))?));
    }
    for sequence in [29, 28, 25, 40] {
        let again = log.append_as_leader(vec![produced(4, 0, sequence, 1)], LeaderEpoch(9), NOW_MS)?;
        said.push(format!("{:?}", again[0].as_ref().map(|a| (a.base, a.duplicate))));
    }
    Ok(said)
}

#[test]
fn a_flipped_bit_anywhere_is_found_or_harmless() {
    let config = LogConfig { retention_ms: 1000, ..small(900) };
    let (disk, mut log) = fresh(&config);
    for i in 0..60 {
        let mut builder = BatchBuilder::default().producer(
            ProducerId(4),
            ProducerEpoch(0),
            i32::try_from(i).expect("small"),
        );
        builder.add(NOW_MS + i, None, Some(format!("value {i}").as_bytes()), &[]);
        let epoch = LeaderEpoch(if i < 20 { 2 } else { 5 });
        let batch = builder.build().expect("a batch");
        log.append_as_leader(vec![batch], epoch, NOW_MS).expect("written")[0].as_ref().expect("accepted");
    }
    log.close_clean().expect("closes");
    drop(log);
    for clean in [true, false] {
        let expected = answers(&disk.duplicate(), &config, clean).expect("nothing is wrong");
        let (mut found, mut harmless) = (0, 0);
        for (path, content) in disk.snapshot() {
            // A prime step: over the files every place in a byte and in an entry is met.
            for bit in (0..content.len() * 8).step_by(7) {
                let disk = disk.duplicate();
                disk.flip_bit(&path, bit);
                match answers(&disk, &config, clean) {
                    Err(_) => found += 1,
                    Ok(said) => {
                        harmless += 1;
                        for (said, expected) in said.iter().zip(&expected) {
                            assert_eq!(said, expected, "bit {bit} of {}, clean {clean}", path.display());
                        }
                    }
                }
            }
        }
        assert!(found > 1000 && harmless > 100, "{found} found, {harmless} harmless");
    }
}
