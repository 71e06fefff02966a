"""What the containers tools are configured to, as containers-registries.conf(5) has it."""

import glob
import os

from ansible.module_utils.toml_reader import toml_reader


def sources(user):
    """The files that the tools read for a user, in their order."""
    home = os.path.expanduser('~%s/.config/containers' % user)
    if os.path.exists(home + '/registries.conf'):
        roots = [home]
    else:
        roots = ['/etc/containers', home]
    files = [roots[0] + '/registries.conf']
    for root in roots:
        files += sorted(glob.glob(root + '/registries.conf.d/*.conf'))
    return [path for path in files if os.path.isfile(path)]


def registries(path):
    """The registries that a file names, by prefix; LookupError without a parser."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    if '[registry' not in text.replace(' ', ''):
        return {}
    loads = toml_reader()
    if loads is None:
        raise LookupError('%s needs Python 3.11 or python3-tomli to be read' % path)
    try:
        tables = loads(text).get('registry', [])
    except ValueError as error:
        raise ValueError('%s is not valid TOML: %s' % (path, error))
    return {
        table.get('prefix') or table.get('location'): {
            'settings': {key: value for key, value in table.items() if key not in ('prefix', 'mirror')},
            'mirrors': table.get('mirror', []),
        }
        for table in tables
    }
