//! What survives when a process is killed or cannot write.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use trimtab_experiment::results::SweepError;

use crate::support::{capacity_text, data, folder, run, text};

/// Not a test of its own: the process that `killed_runs_resume_to_the_same_bytes` kills. Does nothing unless told where.
#[test]
fn victim() {
    let Some(folder) = std::env::var_os("TRIMTAB_TEST_VICTIM") else { return };
    let folder = Path::new(&folder);
    let text = fs::read_to_string(folder.join("spec.toml")).unwrap();
    run(&text, &folder.join("out"), 2, None, &()).unwrap();
}

#[test]
fn killed_runs_resume_to_the_same_bytes() {
    for (name, requests, spec) in [("sweep", 2000, text as fn(&Path) -> String), ("capacity", 1000, capacity_text)] {
        let folder = folder(requests);
        let text = spec(folder.path());
        fs::write(folder.path().join("spec.toml"), &text).unwrap();
        let out = folder.path().join("out");
        let cells = || fs::read_dir(out.join("cells")).map_or(0, Iterator::count);
        for kill in 0..3 {
            let before = cells();
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["robust::victim", "--exact"])
                .env("TRIMTAB_TEST_VICTIM", folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Once it has added a cell, wherever it is then.
            while cells() == before && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(3 * kill));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let resumed = run(&text, &out, 2, None, &()).unwrap();
        assert!(resumed.state.reused > 0, "{name}: nothing was kept");
        let whole = folder.path().join("whole");
        run(&text, &whole, 2, None, &()).unwrap();
        assert_eq!(data(&whole), data(&out), "{name}");
    }
}

#[test]
fn what_cannot_be_written_is_named() {
    let folder = folder(60);
    let text = text(folder.path());
    // A folder in the place of a cell's file stands for any failure to write; it works for every user, root included.
    let out = folder.path().join("out");
    let (_, plan) = crate::support::load(&text, &[]).unwrap();
    let (_, cell) = plan.cells().next().unwrap();
    fs::create_dir_all(out.join("cells").join(format!("{}.json", cell.id)).join("x")).unwrap();
    let error = run(&text, &out, 1, None, &()).unwrap_err();
    assert!(matches!(&error, SweepError::Io { doing: "write", path, .. } if path.to_string_lossy().contains(&cell.id)));
    assert_eq!(error.exit_code(), 3);

    // A device that is always full, where there is one.
    if Path::new("/dev/full").exists() {
        let full = folder.path().join("full");
        fs::create_dir_all(full.join("cells")).unwrap();
        std::os::unix::fs::symlink("/dev/full", full.join("plan.json")).unwrap();
        let error = run(&text, &full, 1, None, &()).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("plan.json") && error.contains("space"), "{error}");
    }
}
