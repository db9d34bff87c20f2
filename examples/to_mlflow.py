"""Send every completed run below a folder to MLflow.

    python examples/to_mlflow.py RUNS

Set MLFLOW_TRACKING_URI to choose the server or the folder. A second call sends
the runs again.
"""

import json
import sys
from pathlib import Path

import mlflow

folder = Path(sys.argv[1])
mlflow.set_experiment("bop")
for path in sorted(folder.rglob("run.json")):
    record = json.loads(path.read_text(encoding="utf8"))
    if record["status"] == "completed":
        with mlflow.start_run(run_name=str(path.parent.relative_to(folder))):
            mlflow.log_params(record["config"])
            tags = ("experiment", "command", "git_commit")
            mlflow.set_tags({key: record[key] for key in tags})
            for row in record["epochs"]:
                numbers = {k: v for k, v in row.items() if v is not None}
                mlflow.log_metrics(numbers, step=row["epoch"])
            mlflow.log_artifact(path)
