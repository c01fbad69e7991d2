//! What lies below a results folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything but the manifest, which tells of its making, and the lock.
pub(crate) fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(dir: &Path, root: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below").to_owned();
            if path.is_dir() {
                walk(&path, root, files);
            } else if name != Path::new("manifest.json") && name != Path::new(".lock") {
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

/// The second folder holds what the first one does, byte for byte.
pub(crate) fn assert_same(whole: &BTreeMap<PathBuf, Vec<u8>>, found: &BTreeMap<PathBuf, Vec<u8>>) {
    assert_eq!(whole.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, content) in whole {
        assert!(Some(content) == found.get(name), "{} differs", name.display());
    }
}
