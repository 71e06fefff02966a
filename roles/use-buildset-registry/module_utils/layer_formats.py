"""What is laid over a file, by its format.

Each lays what is wanted over a text, and lifts it off a text that somebody has
changed since. No text, None, is no file. A ValueError says why that cannot be.
"""

import json
import re

from ansible.module_utils.toml_reader import toml_reader


class Content:
    @staticmethod
    def lay(text, wanted):
        return wanted

    @staticmethod
    def lift(text, wanted, original):
        return original


class Text:
    """A part of the file, at its end."""

    @staticmethod
    def lay(text, wanted):
        if wanted in (text or ''):
            return text
        between = '' if not text or text.endswith('\n') else '\n'
        return (text or '') + between + wanted

    @staticmethod
    def lift(text, wanted, original):
        return text if wanted in (original or '') else text.replace(wanted, '')


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
            raise ValueError('line %d: %s' % (error.problem_mark.line + 1, error.problem))


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
        cls.verify(laid, wanted)
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
            elif not re.match(r'[^=]*=\s*\[\s*' + re.escape(json.dumps(value)) + r'\s*[],]', lines[at]):
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
                raise ValueError('%s is not written as a table: write it as [%s…]' % (table[0], table[0]))
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
            raise ValueError('%s is no array' % line.split('=')[0].strip())
        if match.group(1):
            return line[:start] + ' [' + value + ']' + line[start + match.end():]
        return line[:start] + ' [' + value + ', ' + line[start + match.end():].lstrip()

    @classmethod
    def verify(cls, text, wanted):
        """That it is TOML, and says what is wanted, where the node can tell."""
        loads = toml_reader()
        if loads is None:
            return
        data = loads(text)
        for edit in wanted:
            table = data
            for part in cls.parts(edit.get('table', '')):
                table = table.get(part) if isinstance(table, dict) else None
            if not isinstance(table, dict) or not cls.says(table, edit):
                raise ValueError('it is written in a way that is not understood')

    @staticmethod
    def says(table, edit):
        firsts = edit.get('first', {}).items()
        return all(table.get(key) for key in edit.get('default', {})) and all(
            (table.get(key) or [None])[0] == value for key, value in firsts)

    @classmethod
    def lift(cls, text, wanted, original):
        """Takes out the tables and keys that laying put in."""
        lines, before = text.splitlines(), (original or '').splitlines()
        for edit in wanted:
            table = cls.parts(edit.get('table', ''))
            was, till = cls.find(before, table, False)
            for kind, lift in (('default', cls.lift_default), ('first', cls.lift_first)):
                for key, value in edit.get(kind, {}).items():
                    start, end = cls.find(lines, table, False)
                    at = None if start is None else cls.key(lines, start, end, key)
                    old = None if was is None else cls.key(before, was, till, key)
                    if at is not None:
                        lift(lines, at, end, json.dumps(value), None if old is None else before[old])
            start, end = cls.find(lines, table, False)
            if table and was is None and start is not None and not ''.join(lines[start:end]).strip():
                del lines[start - 1:end]
        if original is None and not ''.join(lines).strip():
            return None
        lifted = '\n'.join(lines + [''])
        cls.verify(lifted, [])
        return lifted

    @staticmethod
    def lift_default(lines, at, end, value, old):
        """Puts the old line back, if ours is there as it was laid."""
        if lines[at].split('=', 1)[1].strip() == value:
            lines[at:at + 1] = [] if old is None else [old]

    @staticmethod
    def lift_first(lines, at, end, value, old):
        """Takes a value out of an array, which may have many lines by now."""
        if old is not None and value in old:
            return
        while at + 1 < end and value not in lines[at] and ']' not in lines[at]:
            at += 1
        lines[at] = re.sub(re.escape(value) + r'\s*,?\s*', '', lines[at], count=1)
        if not lines[at].strip() or old is None and re.match(r'[^=]*=\s*\[\s*\]\s*$', lines[at]):
            del lines[at]


FORMATS = {'content': Content, 'text': Text, 'json': Json, 'yaml': Yaml, 'toml': Toml}
