#!/usr/bin/env python3
"""The dependencies of the program as a CycloneDX 1.5 document, and whether their licences are allowed.

    scripts/sbom.py > trimtab.cdx.json    what `cargo metadata` knows: versions, licences, checksums, who needs whom
    scripts/sbom.py --check               every licence against the list in deny.toml; no network, says what is wrong

Needs Python 3.11 and cargo. The same Cargo.lock gives the same bytes: no time, no host, no random number.
"""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def metadata():
    host = re.search(r"host: (\S+)", subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout)
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host.group(1)]
    run = lambda extra: subprocess.run(command + extra, cwd=ROOT, capture_output=True, text=True)
    done = run(["--offline"])
    if done.returncode != 0:
        # A machine that has not built yet.
        done = run([])
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def shipped(data):
    """Packages of the binary: reached from the command line without test dependencies, by id."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    start = next(p["id"] for p in data["packages"] if p["name"] == "trimtab-cli")
    needs, open_ = {}, [start]
    while open_:
        package = open_.pop()
        if package in needs:
            continue
        kept = [d["pkg"] for d in nodes[package]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
        needs[package] = sorted(kept)
        open_.extend(kept)
    return start, needs


def allowed(expression, allow):
    """Whether an SPDX expression is met by the list: `/` is an old way to write OR, AND binds closer than OR."""
    expression = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    tokens = expression.replace(" WITH ", "\0WITH\0").split()
    at = 0

    def any_of():
        nonlocal at
        met = all_of()
        while at < len(tokens) and tokens[at] == "OR":
            at += 1
            met = all_of() or met
        return met

    def all_of():
        nonlocal at
        met = one()
        while at < len(tokens) and tokens[at] == "AND":
            at += 1
            met = one() and met
        return met

    def one():
        nonlocal at
        token = tokens[at]
        at += 1
        if token == "(":
            met = any_of()
            at += 1
            return met
        return token.replace("\0", " ") in allow

    return any_of()


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    entry = {"type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"]}
    if package.get("description"):
        entry["description"] = " ".join(package["description"].split())
    if checksum := checksums.get((package["name"], package["version"])):
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("license"):
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    entry["purl"] = purl(package)
    if package.get("repository") and package["source"]:
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    data = metadata()
    packages = {package["id"]: package for package in data["packages"]}
    if sys.argv[1:]:
        allow = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
        wrong = [p for p in packages.values() if not (p["license"] and allowed(p["license"], allow))]
        for package in wrong:
            print(f"{package['name']} {package['version']}: licence `{package['license']}` is not allowed", file=sys.stderr)
        if not wrong:
            print(f"{len(packages)} packages, all under licences that deny.toml allows")
        sys.exit(1 if wrong else 0)
    lock = (ROOT / "Cargo.lock").read_bytes()
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.loads(lock.decode())["package"]}
    start, needs = shipped(data)
    order = lambda id_: (packages[id_]["name"], packages[id_]["version"])
    main_component = component(packages[start], checksums) | {"type": "application", "name": "trimtab"}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=hashlib.sha256(lock).digest()[:16], version=4)}",
        "version": 1,
        "metadata": {"component": main_component},
        "components": [component(packages[i], checksums) for i in sorted(needs, key=order) if i != start],
        "dependencies": [
            {"ref": purl(packages[i]), "dependsOn": [purl(packages[d]) for d in sorted(needs[i], key=order)]}
            for i in sorted(needs, key=order)
        ],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


main()
