"""Run folders: every path, state and atomic write; and plans held against them."""
