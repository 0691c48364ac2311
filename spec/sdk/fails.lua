--- fails: a call that must raise, with this somewhere in what it says.
return function(wanted, fn, ...)
  local ok, why = pcall(fn, ...)
  assert(not ok, 'it raises nothing')
  assert(tostring(why):find(wanted, 1, true), why)
end
