"""Run by a Python that has TensorFlow: VERB ARGUMENT… is a function below. It writes checkpoints, and reads ours."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def saver(tensors: str, prefix: str) -> None:
    """The named arrays of an npz as variables of a graph, saved as the official code (TensorFlow 1) does."""
    with np.load(tensors) as arrays, tf.Graph().as_default(), tf1.Session() as session:
        for name in arrays.files:
            zeros = tf1.zeros_initializer()
            tf1.get_variable(name, arrays[name].shape, arrays[name].dtype, zeros).load(arrays[name], session)
        tf1.train.Saver().save(session, prefix, write_meta_graph=False)


def saved_model(tensors: str, folder: str) -> None:
    """The named arrays of an npz as variables of a module."""
    module = tf.Module()
    with np.load(tensors) as arrays:
        module.held = [tf.Variable(arrays[name], name=name) for name in arrays.files]
    tf.saved_model.save(module, folder)


def types(tensors: str, prefix: str) -> None:
    """Each array of an npz as what its name says."""
    with np.load(tensors) as arrays:
        _save(
            prefix,
            {name: tf.cast(arrays[name], name) for name in arrays.files}
            | {"bool": tf.constant(True), "text": tf.constant(["a", "bc"])},
        )


def two_shards(tensors: str, prefix: str) -> None:
    """As several computers save the arrays of an npz."""
    with np.load(tensors) as arrays:
        parts = [f"{prefix}_{part}" for part in range(2)]
        for at, part in enumerate(parts):
            _save(part, {name: arrays[name] for name in arrays.files[at::2]})
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=prefix)


def slices(prefix: str) -> None:
    """One variable in two parts."""
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.get_variable("embedding", (4, 2), partitioner=tf1.fixed_size_partitioner(2))
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, prefix, write_meta_graph=False)


def read(prefix: str, tensors: str) -> None:
    """All arrays of a checkpoint into an npz."""
    found = tf.train.load_checkpoint(prefix)
    np.savez(tensors, **{name: found.get_tensor(name) for name in found.get_variable_to_shape_map()})


def where(package: str) -> None:
    """The folder of an installed package, or nothing."""
    found = importlib.util.find_spec(package)
    print(*(found.submodule_search_locations or [] if found else []))


def _save(prefix: str, tensors: Mapping[str, Any]) -> None:
    names = list(tensors)
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=list(tensors.values()))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
