"""The server's way with cyclic garbage; in a process of its own, because it takes the collector over."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc, weakref
from backstay.serving import garbage

class Node: pass

def cycle():
    a, b = Node(), Node()
    a.other, b.other = b, a
    return a

def busy():
    "As after many requests: what is there has survived some looks at the young and the middle-aged."
    for _ in range(garbage._STEPS):
        gc.collect(1)

one = garbage.Garbage()
whole = []
gc.callbacks.append(lambda phase, info: phase == "start" and info["generation"] == 2 and whole.append(1))

early = weakref.ref(cycle())
kept = [cycle() for _ in range(100)]
busy()
assert early() is None, "young garbage is found by the collector as ever"
assert not whole, "it never looks at everything on its own"

def seen(node):
    return any(one is node for one in gc.get_objects())

assert seen(kept[0])
one.tick(idle=False)
assert len(whole) == 1
assert not seen(kept[0]), "what has survived is taken out of sight"
one.tick(idle=False)
assert len(whole) == 1, "and nothing is done until there is more"

late = weakref.ref(kept[0])
kept.clear()
busy()
one.tick(idle=False)
assert late() is not None, "a cycle out of sight is not found while requests are in flight"
one._looked -= garbage._EVERYTHING + 1
one.tick(idle=True)
assert late() is None, "but when nothing is"
print("well")
"""


def test_survivors_are_taken_out_of_sight_and_looked_at_when_nothing_is_in_flight() -> None:
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert told.stdout == "well\n", told.stderr


def test_a_request_leaves_no_cycle() -> None:
    """What a request makes is freed with it: the job refers to its lane, and the lane no more to the job."""
    from backstay.serving.job import Asking
    from backstay.serving.lane import Lane
    from backstay.serving.wire import Answer, Request

    class Nothing:
        transport = None

        def complete(self, _: Request, answer: Answer) -> Answer:
            return answer

        def timed(self, *_: object) -> None: ...

    lane = Lane(Nothing(), Nothing(), None, Request("POST", "/", {}, None), keep_alive=True)  # type: ignore[arg-type]
    job = Asking(1)
    lane._job, job.future, lane.disconnected = job, lane, True
    lane._tell = lambda: Answer(b"")
    lane.set_result(None)
    assert lane._job is lane._tell is None
