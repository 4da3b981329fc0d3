"""Configuration: parsed YAML in, either a `RunSlice` or every fault at once out.

`validation` is the door. Nothing is re-exported here: reading a prepared run must not import pydantic.
"""
