"""Writes down what became of each task, one JSON object to a line."""

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = '''
name: record
type: notification
short_description: writes down what became of each task
description: To the file that the environment variable RECORD names.
'''


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'record'

    def _write(self, result, became):
        task = result._task
        line = {
            'host': result._host.get_name(),
            'role': task._role.get_name() if task._role else '',
            'task': task.name or task.action,
            'became': became,
            'changed': bool(result._result.get('changed')),
        }
        with open(os.environ['RECORD'], 'a', encoding='utf-8') as record:
            record.write(json.dumps(line) + '\n')

    def v2_runner_on_ok(self, result):
        self._write(result, 'ok')

    def v2_runner_on_skipped(self, result):
        self._write(result, 'skipped')

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result, 'ignored' if ignore_errors else 'failed')

    def v2_runner_on_unreachable(self, result):
        self._write(result, 'unreachable')
