--- run: what spec/run counts, in a tree of its own whose bed is played. Whatever was to be run and was not has failed.
local cli = require 'cli'

local BED = [[#!/bin/bash
case $1 in
up) [ -z "${UP:-}" ] || exit "$UP"; mkdir -p "$2"; echo KUBECONFIG=none >"$2/env" ;;
env) echo export KUBECONFIG=none ;;
down) rm -rf "$2" ;;
esac
]]
local UNIT = "#!/bin/sh\necho '[  PASSED  ] 1 test(s).'\n"

describe('spec/run', function()
  local tree
  --- A command in the tree: what it says in the end, and its exit code.
  local function run(command, ...)
    local text, code = cli.run(tree, 'unset BED BUILD CI; export TEST_BIN=; ' .. command, ...)
    return text and text:match '([^\n]*)\n$', code, text
  end

  --- A file of specs, whose only test does this.
  local function spec(path, body) cli.write(tree .. '/' .. path, ("it('works', function() %s end)\n"):format(body or '')) end

  before_each(function()
    tree = cli.folder()
    local _, code, text = run([[mkdir -p spec build/san; cd spec; mkdir bed cluster histories sdk policies cli author runtime && cd .. &&
cp %s/spec/run %s/spec/busted_output.lua spec/]], cli.root, cli.root)
    assert.equal(0, code, text)
    cli.write(tree .. '/spec/bed/bed', BED)
    for _, room in ipairs { 'kube', 'transport' } do cli.write(('%s/build/san/test_%s_a'):format(tree, room), UNIT) end
    cli.write(tree .. '/spec/runtime/test_a.py', 'import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n')
    run 'chmod +x spec/bed/bed build/san/*'
    for name in ('cost property rivals clock leader patience more'):gmatch '%S+' do spec(('spec/cluster/%s_spec.lua'):format(name)) end
    spec 'spec/sdk/offline_spec.lua'
  end)

  it('adds up all that lanes have run', function()
    local last, ended, text = run 'LANES=3 spec/run quick'
    assert.same({ '11 passed, 0 failed', 0 }, { last, ended }, text)
  end)

  it('fails when no lane has a bed, and what needs none has passed', function()
    local last, ended, text = run 'UP=4 LANES=2 spec/run quick' -- which `bed up --node` ends with where there can be no node
    assert.same({ '2 passed, 3 failed', 1 }, { last, ended }, text)
    assert.is_truthy(text:find('what no lane has run: see spec/cluster/cost_spec.lua ', 1, true), text)
  end)

  it('fails when one of several things to run is not there', function()
    for command, counted in pairs {
      ['spec/run busted spec/sdk spec/nosuch'] = '0 passed, 1 failed',
      ['spec/run cluster spec/cluster/more_spec.lua spec/nosuch'] = '0 passed, 1 failed',
      ['rm build/san/test_kube_a; spec/run cluster spec/cluster'] = '8 passed, 1 failed',
    } do
      local last, ended, text = run(command)
      assert.same({ counted, 1 }, { last, ended }, text)
      assert.is_truthy(text:find('is not there: no test was run', 1, true), text)
    end
  end)

  it('fails when a lane ends without having said what it counted', function()
    spec('spec/sdk/offline_spec.lua', [[os.execute 'kill -9 $(cut -d " " -f 4 /proc/$PPID/stat)']])
    local last, ended, text = run 'LANES=2 spec/run quick'
    assert.same({ '9 passed, 1 failed', 1 }, { last, ended }, text)
    assert.is_truthy(text:find('lane2: has not said what it counted', 1, true), text)
  end)

  it('loses nothing to another that runs in the same tree, with a bed that is given', function()
    for i = 1, 6 do spec(('spec/cluster/slow-%d_spec.lua'):format(i), 'os.execute "sleep 0.4"') end
    local last, ended, text = run [[mkdir given; spec/run histories spec/cluster/slow* >first 2>&1 & sleep 0.5
BED=$PWD/given spec/run cluster spec/cluster/more_spec.lua >second 2>&1; wait; tail -n 1 second first | grep passed | xargs]]
    assert.same({ '1 passed, 0 failed 6 passed, 0 failed', 0 }, { last, ended }, text)
  end)

  it('takes along what works beside it, when it is interrupted', function()
    for i = 1, 6 do spec(('spec/cluster/slow-%d_spec.lua'):format(i), 'os.execute "echo >>begun; sleep 0.5; echo >>ended"') end
    for _, signal in ipairs { 'INT', 'TERM' } do
      local _, _, text = run([[rm -f begun ended; LANES=3 python3 -c '
import os, signal, subprocess, time
child = subprocess.Popen(["spec/run", "histories", "spec/cluster/"], start_new_session=True,
  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
while not os.path.exists("begun") or len(open("begun").read()) < 3: time.sleep(0.05)
os.killpg(child.pid, signal.SIG%s)
child.wait()
time.sleep(1)
' >said 2>&1; cat said; wc -l <begun; ls build/log | grep -c lanes]], signal)
      assert.is_truthy(text:find '\n?3\n0\n$', signal .. '\n' .. text)
    end
  end)
end)
