#!/usr/bin/env python3
"""Plays three incidents of ML services and their controls to the rules in rules/, evaluated by a real Prometheus.

In the controls nothing may fire. In the incidents every alert of the recorded truth must fire in its time and no other
may, but for those of BESIDES, which docs/runbooks/README.md explains. Says which; exit status 1 when one is wrong.

usage: BURNWATCH_SHARED=DIR tests/incidents.py [SEED...]     (default: 1 11; DIR/scenarios/scenarios.py is the generator)
Prometheus and promtool come from tests/tools.sh. What is missing is said, and the exit status is 0.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

REPO = pathlib.Path(__file__).resolve().parent.parent
HOURS = {"silent": 6, "nan": 4, "oom": 6}
STEP = 15
# Rules that call burnwatch's own functions are played by tests/scenarios.
OWN = re.compile(r"^[^#]*\b(drift|anomaly|change|forecast|calibration|quality)_[a-z0-9_]+ *\(", re.MULTILINE)
START = 1700438400
BESIDES = {"oom": {"GPUMemoryExhaustion", "HighErrorRate", "HighErrorRateSlowBurn",
                   "SloBurn6", "SloBurn3", "SloBurn1"}}
PLAIN = [str(file) for file in sorted((REPO / "rules").glob("*.yml")) if not OWN.search(file.read_text())]
# PSI and the KS test are gauges in the bundled rules, and the incidents have histograms only.
NEED_DRIFT = {"PredictionDistributionShift", "PredictionShiftKS"}


def skip(why):
    print(f"skip  {why}: the bundled rules in three incidents")
    sys.exit(0)


def ask(url, path, **parameters):
    body = urllib.parse.urlencode(parameters).encode() if parameters else None
    try:
        with urllib.request.urlopen(url + path, body) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{path} {parameters}: {error.read().decode()}")


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)([smhdw])", duration).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit]


def alerts_of(url):
    """Returns (name, expression, for) of every alert, recorded series replaced by what records them."""
    rules = [(rule, group) for group in ask(url, "/api/v1/rules")["groups"] for rule in group["rules"]]
    recorded = {r["name"]: (r["query"], int(g["interval"])) for r, g in rules if r["type"] == "recording"}

    def inline(expression):
        for name, (query, interval) in recorded.items():
            name = re.escape(name)
            expression = re.sub(rf"{name}\[(\w+)\]", lambda m: f"({query})[{m[1]}:{interval}s]", expression)
            expression = re.sub(rf"{name} offset (\w+)",
                                lambda m: f"last_over_time(({query})[5m:{interval}s] offset {m[1]})", expression)
            if re.search(rf"{name}\{{", expression):
                sys.exit(f"{name}{{...}}: a recorded series with matchers cannot be replaced by what records it; "
                         "compare it with `and on (...)` instead")
            expression = re.sub(rf"{name}(?![\w:])", lambda _: f"({query})", expression)
        return expression

    return [(r["name"], inline(r["query"]), r["duration"]) for r, _ in rules if r["type"] == "alerting"]


def fired(url, expression, hold, hours):
    """Returns when the alert starts to fire, in seconds after the start, for each time it does."""
    result = ask(url, "/api/v1/query_range", query=expression, start=START, end=START + hours * 3600 - STEP, step=STEP)
    instants = sorted({int(t) for series in result["result"] for t, _ in series["values"]})
    starts, since, previous, firing = [], 0, None, False
    for t in instants:
        if previous is None or t - previous > STEP:
            since, firing = t, False
        if not firing and t - since >= hold:
            starts.append(t - START)
            firing = True
        previous = t
    return starts


def play(tools, generator, scenario, variant, seed, work):
    """Returns what is wrong, one line each."""
    call = [sys.executable, generator, scenario, "--seed", str(seed), "--start", str(START), "--variant", variant]
    samples = subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()
    truth = {t["alert"]: t["fire"] for t in json.loads(subprocess.run(call + ["--truth"], capture_output=True, text=True, check=True).stdout)}
    folder = work / f"{scenario}-{variant}-{seed}"
    folder.mkdir()
    with open(folder / "samples", "w") as out:
        for line in samples:
            series, value, ms = line.rsplit(" ", 2)
            out.write(f"{series} {value} {int(ms) / 1000:.3f}\n")
        out.write("# EOF\n")
    subprocess.run([tools / "promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"],
                   check=True, stdout=subprocess.DEVNULL)
    (folder / "prometheus.yml").write_text(json.dumps({"rule_files": PLAIN}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    server = subprocess.Popen([tools / "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                               "--storage.tsdb.retention.time=100y", f"--web.listen-address={url[7:]}", "--log.level=error"])
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(url + "/-/ready").close()
                break
            except OSError:
                time.sleep(0.05)
        wrong = []
        for name, expression, hold in alerts_of(url):
            if name == "Watchdog":
                continue  # always fires
            at = fired(url, expression, hold, HOURS[scenario])
            window = None if name in NEED_DRIFT else truth.get(name)
            allowed = variant == "incident" and name in BESIDES.get(scenario, ())
            if window and not (at and window[0] <= at[0] <= window[1]):
                wrong.append(f"{name} fires at {at} s, not within {window}")
            elif at and not window and not allowed:
                wrong.append(f"{name} fires at {at} s and must not")
            if at:
                print(f"      {name} at {', '.join(map(str, at))} s")
        return wrong
    finally:
        server.terminate()
        server.wait()


def main():
    if not os.environ.get("BURNWATCH_SHARED"):
        skip("BURNWATCH_SHARED is not set")
    generator = pathlib.Path(os.environ["BURNWATCH_SHARED"], "scenarios/scenarios.py")
    if not generator.exists():
        skip(f"no {generator}")
    found = subprocess.run([REPO / "tests/tools.sh", "prometheus", "promtool"], stdout=subprocess.PIPE, text=True)
    if found.returncode == 3:
        skip("no prometheus here")
    found.check_returncode()
    failed = False
    with tempfile.TemporaryDirectory() as work:
        for scenario in HOURS:
            for variant in ("incident", "control"):
                for seed in sys.argv[1:] or [1, 11]:
                    print(f"      {scenario}, {variant}, seed {seed}")
                    wrong = play(pathlib.Path(found.stdout.strip()), generator, scenario, variant, seed, pathlib.Path(work))
                    print(f"{'FAIL' if wrong else 'ok  '}  {scenario}, {variant}, seed {seed}", *wrong, sep="\n        ")
                    failed |= bool(wrong)
    sys.exit(failed)


main()
