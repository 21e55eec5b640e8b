"""From step.json to result.json."""
