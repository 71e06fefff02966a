#!/usr/bin/python

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containers_conf import registries, sources

DOCUMENTATION = '''
module: containers_registries
short_description: Read which registries the containers tools are configured for
description:
  - Reads registries.conf and its drop-ins. Where a prefix is in several files,
    the last one counts.
options:
  user:
    description: Whose configuration comes before the machine's.
    required: true
    type: str
  except:
    description: The name of a drop-in that is not read.
    required: true
    type: str
'''

RETURN = '''
registries:
  description: >-
    By prefix, the C(settings) of a registry, such as C(location), and its
    C(mirrors).
  type: dict
'''


def main():
    module = AnsibleModule(
        argument_spec={
            'user': {'type': 'str', 'required': True},
            'except': {'type': 'str', 'required': True},
        },
        supports_check_mode=True,
    )
    found = {}
    for path in sources(module.params['user']):
        if os.path.basename(path) == module.params['except']:
            continue
        try:
            found.update(registries(path))
        except LookupError as error:
            module.warn('%s: the mirrors in it are not used' % error)
        except ValueError as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=False, registries=found)


if __name__ == '__main__':
    main()
