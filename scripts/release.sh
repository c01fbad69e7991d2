#!/usr/bin/env bash
# Builds what is published with a tag, for this machine's target:
#
#   scripts/release.sh [TAG]      default: the tag of HEAD
#
# target/release-TAG/ then holds an archive with the binary (profile `dist`), experiments, manual pages, completions, licences
# and the readme; the software bill of materials; and SHA256SUMS. The same tag, toolchain and place of the sources give the same archive.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."

tag=${1:-$(git describe --exact-match --tags HEAD 2>/dev/null || true)}
[ -n "$tag" ] || { echo "HEAD has no tag: tag it, or name one" >&2; exit 2; }
[ -z "$(git status --porcelain)" ] || { echo "the working tree has changes: a release is built from what is committed" >&2; exit 2; }
[ "$(git rev-parse "$tag^{commit}")" = "$(git rev-parse HEAD)" ] || { echo "HEAD is not $tag: check it out first" >&2; exit 2; }
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ "$tag" = "v$version" ] || { echo "the tag is $tag, but Cargo.toml says $version" >&2; exit 2; }
for file in CHANGELOG.md CITATION.cff; do
  grep -q "$version" "$file" || { echo "$file does not mention $version" >&2; exit 2; }
done

# The commit that the binary states is noted when it is compiled.
cargo clean --quiet --profile dist -p trimtab-cli
cargo build --profile dist --locked -p trimtab-cli
target=$(rustc -vV | sed -n 's/^host: //p')
name=trimtab-$version-$target
out=target/release-$tag
rm -rf "$out"
mkdir -p "$out/$name/man" "$out/$name/completions"
bin=${CARGO_TARGET_DIR:-target}/dist/trimtab
cp "$bin" README.md CHANGELOG.md CITATION.cff LICENSE-APACHE LICENSE-MIT "$out/$name/"
git archive HEAD experiments | tar -xf - -C "$out/$name"
"$bin" man --out "$out/$name/man"
for shell in bash zsh fish powershell elvish; do
  "$bin" completions "$shell" >"$out/$name/completions/trimtab.$shell"
done
scripts/sbom.py >"$out/$name.cdx.json"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -C "$out" -cf - "$name" |
  gzip -9n >"$out/$name.tar.gz"
rm -rf "${out:?}/$name"
(cd "$out" && sha256sum -- *.tar.gz *.cdx.json >SHA256SUMS)
"$bin" --version
cat "$out/SHA256SUMS"
