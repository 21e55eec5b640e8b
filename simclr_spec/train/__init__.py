"""The training wing, the only one that loads torch: loop/execute.py brings a run folder from step.json to result.json."""
