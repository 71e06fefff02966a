#!/usr/bin/python

import json
import os
import re
import shutil
import ssl
import urllib.request

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containers_conf import registries, sources

DOCUMENTATION = '''
module: mirror_chains
short_description: Say whom each container tool of this node asks for an image
options:
  namespaces:
    description: The registries whose images are looked at.
    required: true
    type: list
    elements: str
  endpoint:
    description: The host and port of the buildset registry.
    required: true
    type: str
  user:
    description: Whose tools are looked at.
    required: true
    type: str
'''

RETURN = '''
lines:
  description: A line for each tool and namespace, with who is asked, in order.
  type: list
'''

HUB = {'docker.io': 'registry-1.docker.io'}


def read(path):
    try:
        with open(path, encoding='utf-8') as file:
            return file.read()
    except OSError:
        return ''


def hosts(root, namespace):
    """The chain that a hosts.toml makes, or none."""
    text = read('%s/%s/hosts.toml' % (root, namespace)) or read('%s/_default/hosts.toml' % root)
    server = re.findall(r'(?m)^\s*server\s*=\s*"([^"]+)"', text) or [HUB.get(namespace, namespace)]
    chain = re.findall(r'(?m)^\s*\[\s*host\s*\.\s*["\']([^"\']+)["\']\s*\]', text)
    return chain + server if chain else []


class Node:
    def __init__(self, module):
        self.module = module
        self.namespaces = module.params['namespaces']
        self.endpoint = module.params['endpoint']

    def output(self, *command):
        if not shutil.which(command[0]):
            return ''
        return self.module.run_command(list(command))[1]

    def registry(self):
        """Whether the registry answers, and who trusts it."""
        ca = '/etc/containers/certs.d/%s/ca.crt' % self.endpoint
        for trust, said in ((None, 'trusted by all of this host'), (ca, 'trusted by the container tools alone')):
            if trust and not os.path.exists(trust):
                continue
            try:
                context = ssl.create_default_context(cafile=trust)
                urllib.request.urlopen('https://%s/healthz' % self.endpoint, timeout=10, context=context).close()
                return 'answers, ' + said
            except (OSError, ValueError) as error:
                problem = error
        return 'DOES NOT ANSWER: %s' % problem

    def docker(self):
        info = self.output('docker', 'info', '--format', '{{json .}}')
        try:
            info = json.loads(info)
            version = info['ServerVersion']
            mirrors = info['RegistryConfig']['Mirrors'] or []
        except (ValueError, KeyError, TypeError):
            return
        for namespace in self.namespaces:
            chain = hosts('/etc/docker/certs.d', namespace) if int(version.split('.')[0]) >= 29 else []
            if not chain and namespace == 'docker.io':
                chain = [mirror.rstrip('/') for mirror in mirrors] + [HUB[namespace]]
            yield 'docker ' + version, namespace, chain

    def containers(self):
        tools = [tool for tool in ('podman', 'buildah', 'skopeo', 'crio') if shutil.which(tool)]
        found = {}
        for path in sources(self.module.params['user']) if tools else []:
            try:
                found.update(registries(path))
            except (LookupError, ValueError) as error:
                self.module.warn(str(error))
        for namespace in self.namespaces if tools else []:
            registry = found.get(namespace, {'settings': {}, 'mirrors': []})
            chain = [mirror['location'] for mirror in registry['mirrors']]
            yield ', '.join(tools), namespace, chain + [registry['settings'].get('location', namespace)]

    def containerd(self):
        paths = re.findall(r'config_path = ["\']([^"\']*)["\']', self.output('containerd', 'config', 'dump'))
        if not shutil.which('containerd'):
            return
        said = 'containerd' if any(paths) else 'ctr --hosts-dir, nerdctl'
        root = next((path for path in paths if path), '/etc/containerd/certs.d').split(':')[0]
        for namespace in self.namespaces:
            yield said, namespace, hosts(root, namespace)

    def buildkit(self):
        text = read('/etc/buildkit/buildkitd.toml')
        for namespace in self.namespaces if text else []:
            table = re.search(r'(?m)^\[registry\."%s"\][^\[]*?mirrors\s*=\s*\[([^\]]*)\]' % re.escape(namespace), text)
            chain = re.findall(r'"([^"]+)"', table.group(1)) if table else []
            yield 'buildkitd, buildx --config', namespace, chain + [HUB.get(namespace, namespace)]

    def lines(self):
        yield '%s %s' % (self.endpoint, self.registry())
        for tool in (self.docker, self.containers, self.containerd, self.buildkit):
            for name, namespace, chain in tool():
                said = ' > '.join(chain or [HUB.get(namespace, namespace)])
                if self.endpoint not in said:
                    said += '  PAST THE BUILDSET REGISTRY'
                yield '%-28s %-18s %s' % (name, namespace, said)


def main():
    module = AnsibleModule(
        argument_spec={
            'namespaces': {'type': 'list', 'elements': 'str', 'required': True},
            'endpoint': {'type': 'str', 'required': True},
            'user': {'type': 'str', 'required': True},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, lines=list(Node(module).lines()))


if __name__ == '__main__':
    main()
