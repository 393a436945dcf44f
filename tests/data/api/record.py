#!/usr/bin/env python3
"""Records what a Prometheus answers to the requests in answers.json, over the series in series.json.

    python3 record.py /path/to/prometheus > new.json && mv new.json answers.json

Starts one server for each profile (its own flags), writes the series by remote write in the order of the file, waits
until the rules have been evaluated, and sends each request over a raw connection. Nothing is fetched from elsewhere."""
import http.client, json, os, shutil, signal, struct, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
PROFILES = json.load(open(f"{HERE}/profiles.json"))
PORT = 19741


def varint(n):
    out = b""
    n &= (1 << 64) - 1
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def integer(number, n):
    return varint(number << 3) + varint(n)


def zigzag(n):
    return n << 1 if n >= 0 else (-n << 1) - 1


def double(number, x):
    return varint(number << 3 | 1) + struct.pack("<d", x)


def number_of(text):
    if text == "stale":
        return struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
    return float(text)


def histogram(t, h):
    def spans(key, number):
        return b"".join(field(number, integer(1, zigzag(o)) + integer(2, n)) for o, n in h.get(key, []))

    def packed(key, number):
        values = h.get(key, [])
        return field(number, b"".join(struct.pack("<d", x) for x in values)) if values else b""

    return (
        double(2, h["count"]) + double(3, h["sum"]) + integer(4, zigzag(h["schema"])) + double(5, h.get("zero_threshold", 0))
        + double(7, h.get("zero_count", 0)) + spans("negative_spans", 8) + packed("negative_buckets", 10)
        + spans("positive_spans", 11) + packed("positive_buckets", 13) + integer(14, 0) + integer(15, t)
        + packed("custom_values", 16)
    )


def write_requests(series):
    """One request for each run of floats or of histograms, which a request does not keep in order."""
    run = []
    for sample in series["samples"]:
        if run and isinstance(run[-1][1], str) != isinstance(sample[1], str):
            yield write_request({**series, "samples": run})
            run = []
        run.append(sample)
    yield write_request({**series, "samples": run})


def write_request(series):
    labels = b"".join(
        field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in sorted(series["labels"].items())
    )
    samples = b""
    for t, v in series["samples"]:
        if isinstance(v, str):
            samples += field(2, double(1, number_of(v)) + integer(2, t))
        else:
            samples += field(4, histogram(t, v))
    return field(1, labels + samples)


def snappy(data):
    out = varint(len(data))
    for at in range(0, len(data), 60):
        piece = data[at:at + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return out


def send(method, path, headers, body):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    data = answer.read()
    found = {name.lower(): value for name, value in answer.getheaders()}
    vary = ", ".join(value for name, value in answer.getheaders() if name.lower() == "vary")
    if vary:
        found["vary"] = vary
    found.pop("date", None)
    connection.close()
    return answer.status, found, data


def record(binary, profile, cases):
    with tempfile.TemporaryDirectory() as folder:
        # A rule's samples are of today, and then the older ones of the series would be refused: rules come second.
        rules = ["rules.yml", "more.yml"]
        shutil.copy(f"{HERE}/prometheus.yml", folder)
        for name in rules:
            open(f"{folder}/{name}", "w").close()
        flags = PROFILES[profile]
        log = open(f"{folder}/log", "w")
        server = subprocess.Popen(
            [binary, f"--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/data", "--web.enable-remote-write-receiver",
             f"--web.listen-address=127.0.0.1:{PORT}", "--storage.tsdb.retention.time=100y", *flags],
            cwd=folder, stdout=log, stderr=log)
        try:
            prefix = next((f.split("=")[1] for f in flags if f.startswith("--web.route-prefix")), "")
            for _ in range(100):
                try:
                    if send("GET", f"{prefix}/-/ready", {}, None)[0] == 200:
                        break
                except OSError:
                    pass
                time.sleep(0.1)
            for series in json.load(open(f"{HERE}/series.json")):
                for request in write_requests(series):
                    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
                    status, _, text = send("POST", f"{prefix}/api/v1/write", headers, snappy(request))
                    if status // 100 != 2:
                        sys.exit(f"{series['labels']}: {status} {text}")
            for name in rules if profile == "rules" else []:
                shutil.copy(f"{HERE}/{name}", folder)
            server.send_signal(signal.SIGHUP)
            time.sleep(8 if profile == "rules" else 0)
            for case in cases:
                body = case.get("body")
                headers = case.get("headers", {})
                if body is not None and "Content-Type" not in headers:
                    headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
                status, found, data = send(case["method"], case["path"], headers, body.encode() if body is not None else None)
                if found.get("content-encoding") == "gzip":
                    import gzip
                    data = gzip.decompress(data)
                elif found.get("content-encoding") == "deflate":
                    import zlib
                    data = zlib.decompress(data)
                found.pop("content-length", None)
                found.pop("transfer-encoding", None)
                yield {**case, "status": status, "answer_headers": found, "answer": data.decode("utf-8", "replace")}
        finally:
            server.terminate()
            server.wait()


def main():
    binary = os.path.abspath(sys.argv[1])
    asked = ["method", "path", "profile", "headers", "body"]
    cases = [{key: case[key] for key in asked if key in case} for case in json.load(open(f"{HERE}/answers.json"))]
    answers = []
    for profile in PROFILES:
        mine = [case for case in cases if case.get("profile", "default") == profile]
        answers += record(binary, profile, mine)
    print("[\n" + ",\n".join(json.dumps(a, ensure_ascii=False) for a in answers) + "\n]")


main()
