"""Stands for Zuul's zuul_return: what a build returns is merged into a file.

What Zuul does, and so this:

- Dictionaries are merged at every depth, and anything else is replaced.
- Lists that Zuul itself reads, artifacts and warnings, grow, the newest first;
  of file comments, each file's list grows at its end.
- The data are in the file whole or not at all, and nobody else may read them.
- It happens in check mode, too, and is no change.
"""

import json
import os
import tempfile

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

OPTIONS = ('data', 'secret_data', 'file', 'secret_file', 'path')


def merged(old, new):
    """Both dictionaries, without those below zuul that are not replaced."""
    both = dict(old)
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(both.get(key), dict):
            value = merged(both[key], value)
        both[key] = value
    return both


def of_zuul(data, key, kind):
    """What is below zuul, or nothing if it is not of that kind."""
    value = data.get('zuul', {}).get(key)
    return value if isinstance(value, kind) else kind()


def returned(old, new):
    """What has been returned after new, too, was returned."""
    grown = {
        key: of_zuul(new, key, list) + of_zuul(old, key, list)
        for key in ('artifacts', 'warnings')
    }
    comments = {file: list(them) for file, them in of_zuul(old, 'file_comments', dict).items()}
    for file, them in of_zuul(new, 'file_comments', dict).items():
        comments.setdefault(file, []).extend(them)
    grown['file_comments'] = comments

    both = merged(old, new)
    for key, value in grown.items():
        if value:
            both.setdefault('zuul', {})[key] = value
    return both


def check(data):
    """Refuses what Zuul could not make sense of."""
    for artifact in of_zuul(data, 'artifacts', list):
        if not isinstance(artifact, dict):
            raise AnsibleActionFail('an artifact is no dictionary: %r' % (artifact,))
        for key in ('name', 'url'):
            if not isinstance(artifact.get(key), str):
                raise AnsibleActionFail('an artifact has no %s: %r' % (key, artifact))
        if not isinstance(artifact.get('metadata', {}), dict):
            raise AnsibleActionFail('the metadata of an artifact are no dictionary: %r' % (artifact,))
    for warning in of_zuul(data, 'warnings', list):
        if not isinstance(warning, str):
            raise AnsibleActionFail('a warning is no string: %r' % (warning,))


def read(path):
    """What was returned until now."""
    try:
        with open(path, encoding='utf-8') as file:
            content = file.read()
    except FileNotFoundError:
        content = ''
    return json.loads(content) if content else {'data': {}, 'secret_data': {}}


def write(path, results):
    """Replaces the file, with one that only its owner may read."""
    try:
        content = json.dumps(results)
    except TypeError as error:  # such as an undefined variable
        raise AnsibleActionFail('what is returned cannot be written: %s' % error)
    half, name = tempfile.mkstemp(dir=os.path.dirname(path))
    with open(half, 'w', encoding='utf-8') as file:
        file.write(content)
    os.rename(name, path)


class ActionModule(ActionBase):
    """The action of a task."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = self._task.args
        unknown = set(arguments) - set(OPTIONS)
        if unknown:
            raise AnsibleActionFail('zuul_return knows no %s' % ', '.join(sorted(unknown)))

        path = arguments.get('path') or task_vars['zuul']['executor']['result_data_file']
        results = read(path)
        for kind, file in (('data', 'file'), ('secret_data', 'secret_file')):
            news = [arguments.get(kind) or {}]
            if arguments.get(file):
                with open(arguments[file], encoding='utf-8') as more:
                    news.insert(0, json.load(more))
            for new in news:
                if not isinstance(new, dict):
                    raise AnsibleActionFail('%s is no dictionary' % kind)
                results[kind] = returned(results[kind], new)
            check(results[kind])
        write(path, results)
        return result
