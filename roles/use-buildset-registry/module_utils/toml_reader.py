"""TOML, where the node can read it."""


def toml_reader():
    """The parser that is there, or None: Python 3.11 brings one."""
    for name in ('tomllib', 'tomli', 'pip._vendor.tomli'):
        try:
            return __import__(name, fromlist=['loads']).loads
        except ImportError:
            pass
    return None
