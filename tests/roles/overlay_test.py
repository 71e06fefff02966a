"""What use-buildset-registry lays over a machine, and that it goes again."""

import importlib.util
import json
import os
import stat
import sys
import tempfile
import unittest
import unittest.mock

ROLE = os.path.join(os.path.dirname(__file__), '../../roles/use-buildset-registry')


def load(name, path):
    """Imports a module as Ansible does on a node."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(ROLE, path))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


load('ansible.module_utils.toml_reader', 'module_utils/toml_reader.py')
load('ansible.module_utils.layer_formats', 'module_utils/layer_formats.py')
overlay = load('overlay', 'library/overlay.py')


class Module:
    """As much of an AnsibleModule as a layer uses."""

    def __init__(self, layer, check_mode=False):
        self.params = {'layer': layer}
        self.check_mode = check_mode

    def set_default_selinux_context(self, path, changed):
        pass


class Machine(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = temporary.name

    def path(self, name):
        return os.path.join(self.root, name)

    def put(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'w') as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def text(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def lay(self, *entries, layer='kept/layer', **options):
        layer = overlay.Layer(Module(self.path(layer), **options))
        layer.apply([dict(entry, path=self.path(entry['path'])) for entry in entries])
        return [os.path.relpath(path, os.path.realpath(self.root)) for path in layer.changed]

    def tree(self):
        """Every file with its text and mode, and every directory."""
        found = {}
        for root, directories, files in os.walk(self.root):
            for name in directories:
                found[os.path.join(root, name)] = None
            for name in files:
                path = os.path.join(root, name)
                found[path] = (self.text(path), stat.S_IMODE(os.stat(path).st_mode))
        return found


MIRROR = {'path': 'etc/docker/daemon.json', 'json': {'registry-mirrors': ['https://ours']}}
BUILDKIT = {'path': 'etc/buildkitd.toml', 'toml': [
    {'table': 'registry."docker.io"', 'first': {'mirrors': 'ours:5000'}},
    {'table': 'registry."ours:5000"', 'first': {'ca': '/ca.crt'}},
]}
HOSTS = {'path': 'etc/hosts.toml', 'toml': [
    {'default': {'server': 'https://quay.io'}},
    {'table': 'host."https://ours"', 'top': True, 'default': {'capabilities': ['pull'], 'ca': '/ca.crt'}},
]}
CREDENTIALS = {'path': 'home/.docker/config.json', 'mode': '0600', 'json': {'auths': {'ours': {'auth': 'c2VjcmV0'}}}}
ALIAS = {'path': 'etc/hosts', 'text': '192.0.2.1\tours\n'}
CERTIFICATE = {'path': 'etc/docker/certs.d/ours/ca.crt', 'content': 'PEM\n'}
ALL = [MIRROR, BUILDKIT, HOSTS, CREDENTIALS, ALIAS, CERTIFICATE]

THEIRS = {
    'etc/docker/daemon.json': '{"registry-mirrors": ["https://theirs"],\n "debug" : true}',
    'etc/buildkitd.toml': '# mine\n[registry."docker.io"] # hub\n  mirrors = [\n    "theirs",\n  ]\n\n[worker.oci]\nenabled = true\n',
    'etc/hosts.toml': 'server = "https://theirs"\n\n[host."https://theirs"]\n  capabilities = ["pull"]\n',
    'home/.docker/config.json': '{"auths": {"theirs": {"auth": "eA=="}}}',
    'etc/hosts': '127.0.0.1 localhost',
}


class Laying(Machine):
    def test_on_nothing_makes_the_files_and_leaves_nothing(self):
        before = self.tree()
        self.assertEqual(sorted(self.lay(*ALL)), sorted(entry['path'] for entry in ALL))
        self.assertEqual(json.loads(self.text('etc/docker/daemon.json')), MIRROR['json'])
        self.assertEqual(self.lay(), [entry['path'] for entry in ALL])
        self.assertEqual(self.tree(), before)

    def test_what_was_there_is_merged_and_comes_back_to_the_byte(self):
        for name, text in THEIRS.items():
            self.put(name, text)
        before = self.tree()
        self.lay(*ALL)
        self.assertEqual(json.loads(self.text('etc/docker/daemon.json')),
                         {'registry-mirrors': ['https://ours', 'https://theirs'], 'debug': True})
        self.assertEqual(self.text('etc/buildkitd.toml'),
                         '# mine\n[registry."docker.io"] # hub\n  mirrors = ["ours:5000", \n    "theirs",\n  ]\n\n'
                         '[worker.oci]\nenabled = true\n\n[registry."ours:5000"]\nca = ["/ca.crt"]\n')
        self.assertEqual(self.text('etc/hosts.toml'),
                         'server = "https://theirs"\n\n[host."https://ours"]\ncapabilities = ["pull"]\nca = "/ca.crt"\n\n'
                         '[host."https://theirs"]\n  capabilities = ["pull"]\n')
        self.assertEqual(self.text('etc/hosts'), '127.0.0.1 localhost\n192.0.2.1\tours\n')
        self.lay()
        self.assertEqual(self.tree(), before)

    def test_a_second_time_changes_nothing(self):
        for name, text in THEIRS.items():
            self.put(name, text)
        self.lay(*ALL)
        before = self.tree()
        self.assertEqual(self.lay(*ALL), [])
        self.assertEqual(self.tree(), before)

    def test_in_check_mode_only_says_so(self):
        before = self.tree()
        self.assertEqual(len(self.lay(*ALL, check_mode=True)), len(ALL))
        self.assertEqual(self.tree(), before)
        self.lay(*ALL)
        before = self.tree()
        self.assertEqual(self.lay(*ALL, check_mode=True), [])
        self.assertEqual(len(self.lay(check_mode=True)), len(ALL))
        self.assertEqual(self.tree(), before)

    def test_what_is_no_longer_declared_goes(self):
        self.lay(MIRROR, CERTIFICATE)
        moved = dict(CERTIFICATE, path='etc/docker/certs.d/other/ca.crt')
        self.assertEqual(sorted(self.lay(MIRROR, moved)), sorted([CERTIFICATE['path'], moved['path']]))
        self.assertFalse(os.path.exists(self.path('etc/docker/certs.d/ours')))

    def test_a_changed_declaration_replaces_the_old_one(self):
        self.put('etc/docker/daemon.json', THEIRS['etc/docker/daemon.json'])
        self.lay(MIRROR)
        self.lay(dict(MIRROR, json={'registry-mirrors': ['https://new']}))
        self.assertEqual(json.loads(self.text('etc/docker/daemon.json'))['registry-mirrors'], ['https://new', 'https://theirs'])

    def test_what_somebody_changed_since_stays(self):
        for name, text in THEIRS.items():
            self.put(name, text)
        self.lay(*ALL)
        daemon = json.loads(self.text('etc/docker/daemon.json'))
        daemon['registry-mirrors'].append('https://third')
        daemon['debug'] = False
        self.put('etc/docker/daemon.json', json.dumps(daemon))
        self.put('etc/buildkitd.toml', self.text('etc/buildkitd.toml') + '[grpc]\n')
        self.put('etc/hosts', self.text('etc/hosts') + '192.0.2.2 third\n')
        self.put('etc/hosts.toml', self.text('etc/hosts.toml').replace('theirs', 'third'))
        self.lay()
        self.assertEqual(json.loads(self.text('etc/docker/daemon.json')),
                         {'registry-mirrors': ['https://theirs', 'https://third'], 'debug': False})
        self.assertNotIn('ours', self.text('etc/buildkitd.toml'))
        self.assertIn('[grpc]\n', self.text('etc/buildkitd.toml'))
        self.assertIn('"theirs"', self.text('etc/buildkitd.toml'))
        self.assertEqual(self.text('etc/hosts'), '127.0.0.1 localhost\n192.0.2.2 third\n')
        self.assertNotIn('ours', self.text('etc/hosts.toml'))
        self.assertIn('[host."https://third"]\n', self.text('etc/hosts.toml'))

    def test_a_file_that_somebody_removed_stays_away(self):
        self.put('etc/hosts', THEIRS['etc/hosts'])
        self.lay(ALIAS, MIRROR)
        os.unlink(self.path('etc/hosts'))
        self.lay()
        self.assertFalse(os.path.exists(self.path('etc/hosts')))

    def test_secrets_are_for_nobody_else_and_modes_come_back(self):
        self.put('home/.docker/config.json', THEIRS['home/.docker/config.json'], 0o644)
        self.lay(CREDENTIALS)
        for name in ('home/.docker/config.json', 'kept/layer'):
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600, name)
        self.assertEqual(stat.S_IMODE(os.stat(self.path('kept')).st_mode), 0o700)
        self.lay()
        self.assertEqual(stat.S_IMODE(os.stat(self.path('home/.docker/config.json')).st_mode), 0o644)

    def test_nothing_is_written_when_something_cannot_be(self):
        self.put('etc/docker/daemon.json', '{"debug": true')
        before = self.tree()
        with self.assertRaisesRegex(overlay.Unusable, 'daemon.json cannot be changed, and nothing was'):
            self.lay(ALIAS, MIRROR)
        self.assertEqual(self.tree(), before)

    def test_what_it_does_not_understand_is_left_alone(self):
        for text in ('registry = {"docker.io" = {mirrors = []}}\n', 'registry."docker.io".mirrors = []\n',
                     '[registry."docker.io"]\nmirrors = "theirs"\n'):
            self.put('etc/buildkitd.toml', text)
            with self.assertRaisesRegex(overlay.Unusable, 'buildkitd.toml cannot be changed'):
                self.lay(BUILDKIT)
            self.assertEqual(self.text('etc/buildkitd.toml'), text)

    def test_what_is_ours_in_a_changed_table_goes(self):
        registry = {'path': 'etc/config.toml', 'toml': [
            {'table': 'plugins."cri".registry', 'default': {'config_path': '/d'}},
            {'table': 'registry."docker.io"', 'first': {'mirrors': 'ours'}},
        ]}
        self.put('etc/config.toml', '[plugins."cri".registry]\n  config_path = ""\n[registry."docker.io"]\nmirrors = ["theirs"]\n')
        self.lay(registry)
        self.put('etc/config.toml', self.text('etc/config.toml').replace('mirrors = ["ours", "theirs"]', 'mirrors = [\n  "ours",\n  "theirs",\n]'))
        self.lay()
        self.assertEqual(self.text('etc/config.toml'),
                         '[plugins."cri".registry]\n  config_path = ""\n[registry."docker.io"]\nmirrors = [\n  "theirs",\n]\n')

    def test_a_value_that_somebody_changed_is_theirs(self):
        self.lay(HOSTS)
        self.put('etc/hosts.toml', self.text('etc/hosts.toml').replace('https://quay.io', 'https://third'))
        self.lay()
        self.assertEqual(self.text('etc/hosts.toml').strip(), 'server = "https://third"')

    def test_what_is_laid_is_in_force_or_refused(self):
        for text in ('[registry."docker.io"]\nmirrors = ["theirs"] # not "ours:5000"\n',
                     '[registry."docker.io"]\nmirrors = ["theirs", "ours:5000"]\n'):
            self.put('etc/buildkitd.toml', text)
            self.lay(BUILDKIT)
            self.assertIn('mirrors = ["ours:5000", "theirs"', self.text('etc/buildkitd.toml'))
            self.lay()
            self.assertEqual(self.text('etc/buildkitd.toml'), text)
        for text in ('a = """\n[registry."docker.io"]\n"""\n', '[[registry]]\nx = 1\n'):
            self.put('etc/buildkitd.toml', text)
            with self.assertRaisesRegex(overlay.Unusable, 'buildkitd.toml cannot be changed'):
                self.lay(BUILDKIT)
            self.assertEqual(self.text('etc/buildkitd.toml'), text)

    def test_an_end_between_record_and_file_loses_nothing(self):
        for name, text in THEIRS.items():
            self.put(name, text)
        before = self.tree()
        new = dict(MIRROR, json={'registry-mirrors': ['https://new']})
        for first in ((), (MIRROR,)):
            self.lay(*first)
            with unittest.mock.patch.object(overlay, 'write', self.ends_before_the_file):
                with self.assertRaises(KeyboardInterrupt):
                    self.lay(new)
            self.lay()
            self.assertEqual(self.tree(), before)

    def ends_before_the_file(self, module, path, *rest, write=overlay.write):
        if not path.endswith('layer'):
            raise KeyboardInterrupt
        write(module, path, *rest)

    def test_a_file_that_was_moved_and_linked_is_the_same(self):
        self.put('etc/docker/daemon.json', THEIRS['etc/docker/daemon.json'])
        self.lay(MIRROR)
        os.rename(self.path('etc/docker'), self.path('moved'))
        os.symlink(self.path('moved'), self.path('etc/docker'))
        self.assertEqual(self.lay(MIRROR), [])
        self.lay()
        self.assertEqual(self.text('moved/daemon.json'), THEIRS['etc/docker/daemon.json'])

    def test_a_mode_that_somebody_changed_stays(self):
        self.put('etc/docker/daemon.json', THEIRS['etc/docker/daemon.json'], 0o644)
        self.lay(MIRROR)
        os.chmod(self.path('etc/docker/daemon.json'), 0o600)
        self.lay()
        self.assertEqual(stat.S_IMODE(os.stat(self.path('etc/docker/daemon.json')).st_mode), 0o600)

    def test_one_file_by_two_names_is_refused(self):
        os.symlink(self.root, self.path('again'))
        with self.assertRaisesRegex(overlay.Unusable, 'two of the files are one'):
            self.lay(MIRROR, dict(MIRROR, path='again/' + MIRROR['path']))

    def test_no_secret_is_told(self):
        for name, text, entry in (
                ('etc/registries.yaml', 'password: @hunter2\n', {'yaml': {'mirrors': {}}}),
                ('etc/buildkitd.toml', 'registry.auth = "hunter2"\n', {'toml': BUILDKIT['toml']})):
            self.put(name, text)
            with self.assertRaises(overlay.Unusable) as refused:
                self.lay(dict(entry, path=name))
            self.assertNotIn('hunter2', str(refused.exception))

    def test_yaml_is_merged_with_what_reads_it(self):
        self.put('etc/registries.yaml', 'mirrors:\n  docker.io: {endpoint: [theirs]}\n')
        self.lay({'path': 'etc/registries.yaml', 'yaml': {'mirrors': {'docker.io': {'endpoint': ['ours']}}}})
        self.assertEqual(json.loads(self.text('etc/registries.yaml')), {'mirrors': {'docker.io': {'endpoint': ['ours', 'theirs']}}})

    def test_an_empty_value_is_none(self):
        self.put('etc/config.toml', 'version = 2\n[plugins]\n  [plugins."cri".registry]\n    config_path = ""\n')
        self.lay({'path': 'etc/config.toml', 'toml': [{'table': 'plugins."cri".registry', 'default': {'config_path': '/d'}}]})
        self.assertEqual(self.text('etc/config.toml'), 'version = 2\n[plugins]\n  [plugins."cri".registry]\nconfig_path = "/d"\n')

    def test_a_file_for_a_tool_that_is_not_there_is_not_made(self):
        self.assertEqual(self.lay(dict(MIRROR, where=self.path('nowhere'))), [])
        self.assertEqual(self.tree(), {})

    def test_a_link_is_followed(self):
        self.put('real', '{}')
        os.symlink(self.path('real'), self.path('link'))
        self.lay(dict(MIRROR, path='link'))
        self.assertTrue(os.path.islink(self.path('link')))
        self.assertIn('ours', self.text('real'))
        self.lay()
        self.assertEqual(self.text('real'), '{}')

    def test_two_layers_go_in_any_order(self):
        before = self.tree()
        self.lay(CERTIFICATE, layer='kept/one')
        self.lay(MIRROR, layer='kept/two')
        self.lay(layer='kept/two')
        self.lay(layer='kept/one')
        self.assertEqual(self.tree(), before)


if __name__ == '__main__':
    unittest.main()
