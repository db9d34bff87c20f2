"""A completed run's folder, made without training."""

import numpy as np
import small_records

from bopkit import experiments, models, records


def write_run(folder, name="binarynet/bop", image_shape=(16, 16, 1), classes=10, **changes):
    """Writes ``run.json`` and ``model.keras``, and returns the network with its weights."""
    experiment = experiments.override(experiments.get(name), {"precision": "float32", **changes})
    network = models.build_network(
        experiment.network,
        image_shape,
        classes,
        method=experiment.kernels,
        precision=experiment.precision,
        filters=experiment.filters,
        dense_units=experiment.dense_units,
    )
    random = np.random.default_rng(0)
    for variable in network.weights:  # as after training: not what they begin with
        if "batch_norm" in variable.name:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    network.save(folder / "model.keras")
    config = small_records.record()["config"] | vars(experiment)
    config |= {"image_shape": list(image_shape), "epochs": 2}
    records.write(folder, small_records.record(experiment=name, config=config))
    return network
