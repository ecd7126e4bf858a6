"""What a lock file holds, in the forms that tools write."""

from __future__ import annotations

from backstay.registry.locks import Locked, locked

A, B = "a" * 64, "b" * 64


def test_requirements_with_hashes() -> None:
    text = f"""# made by a tool
Polars[gpu]==1.30.0 ; python_version < "3.14" \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}
    # via backstay
-e .
numpy==2.1.0+local  # a remark
here @ https://example.org/here-1.0.whl
"""
    assert locked(text.encode()) == [
        Locked("Polars", "1.30.0", (A, B), 'python_version < "3.14"'),
        Locked("numpy", "2.1.0+local"),
    ]


def test_tables() -> None:
    text = f"""version = 1
[[package]]
name = "shop"
version = "0.1.0"
source = {{ editable = "." }}
[[package]]
name = "numpy"
version = "2.1.0"
sdist = {{ url = "x", hash = "sha256:{B}" }}
wheels = [{{ url = "y", hash = "sha256:{A}" }}]
[[package]]
name = "here"
"""
    assert locked(text.encode()) == [Locked("numpy", "2.1.0", (A, B))]
    pylock = f'[[packages]]\nname = "numpy"\nversion = "2.1.0"\nwheels = [{{ hashes = {{ sha256 = "{A}" }} }}]\n'
    assert locked(pylock.encode()) == [Locked("numpy", "2.1.0", (A,))]
    poetry = f'[[package]]\nname = "numpy"\nversion = "2.1.0"\nfiles = [{{ file = "f", hash = "sha256:{A}" }}]\n'
    assert locked(poetry.encode()) == [Locked("numpy", "2.1.0", (A,))]


def test_another_form_holds_nothing() -> None:
    assert locked(b"\xff\xfe") == []
    assert locked(b'{"dependencies": {}}') == []
