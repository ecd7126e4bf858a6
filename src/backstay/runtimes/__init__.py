"""Runtimes keep a trained model in files and score rows with them: what the server does, and what every gate judges.

A *runtime* writes an estimator's files and loads them. A *scorer* is a loaded model behind one method: a float32 matrix
in, one probability a row out.

    ok      scores = scorer.score(matrix)                         the file that is served, in the runtime that serves it
    not ok  estimator.predict_proba(matrix)                       another computation: its bits differ
    not ok  scorer.score(matrix.astype(np.float64))               features are cast to float32 once, before training

The score of a row depends on the row alone. With two threads ONNX Runtime changed a fifth of the scores with the size
of the batch, so a scorer here runs on one thread, and the same row has the same bits alone, in a batch of requests and
in a backtest over a million rows. Where a runtime can't promise that, it carries a tolerance. Servers use their cores
by running more processes.

Nothing here imports what it doesn't need: a server of an ONNX model imports ONNX Runtime, one of a LightGBM model the
library in C of LightGBM, and neither imports scikit-learn.
"""

from backstay.runtimes.loading import load, runtime, runtimes, trusted
from backstay.runtimes.onnx import OnnxScorer
from backstay.runtimes.scorer import Refusing, Runtime, Scorer

__all__ = ["OnnxScorer", "Refusing", "Runtime", "Scorer", "load", "runtime", "runtimes", "trusted"]
