"""Training turns a model's definition and a training set into a version: files to serve, and the manifest of both.

The estimator is scikit-learn's idea of one; what is served is its ONNX file. The two are compared on the training rows
before anything else happens: a file that scores differently from what was trained is refused.

    ok      manifest, files = train(model, data, environment=capture("."), as_of=now)
            registry.register(manifest, files, at=now, actor="training")
    not ok  pickle.dump(estimator, file)                          code that runs when it is loaded, tied to one Python
    not ok  metrics={"auc": auc(data.outcome, scores)}            judged on the rows it was trained on

Training libraries are imported when something is trained, never before: a server doesn't have them.
"""

from backstay.training.fit import Fitted, fit
from backstay.training.train import train

__all__ = ["Fitted", "fit", "train"]
