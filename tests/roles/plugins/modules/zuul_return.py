"""Lets Ansible find the action of this name, which does all of the work."""

DOCUMENTATION = '''
module: zuul_return
short_description: stands for Zuul's module of this name
description:
  - Gives data back to Zuul, that is, into the build's file of results.
options:
  data:
    description: what everybody may see
    type: dict
  secret_data:
    description: what only builds that depend on this one may see
    type: dict
  file:
    description: a JSON file with more of the first
    type: path
  secret_file:
    description: a JSON file with more of the second
    type: path
  path:
    description: the file of results
    type: path
    default: '{{ zuul.executor.result_data_file }}'
'''
