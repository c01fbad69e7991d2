//! Parts of a run put together are the whole run.

use std::path::{Path, PathBuf};

use trimtab_experiment::results::{Existing, SweepError};
use trimtab_experiment::sweep::{Shard, SweepOptions, merge};
use trimtab_sched::Registry;

use crate::support::{capacity_text, data, folder, options, run, text};

#[test]
fn shards_merge_to_the_bytes_of_the_whole() {
    let folder = folder(120);
    let replicated =
        text(folder.path()) + "\n[replicate]\nmetric = \"ttft_mean_s\"\nhalf_width = 0.02\nmax_seeds = 6\n";
    for (name, text) in
        [("plain", text(folder.path())), ("more", replicated), ("capacity", capacity_text(folder.path()))]
    {
        let at = |part: &str| folder.path().join(format!("{name}-{part}"));
        let state = run(&text, &at("whole"), 2, None, &()).unwrap().state;
        assert_eq!(
            (state.reused, state.done),
            (0, state.total),
            "{name}: what a search asks for again is no other cell"
        );
        let parts: Vec<_> = (1..=2)
            .map(|index| {
                let out = at(&index.to_string());
                let outcome = run(&text, &out, 2, Some(Shard { index, count: 2 }), &()).unwrap();
                assert!(outcome.state.done > 0, "{name} {index}");
                out
            })
            .collect();
        merge(&parts, &Registry::default(), &options(&at("merged"), 2), &()).unwrap();
        assert_eq!(data(&at("whole")), data(&at("merged")), "{name}");

        let lacking = merge(&parts[..1], &Registry::default(), &options(&at("half"), 2), &()).unwrap_err();
        assert!(matches!(&lacking, SweepError::Merge(text) if text.contains("in none of the parts")), "{lacking}");
    }
    let (plain, more) = (folder.path().join("plain-1"), folder.path().join("more-1"));
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("spec.toml"), "mine").unwrap();
    let refuse = SweepOptions { existing: Existing::Refuse, ..options(&mine, 1) };
    let mixed = merge(&[plain, more], &Registry::default(), &refuse, &()).unwrap_err();
    assert!(mixed.to_string().contains("different plans") && mixed.exit_code() == 2, "{mixed}");
    assert_eq!(std::fs::read(mine.join("spec.toml")).unwrap(), b"mine", "nothing is touched for such parts");
    assert_eq!(Existing::default(), Existing::Refuse);
}

/// And what was there stays.
#[test]
fn half_a_merge_is_not_in_the_way_of_a_whole_one() {
    let folder = folder(40);
    let part = |index| {
        let out = folder.path().join(format!("part-{index}"));
        run(&text(folder.path()), &out, 2, Some(Shard { index, count: 2 }), &()).unwrap();
        out
    };
    let (half, parts) = (folder.path().join("made"), [1, 2].map(part));
    std::fs::create_dir(&half).unwrap();
    for name in ["notes.txt", "spec.toml"] {
        std::fs::write(half.join(name), "mine").unwrap();
    }
    let put = |parts: &[PathBuf], out: &Path| {
        let options = SweepOptions { existing: Existing::Refuse, ..options(out, 2) };
        merge(parts, &Registry::default(), &options, &())
    };
    for _ in 0..2 {
        put(&parts[..1], &half).expect_err("a part is missing");
        assert_eq!(std::fs::read(half.join("spec.toml")).unwrap(), b"mine");
    }
    let replace = SweepOptions { existing: Existing::Replace, ..options(&parts[0], 2) };
    let onto = merge(&parts, &Registry::default(), &replace, &()).expect_err("a part would be discarded");
    assert!(onto.to_string().contains("is one of the parts"), "{onto}");
    put(&parts, &half).unwrap();
    let before = data(&half);
    let beside = folder.path().join("nowhere/../made");
    assert!(matches!(put(&parts, &beside), Err(SweepError::Exists(_))));
    assert_eq!(before, data(&half));
    assert!(half.join("notes.txt").exists());
}

#[test]
fn replication_stops_at_the_width_or_at_the_cap() {
    let folder = folder(120);
    for (half_width, seeds) in [(10.0, 3), (1e-6, 7)] {
        let text = format!(
            "{}\n[replicate]\nmetric = \"ttft_mean_s\"\nhalf_width = {half_width:e}\nmax_seeds = 7\n",
            text(folder.path())
        );
        let outcome = run(&text, &folder.path().join(format!("n{seeds}")), 2, None, &()).unwrap();
        assert_eq!(outcome.rows.len(), 8 * seeds);
    }
}
