"""The verb `tune`: which parameters does a model want?"""

from __future__ import annotations

from typing import Annotated

import typer

from backstay.cli.options import AsOfOption, HomeOption, JsonOption, ModelOption, ProjectOption
from backstay.cli.shell import Shell
from backstay.cli.tables import block, count


def tune(
    ctx: typer.Context,
    model: ModelOption = None,
    as_of: AsOfOption = None,
    trials: Annotated[int, typer.Option("--trials", "-n", metavar="N", min=1, help="How many, in all.")] = 30,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed tries the same.")] = 0,
    project: ProjectOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search the parameters that a model's Tuning names, on folds in time; each trial is a run.

    Interrupted or killed, it goes on where it was when it is run again; with more trials it goes on further. Then train
    with the best: `backstay train --like RUN`.
    """
    with Shell(ctx, project, home, as_json) as shell:
        with shell.working("trials") as progress:
            found = shell.project.tune(model, as_of=as_of, trials=trials, seed=seed, progress=progress)
        sign = 1 if found.metric == "auc" else -1
        than = "worse" if sign * (found.value - found.default) > 0 else "better"
        facts = {
            "model": found.model,
            "trials": f"{count(found.trials)}, {count(found.pruned)} of them given up, {count(found.fresh)} made now",
            found.metric: f"{found.value:.5g}",
            "as it is defined": f"{found.default:.5g}, {than}",
            "run": found.run,
        }
        facts |= {name: str(value) for name, value in found.best.items()}
        shell.show(found.as_dict(), block(facts))
        shell.next("train", like=found.run, model=model, as_of=as_of)
