"""Every case of the server: `make bench-serving`, or `python -m bench.serving infer keyed` for some.

Every side answers the same requests equally before anything is timed; a difference ends the run.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from bench.harness import Measured, Result, Side, finish, limited, say
from bench.serving.histogram import keep
from bench.serving.load import RAMP, h2load, needed, wrk
from bench.serving.ours import PARTS
from bench.serving.prepare import infer as infer_body
from bench.serving.prepare import vectors
from bench.serving.servers import Server, apart, bare, fastapi, kept_to, mlserver, ours, refuser

SECONDS = int(os.environ.get("BENCH_SECONDS", "10"))
REPEATS = 3
INFER, PREDICT = "/v2/models/high/infer", "/v1/models/high/predict"
OBJECTIVE = 0.1
"""Seconds: the server's objective as it is set by default, and so the budget of what is accepted under overload."""
_CROWD = 2_000


def main(chosen: Sequence[str]) -> None:
    cases = {
        "infer": infer, "ablation": ablation, "keyed": keyed, "steady": steady, "overload": overload, "start": start,
        "soak": soak,
    }  # fmt: skip
    if unknown := [name for name in chosen if name not in cases]:
        sys.exit(f"there is no case {unknown[0]!r}; expected some of {', '.join(cases)}")
    needed()
    say("a project, and its model")
    Side("prepare", "bench.serving.prepare", "everything").run()
    with ours() as _:
        pass  # the first start makes the token and the online state
    results: list[Result] = []
    for name in chosen or cases:
        say(name)
        results += cases[name]()
    finish("serving" if SECONDS >= 10 and not chosen else "serving-trial", results)


def infer() -> list[Result]:
    """One row by the Open Inference Protocol, with admission, metrics and the prediction log on, beside its peers."""
    with ExitStack() as stack:
        servers = [stack.enter_context(one) for one in (ours(), bare(), fastapi(), mlserver())]
        _equal(servers)
        runs: dict[tuple[str, int], list[Measured]] = {}
        for _ in range(REPEATS):
            for connections in (1, 32):
                for one in servers:
                    run = wrk(one, INFER, "infer", connections, SECONDS)
                    runs.setdefault((one.name, connections), []).append(run)
    for (name, connections), some in runs.items():
        best = max(some, key=lambda run: run["rate"])
        say(f"    {name}, {connections} connections: {best['rate']:,.0f} req/s, "
            f"p50 {best['p50'] * 1e3:.2f} ms, p99 {best['p99'] * 1e3:.2f} ms, {best['bad']} not answered")  # fmt: skip
    mine, limit = runs["ours", 32], runs["bare", 32]
    what = "V2 infer, 32 connections"
    results = [
        _rates(f"{what}: req/s, x bare ASGI", mine, limit, 0.5),
        _latencies(f"{what}: p99, x bare ASGI", mine, limit),
    ]
    for name, least in (("FastAPI", 2.0), ("MLServer", 5.0)):
        results.append(_rates(f"{what}: req/s, x {name}", mine, runs[name, 32], least))
        results.append(_latencies(f"{what}: p99, x {name}", mine, runs[name, 32]))
    return results


def _equal(servers: Sequence[Server]) -> None:
    """Every side gives the same scores, or the run ends here."""
    asked = vectors(200)
    scores = [[_score(json.loads(one.post(INFER, infer_body(vector)))) for vector in asked] for one in servers]
    for server, told in zip(servers[1:], scores[1:], strict=True):
        widest = max(abs(a - b) for a, b in zip(scores[0], told, strict=True))
        assert widest <= 1e-6, f"{server.name} differs from ours by {widest}"
        say(f"    ours = {server.name} in {len(asked)} rows")


def _score(answer: Any) -> float:
    return float(answer["outputs"][0]["data"][0])


def ablation() -> list[Result]:
    """What each part of the server costs: the rate without it. Nothing here is a bar."""
    with ExitStack() as stack:
        whole, limit = stack.enter_context(ours()), stack.enter_context(bare())
        rates = {"bare": 0.0, "whole": 0.0} | dict.fromkeys(PARTS, 0.0)
        for _ in range(REPEATS):
            rates["bare"] = max(rates["bare"], wrk(limit, INFER, "infer", 32, SECONDS)["rate"])
            rates["whole"] = max(rates["whole"], wrk(whole, INFER, "infer", 32, SECONDS)["rate"])
        for part in PARTS:
            with ours(part) as server:
                rates[part] = max(wrk(server, INFER, "infer", 32, SECONDS)["rate"] for _ in range(REPEATS))
    costs = {name: 1e6 / rate for name, rate in rates.items()}
    say(f"    {'bare ASGI':20} {rates['bare']:8,.0f} req/s  {costs['bare']:6.1f} us a request")
    for part in PARTS:
        say(f"    {'without ' + part:20} {rates[part]:8,.0f} req/s  {costs['whole'] - costs[part]:+6.1f} us for it")
    say(f"    {'all of it':20} {rates['whole']:8,.0f} req/s  {costs['whole']:6.1f} us a request")
    return []


def keyed() -> list[Result]:
    """By entity: stored, windowed and derived features, and a durable log."""
    with ours() as server:
        wrk(server, PREDICT, "keyed", 32, SECONDS)  # histories are prepared once
        many = [wrk(server, PREDICT, "keyed", 32, SECONDS) for _ in range(REPEATS)]
        one = [wrk(server, PREDICT, "keyed", 1, SECONDS) for _ in range(REPEATS)]
    refused = {"bad": sum(run["bad"] for run in one + many), "versions": {}}
    return [
        limited("by entity: requests that were not answered", [refused], "bad", "x", most=0.5),
        limited("by entity, 32 connections: req/s", many, "rate", "1/s", least=5_000.0),
        limited("by entity, 32 connections: p99", many, "p99", "ms", most=10.0),
        limited("by entity, 1 connection: p50", one, "p50", "us", most=600.0),
    ]


def _keyed_body() -> bytes:
    fields = {"amount": 12.5, "items": 3, "moment": "2026-11-20T12:00:00Z"}
    return json.dumps({"keys": {"customer": 77, "payment": 1}, "fields": fields}).encode()


def steady() -> list[Result]:
    """By entity at 1,000 requests a second, open loop, for a minute."""
    with ours() as server:
        wrk(server, PREDICT, "keyed", 32, 3)
        run = h2load(server, PREDICT, _keyed_body(), 1_000, 60 if SECONDS >= 10 else SECONDS)
    say(f"    {run['offered']:,.0f} offered, {run['accepted']:,.0f} answered a second, {run['bad']} failed")
    keep("serving-steady", run["took"])
    return [
        limited("by entity, 1,000 req/s open loop: p99", [run], "p99", "ms", most=5.0),
        limited("by entity, 1,000 req/s open loop: p99.9", [run], "p999", "ms", most=25.0),
    ]


def overload() -> list[Result]:
    """By entity, at one and a half and three times what the server can: what it still answers, and how fast.

    Each overload is held against the peaks that were measured just before and just after it, the higher one: the
    machine is not as fast all the time. Of each figure the median of the repeats counts.

    The generator has cores of its own, as if the load came from elsewhere. It takes one whole, and put on the server's
    now and then, as the kernel does with a process that the server's answers wake, it would take from the server what
    is measured. The server has one core then, also for the threads that write.
    """
    runs: dict[float, list[Measured]] = {1.5: [], 3.0: []}
    crowd: list[Measured] = []
    mine, theirs = apart()
    with ExitStack() as stack:
        with kept_to(mine):
            server, limit = [stack.enter_context(one) for one in (ours(), refuser())]
        stack.enter_context(kept_to(theirs))
        wrk(server, PREDICT, "keyed", 32, 3)
        before = server.memory()
        for _ in range(REPEATS):
            for times, some in runs.items():
                some.append(_overloaded(server, limit, times))
            crowd.append(_crowd(server, runs[3.0][-1]["peak"]))
        grown = {"grown": float(max(0, server.memory() - before)), "versions": {}}
        assert json.loads(server.post(PREDICT, _keyed_body()))["prediction_id"]
    results = []
    for (times, some), least in zip(runs.items(), (0.85, 0.65), strict=True):
        keep(f"serving-overload-{times:g}", sorted(one for run in some for one in run["took"]))
        run: Measured = {
            figure: sorted(one[figure] for one in some)[REPEATS // 2] for figure in ("asked", "share", "p99")
        }
        run["versions"] = {}
        what = f"by entity, {times:g} x overload"
        results += [
            # What the generator cannot bring is no overload: then the figures below say nothing.
            limited(f"{what}: offered, x peak", [run], "asked", "x", least=0.9 * times),
            limited(f"{what}: goodput, x peak", [run], "share", "x", least=least),
            limited(f"{what}: accepted p99", [run], "p99", "ms", most=OBJECTIVE * 1e3),
        ]
    return [
        *results,
        limited(
            f"by entity, {_CROWD:,} clients that ask again at once: goodput, x peak", crowd, "share", "x", least=0.65
        ),
        limited("overload: memory grown", [grown], "grown", "MB", most=50.0),
    ]


def _crowd(server: Server, peak: float) -> Measured:
    """Clients each of which asks again as soon as it is answered or refused."""
    run = wrk(server, PREDICT, "keyed", _CROWD, SECONDS)
    say(f"    {_CROWD:,} clients that ask again at once: {run['rate']:,.0f} answered a second")
    return {"share": run["rate"] / peak, "versions": run["versions"]}


def _refusing(limit: Server, rate: int) -> tuple[float, float]:
    """What comes a second to a loop that only refuses, asked at this rate, and the seconds of CPU that one costs it."""
    begin = limit.processor()
    run = h2load(limit, PREDICT, _keyed_body(), rate, SECONDS)
    each = (limit.processor() - begin) / (run["refused"] * (SECONDS + RAMP))
    say(f"    a loop that only refuses takes {each * 1e6:.1f} us each, at {run['refused']:,.0f} a second")
    return run["offered"], each


def _overloaded(server: Server, limit: Server, times: float) -> Measured:
    """The server asked at so many times its peak, and what could be answered if it refused like `limit`.

    What is offered is what the same generator brings to `limit`, which reads whatever comes. The server does not: it
    leaves clients unread that do not wait as they were told, and what these do not send is not measured.
    """
    before = wrk(server, PREDICT, "keyed", 64, SECONDS)["rate"]
    run = h2load(server, PREDICT, _keyed_body(), round(before * times), SECONDS)
    assert not run["bad"], f"{run['bad']} requests were neither answered nor refused"
    run["peak"] = peak = max(before, wrk(server, PREDICT, "keyed", 64, SECONDS)["rate"])
    offered, each = _refusing(limit, round(before * times))
    run["share"], run["asked"] = run["accepted"] / peak, offered / peak
    possible = (1 - offered * each) / (1 - each * peak)
    say(
        f"    {times:g} x {peak:,.0f}: {offered:,.0f} offered, {run['offered']:,.0f} read, {run['accepted']:,.0f} "
        f"answered, {run['refused']:,.0f} refused a second: {run['share']:.2f} of the peak; refusing all like that "
        f"loop, {min(possible, 1):.2f}"
    )
    return run


def start() -> list[Result]:
    """From the start of the process until it is ready, and what it takes then."""
    runs = []
    for _ in range(REPEATS):
        begin = time.monotonic()
        with ours() as server:
            runs.append({"seconds": time.monotonic() - begin, "memory": float(server.memory()), "versions": {}})
    return [
        limited("cold start to ready", runs, "seconds", "s", most=2.0),
        limited("memory of a worker", runs, "memory", "MB", most=200.0),
    ]


def soak() -> list[Result]:
    """By entity for ten minutes, bodies varied: what the worker holds at the end, against when it was warm."""
    warm, whole = (60, 600) if SECONDS >= 10 else (SECONDS, 3 * SECONDS)
    with ours() as server:
        wrk(server, PREDICT, "keyed", 8, warm)
        time.sleep(2)  # the clients of a run have just gone: until that is read they are descriptors still
        before = server.memory(), server.descriptors()
        run = wrk(server, PREDICT, "keyed", 8, whole - warm)
        time.sleep(2)
        after = server.memory(), server.descriptors()
    say(f"    {run['rate']:,.0f} req/s, {before[0] / 1e6:.0f} MB and {before[1]} descriptors after {warm} s, "
        f"{after[0] / 1e6:.0f} MB and {after[1]} after {whole} s, {run['bad']} failed")  # fmt: skip
    told = {
        "memory": after[0] / before[0],
        "more": float(after[1] - before[1]),
        "bad": float(run["bad"]),
        "versions": {},
    }
    return [
        limited("soak: memory, x when warm", [told], "memory", "x", most=1.05),
        limited("soak: descriptors more than when warm", [told], "more", "x", most=0.5),
        limited("soak: requests that were not answered", [told], "bad", "x", most=0.5),
    ]


def _rates(bar: str, mine: Sequence[Measured], other: Sequence[Measured], least: float) -> Result:
    """Ours at least so many times the other's, by the best of the repeats."""
    best, theirs = (max(run["rate"] for run in runs) for runs in (mine, other))
    bad = sum(run["bad"] for run in mine)
    spread = max((max(rates) - min(rates)) / min(rates) for rates in ([r["rate"] for r in x] for x in (mine, other)))
    return Result(bar, best, theirs, "1/s", best / theirs, spread, best / theirs >= least and not bad, {})


def _latencies(bar: str, mine: Sequence[Measured], other: Sequence[Measured]) -> Result:
    """Ours below the other's, by the best of the repeats."""
    best, theirs = (min(run["p99"] for run in runs) for runs in (mine, other))
    spread = max((max(x) - min(x)) / min(x) for x in ([r["p99"] for r in runs] for runs in (mine, other)))
    return Result(bar, best * 1e3, theirs * 1e3, "ms", best / theirs, spread, best < theirs, {})


if __name__ == "__main__":
    main(sys.argv[1:])
