--- log: what a policy writes, as the host gets it.
local json = require 'json'
local log = require 'log'
local seal = require 'seal'

describe('log', function()
  local lines
  local own = log.new({
    log = function(level, policy, text) lines[#lines + 1] = ('%s %s: %s'):format(level, policy, text) end, spent = function() return false end,
  }, 'stamp.lua')
  before_each(function() lines = {} end)

  it('has a function for each level, with the name of the policy', function()
    own.debug 'a'
    own.info('%d of %s', 1, 'two')
    own.warn(true)
    own.error '100 %'
    assert.same({ 'debug stamp: a', 'info stamp: 1 of two', 'warn stamp: true', 'error stamp: 100 %' }, lines)
  end)

  it('shows tables as JSON, cut', function()
    own.info('%s and %s', { b = { 1, 2 }, a = json.null }, json.array {})
    own.info { x = 'y' }
    own.info('%s', { text = ('x'):rep(1000) })
    assert.equal('info stamp: {"a":null,"b":[1,2]} and []', lines[1])
    assert.equal('info stamp: {"x":"y"}', lines[2])
    assert.is_true(#lines[3] < 450 and lines[3]:sub(-3) == '...', lines[3])
  end)

  it('shows what is no JSON as tostring does', function()
    local circle = {}
    circle.circle = circle
    own.info('%s %s %s %s', { print }, circle, setmetatable({}, { __tostring = function() return 'itself' end }), seal.new({}, 'the plan'))
    assert.equal('info stamp: table table itself the plan', lines[1])
  end)
end)
