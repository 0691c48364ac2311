--- report: the results of the bench as a table and as a picture.
local M = {}

--- How a row stands to its target: "target 6.5  met", "target 6.5  missed by 4 %"; what binds and is missed stands out.
local function verdict(row, missed)
  if not row.target then return '' end
  local by = row.target == 0 and ('by %g'):format(row.value) or ('by %.0f %%'):format((row.value / row.target - 1) * 100)
  return ('target %g  %s'):format(row.target, not missed and 'met' or (row.bound and 'MISSED ' or 'missed ') .. by)
end

--- Prints one line; returns whether a target that binds is missed. `row` is { what, value, unit, target, bound }.
function M.line(row)
  local missed = row.target ~= nil and row.value > row.target
  print((('  %-58s %10.4g %-4s %s'):format(row.what, row.value, row.unit or '', verdict(row, missed)):gsub('%s+$', '')))
  return missed and row.bound or false
end

local WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 60, 40, 40
local COLOURS = { '#1f6f8b', '#c8553d', '#588157', '#7b5ea7' }

--- A picture of lines over the number of actors: `lines` are { { name, { {x, y}, ... } }, ... }, each drawn against its own largest value.
function M.svg(title, lines)
  local out, most = {}, 1
  local function put(text, ...) out[#out + 1] = text:format(...) end
  for _, line in ipairs(lines) do
    for _, point in ipairs(line[2]) do most = math.max(most, point[1]) end
  end
  put('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">', WIDTH, HEIGHT + 20 * #lines)
  put('<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="22" font-size="14">%s</text>', LEFT, title)
  put('<path d="M%d %dV%dH%d" fill="none" stroke="#444"/>', LEFT, TOP, HEIGHT - BOTTOM, WIDTH - 20)
  local function x(actors) return LEFT + actors / most * (WIDTH - 20 - LEFT) end
  local function y(value, largest) return HEIGHT - BOTTOM - value / largest * (HEIGHT - BOTTOM - TOP) * 0.95 end
  for i, line in ipairs(lines) do
    local largest, path, colour = 0, {}, COLOURS[(i - 1) % #COLOURS + 1]
    for _, point in ipairs(line[2]) do largest = math.max(largest, point[2]) end
    largest = largest > 0 and largest or 1
    for _, point in ipairs(line[2]) do
      path[#path + 1] = ('%.1f %.1f'):format(x(point[1]), y(point[2], largest))
      put('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>', x(point[1]), y(point[2], largest), colour)
      if i == 1 then put('<text x="%.1f" y="%d" text-anchor="middle">%d</text>', x(point[1]), HEIGHT - BOTTOM + 16, point[1]) end
    end
    put('<path d="M%s" fill="none" stroke="%s" stroke-width="2"/>', table.concat(path, 'L'), colour)
    put('<text x="%d" y="%d" fill="%s">%s (largest: %.4g)</text>', LEFT, HEIGHT + 20 * i - 12, colour, line[1], largest)
  end
  put '</svg>'
  return table.concat(out, '\n') .. '\n'
end

return M
