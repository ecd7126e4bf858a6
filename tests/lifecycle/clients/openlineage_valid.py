"""Run events through OpenLineage's own classes and back: writes whether each came back as it was.

The classes know the specification's fields: one that is not theirs is refused, and `_schemaURL` is what they write.
Facets of our own, `backstay_...`, are of the base class with further properties.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from openlineage.client import event_v2
from openlineage.client.facet_v2 import (
    DatasetFacet,
    RunFacet,
    column_lineage_dataset,
    dataset_version_dataset,
    documentation_dataset,
    job_type_job,
    output_statistics_output_dataset,
    ownership_dataset,
    schema_dataset,
)
from openlineage.client.serde import Serde

FACETS = {
    "version": dataset_version_dataset.DatasetVersionDatasetFacet,
    "documentation": documentation_dataset.DocumentationDatasetFacet,
    "jobType": job_type_job.JobTypeJobFacet,
    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
}


def facet(name: str, given: dict[str, Any]) -> Any:
    values = {key: value for key, value in given.items() if not key.startswith("_")}
    producer = given["_producer"]
    if name == "schema":
        fields = [schema_dataset.SchemaDatasetFacetFields(**one) for one in values["fields"]]
        return schema_dataset.SchemaDatasetFacet(fields=fields, producer=producer)
    if name == "ownership":
        owners = [ownership_dataset.Owner(**one) for one in values["owners"]]
        return ownership_dataset.OwnershipDatasetFacet(owners=owners, producer=producer)
    if name == "columnLineage":
        return column_lineage_dataset.ColumnLineageDatasetFacet(fields=columns(values["fields"]), producer=producer)
    if name.startswith("backstay_"):
        base = RunFacet if name == "backstay_manifest" else DatasetFacet
        return base(producer=producer).with_additional_properties(**values)
    return FACETS[name](**values, producer=producer)


def columns(fields: dict[str, Any]) -> dict[str, Any]:
    lineage = column_lineage_dataset
    return {
        name: lineage.Fields(
            inputFields=[
                lineage.InputField(
                    **{**one, "transformations": [lineage.Transformation(**how) for how in one["transformations"]]}
                )
                for one in field["inputFields"]
            ]
        )
        for name, field in fields.items()
    }


def facets(given: dict[str, Any]) -> dict[str, Any]:
    return {name: facet(name, one) for name, one in given.items()}


def event(given: dict[str, Any]) -> event_v2.RunEvent:
    run, job = given["run"], given["job"]
    inputs = [
        event_v2.InputDataset(namespace=one["namespace"], name=one["name"], facets=facets(one["facets"]))
        for one in given["inputs"]
    ]
    outputs = [
        event_v2.OutputDataset(
            namespace=one["namespace"],
            name=one["name"],
            facets=facets(one["facets"]),
            outputFacets=facets(one.get("outputFacets", {})),
        )
        for one in given["outputs"]
    ]
    return event_v2.RunEvent(
        eventType=event_v2.RunState(given["eventType"]),
        eventTime=given["eventTime"],
        run=event_v2.Run(runId=run["runId"], facets=facets(run["facets"])),
        job=event_v2.Job(namespace=job["namespace"], name=job["name"], facets=facets(job["facets"])),
        inputs=inputs,
        outputs=outputs,
        producer=given["producer"],
    )


def bare(value: Any) -> Any:
    """Without what is empty, which the classes leave out or add."""
    if isinstance(value, dict):
        return {name: bare(one) for name, one in value.items() if one not in (None, [], {}, "")}
    return [bare(one) for one in value] if isinstance(value, list) else value


differences = []
for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
    given = json.loads(line)
    made = json.loads(Serde.to_json(event(given)))
    if bare(made) != bare(given):
        differences.append({"made": bare(made), "given": bare(given)})
sys.stdout.write(json.dumps(differences) + "\n")
