#!/usr/bin/python

from __future__ import absolute_import, division, print_function
__metaclass__ = type

DOCUMENTATION = r'''
module: background_process
short_description: Runs one process in the background, without a service manager
description:
  - Starts a process that outlives the play, in a session of its own, and stops it.
  - The record of it has the time at which it started, so that another process
    that was given the same number later is never taken for it.
options:
  state:
    description:
      - C(started) runs it. One that was started with another I(digest) is stopped first.
      - C(stopped) sends SIGTERM, and SIGKILL ten seconds later, and removes the record.
    choices: [started, stopped]
    default: started
  record:
    description: Path of the record, a JSON file.
    required: true
  command:
    description: What to run, a list of the program and its arguments.
  directory:
    description: Where to run it.
  environment_file:
    description: >-
      Its whole environment, lines of NAME="value" with a backslash before any
      quotation mark, backslash, backtick or dollar.
  log:
    description: The file that its output is appended to.
  digest:
    description: Anything that changes when the process is to be started anew.
'''

RETURN = r'''
pid:
  description: The number of the process that runs.
message:
  description: What was done.
'''

import json
import os
import re
import signal
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule

PATIENCE = 10  # seconds between SIGTERM and SIGKILL


def started_at(pid):
    """When a process started, in clock ticks since the boot; None if it is not there."""
    try:
        with open('/proc/%d/stat' % pid, 'rb') as stat:
            # The second field, a name in parentheses, may have anything in it.
            fields = stat.read().rpartition(b')')[2].split()
    except (IOError, OSError):
        return None
    state, start = fields[0], int(fields[19])
    return None if state in (b'Z', b'X') else start


def read_record(path):
    """The record of the process if it runs, else an empty one."""
    try:
        with open(path) as record:
            content = json.load(record)
        alive = started_at(content['pid']) == content['start']
    except (IOError, OSError, ValueError, KeyError, TypeError):
        return {}
    return content if alive and content['start'] else {}


def write_record(path, content):
    half = path + '.new'
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, 'w') as record:
        json.dump(content, record)
    os.rename(half, path)


def read_environment(path):
    """The variables of the file. They stay bytes: what they hold is nobody's matter here."""
    variables = {}
    with open(path, 'rb') as lines:
        for line in lines:
            match = re.match(br'(\w+)="(.*)"$', line)
            if match:
                variables[match.group(1)] = re.sub(br'\\(["\\`$])', br'\1', match.group(2))
    return variables


def start(command, directory, environment_file, log):
    """Runs the command in a session of its own and returns its number. The
    parent, this module, ends soon: then it belongs to init."""
    environment = read_environment(environment_file)
    os.umask(0o077)
    with open(log, 'ab') as output:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, start_new_session=True, close_fds=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    return process.pid


def stop(content):
    """Ends the process and says how."""
    pid = content['pid']

    def gone(within):
        end = time.time() + within
        while started_at(pid) == content['start']:
            if time.time() > end:
                return False
            time.sleep(0.1)
        return True

    os.kill(pid, signal.SIGTERM)
    if gone(PATIENCE):
        return 'process %d was stopped' % pid
    os.kill(pid, signal.SIGKILL)
    gone(PATIENCE)
    return 'process %d was killed: it went on for %d seconds after SIGTERM' % (pid, PATIENCE)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(choices=['started', 'stopped'], default='started'),
            record=dict(type='path', required=True),
            command=dict(type='list', elements='str'),
            directory=dict(type='path'),
            environment_file=dict(type='path'),
            log=dict(type='path'),
            digest=dict(default=''),
        ),
        required_if=[('state', 'started', ['command', 'directory', 'environment_file', 'log'])],
        supports_check_mode=True,
    )
    p = module.params
    running = read_record(p['record'])
    wanted = p['state'] == 'started'
    right = wanted and running.get('digest') == p['digest']
    result = dict(changed=bool(running) != wanted or wanted and not right, pid=running.get('pid'), message='')
    if module.check_mode or not result['changed']:
        module.exit_json(**result)

    done = []
    try:
        if running:
            done.append(stop(running))
        if wanted:
            pid = start(p['command'], p['directory'], p['environment_file'], p['log'])
            write_record(p['record'], dict(pid=pid, start=started_at(pid), digest=p['digest']))
            done.append('process %d was started' % pid)
            result['pid'] = pid
        else:
            os.remove(p['record'])
            result['pid'] = None
    except (IOError, OSError) as error:
        module.fail_json(msg='%s: %s' % (' '.join(p['command'] or [p['record']]), error), **result)
    result['message'] = ', '.join(done)
    module.exit_json(**result)


if __name__ == '__main__':
    main()
