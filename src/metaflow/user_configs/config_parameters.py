"""Names that artifacts and users import from `metaflow.user_configs.config_parameters`."""

from metaflow.flow.config import Config
from metaflow.flow.config_expression import config_expr
from metaflow.flow.config_value import ConfigValue

__all__ = ["Config", "ConfigValue", "config_expr"]
