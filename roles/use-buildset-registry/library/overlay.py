#!/usr/bin/python

# Runs on any node that Ansible can reach: Python 3.6, standard library alone.

import base64
import errno
import hashlib
import json
import os
import pwd
import re
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = '''
module: overlay
short_description: Lay files and parts of files over a machine, and take them off again
description:
  - What a layer holds is declared as a whole. What it held before and holds
    no longer is taken off; an empty layer restores what was there, byte for
    byte.
  - A file that somebody has changed in the meantime keeps those changes; only
    what is ours is taken out of it.
  - Nothing is written unless all of it can be.
options:
  layer:
    description: The file that keeps what was there before.
    required: true
    type: path
  files:
    description: >-
      What the layer holds. Each has C(path), in which C(~user) is a home and
      C({uid}) the number of the owner, and one of C(content) (the whole
      file), C(line) (is in the file), C(json) or C(yaml) (merged into the
      file: dictionaries by key, and lists so that ours come first) or C(toml)
      (a list of C(table), C(first) (values that are to be the first of
      arrays), C(default) (keys that are set where they are not, or empty) and C(top)
      (the table goes before all others)). C(mode) is that of a new file; one
      that was there keeps its own, as far as it is no wider. C(owner) is who
      owns a new file, and the new directories that it needs. C(where) is a
      path without which the file is left alone.
    required: true
    type: list
    elements: dict
'''

RETURN = '''
paths:
  description: The files that were written or removed.
  type: list
'''


class Unusable(Exception):
    """A file cannot take what is to be laid over it."""


# What is laid over a file: each format lays what is wanted over a text, and
# lifts it off a text that somebody has changed since. No text is no file.

class Content:
    @staticmethod
    def lay(text, wanted):
        return wanted

    @staticmethod
    def lift(text, wanted, original):
        return original


class Line:
    @staticmethod
    def lay(text, wanted):
        lines = (text or '').splitlines()
        if wanted in lines:
            return text
        return '\n'.join(lines + [wanted, ''])

    @staticmethod
    def lift(text, wanted, original):
        if wanted in (original or '').splitlines():
            return text
        return ''.join(line for line in text.splitlines(True) if line.rstrip('\n') != wanted)


class Json:
    @staticmethod
    def read(text):
        return json.loads(text) if text and text.strip() else {}

    @staticmethod
    def write(data):
        return json.dumps(data, indent=4) + '\n'

    @classmethod
    def lay(cls, text, wanted):
        data = cls.read(text)
        if not isinstance(data, dict):
            raise ValueError('it holds no object')
        return cls.write(merge(data, wanted))

    @classmethod
    def lift(cls, text, wanted, original):
        data = unmerge(cls.read(text), wanted, cls.read(original))
        if original is None and not data:
            return None
        return cls.write(data)


class Yaml(Json):
    @staticmethod
    def read(text):
        if not text or not text.strip():
            return {}
        try:
            return json.loads(text)  # JSON is YAML; it is what we write
        except ValueError:
            pass
        try:
            import yaml
        except ImportError:
            raise ValueError('to change it the node needs python3-yaml')
        try:
            return yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            raise ValueError(error)


def merge(data, wanted):
    """Merges dictionaries by key, and lists so that the wanted come first."""
    if isinstance(data, dict) and isinstance(wanted, dict):
        merged = dict(data)
        for key, value in wanted.items():
            merged[key] = merge(data[key], value) if key in data else value
        return merged
    if isinstance(data, list) and isinstance(wanted, list):
        return wanted + [item for item in data if item not in wanted]
    return wanted


def unmerge(data, wanted, original):
    """Takes out what is wanted and was not in the original."""
    if isinstance(data, dict) and isinstance(wanted, dict):
        original = original if isinstance(original, dict) else {}
        rest = {}
        for key, value in data.items():
            if key in wanted:
                value = unmerge(value, wanted[key], original.get(key))
                if key not in original and value in ({}, [], None):
                    continue
            rest[key] = value
        return rest
    if isinstance(data, list) and isinstance(wanted, list):
        original = original if isinstance(original, list) else []
        return [item for item in data if item not in wanted or item in original]
    return original if data == wanted else data


class Toml:
    """Edits the text, so that comments and the order of tables remain."""

    KEY = r'(?:[A-Za-z0-9_-]+|"[^"\n]*"|\'[^\'\n]*\')'
    DOTTED = KEY + r'(?:\s*\.\s*' + KEY + r')*'
    HEADER = re.compile(r'^\s*\[{1,2}\s*(' + DOTTED + r')\s*\]{1,2}\s*(?:#.*)?$')

    @classmethod
    def parts(cls, dotted):
        return tuple(part.strip('"\'') for part in re.findall(cls.KEY, dotted))

    @classmethod
    def header(cls, line):
        match = cls.HEADER.match(line)
        return cls.parts(match.group(1)) if match else None

    @classmethod
    def lay(cls, text, wanted):
        lines = (text or '').splitlines()
        for edit in wanted:
            cls.edit(lines, edit)
        laid = '\n'.join(lines + [''])
        cls.verify(laid)
        return laid

    @classmethod
    def edit(cls, lines, edit):
        table = edit.get('table', '')
        start, end = cls.find(lines, cls.parts(table), edit.get('top'))
        if start is None:
            start = end
            block = ['[%s]' % table]
            if end and lines[end - 1].strip():
                block.insert(0, '')
            if end < len(lines):
                block.append('')
            lines[end:end] = block
            start = end + block.index('[%s]' % table) + 1
            end = start
        new = []
        for key, value in edit.get('default', {}).items():
            at, line = cls.key(lines, start, end, key), '%s = %s' % (key, json.dumps(value))
            if at is None:
                new.append(line)
            elif re.search(r'=\s*(""|\'\')\s*(#.*)?$', lines[at]):
                lines[at] = line
        for key, value in edit.get('first', {}).items():
            at = cls.key(lines, start, end, key)
            if at is None:
                new.append('%s = [%s]' % (key, json.dumps(value)))
            elif json.dumps(value) not in lines[at]:
                lines[at] = cls.prepend(lines[at], json.dumps(value))
        lines[start:start] = new

    @classmethod
    def find(cls, lines, table, top):
        """Where a table's lines begin and end; no begin where it is not."""
        headers = [(at, cls.header(line)) for at, line in enumerate(lines) if cls.header(line)]
        bounds = [at for at, _ in headers] + [len(lines)]
        if not table:
            return 0, bounds[0]
        for number, (at, name) in enumerate(headers):
            if name == table:
                return at + 1, bounds[number + 1]
        for line in lines[:bounds[0]]:
            if re.match(r'\s*["\']?' + re.escape(table[0]) + r'["\']?\s*[.=]', line):
                raise ValueError('%r is not written as a table: write it as [%s…]' % (line.strip(), table[0]))
        return None, bounds[0] if top else len(lines)

    @staticmethod
    def key(lines, start, end, key):
        for at in range(start, end):
            if re.match(r'\s*["\']?' + re.escape(key) + r'["\']?\s*=', lines[at]):
                return at
        return None

    @staticmethod
    def prepend(line, value):
        start = line.index('=') + 1
        match = re.match(r'\s*\[(\s*\])?', line[start:])
        if not match:
            raise ValueError('%r is no array' % line.strip())
        if match.group(1):
            return line[:start] + ' [' + value + ']' + line[start + match.end():]
        return line[:start] + ' [' + value + ', ' + line[start + match.end():].lstrip()

    @staticmethod
    def verify(text):
        try:
            import tomllib
        except ImportError:  # before Python 3.11
            return
        tomllib.loads(text)

    @classmethod
    def lift(cls, text, wanted, original):
        """Takes out the tables and keys that laying put in."""
        lines = text.splitlines()
        before = (original or '').splitlines()
        for edit in wanted:
            table = cls.parts(edit.get('table', ''))
            start, end = cls.find(lines, table, False)
            if start is None:
                continue
            was, till = cls.find(before, table, False)
            for key, value in edit.get('default', {}).items():
                at = cls.key(lines, start, end, key)
                if at is not None and (was is None or cls.key(before, was, till, key) is None):
                    del lines[at]
                    end -= 1
            for key, value in edit.get('first', {}).items():
                at = cls.key(lines, start, end, key)
                if at is None:
                    continue
                lines[at] = re.sub(re.escape(json.dumps(value)) + r'\s*,?\s*', '', lines[at], count=1)
                if re.match(r'[^=]*=\s*\[\s*\]\s*$', lines[at]) and (was is None or cls.key(before, was, till, key) is None):
                    del lines[at]
                    end -= 1
            if table and was is None and not ''.join(lines[start:end]).strip():
                del lines[start - 1:end]
        if original is None and not ''.join(lines).strip():
            return None
        return '\n'.join(lines + [''])


FORMATS = {'content': Content, 'line': Line, 'json': Json, 'yaml': Yaml, 'toml': Toml}


class File:
    """One file of the layer, as it is and as it is to be."""

    def __init__(self, entry, kept):
        self.entry = entry
        self.format = [name for name in FORMATS if name in entry]
        if len(self.format) != 1:
            raise Unusable('%s: needs one of %s' % (entry.get('path'), ', '.join(sorted(FORMATS))))
        self.path = locate(entry)
        self.kept = kept.get(self.path)
        self.current = read(self.path)

    def original(self):
        """What the file would be if we had never been."""
        if not self.kept:
            return self.current
        original = unpack(self.kept['original'])
        if self.current == original or digest(self.current) == self.kept['written']:
            return original
        if self.current is None:
            return None
        return lifted(self.path, self.kept['entry'], self.current, original)

    def laid(self, original):
        if 'where' in self.entry and not os.path.exists(locate(self.entry, 'where')):
            return original
        name = self.format[0]
        try:
            return FORMATS[name].lay(original, self.entry[name])
        except ValueError as error:
            raise Unusable('%s cannot be changed, and nothing was: %s' % (self.path, error))


def lifted(path, entry, current, original):
    name = [name for name in FORMATS if name in entry][0]
    try:
        return FORMATS[name].lift(current, entry[name], original)
    except ValueError as error:
        raise Unusable('%s cannot be restored, and nothing was changed: %s' % (path, error))


def locate(entry, key='path'):
    path = entry[key]
    if '{uid}' in path:
        path = path.replace('{uid}', str(account(entry['owner']).pw_uid))
    path = os.path.expanduser(path)
    if not os.path.isabs(path):
        raise Unusable('%s: there is no such user, or the path is not absolute' % path)
    return os.path.realpath(path)


def account(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise Unusable('there is no user %s' % name)


def read(path):
    try:
        with open(path, encoding='utf-8', errors='surrogateescape', newline='') as file:
            return file.read()
    except FileNotFoundError:
        return None


def encode(text):
    return text.encode('utf-8', 'surrogateescape')


def digest(text):
    return None if text is None else hashlib.sha256(encode(text)).hexdigest()


def pack(text):
    return None if text is None else base64.b64encode(encode(text)).decode()


def unpack(packed):
    return None if packed is None else base64.b64decode(packed).decode('utf-8', 'surrogateescape')


def make_directories(directory, owner, mode):
    """Makes a directory with those that it needs, and returns the new ones."""
    new = []
    while not os.path.isdir(directory):
        new.append(directory)
        directory = os.path.dirname(directory)
    for path in reversed(new):
        os.mkdir(path, mode)
        os.chmod(path, mode)
        if owner:
            os.chown(path, owner.pw_uid, owner.pw_gid)
    return new


def write(module, path, text, mode, uid, gid):
    """Replaces a file, at once where it can be: a mounted one cannot."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix='.overlay-')
    try:
        with os.fdopen(descriptor, 'wb') as file:
            file.write(encode(text))
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
        try:
            os.rename(temporary, path)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            with open(path, 'wb') as file:
                file.write(encode(text))
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    module.set_default_selinux_context(path, False)


class Layer:
    """What lies over the machine, and the record of what was there before."""

    def __init__(self, module):
        self.module = module
        self.path = module.params['layer']
        text = read(self.path)
        record = json.loads(text) if text else {}
        self.kept = record.get('files', {})
        self.directories = record.get('directories', [])
        self.changed = []

    def apply(self, entries):
        """Plans everything, and then does it."""
        plan = []
        for file in [File(entry, self.kept) for entry in entries]:
            original = file.original()
            laid = file.laid(original)
            if laid != original:
                plan.append((file, original, laid))
        held = [file.path for file, original, laid in plan]
        rests = [(path, self.rest(path)) for path in self.kept if path not in held]
        for file, original, laid in plan:
            self.lay(file, original, laid)
        for path, rest in rests:
            self.lift(path, rest)
        if rests and not self.module.check_mode:
            self.tidy()

    def rest(self, path):
        """What a file becomes when the layer is gone from it."""
        kept, current = self.kept[path], read(path)
        original = unpack(kept['original'])
        if current is None:
            return None
        if current == original or digest(current) == kept['written']:
            return original
        return lifted(path, kept['entry'], current, original)

    def lay(self, file, original, laid):
        status = os.stat(file.path) if file.current is not None else None
        owner = account(file.entry['owner']) if file.entry.get('owner') else None
        mode = int(file.entry.get('mode', '0644'), 8)
        if status:
            mode = stat.S_IMODE(status.st_mode) & (mode if 'mode' in file.entry else 0o7777)
        if file.kept and file.current == laid and stat.S_IMODE(status.st_mode) == mode:
            return
        self.changed.append(file.path)
        if self.module.check_mode:
            return
        was = file.kept['mode'] if file.kept else status and stat.S_IMODE(status.st_mode)
        self.kept[file.path] = {'original': pack(original), 'mode': was, 'written': digest(laid), 'entry': file.entry}
        self.directories += make_directories(os.path.dirname(file.path), owner, 0o700 if owner else 0o755)
        self.save()  # before the file, so that what was there is never lost
        if status:
            ids = status.st_uid, status.st_gid
        else:
            ids = (owner.pw_uid, owner.pw_gid) if owner else (os.geteuid(), os.getegid())
        write(self.module, file.path, laid, mode, *ids)

    def lift(self, path, rest):
        current, mode = read(path), self.kept[path]['mode']
        if current != rest:
            self.changed.append(path)
        if self.module.check_mode:
            return
        if current is not None:
            status = os.stat(path)
            if rest is None:
                os.unlink(path)
            else:
                mode = stat.S_IMODE(status.st_mode) if mode is None else mode
                write(self.module, path, rest, mode, status.st_uid, status.st_gid)
        del self.kept[path]
        self.save()

    def save(self):
        make_directories(os.path.dirname(self.path), None, 0o700)
        record = {'files': self.kept, 'directories': self.directories}
        write(self.module, self.path, json.dumps(record, indent=4) + '\n', 0o600, os.geteuid(), os.getegid())

    def tidy(self):
        """Removes the directories that it made and nobody uses."""
        for directory in sorted(self.directories, key=len, reverse=True):
            try:
                os.rmdir(directory)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    continue
            self.directories.remove(directory)
        if self.kept:
            self.save()
            return
        os.unlink(self.path)
        try:
            os.rmdir(os.path.dirname(self.path))
        except OSError:  # other layers are there
            pass


def main():
    module = AnsibleModule(
        argument_spec={
            'layer': {'type': 'path', 'required': True},
            'files': {'type': 'list', 'elements': 'dict', 'required': True},
        },
        supports_check_mode=True,
    )
    try:
        layer = Layer(module)
        layer.apply(module.params['files'])
    except Unusable as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg='%s: %s' % (error.filename, error.strerror))
    module.exit_json(changed=bool(layer.changed), paths=layer.changed)


if __name__ == '__main__':
    main()
