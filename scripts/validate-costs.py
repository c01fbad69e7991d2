#!/usr/bin/env python3
"""Writes section 5 of docs/validation.md (step cost and a measured server) from what the binary finds.

    scripts/validate-costs.py TRIMTAB CALIBRATION [FIGURES]

TRIMTAB is the binary, CALIBRATION a folder with steps.csv and rtx4090_llama8b_requests.csv; with FIGURES, the residuals
and the replay are drawn there. Needs Python 3.9 and nothing else. Every number on the page comes from here.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "validation.md"
BEGIN, END = "<!-- begin: scripts/validate-costs.py -->\n", "<!-- end: scripts/validate-costs.py -->\n"
SERVER_CARD, SERVER_ENGINE, SERVER_BLOCKS = "rtx-4090", "vllm-0.19-kernelsum", "2588"


def percent(value):
    return f"{100 * value:.1f} %"


def signed(value):
    return f"{100 * value:+.1f} %"


def kind(table, name):
    found = table["by_kind"].get(name) if table else None
    return percent(found["mape"]) if found else ""


def verdict(value, most):
    return "met" if value <= most else "**missed**"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def step_targets(found):
    rows = [["defaults without a fit, all rows", "10 %", percent(found["defaults"]["overall"]["mape"]),
             verdict(found["defaults"]["overall"]["mape"], 0.10)]]
    for name, key in [("fitted, random rows left out", "row_holdout"), ("fitted, whole groups left out", "group_holdout")]:
        error = found[key]["overall"]["mape"]
        rows.append([name, "6 %", percent(error), verdict(error, 0.06)])
    for pair in found["pairs"]:
        if pair["engine"].endswith("-opsum") and pair["hardware"] in ("h100", "h200", "a100", "l40s"):
            for name, key in [("random rows", "row_holdout"), ("whole groups", "group_holdout")]:
                error = pair[key]["by_kind"]["decode"]["mape"]
                what = f"decode, {pair['hardware']} operator tables, {name} left out"
                rows.append([what, "4 %", percent(error), verdict(error, 0.04)])
    return table(["mean absolute error of step times", "at most", "measured", ""], rows)


def overall(found):
    names = [("defaults", "defaults, no fit"), ("fit", "fitted rows"), ("row_holdout", "random rows left out"),
             ("group_holdout", "whole groups left out"), ("holdout", "both kinds together")]
    rows = []
    for key, name in names:
        errors = found[key]
        all_rows = errors["overall"]
        rows.append([name, str(all_rows["n"]), percent(all_rows["mape"]), percent(all_rows["median_ape"]),
                     percent(all_rows["p90_ape"]), *(kind(errors, k) for k in ("prefill", "decode", "mixed"))])
    return table(["", "predictions", "mean", "median", "P90", "prefill", "decode", "mixed"], rows)


def pairs(found):
    rows = []
    for pair in found["pairs"]:
        cells = [pair["hardware"], pair["engine"], str(pair["fit"]["overall"]["n"])]
        for name in ("prefill", "decode", "mixed"):
            errors = [kind(pair[key], name) for key in ("defaults", "row_holdout", "group_holdout")]
            cells.append(" / ".join(e.removesuffix(" %") or "-" for e in errors) if errors[0] else "")
        rows.append(cells)
    return table(["hardware", "engine", "rows", "prefill, %", "decode, %", "mixed, %"], rows)


def groups(found):
    rows = []
    for pair in found["pairs"]:
        for group in pair["left_out"]:
            errors = group["errors"]
            rows.append([pair["hardware"], pair["engine"], f"{group['model']} on {group['tp']}",
                         str(errors["overall"]["n"]), *(kind(errors, k) for k in ("prefill", "decode", "mixed"))])
    return table(["hardware", "engine", "left out", "rows", "prefill", "decode", "mixed"], rows)


def replays(runs):
    rows, details = [], []
    for name, run, judged in runs:
        means = [run[q]["mean_error"] for q in ("ttft", "tpot", "e2e")]
        each = run["per_request_e2e_mape"]
        met = max(map(abs, means)) <= 0.03 and each <= 0.04 and run["preemptions"] > 0
        rows.append([name, str(run["kv_blocks"]), *map(signed, means), percent(each), str(run["preemptions"]),
                     ("met" if met else "**missed**") if judged else ""])
        for quantity in ("ttft", "tpot", "e2e"):
            errors = [signed(run[quantity][f"{q}_error"]) for q in ("mean", "p50", "p90", "p99")]
            details.append([name, quantity.upper(), *errors])
    first = table(["parameters", "KV blocks", "TTFT mean", "TPOT mean", "E2E mean", "E2E per request", "preemptions",
                   "means within 3 %, requests within 4 %"], rows)
    return first, table(["parameters", "", "mean", "p50", "p90", "p99"], details)


def section(found, runs):
    missing = [p for p in found["pairs"] if p["at_bound"]]
    bounds = "; ".join(f"{p['hardware']} with {p['engine']}: {', '.join(p['at_bound'])}" for p in missing)
    first, details = replays(runs)
    return f"""## 5. Step times and a measured server

{found["fit"]["overall"]["n"]} published step times (NVIDIA aiconfigurator tables, LLMServingSim profiles and server ticks, splitwise-sim, Preble), {len(found["impossible"])} more left out because no such card could have produced them. One fit for
each hardware and engine. *Left out* means predicted by a fit that had not seen the row: once with all rows of its (hardware, model, tensor-parallel degree) group, once with a random fifth of the rows.

{step_targets(found)}
Most rows are sums of kernel times, so they test the physics and not the host side.

{overall(found)}
By hardware and engine: defaults / random rows left out / whole groups left out, mean absolute error. A dash: one group only, so nothing can be left out.

{pairs(found)}
Each group predicted by a fit over the other groups of its hardware and engine:

{groups(found)}
Fits with parameters on a bound, whose rows hold time that no term describes: {bounds}.

### A measured vLLM server

LLMServingSim's run of vLLM 0.19 on an RTX 4090 with Llama-3.1-8B, {runs[0][1]["requests"]} requests, saturated and preempting. Simulated against measured; the parameters of the first two rows come from kernel timings
of that card alone, nothing from the server.

{first}
Quantiles of the distributions:

{details}
The median TTFT is the weakest figure: most requests queue, and a few places in the queue move it. The row with `--fit-host` uses the server's own times as a knob, so it shows what is left to explain, not a prediction.
This is one server; others have not been held against a live run here.

```sh
scripts/validate-costs.py target/release/trimtab CALIBRATION [FIGURES]   # rewrites this section; draws residuals and replay into FIGURES
TRIMTAB_CALIBRATION=... cargo test -p trimtab-experiment calibrate       # asserts the targets
```
"""


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    binary, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    figures = pathlib.Path(sys.argv[3]) if len(sys.argv) == 4 else None
    steps, requests = folder / "steps.csv", folder / "rtx4090_llama8b_requests.csv"
    if figures:
        figures.mkdir(parents=True, exist_ok=True)

    def calibrate(*args, plot=None):
        drawn = ["--plot", str(figures / plot)] if figures and plot else []
        command = [binary, "calibrate", *map(str, args), *drawn, "--json"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    found = calibrate(steps, plot="residuals.svg")
    with tempfile.TemporaryDirectory() as scratch:
        profile = pathlib.Path(scratch) / "profile.toml"
        calibrate(steps, "--hardware", SERVER_CARD, "--engine", SERVER_ENGINE, "--out", profile)
        fitted = ["--requests", requests, "--profile", profile]
        logged = [*fitted, "--kv-blocks", SERVER_BLOCKS]
        runs = [
            ("kernel fit, blocks as its log says", calibrate(*logged, plot="replay.svg"), True),
            ("kernel fit, blocks derived", calibrate(*fitted), True),
            ("kernel fit and `--fit-host`", calibrate(*logged, "--fit-host"), False),
            ("defaults, no fit", calibrate("--requests", requests, "--kv-blocks", SERVER_BLOCKS), False),
        ]
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + BEGIN + section(found, runs) + END + rest.split(END)[1])


main()
