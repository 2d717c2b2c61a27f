"""The original's package of configs: artifacts that hold a `ConfigValue` name it."""
