#!/usr/bin/python

# Runs on any node that Ansible can reach: Python 3.6, standard library alone.

import base64
import errno
import hashlib
import json
import os
import pwd
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.layer_formats import FORMATS

DOCUMENTATION = '''
module: overlay
short_description: Lay files and parts of files over a machine, and take them off again
description:
  - What a layer holds is declared as a whole. What it held before and holds
    no longer is taken off; an empty layer restores what was there, byte for
    byte.
  - A file that somebody has changed in the meantime keeps those changes; only
    what is ours is taken out of it.
  - Everything is planned before anything is written. What does not fit a file of
    the user's is an error, and then nothing is.
options:
  layer:
    description: The file that keeps what was there before.
    required: true
    type: path
  files:
    description: >-
      What the layer holds. Each has C(path), in which C(~user) is a home and
      C({uid}) the number of the owner, and one of C(content) (the whole
      file), C(text) (is at its end), C(json) or C(yaml) (merged into the
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
        if self.current == original or digest(self.current) in self.kept['written']:
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
        except (ValueError, TypeError, RecursionError) as error:
            raise Unusable('%s cannot be changed, and nothing was: %s' % (self.path, error))


def lifted(path, entry, current, original):
    name = [name for name in FORMATS if name in entry][0]
    try:
        return FORMATS[name].lift(current, entry[name], original)
    except (ValueError, TypeError, RecursionError) as error:
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


def missing(directory):
    """The directories that are not there yet, the outer ones first."""
    return missing(os.path.dirname(directory)) + [directory] if not os.path.isdir(directory) else []


def make(directories, owner, mode):
    for path in directories:
        os.mkdir(path, mode)
        os.chmod(path, mode)
        if owner:
            os.chown(path, owner.pw_uid, owner.pw_gid)


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
            with open(path, 'r+b') as file:
                os.fchown(file.fileno(), uid, gid)
                os.fchmod(file.fileno(), mode)
                file.truncate()
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
        self.kept = {os.path.realpath(path): kept for path, kept in record.get('files', {}).items()}
        self.directories = record.get('directories', [])
        self.changed = []

    def apply(self, entries):
        """Plans everything, and then does it."""
        plan, files = [], [File(entry, self.kept) for entry in entries]
        if len({file.path for file in files}) < len(files):
            raise Unusable('two of the files are one: %s' % ', '.join(sorted(file.path for file in files)))
        for file in files:
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
        if not self.module.check_mode and (rests or not self.kept and os.path.exists(self.path)):
            self.tidy()

    def rest(self, path):
        """What a file becomes when the layer is gone from it."""
        kept, current = self.kept[path], read(path)
        original = unpack(kept['original'])
        if current is None:
            return None
        if current == original or digest(current) in kept['written']:
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
        self.kept[file.path] = {
            'original': pack(original),
            'mode': was,
            'entry': file.entry,
            'set': mode,
            'written': [digest(file.current), digest(laid)],  # either, if this is where it ends
        }
        new = missing(os.path.dirname(file.path))
        self.directories += [path for path in new if path not in self.directories]
        self.save()  # before the file, so that what was there is never lost
        make(new, owner, 0o700 if owner else 0o755)
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
                if mode is None or stat.S_IMODE(status.st_mode) not in (mode, self.kept[path]['set']):
                    mode = stat.S_IMODE(status.st_mode)  # somebody has changed it since
                write(self.module, path, rest, mode, status.st_uid, status.st_gid)
        del self.kept[path]
        self.save()

    def save(self):
        make(missing(os.path.dirname(self.path)), None, 0o700)
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
