"""Where secrets come from: an environment, a dotenv file, a mapping, or several of these one after the other."""

from dagflow.secret_stores.chain import ChainedSecrets
from dagflow.secret_stores.dotenv import DotenvError, DotenvSecrets, parse_dotenv
from dagflow.secret_stores.mapping import EnvironmentSecrets, MappingSecrets
from dagflow.secret_stores.provider import SecretProvider

__all__ = [
    "ChainedSecrets",
    "DotenvError",
    "DotenvSecrets",
    "EnvironmentSecrets",
    "MappingSecrets",
    "SecretProvider",
    "parse_dotenv",
]
