-- busted_output: one line a failure with its place, one a slow test, and one line of counts that spec/run adds up.
local SLOW_S = 20
return function(options)
  local busted = require 'busted'
  local handler = require 'busted.outputHandlers.base'()

  local function print_trouble(list, word)
    for _, each in ipairs(list) do
      local info = handler.format(each.element, each.parent, each.message)
      io.write(('%s: %s\n  %s:%s\n  %s\n'):format(word, each.name, info.trace and info.trace.short_src or '?',
        info.trace and info.trace.currentline or '?', (tostring(each.message):gsub('\n', '\n  '))))
    end
  end

  handler.suiteEnd = function()
    print_trouble(handler.failures, 'FAILED')
    print_trouble(handler.errors, 'FAILED (error)')
    for _, each in ipairs(handler.pendings) do io.write('SKIPPED: ', each.name, '\n') end
    io.write(('busted: %d passed, %d failed, %d skipped\n'):format(
      handler.successesCount, handler.failuresCount + handler.errorsCount, handler.pendingsCount))
    io.flush()
    return nil, true
  end

  handler.testEnd = function(element, _, status)
    if options.verbose then io.write(status, ' ', element.name, '\n') end
    if (element.duration or 0) >= SLOW_S then io.write(('%4.0f s: %s\n'):format(element.duration, element.name)) end
    io.flush()
    return nil, true
  end

  busted.subscribe({ 'test', 'end' }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ 'suite', 'end' }, handler.suiteEnd)
  return handler
end
