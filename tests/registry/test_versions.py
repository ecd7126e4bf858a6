import dataclasses
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from backstay.core.errors import ConflictError, DefinitionError, InputError, IntegrityError, NotFoundError
from backstay.core.identity import canonical_json, sha256
from backstay.registry import Code, Registry, Scoring
from backstay.storage.backends.local.artifacts import LocalArtifacts
from backstay.storage.backends.local.ledger import LocalLedger
from tests.registry.records import BACKENDS, FILES, make_manifest, make_stores

WHY = {"reason": "the first version"}


@pytest.fixture(params=BACKENDS)
def stores(request, tmp_path):
    return make_stores(request.param, tmp_path)


@pytest.fixture
def registry(stores):
    return Registry(*stores)


def register(registry, note="", **options):
    return registry.register(make_manifest(note=note), FILES, at=10, actor="ana", **options)


class TestVersions:
    def test_numbers_count_from_one_within_a_model(self, registry):
        numbers = [register(registry, note).number for note in ("a", "b", "c")]
        other = registry.register(make_manifest(model="other"), FILES, at=11, actor="ana")
        assert (numbers, other.number) == ([1, 2, 3], 1)
        assert [version.number for version in registry.versions("trips_late")] == [1, 2, 3]
        assert registry.versions("nobody") == []

    def test_a_version_reads_back(self, registry, stores):
        made = register(registry, "a")
        assert made == registry.get("trips_late", 1) == registry.by_digest(made.digest)
        assert made.manifest == make_manifest(note="a")
        assert made.digest == made.manifest.digest
        entry = stores[0].last("version", "trips_late")
        assert (entry.id, entry.at, entry.actor) == (made.entry_id, 10, "ana")
        assert registry.file(made, "model.onnx") == b"the model"

    def test_the_same_manifest_again_is_the_same_version(self, registry, stores):
        first = register(registry, "a")
        register(registry, "b")
        again = registry.register(make_manifest(note="a"), FILES, at=99, actor="bo")
        assert again == first
        assert stores[0].revision() == 2

    def test_what_does_not_exist_is_named(self, registry):
        with pytest.raises(NotFoundError, match="'trips_late' has no versions"):
            registry.get("trips_late", 1)
        version = register(registry)
        for number in (0, 2, -1):
            with pytest.raises(NotFoundError, match=f"has versions 1 to 1, none with number {number}"):
                registry.get("trips_late", number)
        with pytest.raises(NotFoundError, match=r"no file 'model\.pkl'.*'model\.onnx', 'model\.txt'"):
            registry.file(version, "model.pkl")
        with pytest.raises(NotFoundError, match="no version has the manifest"):
            registry.by_digest("0" * 64)

    @pytest.mark.parametrize(
        ("files", "named"),
        [
            ({**FILES, "model.txt": b"other"}, "model.txt: not"),
            ({"model.onnx": FILES["model.onnx"]}, "model.txt: not"),
            ({**FILES, "more": b"", "model.onnx": b""}, "model.onnx, more: not"),
        ],
    )
    def test_files_other_than_the_manifest_names_are_refused(self, registry, stores, files, named):
        with pytest.raises(InputError, match=named):
            registry.register(make_manifest(), files, at=1, actor="ana")
        assert stores[0].revision() == 0

    def test_files_that_are_code_need_trust(self, registry):
        manifest = make_manifest(scorer=Scoring("sklearn-pickle", 0.0, 90, code=True))
        with pytest.raises(InputError, match=r"are code \(sklearn-pickle\).*trust_code=True"):
            registry.register(manifest, FILES, at=1, actor="ana")
        assert registry.versions("trips_late") == []
        assert registry.register(manifest, FILES, at=1, actor="ana", trust_code=True).number == 1

    def test_strict_refuses_incomplete_lineage_and_names_all_of_it(self, registry, stores):
        manifest = make_manifest(code=Code(None, None, None, "CPython", {"numpy": "2"}))
        with pytest.raises(InputError, match=r"incomplete: code\.commit, code\.lock missing"):
            registry.register(manifest, FILES, at=1, actor="ana", strict=True)
        assert stores[0].revision() == 0
        assert registry.register(manifest, FILES, at=1, actor="ana").number == 1
        assert register(registry, strict=True).number == 2

    def test_a_name_that_is_none_is_refused(self, registry):
        with pytest.raises(DefinitionError, match="cannot name a model"):
            registry.register(make_manifest(model="a/b"), FILES, at=1, actor="ana")

    def test_many_at_once_take_different_numbers(self, registry):
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda i: register(registry, f"note {i % 12}"), range(24)))
        assert sorted({version.number for version in made}) == list(range(1, 13))
        assert {version.digest: version.number for version in made} == {
            version.digest: version.number for version in registry.versions("trips_late")
        }


class TestAliases:
    @pytest.fixture(autouse=True)
    def _three_versions(self, registry):
        for note in ("a", "b", "c"):
            register(registry, note)

    def move(self, registry, to, expect, at=20, name="champion"):
        return registry.move_alias("trips_late", name, to, evidence=WHY, at=at, actor="ana", expect=expect)

    def test_an_alias_moves_with_who_when_and_why(self, registry):
        assert registry.alias("trips_late", "champion") is None
        assert registry.history("trips_late", "champion") == []
        first = self.move(registry, 1, None)
        assert registry.alias("trips_late", "champion") == first
        assert (first.to, first.previous, first.evidence, first.at, first.actor) == (1, None, WHY, 20, "ana")
        assert first.digest == registry.get("trips_late", 1).digest
        second = self.move(registry, 3, first.entry_id)
        assert (second.to, second.previous) == (3, 1)
        assert registry.history("trips_late", "champion") == [first, second]
        assert registry.alias("trips_late", "challenger") is None

    def test_a_stale_move_is_refused_and_changes_nothing(self, registry):
        seen = self.move(registry, 1, None)
        moved = self.move(registry, 2, seen.entry_id)
        for stale in (seen.entry_id, None, 0, 999):
            with pytest.raises(ConflictError):
                self.move(registry, 3, stale)
        assert registry.alias("trips_late", "champion") == moved

    def test_aliases_and_versions_do_not_disturb_each_other(self, registry):
        champion = self.move(registry, 1, None)
        self.move(registry, 2, None, name="challenger")
        register(registry, "d")
        assert self.move(registry, 4, champion.entry_id).previous == 1

    def test_what_was_champion_then(self, registry):
        first = self.move(registry, 1, None, at=100)
        second = self.move(registry, 2, first.entry_id, at=200)
        back = self.move(registry, 1, second.entry_id, at=300)
        found = {at: registry.alias("trips_late", "champion", as_of=at) for at in (99, 100, 199, 200, 299, 300, 400)}
        assert found == {99: None, 100: first, 199: first, 200: second, 299: second, 300: back, 400: back}

    def test_only_to_a_version_that_exists_and_with_evidence(self, registry):
        with pytest.raises(NotFoundError, match="none with number 4"):
            self.move(registry, 4, None)
        with pytest.raises(InputError, match="without evidence"):
            registry.move_alias("trips_late", "champion", 1, evidence={}, at=1, actor="ana", expect=None)
        with pytest.raises(DefinitionError, match="cannot name"):
            self.move(registry, 1, None, name="Champion!")
        assert registry.history("trips_late", "champion") == []

    def test_one_of_many_at_once_wins(self, registry):
        seen = self.move(registry, 1, None)

        def promote(to):
            try:
                return self.move(registry, to, seen.entry_id)
            except ConflictError:
                return None

        with ThreadPoolExecutor(8) as pool:
            won = [move for move in pool.map(promote, [2, 3] * 8) if move]
        assert len(won) == 1
        assert registry.alias("trips_late", "champion") == won[0]


class TestTampering:
    """Files changed behind the registry's back, on the backend that has files."""

    @pytest.fixture
    def directory(self, tmp_path):
        return tmp_path

    @pytest.fixture
    def registry(self, directory):
        return Registry(*make_stores("local", directory))

    @pytest.fixture
    def version(self, registry):
        version = register(registry)
        registry.move_alias("trips_late", "champion", 1, evidence=WHY, at=20, actor="ana", expect=None)
        return version

    def path(self, directory, digest):
        return directory / "artifacts" / digest[:2] / digest[2:]

    def overwrite(self, path, data):
        path.chmod(0o644)
        path.write_bytes(data)

    def test_a_changed_file(self, registry, version, directory):
        self.overwrite(self.path(directory, version.manifest.files["model.onnx"]), b"The model")
        with pytest.raises(IntegrityError):
            registry.file(version, "model.onnx")
        assert registry.file(version, "model.txt") == FILES["model.txt"]

    def test_a_deleted_file(self, registry, version, directory):
        self.path(directory, version.manifest.files["model.onnx"]).unlink()
        with pytest.raises(IntegrityError, match=r"referenced is gone.*trips_late/1/model\.onnx"):
            registry.file(version, "model.onnx")

    def test_a_changed_manifest(self, registry, version, directory):
        path = self.path(directory, version.digest)
        self.overwrite(path, path.read_bytes().replace(b'"threshold":0.5', b'"threshold":0.4'))
        with pytest.raises(IntegrityError):
            registry.get("trips_late", 1)

    @pytest.mark.parametrize("subject", ["trips_late", "trips_late/champion"])
    def test_a_changed_ledger(self, registry, version, directory, subject):
        other = make_manifest(threshold=0.4)
        LocalArtifacts(directory / "artifacts").put(other.canonical())
        with sqlite3.connect(directory / "ledger.sqlite") as connection:
            connection.execute("DROP TRIGGER ledger_no_update")
            changed = connection.execute(
                "UPDATE ledger SET body = replace(body, ?, ?) WHERE subject = ?",
                (version.digest, other.digest, subject),
            )
            assert changed.rowcount == 1
        connection.close()
        fresh = Registry(LocalLedger(directory / "ledger.sqlite"), LocalArtifacts(directory / "artifacts"))
        readers = {
            "trips_late": [lambda: fresh.get("trips_late", 1), lambda: fresh.versions("trips_late")],
            "trips_late/champion": [
                lambda: fresh.alias("trips_late", "champion"),
                lambda: fresh.history("trips_late", "champion"),
            ],
        }
        for read in readers[subject]:
            with pytest.raises(IntegrityError, match=f"{subject}. was changed after it was written"):
                read()

    def test_a_manifest_of_another_model(self, registry, version, directory):
        ledger = LocalLedger(directory / "ledger.sqlite")
        ledger.append("version", "others", {"number": 1, "manifest": version.digest}, at=1, actor="mallory")
        with pytest.raises(IntegrityError, match="manifest is one of model 'trips_late'"):
            registry.get("others", 1)

    def test_a_number_that_is_not_the_next(self, registry, version, directory):
        ledger = LocalLedger(directory / "ledger.sqlite")
        ledger.append("version", "trips_late", {"number": 5, "manifest": version.digest}, at=1, actor="mallory")
        with pytest.raises(IntegrityError, match="version 2 of 'trips_late' is recorded as 5"):
            registry.versions("trips_late")

    def test_artifacts_that_do_not_verify_are_not_believed(self, registry, version):
        class Careless:
            def put(self, data):
                return sha256(data)

            def get(self, digest):
                return b"anything"

        careless = Registry(registry._ledger, Careless())
        with pytest.raises(IntegrityError, match="the content has the digest"):
            careless.get("trips_late", 1)
        with pytest.raises(IntegrityError, match="the content has the digest"):
            careless.file(version, "model.onnx")

    def test_a_version_whose_manifest_was_swapped_in_memory(self, registry, version):
        """`file` goes by the manifest that it is given; one that names other content finds no such file."""
        forged = dataclasses.replace(version, manifest=make_manifest({"model.onnx": b"evil"}))
        with pytest.raises(IntegrityError, match="is gone"):
            registry.file(forged, "model.onnx")
        assert canonical_json(version.manifest.files)
